/* transcript.c - runs tests/data/gossip: what a small cluster does, told by its own trace.
 *
 *   nodes a b c            add, start, join to the first, wait until all know all; time is 0 then
 *   add d [as=c]           a node that does not run yet; as: it claims another's name
 *   start d [state] [move] [id=c]     its earlier state, a new address, another's node id
 *   join d a               run 2s    crash|vanish|leave b    pause b 3s    heal
 *   force-leave a b [prune]           tag a key value        refuse a prefix
 *   spread a               done once what a said has left it
 *   cut b | cut a b [udp|tcp] [oneway]   from all others, or from one; from first to second only
 *   faults loss=25         percent of datagrams
 *   show ping              lines with this beginning are told; most of the routine is not
 *   only serf:             from here on no others are told
 *   members a              what users of a see
 *   explain a b            what a remembers of b
 *   options seed=2 icmp=1 latency=1000   before the first node
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "script.h"
#include "world.h"

#define SHOWN_MAX   16
#define SETTLE_MS   10000
#define KEY_QUERIES 1000 /* ids of queries about keys begin here */

static const char *const routine[] = { "ping ", "push/pull", "health score", "join ", "tell " };

struct heard { /* a query that a node may answer */
    size_t node;
    uint64_t ltime;
    uint32_t id;
};

struct player {
    struct world *world;
    struct heard *heard;
    size_t heard_count;
    uint64_t queries;
    struct world_options options;
    struct mu_buf trace;
    char shown[SHOWN_MAX][32];
    size_t shown_count;
    bool is_only;
    uint64_t epoch_ms;
};

static void *open_player(const char *file)
{
    struct player *p = mu_new(sizeof *p);

    (void)file;
    p->options = (struct world_options){ .seed = 1,
                                         .profile = gossip_profile_lan,
                                         .latency_us_min = 200,
                                         .latency_us_max = 400,
                                         .is_checked = true,
                                         .trace = &p->trace };
    return p;
}

static void close_player(void *data)
{
    struct player *p = data;

    if (p->world != NULL) {
        world_free(p->world);
    }
    mu_buf_deinit(&p->trace);
    mu_free(p->heard);
    mu_free(p);
}

static void on_done(void *data, size_t node, const struct gossip_done *done)
{
    struct player *p = data;

    mu_buf_addf(&p->trace, "[%llu] %s: done, %u contacted",
                (unsigned long long)(world_now_ms(p->world) - p->epoch_ms),
                world_label(p->world, node), done->contacted);
    for (const char *c = done->why; *c != '\0'; c++) { /* in one line */
        mu_buf_addf(&p->trace, "%s", c == done->why ? ": " : "");
        if (*c == '\n' || *c == '\t') {
            mu_buf_add_text(&p->trace, *c == '\n' ? "\\n" : "\\t");
        } else {
            mu_buf_add_byte(&p->trace, (uint8_t)*c);
        }
    }
    mu_buf_add_byte(&p->trace, '\n');
}

/* Those that no log line of the core tells in the same words. */
static void on_notice(void *data, size_t node, const struct gossip_notice *n)
{
    static const char *const text[] = {
        [GOSSIP_REFUTED] = "REFUTED",
        [GOSSIP_CONFLICT] = "CONFLICT with",
        [GOSSIP_UNREACHABLE] = "UNREACHABLE",
        [GOSSIP_USELESS] = "USELESS",
    };
    struct player *p = data;

    if ((size_t)n->kind < MU_LEN(text) && text[n->kind] != NULL) {
        mu_buf_addf(&p->trace, "[%llu] %s: notice %s %s\n",
                    (unsigned long long)(world_now_ms(p->world) - p->epoch_ms),
                    world_label(p->world, node), text[n->kind], n->member.name);
    }
}

/* Payloads about keys are no text, and the keys' own bytes nobody's business. */
static void add_payload(struct mu_buf *to, const char *query, struct mu_span payload)
{
    struct gossip_key_answer answer;

    if (query != NULL && strncmp(query, "_serf_", 6) == 0) {
        return;
    }
    if (query == NULL && gossip_key_answer_decode(payload, &answer)) {
        mu_buf_addf(to, " %s, %zu keys", answer.is_ok ? "done" : answer.text, answer.ring.count);
        return;
    }
    mu_buf_addf(to, " '%.*s'", MU_SPAN_FMT(payload));
}

static void add_answer(struct mu_buf *to, struct mu_span payload)
{
    if (payload.bytes > GOSSIP_RESPONSE_BYTES) {
        mu_buf_addf(to, " of %zu bytes", payload.bytes);
    } else {
        mu_buf_addf(to, " '%.*s'", MU_SPAN_FMT(payload));
    }
}

/* What users and their handlers get. Answers wait until the step is over. */
static void on_heard(void *data, size_t node, const struct gossip_effects *fx)
{
    static const char *const kinds[] = { "ack", "response", "done" };
    struct player *p = data;
    const char *label = world_label(p->world, node);
    unsigned long long at = (unsigned long long)(world_now_ms(p->world) - p->epoch_ms);

    for (size_t i = 0; i < fx->events_count; i++) {
        mu_buf_addf(&p->trace, "[%llu] %s: event %s '%.*s' @%llu%s\n", at, label,
                    fx->events[i].name, MU_SPAN_FMT(fx->events[i].payload),
                    (unsigned long long)fx->events[i].ltime,
                    fx->events[i].coalesce ? ", coalesced" : "");
    }
    for (size_t i = 0; i < fx->queries_count; i++) {
        const struct gossip_query *q = &fx->queries[i];

        mu_buf_addf(&p->trace, "[%llu] %s: query %s", at, label, q->name);
        add_payload(&p->trace, q->name, q->payload);
        mu_buf_addf(&p->trace, " @%llu from %s\n", (unsigned long long)q->ltime, q->from);
        p->heard = mu_grow(p->heard, (p->heard_count + 1) * sizeof *p->heard);
        p->heard[p->heard_count++] = (struct heard){ node, q->ltime, q->id };
    }
    for (size_t i = 0; i < fx->replies_count; i++) {
        const struct gossip_reply *r = &fx->replies[i];

        bool is_about_keys = r->query >= KEY_QUERIES && r->kind == GOSSIP_REPLY_RESPONSE;

        mu_buf_addf(&p->trace, "[%llu] %s: %s of query %llu%s%s", at, label, kinds[r->kind],
                    (unsigned long long)r->query, r->from != NULL ? " from " : "",
                    r->from != NULL ? r->from : "");
        if (is_about_keys) {
            add_payload(&p->trace, NULL, r->payload);
        } else {
            add_answer(&p->trace, r->payload);
        }
        mu_buf_add_byte(&p->trace, '\n');
    }
}

static struct world *world_of(struct player *p)
{
    if (p->world == NULL) {
        p->world = world_new(&p->options);
        world_listen(p->world, on_notice, on_done, p);
        world_hear(p->world, on_heard, p);
    }
    return p->world;
}

/* -- what is told -------------------------------------------------------------------------------
 */

static bool is_told(const struct player *p, struct mu_span line)
{
    struct mu_span rest;

    (void)mu_span_split(line, ' ', &rest, NULL); /* [time] */
    (void)mu_span_split(rest, ' ', &rest, NULL); /* name: */
    for (size_t i = 0; i < p->shown_count; i++) {
        if (mu_span_starts(rest, mu_span_text(p->shown[i]))) {
            return true;
        }
    }
    for (size_t i = 0; i < MU_LEN(routine) && !p->is_only; i++) {
        if (mu_span_starts(rest, mu_span_text(routine[i]))) {
            return false;
        }
    }
    return !p->is_only;
}

static void tell(struct player *p, struct mu_buf *out)
{
    struct mu_span rest = mu_buf_span(&p->trace);

    while (rest.bytes > 0) {
        struct mu_span line = mu_span_split(rest, '\n', &rest, NULL);

        if (is_told(p, line)) {
            mu_buf_add_span(out, line);
            mu_buf_add_byte(out, '\n');
        }
    }
    mu_buf_clear(&p->trace);
}

/* -- commands -----------------------------------------------------------------------------------
 */

static size_t node_of(struct player *p, const char *label)
{
    size_t node = 0;

    MU_ASSERT(world_find(world_of(p), label, &node));
    return node;
}

static size_t add(struct player *p, const char *label, const char *name)
{
    size_t node = world_add_as(world_of(p), label, name);

    world_group(p->world, node, (unsigned)node);
    return node;
}

static bool has_word(const struct script_command *c, const char *word)
{
    for (size_t i = 1; i < c->words_count; i++) {
        if (strcmp(c->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool run_nodes(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    struct world *w = world_of(p);

    (void)out;
    for (size_t i = 1; i < c->words_count; i++) {
        size_t node = add(p, c->words[i], c->words[i]);

        world_start(w, node, (struct world_start){ .keep_state = false });
        if (node > 0) {
            world_join(w, node, 0, false);
            world_run(w, 100);
        }
    }
    world_run(w, SETTLE_MS);
    MU_ASSERT(world_agrees(w, NULL));
    mu_buf_clear(&p->trace);
    world_epoch(w);
    p->epoch_ms = world_now_ms(w);
    return true;
}

static bool run_add(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    (void)add(p, c->words[1], script_option(c, "as", c->words[1]));
    return true;
}

static bool run_start(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_start(p->world, node_of(p, c->words[1]),
                (struct world_start){ .keep_state = has_word(c, "state"),
                                      .move = has_word(c, "move"),
                                      .as_id = script_option(c, "id", NULL) });
    return true;
}

static bool run_join(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_join(p->world, node_of(p, c->words[1]), node_of(p, c->words[2]), has_word(c, "replay"));
    return true;
}

static bool run_run(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_run(p->world, script_ms(c->words[1]));
    return true;
}

static bool run_end(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    size_t node = node_of(p, c->words[1]);

    (void)out;
    if (strcmp(c->words[0], "crash") == 0) {
        world_crash(p->world, node);
    } else if (strcmp(c->words[0], "vanish") == 0) {
        world_vanish(p->world, node);
    } else {
        world_leave(p->world, node);
    }
    return true;
}

static bool run_pause(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_pause(p->world, node_of(p, c->words[1]), script_ms(c->words[2]));
    return true;
}

static bool run_force_leave(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_force_leave(p->world, node_of(p, c->words[1]), c->words[2], has_word(c, "prune"));
    return true;
}

static bool run_tag(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_tag(p->world, node_of(p, c->words[1]), c->words[2], c->words[3]);
    return true;
}

static bool run_spread(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_spread(p->world, node_of(p, c->words[1]));
    return true;
}

static bool run_refuse(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_refuse(p->world, node_of(p, c->words[1]), c->words[2]);
    return true;
}

/* keys <node> [<number>...] [takes-clear] [sends-clear]: its ring from now on, primary first. */
static bool run_keys(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    struct gossip_keyring ring = { .count = 0 };
    struct gossip_sealing sealing = { .keyring = &ring,
                                      .takes_clear = has_word(c, "takes-clear"),
                                      .sends_clear = has_word(c, "sends-clear") };

    (void)out;
    for (size_t i = 2; i < c->words_count && ring.count < GOSSIP_KEYS_MAX; i++) {
        if (c->words[i][0] >= '0' && c->words[i][0] <= '9') {
            struct gossip_key *key = &ring.keys[ring.count++];

            key->count = GOSSIP_KEY_BYTES_MAX;
            memset(key->bytes, c->words[i][0], sizeof key->bytes);
        }
    }
    world_keys(world_of(p), node_of(p, c->words[1]), &sealing);
    return true;
}

/* rotate <node> install|use|remove|list [<number>]: the keys of all, through the cluster. */
static bool run_rotate(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    static const char *const ops[] = { "install", "use", "remove", "list" };
    struct gossip_key key = { .count = 0 };

    if (c->words_count > 3) {
        key.count = GOSSIP_KEY_BYTES_MAX;
        memset(key.bytes, c->words[3][0], sizeof key.bytes);
    }
    for (size_t i = 0; i < MU_LEN(ops); i++) {
        if (strcmp(c->words[2], ops[i]) == 0) {
            if (!world_ask_keys(p->world, node_of(p, c->words[1]), KEY_QUERIES + p->queries++,
                                (enum gossip_key_op)i, &key)) {
                mu_buf_add_text(out, "refused\n");
            }
            return true;
        }
    }
    return false;
}

/* ring <node>: the numbers of its keys, primary first, and of those it keeps aside. */
static bool run_ring(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    const struct gossip_keys *k = world_keys_of(p->world, node_of(p, c->words[1]));

    for (size_t i = 0; i < k->ring.count; i++) {
        mu_buf_addf(out, "%s%c", i > 0 ? " " : "", k->ring.keys[i].bytes[0]);
    }
    for (size_t i = 0; i < k->retired.count; i++) {
        mu_buf_addf(out, "%s%c", i > 0 ? " " : ", aside ", k->retired.keys[i].bytes[0]);
    }
    mu_buf_add_byte(out, '\n');
    return true;
}

/* count <node> <counter>: what it has counted so far. */
static bool run_count(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    struct gossip_summary s;

    gossip_summarize(world_core(p->world, node_of(p, c->words[1])), &s);
    for (size_t i = 0; i < GOSSIP_COUNTERS_COUNT; i++) {
        if (strcmp(gossip_counter_text((enum gossip_counter)i), c->words[2]) == 0) {
            mu_buf_addf(out, "%llu\n", (unsigned long long)s.counters[i]);
            return true;
        }
    }
    return false;
}

/* event <node> <name> [<payload>] [coalesce] */
static bool run_event(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    const char *payload = c->words_count > 3 ? c->words[3] : "";

    if (!world_event(p->world, node_of(p, c->words[1]), c->words[2], payload,
                     has_word(c, "coalesce"))) {
        mu_buf_add_text(out, "refused\n");
    }
    return true;
}

/* query <node> <name> [payload=] [nodes=a,b] [tag=] [expr=] [timeout_ms=] [relay=] [ack] [large]
 */
static bool run_query(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    struct gossip_query_filter filters[2] = { { .nodes_count = 0 } };
    struct gossip_query_params params = { .name = c->words[2],
                                          .payload = mu_span_text(script_option(c, "payload", "")),
                                          .filters = filters,
                                          .timeout_ms = script_number(c, "timeout_ms", 0),
                                          .relay_factor = (unsigned)script_number(c, "relay", 0),
                                          .wants_acks = has_word(c, "ack"),
                                          .takes_large = has_word(c, "large") };
    const char *only = script_option(c, "node", NULL);
    const char *tag = script_option(c, "tag", NULL);

    if (only != NULL) {
        filters[params.filters_count++] =
            (struct gossip_query_filter){ .nodes = &only, .nodes_count = 1 };
    }
    if (tag != NULL) {
        filters[params.filters_count++] =
            (struct gossip_query_filter){ .tag = tag, .expr = script_option(c, "expr", "") };
    }
    if (!world_query(p->world, node_of(p, c->words[1]), ++p->queries, &params)) {
        mu_buf_add_text(out, "refused\n");
    }
    return true;
}

/* respond <node> <payload> | bytes=N: to the last query it has heard. */
static bool run_respond(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    size_t node = node_of(p, c->words[1]);
    size_t bytes = (size_t)script_number(c, "bytes", 0);
    struct mu_buf text = MU_BUF_NONE;
    bool is_heard = false;

    if (bytes == 0 && c->words_count < 3) {
        return false;
    }
    if (bytes > 0) {
        memset(mu_buf_reserve(&text, bytes), 'x', bytes);
        text.bytes = bytes;
    } else {
        mu_buf_add_text(&text, c->words[2]);
    }

    for (size_t i = p->heard_count; i-- > 0 && !is_heard;) {
        is_heard = p->heard[i].node == node;
        if (is_heard &&
            !world_respond(p->world, node, p->heard[i].ltime, p->heard[i].id, mu_buf_text(&text))) {
            mu_buf_add_text(out, "refused\n");
        }
    }
    mu_buf_deinit(&text);
    return is_heard;
}

static bool run_cut(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    bool udp = !has_word(c, "tcp");
    bool tcp = !has_word(c, "udp");
    unsigned from = (unsigned)node_of(p, c->words[1]);
    size_t other = 0;
    bool has_other = c->words_count > 2 && world_find(p->world, c->words[2], &other);

    (void)out;
    for (unsigned i = 0; i < world_count(p->world); i++) {
        if (i == from || (has_other && i != other)) {
            continue;
        }
        world_cut(p->world, from, i, udp, tcp);
        if (!has_word(c, "oneway")) {
            world_cut(p->world, i, from, udp, tcp);
        }
    }
    return true;
}

static bool run_heal(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)c;
    (void)out;
    world_heal(p->world);
    return true;
}

static bool run_faults(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    world_faults(p->world, (double)script_number(c, "loss", 0) / 100,
                 (double)script_number(c, "duplicate", 0) / 100,
                 (double)script_number(c, "reorder", 0) / 100);
    return true;
}

static bool run_show(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    MU_ASSERT(p->shown_count < SHOWN_MAX);
    p->is_only = p->is_only || strcmp(c->words[0], "only") == 0;
    (void)snprintf(p->shown[p->shown_count++], sizeof p->shown[0], "%s", c->words[1]);
    return true;
}

struct listing {
    struct player *player;
    struct mu_buf *out;
};

static void list_member(void *data, const struct gossip_view *m)
{
    struct listing *l = data;
    char addr[MU_ADDR_TEXT_MAX];

    mu_addr_text(&m->addr, addr);
    mu_buf_addf(l->out, "%s %s %s%s", m->name, addr, gossip_status_text(m->status),
                m->is_suspect ? " suspect" : "");
    for (size_t i = 0; i < m->tags.count; i++) {
        mu_buf_addf(l->out, " %.*s=%.*s", MU_SPAN_FMT(m->tags.items[i].key),
                    MU_SPAN_FMT(m->tags.items[i].value));
    }
    mu_buf_add_byte(l->out, '\n');
}

static bool run_members(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    struct listing l = { p, out };

    tell(p, out);
    gossip_each(world_core(p->world, node_of(p, c->words[1])), list_member, &l);
    return true;
}

static void list_change(void *data, const struct gossip_record *r)
{
    static const char *const changes[] = {
        [GOSSIP_CHANGE_MISSED] = "missed",       [GOSSIP_CHANGE_SUSPECTED] = "suspected",
        [GOSSIP_CHANGE_CONFIRMED] = "confirmed", [GOSSIP_CHANGE_REFUTED] = "refuted",
        [GOSSIP_CHANGE_DEAD] = "dead",           [GOSSIP_CHANGE_LEAVING] = "leaving",
        [GOSSIP_CHANGE_LEFT] = "left",           [GOSSIP_CHANGE_RETURNED] = "returned",
    };
    static const char *const ways[] = { "", " (open)", " (refused)", " (silent)", " (stalled)" };
    struct listing *l = data;

    mu_buf_addf(l->out, "[%llu] %s%s%s%s", (unsigned long long)(r->at_ms - l->player->epoch_ms),
                changes[r->change], r->by[0] != '\0' ? " by " : "", r->by, ways[r->way]);
    if (r->asked > 0) {
        mu_buf_addf(l->out, ", %u asked, %u of them refused", r->asked, r->refused);
    }
    mu_buf_add_byte(l->out, '\n');
}

/* What a node remembers of another. */
static bool run_explain(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    const struct gossip *g = world_core(p->world, node_of(p, c->words[1]));
    struct listing l = { p, out };
    struct gossip_account a;

    tell(p, out);
    if (!gossip_explain(g, c->words[2], &a)) {
        mu_buf_addf(out, "not known\n");
        return true;
    }
    mu_buf_addf(out, "%s since %llu, %s, %u probes missed\n", a.state,
                (unsigned long long)(a.state_ms > p->epoch_ms ? a.state_ms - p->epoch_ms : 0),
                gossip_status_text(a.member.status), a.missed);
    gossip_each_record(g, c->words[2], list_change, &l);
    return true;
}

static bool run_options(struct player *p, const struct script_command *c, struct mu_buf *out)
{
    (void)out;
    MU_ASSERT(p->world == NULL);
    p->options.seed = script_number(c, "seed", p->options.seed);
    p->options.has_icmp = script_number(c, "icmp", 0) != 0;
    p->options.replay = (double)script_number(c, "replay_percent", 0) / 100;
    p->options.profile.packet_bytes =
        (uint32_t)script_number(c, "packet_bytes", p->options.profile.packet_bytes);
    p->options.profile.reclaim_ms =
        (uint32_t)script_number(c, "reclaim_ms", p->options.profile.reclaim_ms);
    p->options.profile.tombstone_ms =
        (uint32_t)script_number(c, "tombstone_ms", p->options.profile.tombstone_ms);
    p->options.profile.reconnect_timeout_ms =
        (uint32_t)script_number(c, "reconnect_timeout_ms", p->options.profile.reconnect_timeout_ms);
    return true;
}

static const struct {
    const char *name;
    size_t words_min;
    bool (*run)(struct player *p, const struct script_command *c, struct mu_buf *out);
} commands[] = {
    // clang-format off
    { "nodes",       2, run_nodes },
    { "add",         2, run_add },
    { "start",       2, run_start },
    { "join",        3, run_join },
    { "run",         2, run_run },
    { "crash",       2, run_end },
    { "vanish",      2, run_end },
    { "leave",       2, run_end },
    { "pause",       3, run_pause },
    { "force-leave", 3, run_force_leave },
    { "tag",         4, run_tag },
    { "refuse",      3, run_refuse },
    { "spread",      2, run_spread },
    { "cut",         2, run_cut },
    { "heal",        1, run_heal },
    { "faults",      2, run_faults },
    { "show",        2, run_show },
    { "only",        2, run_show },
    { "members",     2, run_members },
    { "explain",     3, run_explain },
    { "options",     2, run_options },
    { "keys",        2, run_keys },
    { "rotate",      3, run_rotate },
    { "ring",        2, run_ring },
    { "count",       3, run_count },
    { "event",       3, run_event },
    { "query",       3, run_query },
    { "respond",     2, run_respond },
}; // clang-format on

static bool run_command(void *data, const struct script_command *c, struct mu_buf *out)
{
    struct player *p = data;

    for (size_t i = 0; i < MU_LEN(commands); i++) {
        if (strcmp(commands[i].name, c->words[0]) == 0) {
            bool ok = c->words_count >= commands[i].words_min && commands[i].run(p, c, out);

            tell(p, out);
            return ok;
        }
    }
    return false;
}

int main(void)
{
    static const struct script_world world = { open_player, run_command, close_player };

    mu_log_set_fd(-1);
    return script_run_dir("data/gossip", &world) == 0 ? 0 : 1;
}
