/* The front doors together: HTTP and DNS, and the way in for what client agents forward. */
#include "web/web.h"

#include "base/assert.h"
#include "base/mem.h"
#include "dns.h"
#include "front.h"
#include "hash_wait.h"
#include "server.h"

struct web {
    struct front front;
    struct server *server;
    struct dns *dns;
    unsigned running; /* doors whose stopped callback is still to come */
    web_stopped_fn *stopped;
    void *stopped_data;
};

static void *forwarded_dns(void *data, const struct agent_dns_request *request, agent_dns_fn *reply,
                           void *reply_data)
{
    struct web *w = MU_CONTAINER(data, struct web, front);

    return dns_serve(w->dns, request, reply, reply_data);
}

static void forwarded_dns_cancel(void *data, void *running)
{
    struct web *w = MU_CONTAINER(data, struct web, front);

    dns_serve_cancel(w->dns, running);
}

static void counted_dns(void *data, struct agent_front_dns *out)
{
    struct web *w = MU_CONTAINER(data, struct web, front);

    dns_counted(w->dns, out);
}

struct web *web_new(struct agent *agent)
{
    struct web *w = mu_new(sizeof *w);

    front_init(&w->front, agent);
    w->server = server_new(&w->front);
    w->dns = dns_new(agent);
    agent_set_front(agent, &(struct agent_front){ .http = front_forwarded,
                                                  .http_cancel = front_forwarded_cancel,
                                                  .dns = forwarded_dns,
                                                  .dns_cancel = forwarded_dns_cancel,
                                                  .services_changed = hash_wait_changed,
                                                  .event_heard = event_wait_heard,
                                                  .held = front_held,
                                                  .dns_counts = counted_dns,
                                                  .data = &w->front });
    return w;
}

enum mu_code web_start(struct web *w, struct mu_err *err)
{
    enum mu_code rc = server_start(w->server, err);

    return rc == MU_OK ? dns_start(w->dns, err) : rc;
}

static void on_stopped(void *data)
{
    struct web *w = data;

    MU_ASSERT(w->running > 0);
    if (--w->running == 0) {
        w->stopped(w->stopped_data);
    }
}

void web_stop(struct web *w, web_stopped_fn *stopped, void *data)
{
    w->stopped = stopped;
    w->stopped_data = data;
    w->running = 2;
    server_stop(w->server, on_stopped, w);
    dns_stop(w->dns, on_stopped, w);
}

void web_free(struct web *w)
{
    if (w == NULL) {
        return;
    }
    agent_set_front(w->front.agent, NULL);
    dns_free(w->dns);
    server_free(w->server);
    front_deinit(&w->front);
    mu_free(w);
}
