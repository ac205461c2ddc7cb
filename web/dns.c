/* dns.c - the responder as web.c knows it: configuration, engine, sockets, and the agent behind.
 *
 * On a server: rows at hand as they are (allow_stale, the default), or after the leader confirmed
 * them. On a client agent: everything that needs a catalog goes to a server.
 */
#include "dns.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "dns_catalog.h"
#include "dns_engine.h"
#include "dns_sockets.h"

#define STALE_MS 5000 /* older answers say so (spec/dns.md 16) */

struct dns {
    struct agent *agent;
    const struct config *config;
    struct dns_rules rules;
    enum mu_code zones_code;
    struct mu_err zones_error;   /* told by dns_start() */
    struct dns_catalog *catalog; /* servers only */
    struct dns_engine *engine;
    struct dns_sockets *sockets;
    struct mu_link serving; /* struct served: forwarded queries that wait */
    bool is_stopping;
    bool has_rows;    /* something was applied here: there is a catalog */
    uint64_t view_ms; /* the turn that `view` belongs to */
    struct agent_view view;
    struct catalog_miss miss; /* of the last read */
    dns_stopped_fn *stopped;
    void *stopped_data;
    struct dns_responder responder;
    uint8_t late[MU_DNS_TCP_MAX];   /* answers of the engine's waits */
    uint8_t served[MU_DNS_TCP_MAX]; /* answers to forwarded queries */
};

/* -- the agent as the engine's upstream -------------------------------------------------------- */

/* Asking the agent for each query would cost more than answering it: once in a turn is enough. */
static const struct agent_view *view_now(struct dns *d)
{
    uint64_t now_ms = agent_now_ms(d->agent);

    if (d->view.reader == NULL || d->view_ms != now_ms) {
        d->view = agent_view_now(d->agent);
        d->view_ms = now_ms;
    }
    return &d->view;
}

/* A server that never had a catalog must not say that names do not exist. */
static bool has_rows(struct dns *d, struct catalog_reader *reader)
{
    struct catalog_applied applied = { 0 };
    struct mu_err err = MU_ERR_NONE;

    if (!d->has_rows && reader != NULL && catalog_reader_applied(reader, &applied, &err) == MU_OK) {
        d->has_rows = applied.index > 0;
    }
    return d->has_rows;
}

static enum dns_way way(void *data, const struct dns_source **source, bool *is_stale)
{
    struct dns *d = data;
    const struct config_dns *c = &d->config->dns;

    if (d->catalog == NULL) {
        return DNS_FORWARD;
    }
    const struct agent_view *view = view_now(d);

    if (!has_rows(d, view->reader)) {
        return DNS_NOWAY;
    }
    if (!c->allow_stale || view->last_contact_ms > (uint64_t)c->max_stale_ms) {
        return DNS_CONFIRM;
    }
    *is_stale =
        view->last_contact_ms > STALE_MS || (!view->known_leader && view->last_contact_ms == 0);
    *source = dns_catalog_source(d->catalog, view->reader, d->view_ms);
    return DNS_HERE;
}

struct confirmation {
    struct dns *dns;
    struct agent_read *read;
    void (*ready)(void *data, const struct dns_source *source);
    void *data;
};

static void on_read(void *data, enum mu_code code, const struct agent_view *view,
                    const struct mu_err *err)
{
    struct confirmation *c = data;
    struct dns *d = c->dns;
    void (*ready)(void *, const struct dns_source *) = c->ready;
    void *ready_data = c->data;

    (void)err;
    mu_free(c);
    ready(ready_data, code == MU_OK
                          ? dns_catalog_source(d->catalog, view->reader, agent_now_ms(d->agent))
                          : NULL);
}

static void *confirm(void *data, void (*ready)(void *ready_data, const struct dns_source *source),
                     void *ready_data)
{
    struct dns *d = data;
    struct confirmation *c = mu_new(sizeof *c);

    *c = (struct confirmation){ .dns = d, .ready = ready, .data = ready_data };
    c->read = agent_read(d->agent, AGENT_DEFAULT, on_read, c);
    return c;
}

static void read_begin(void *data)
{
    (void)data;
    catalog_prompt_begin();
}

static bool read_end(void *data)
{
    struct dns *d = data;

    return catalog_prompt_end(&d->miss);
}

static void *fetch(void *data, void (*ready)(void *ready_data, const struct dns_source *source),
                   void *ready_data)
{
    struct dns *d = data;
    struct confirmation *c = mu_new(sizeof *c);

    *c = (struct confirmation){ .dns = d, .ready = ready, .data = ready_data };
    c->read = agent_fetch(d->agent, &d->miss, on_read, c);
    return c;
}

static void confirm_cancel(void *data, void *running)
{
    struct confirmation *c = running;

    (void)data;
    agent_read_cancel(c->read);
    mu_free(c);
}

static void *forward(void *data, const struct agent_dns_request *request, agent_dns_fn *done,
                     void *done_data)
{
    struct dns *d = data;

    return agent_forward_dns(d->agent, request, done, done_data);
}

static void forward_cancel(void *data, void *running)
{
    (void)data;
    agent_forward_cancel(running);
}

/* -- queries that other agents forwarded ------------------------------------------------------- */

struct served {
    struct mu_link link;
    struct dns_wait *wait;
    agent_dns_fn *reply;
    void *data;
};

static void on_served(void *data, struct mu_span answer)
{
    struct served *s = data;
    agent_dns_fn *reply = s->reply;
    void *reply_data = s->data;

    mu_list_remove(&s->link);
    mu_free(s);
    reply(reply_data, MU_OK, answer);
}

void *dns_serve(struct dns *d, const struct agent_dns_request *request, agent_dns_fn *reply,
                void *reply_data)
{
    struct dns_wait *wait = NULL;
    struct served *s = NULL;
    size_t bytes = 0;

    if (d->is_stopping) {
        reply(reply_data, MU_CANCELLED, MU_SPAN_NONE);
        return NULL;
    }
    switch (
        dns_engine_ask(d->engine, request, dns_sockets_now(d->sockets), d->served, &bytes, &wait)) {
    case DNS_DONE_NOTHING: reply(reply_data, MU_INVALID, MU_SPAN_NONE); break;
    case DNS_DONE_ANSWER: reply(reply_data, MU_OK, mu_span_of(d->served, bytes)); break;
    case DNS_DONE_WAIT:
        s = mu_new(sizeof *s);
        *s = (struct served){ .wait = wait, .reply = reply, .data = reply_data };
        mu_list_push_back(&d->serving, &s->link);
        dns_wait_then(wait, on_served, s);
        dns_sockets_aim(d->sockets);
        break;
    }
    return s;
}

void dns_serve_cancel(struct dns *d, void *running)
{
    struct served *s = running;

    dns_engine_cancel(d->engine, s->wait);
    mu_list_remove(&s->link);
    mu_free(s);
}

static void served_end(struct dns *d)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(&d->serving)) != NULL) {
        struct served *s = MU_CONTAINER(link, struct served, link);
        agent_dns_fn *reply = s->reply;
        void *reply_data = s->data;

        dns_engine_cancel(d->engine, s->wait);
        mu_free(s);
        reply(reply_data, MU_CANCELLED, MU_SPAN_NONE);
    }
}

/* -- figures ----------------------------------------------------------------------------------- */

void dns_counted(const struct dns *d, struct agent_front_dns *out)
{
    const struct dns_counts *c = dns_engine_counts(d->engine);

    *out = (struct agent_front_dns){ .udp = c->udp,
                                     .tcp = c->tcp,
                                     .malformed = c->malformed,
                                     .dropped = c->dropped,
                                     .errors_limited = c->errors_limited,
                                     .stale = c->stale,
                                     .late = c->late,
                                     .truncated = c->truncated,
                                     .skipped = c->skipped,
                                     .took = &c->took };
    for (size_t i = 0; i < DNS_RCODES_COUNT; i++) {
        if (dns_rcode_text(i) != NULL) {
            MU_ASSERT(out->rcodes_count < AGENT_FRONT_RCODES_MAX);
            out->rcodes[out->rcodes_count++] =
                (struct agent_front_rcode){ dns_rcode_text(i), c->rcodes[i] };
        }
    }
}

/* -- life -------------------------------------------------------------------------------------- */

struct dns *dns_new(struct agent *agent)
{
    struct dns *d = mu_new(sizeof *d);
    const struct config *c = agent_config(agent);
    struct dns_upstream upstream = { way, confirm,    confirm_cancel, forward, forward_cancel,
                                     d,   read_begin, read_end,       fetch };
    struct dns_tcp_limits limits = dns_tcp_limits_default();

    d->agent = agent;
    d->config = c;
    mu_list_init(&d->serving);
    /* What cannot be served is said at start, where there is somebody to tell. */
    d->zones_code = dns_zones_init(&d->responder.zones, c->domain, c->alt_domains,
                                   c->alt_domains_count, c->datacenter, &d->zones_error);
    d->responder.config = &c->dns;
    d->responder.rand = agent_rand(agent);
    d->rules = (struct dns_rules){ &d->responder.zones, &c->dns };
    d->engine = dns_engine_new(&upstream, &d->responder, d->late);
    if (agent_is_server(agent)) {
        d->catalog = dns_catalog_new(&d->rules, agent_cache(agent), agent_watch(agent),
                                     &dns_engine_counts(d->engine)->skipped);
    }
    d->sockets = dns_sockets_new(agent_loop(agent), d->engine, &limits);
    return d;
}

void dns_free(struct dns *d)
{
    if (d != NULL) {
        dns_sockets_free(d->sockets);
        dns_engine_free(d->engine);
        dns_catalog_free(d->catalog);
        mu_free(d);
    }
}

enum mu_code dns_start(struct dns *d, struct mu_err *err)
{
    const struct config *c = d->config;
    enum mu_code rc = d->zones_code;

    if (rc != MU_OK) {
        return mu_fail(err, rc, "%s", d->zones_error.text);
    }
    if (c->ports.dns <= 0) {
        return MU_OK;
    }
    struct mu_addr *addresses = mu_new_array(c->dns_addrs_count, sizeof *addresses);

    for (size_t i = 0; i < c->dns_addrs_count; i++) {
        addresses[i] = c->dns_addrs[i];
        addresses[i].port = (uint16_t)c->ports.dns;
    }
    rc = dns_sockets_start(d->sockets, addresses, c->dns_addrs_count, err);
    for (size_t i = 0; i < c->dns_addrs_count && rc == MU_OK; i++) {
        char text[MU_ADDR_TEXT_MAX];

        mu_addr_text(&addresses[i], text);
        mu_log(MU_INFO, "agent", "Started DNS server", mu_kv("address", text),
               mu_kv("network", "udp"));
        mu_log(MU_INFO, "agent", "Started DNS server", mu_kv("address", text),
               mu_kv("network", "tcp"));
    }
    mu_free(addresses);
    return rc;
}

static void on_sockets_stopped(void *data)
{
    struct dns *d = data;

    d->stopped(d->stopped_data);
}

void dns_stop(struct dns *d, dns_stopped_fn *stopped, void *data)
{
    d->stopped = stopped;
    d->stopped_data = data;
    d->is_stopping = true;
    served_end(d);
    dns_sockets_stop(d->sockets, on_sockets_stopped, d);
}
