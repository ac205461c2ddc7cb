/* /v1/status/: the leader and the peers, without an index and without needing a leader. */
#include "front.h"
#include "handlers.h"

void api_status_leader(struct request *r)
{
    struct mu_addr leader = agent_leader_address(r->front->agent);
    char text[MU_ADDR_TEXT_MAX] = "";
    struct mu_json_out o;

    if (leader.ip_bytes > 0) {
        mu_addr_text(&leader, text);
    }
    response_json(r, &o);
    mu_json_put_text(&o, text);
    answer_json(r, &o);
}

static void put_peer(void *data, const struct mu_addr *address)
{
    struct mu_json_out *o = data;
    char text[MU_ADDR_TEXT_MAX];

    mu_addr_text(address, text);
    mu_json_put_text(o, text);
}

void api_status_peers(struct request *r)
{
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_open(&o, '[');
    agent_each_peer(r->front->agent, put_peer, &o);
    mu_json_close(&o, ']');
    answer_json(r, &o);
}
