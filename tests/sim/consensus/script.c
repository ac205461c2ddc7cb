/* script.c - transcripts of the consensus core (spec/consensus.md 4.8): the commands below, and
 * what the cores then say as expected output. Messages, writes and applies take 1 ms unless they
 * are held.
 *
 *   nodes a b c                      servers of one cluster, formed and started
 *   formed a b c | fresh a b expect=2    the same, down; without a cluster, down
 *   disk a term=3 vote=b log=2:x,3:- applied=1   what lies on its disk behind the configuration
 *   start a b | crash a [lose=all|none|2] | restart a | wipe a | pause a 300ms | stop a
 *   campaign a                       its election timer fires
 *   run 50ms
 *   cut a b | cut a>b | heal [a b]
 *   hold net | release net           messages wait; they all arrive, now
 *   deliver|drop|dup [from=a] [to=b] [kind=vote_res] [count=1]     of those that wait
 *   messages                         what waits
 *   hold disk a | persist a [n] | release disk a          likewise for writes and applies
 *   hold apply a | apply a [upto] | release apply a
 *   propose a x y z | read a         z follows y follows x, in one event
 *   store a slow|full|failed|ok | link a b up|down|blocked|writable | compact a 5
 *   inject from=a to=b kind=... field=value ...       a message that nobody sent
 *   show messages|traces|decisions|nothing
 *   status [a] | log a | peers a
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "script.h"
#include "world.h"

#define U(v) (unsigned long long)(v)

enum { LABELS_MAX = 256, LABEL_BYTES = 16 };

struct play {
    struct sim_world *w;
    struct mu_buf *out;
    char labels[LABELS_MAX][LABEL_BYTES]; /* content 1.. */
    size_t labels_count;
};

/* -- the world of scripts
 * ---------------------------------------------------------------------------- */

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    (void)data;
    (void)m;
    return 1;
}

static bool net_twice(void *data, const struct sim_message *m)
{
    (void)data;
    (void)m;
    return false;
}

static uint64_t one_ms(void *data, uint32_t node)
{
    (void)data;
    (void)node;
    return 1;
}

static void add_line(void *data, const char *line)
{
    struct play *p = data;

    mu_buf_addf(p->out, "%s\n", line);
}

static const char *label_of(const struct play *p, uint64_t content)
{
    return content >= 1 && content <= p->labels_count ? p->labels[content - 1] : "-";
}

static void on_result(void *data, struct sim_node *n, const struct consensus_result *r)
{
    struct play *p = data;
    const struct sim_ticket *t = &p->w->tickets[r->ticket - 1];
    const char *what = t->is_read ? "read" : label_of(p, t->content);

    if (r->outcome == CONSENSUS_COMMITTED || r->outcome == CONSENSUS_READABLE) {
        sim_say(p->w, n, "%s %s at %llu", what, sim_outcome_text(r), U(r->index));
    } else {
        sim_say(p->w, n, "%s %s", what, sim_outcome_text(r));
    }
}

static void *play_open(const char *file)
{
    static const struct sim_policy policy = {
        .net_ms = net_ms,
        .net_twice = net_twice,
        .disk_ms = one_ms,
        .apply_ms = one_ms,
        .gossip_ms = one_ms,
    };
    struct play *p = mu_new(sizeof *p);
    struct consensus_options options;

    (void)file;
    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.with_trace = true;
    p->w = sim_world_new(&options, &policy, 1);
    p->w->line = add_line;
    p->w->line_data = p;
    p->w->on_result = on_result;
    p->w->on_result_data = p;
    return p;
}

static void play_close(void *world)
{
    struct play *p = world;

    sim_world_free(p->w);
    mu_free(p);
}

/* -- words
 * --------------------------------------------------------------------------------------------- */

static struct sim_node *node(struct play *p, const struct script_command *c, size_t i)
{
    return i < c->words_count ? sim_node_find(p->w, c->words[i]) : NULL;
}

static uint64_t content_of(struct play *p, const char *label)
{
    for (size_t i = 0; i < p->labels_count; i++) {
        if (strcmp(p->labels[i], label) == 0) {
            return i + 1;
        }
    }
    MU_ASSERT(p->labels_count < LABELS_MAX && strlen(label) < LABEL_BYTES);
    (void)snprintf(p->labels[p->labels_count], LABEL_BYTES, "%s", label);
    return ++p->labels_count;
}

/* "2:x" or "2:-" (a no-op). */
static struct sim_entry entry_of(struct play *p, const char *word)
{
    const char *colon = strchr(word, ':');
    struct sim_entry e = { .term = strtoull(word, NULL, 10), .kind = CONSENSUS_NOOP };

    if (colon != NULL && strcmp(colon, ":-") != 0) {
        e.kind = CONSENSUS_COMMAND;
        e.content = content_of(p, colon + 1);
        e.bytes = 10;
    }
    return e;
}

/* "3/2": index and term. */
static void pair_of(const char *text, uint64_t *index, uint64_t *term)
{
    char *rest = NULL;

    *index = strtoull(text, &rest, 10);
    *term = *rest == '/' ? strtoull(rest + 1, NULL, 10) : 0;
}

static size_t entries_of(struct play *p, const char *text, struct sim_entry *out, size_t count_max)
{
    char *copy = mu_strdup(text);
    char *save = NULL;
    size_t count = 0;

    for (char *word = strtok_r(copy, ",", &save); word != NULL && count < count_max;
         word = strtok_r(NULL, ",", &save)) {
        out[count++] = entry_of(p, word);
    }
    mu_free(copy);
    return count;
}

/* -- commands: servers
 * ---------------------------------------------------------------------------------- */

static bool add_nodes(struct play *p, const struct script_command *c, bool is_formed, bool is_up)
{
    uint32_t expect = (uint32_t)script_number(c, "expect", 0);
    size_t first = p->w->nodes_count;

    for (size_t i = 1; i < c->words_count; i++) {
        if (strchr(c->words[i], '=') == NULL) {
            (void)sim_node_add(p->w, c->words[i], expect);
        }
    }
    if (is_formed) {
        sim_world_form(p->w);
    }
    for (size_t i = first; is_up && i < p->w->nodes_count; i++) {
        sim_node_start(p->w, &p->w->nodes[i]);
    }
    return p->w->nodes_count > first;
}

static bool cmd_nodes(struct play *p, const struct script_command *c)
{
    return add_nodes(p, c, true, true);
}

static bool cmd_formed(struct play *p, const struct script_command *c)
{
    return add_nodes(p, c, true, false);
}

static bool cmd_fresh(struct play *p, const struct script_command *c)
{
    return add_nodes(p, c, false, false);
}

static bool cmd_disk(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);
    struct sim_entry entries[64];
    struct sim_node *vote = sim_node_find(p->w, script_option(c, "vote", ""));

    if (n == NULL || n->is_up) {
        return false;
    }
    size_t count = entries_of(p, script_option(c, "log", ""), entries, MU_LEN(entries));

    n->disk.log.room = count + 1;
    n->disk.log.at = mu_grow(n->disk.log.at, (count + 1) * sizeof *entries);
    memcpy(n->disk.log.at + 1, entries, count * sizeof *entries);
    n->disk.log.last = count + 1;
    n->disk.hard.term = script_number(c, "term", 1);
    n->disk.hard.voted_for = vote != NULL ? vote->id : MU_ID_NONE;
    n->disk.applied = script_number(c, "applied", 0);
    sim_check_durable(p->w, n, 1);
    return true;
}

static bool cmd_start(struct play *p, const struct script_command *c)
{
    for (size_t i = 1; i < c->words_count; i++) {
        struct sim_node *n = node(p, c, i);

        if (n == NULL || n->is_up) {
            return false;
        }
        sim_node_start(p->w, n);
    }
    return true;
}

static bool cmd_crash(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);
    const char *lose = script_option(c, "lose", "all");

    if (n == NULL || !n->is_up) {
        return false;
    }
    size_t kept = strcmp(lose, "none") == 0  ? n->queue_count
                  : strcmp(lose, "all") == 0 ? 0
                                             : n->queue_count - strtoul(lose, NULL, 10);

    sim_node_crash(p->w, n, kept);
    return true;
}

static bool cmd_wipe(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL || n->is_up) {
        return false;
    }
    sim_node_wipe(p->w, n);
    return true;
}

static bool cmd_expect(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL || n->is_up || c->words_count < 3) {
        return false;
    }
    n->expect = (uint32_t)strtoul(c->words[2], NULL, 10);
    return true;
}

static bool cmd_pause(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL || c->words_count < 3) {
        return false;
    }
    sim_node_pause(p->w, n, script_ms(c->words[2]));
    return true;
}

static bool cmd_stop(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n != NULL) {
        sim_stop(p->w, n);
    }
    return n != NULL;
}

static bool cmd_campaign(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL || n->core == NULL) {
        return false;
    }
    sim_campaign(p->w, n);
    return true;
}

static bool cmd_run(struct play *p, const struct script_command *c)
{
    sim_run_until(p->w, p->w->now + script_ms(c->words[1]));
    return true;
}

/* -- commands: network
 * ------------------------------------------------------------------------------------ */

static bool set_cut(struct play *p, const char *a, const char *b, bool is_cut)
{
    struct sim_node *from = sim_node_find(p->w, a);
    struct sim_node *to = sim_node_find(p->w, b);

    if (from == NULL || to == NULL) {
        return false;
    }
    p->w->is_cut[from->place][to->place] = is_cut;
    return true;
}

static bool cmd_cut(struct play *p, const struct script_command *c)
{
    char one[16];
    bool ok = false;

    if (c->words_count == 3) {
        ok = set_cut(p, c->words[1], c->words[2], true) &&
             set_cut(p, c->words[2], c->words[1], true);
    } else if (c->words_count == 2 && strchr(c->words[1], '>') != NULL) {
        (void)snprintf(one, sizeof one, "%s", c->words[1]);
        char *arrow = strchr(one, '>');

        *arrow = '\0';
        ok = set_cut(p, one, arrow + 1, true);
    }
    sim_gossip_changed(p->w);
    return ok;
}

static bool cmd_heal(struct play *p, const struct script_command *c)
{
    bool ok = true;

    if (c->words_count == 3) {
        ok = set_cut(p, c->words[1], c->words[2], false) &&
             set_cut(p, c->words[2], c->words[1], false);
    } else {
        memset(p->w->is_cut, 0, sizeof p->w->is_cut);
    }
    sim_gossip_changed(p->w);
    return ok;
}

static bool is_wanted(struct play *p, const struct script_command *c, const struct sim_message *m)
{
    const char *from = script_option(c, "from", NULL);
    const char *to = script_option(c, "to", NULL);
    const char *kind = script_option(c, "kind", NULL);

    return (from == NULL || strcmp(from, p->w->nodes[m->from].name) == 0) &&
           (to == NULL || strcmp(to, p->w->nodes[m->to].name) == 0) &&
           (kind == NULL || strcmp(kind, sim_kind_text(m)) == 0);
}

static struct sim_message *held_take(struct play *p, size_t i)
{
    struct sim_message *m = p->w->held[i];

    p->w->held_count--;
    memmove(p->w->held + i, p->w->held + i + 1, (p->w->held_count - i) * sizeof m);
    return m;
}

/* What a delivery brings about is not held again in the same command: it waits behind. */
static bool cmd_held(struct play *p, const struct script_command *c)
{
    unsigned long long count = script_number(c, "count", 1000);
    size_t end = p->w->held_count;
    size_t done = 0;

    for (size_t i = 0; i < end && done < count;) {
        if (!is_wanted(p, c, p->w->held[i])) {
            i++;
            continue;
        }
        done++;
        if (strcmp(c->words[0], "dup") == 0) {
            sim_net_deliver(p->w, sim_message_copy(p->w, p->w->held[i++]));
            continue;
        }
        struct sim_message *m = held_take(p, i);

        end--;
        if (strcmp(c->words[0], "drop") == 0) {
            sim_message_free(m);
        } else {
            sim_net_deliver(p->w, m);
        }
    }
    if (done == 0) {
        mu_buf_add_text(p->out, "no such message waits\n");
    }
    return true;
}

static bool cmd_messages(struct play *p, const struct script_command *c)
{
    char text[256];

    for (size_t i = 0; i < p->w->held_count; i++) {
        const struct sim_message *m = p->w->held[i];

        if (is_wanted(p, c, m)) {
            sim_message_text(p->w, m, text, sizeof text);
            mu_buf_addf(p->out, "%s > %s: %s\n", p->w->nodes[m->from].name, p->w->nodes[m->to].name,
                        text);
        }
    }
    return true;
}

/* -- commands: hold and release
 * ---------------------------------------------------------------------------- */

static bool cmd_hold(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 2);

    if (c->words_count == 2 && strcmp(c->words[1], "net") == 0) {
        p->w->holds_net = true;
        return true;
    }
    if (n == NULL) {
        return false;
    }
    if (strcmp(c->words[1], "disk") == 0) {
        n->holds_disk = true;
    } else {
        n->holds_apply = true;
    }
    return true;
}

static bool cmd_release(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 2);

    if (c->words_count == 2 && strcmp(c->words[1], "net") == 0) {
        p->w->holds_net = false;
        while (p->w->held_count > 0) {
            sim_net_schedule(p->w, held_take(p, 0), 0);
        }
        sim_run_until(p->w, p->w->now);
        return true;
    }
    if (n == NULL) {
        return false;
    }
    if (strcmp(c->words[1], "disk") == 0) {
        n->holds_disk = false;
        sim_persist(p->w, n, n->queue_count);
    } else {
        n->holds_apply = false;
        sim_apply(p->w, n, n->commit_to);
    }
    return true;
}

static bool cmd_persist(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL) {
        return false;
    }
    size_t count = c->words_count > 2 ? strtoul(c->words[2], NULL, 10) : n->queue_count;

    sim_persist(p->w, n, count < n->queue_count ? count : n->queue_count);
    return true;
}

static bool cmd_apply(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL) {
        return false;
    }
    sim_apply(p->w, n, c->words_count > 2 ? strtoull(c->words[2], NULL, 10) : n->commit_to);
    return true;
}

/* -- commands: work
 * ---------------------------------------------------------------------------------------- */

static bool cmd_propose(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);
    uint64_t first = 0;
    size_t count = 0;

    if (n == NULL || n->core == NULL || c->words_count < 3) {
        return false;
    }
    for (size_t i = 2; i < c->words_count; i++) {
        uint64_t content = content_of(p, c->words[i]);

        first = count == 0 ? content : first;
        if (content != first + count++) {
            return false; /* contents of one event must be new, in order */
        }
    }
    (void)sim_propose(p->w, n, count, first, 10);
    return true;
}

static bool cmd_read(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL || n->core == NULL) {
        return false;
    }
    (void)sim_read(p->w, n);
    return true;
}

static bool cmd_store(struct play *p, const struct script_command *c)
{
    static const char *const names[] = { "ok", "slow", "full", "failed" };
    struct sim_node *n = node(p, c, 1);

    for (size_t i = 0; n != NULL && i < MU_LEN(names); i++) {
        if (strcmp(c->words[2], names[i]) == 0) {
            sim_store(p->w, n, (enum consensus_health)i);
            return true;
        }
    }
    return false;
}

static bool cmd_link(struct play *p, const struct script_command *c)
{
    static const char *const names[] = { "up", "down", "blocked", "writable" };
    struct sim_node *n = node(p, c, 1);
    struct sim_node *peer = node(p, c, 2);

    for (size_t i = 0; n != NULL && peer != NULL && i < MU_LEN(names); i++) {
        if (strcmp(c->words[3], names[i]) == 0) {
            sim_link(p->w, n, peer, (enum consensus_link)i);
            return true;
        }
    }
    return false;
}

static bool cmd_compact(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);

    if (n == NULL || c->words_count < 3) {
        return false;
    }
    n->durable_applied = n->applied;
    sim_apply(p->w, n, n->applied);
    sim_compact(p->w, n, strtoull(c->words[2], NULL, 10));
    return true;
}

/* -- commands: forged messages
 * --------------------------------------------------------------------------- */

static void inject_ask(const struct script_command *c, struct consensus_msg *m)
{
    pair_of(script_option(c, "last", "0"), &m->ask.last_index, &m->ask.last_term);
    m->ask.next_term = m->term + (m->kind == CONSENSUS_PREVOTE_REQ);
    m->ask.round = script_number(c, "round", 1);
}

static void inject_answer(const struct script_command *c, struct consensus_msg *m)
{
    m->answer.asked_term = script_number(c, "asked", m->term);
    m->answer.round = script_number(c, "round", 1);
    m->answer.is_granted = script_number(c, "granted", 1) == 1;
}

/* session=real: the one the receiver, a leader, has for the sender. */
static uint64_t session_of(const struct script_command *c, const struct sim_node *from,
                           struct sim_node *to)
{
    if (strcmp(script_option(c, "session", ""), "real") == 0) {
        return consensus__peer_find(to->core, &from->id)->session;
    }
    return script_number(c, "session", 77);
}

static bool inject_body(struct play *p, const struct script_command *c, struct sim_message *m,
                        const struct sim_node *from, struct sim_node *to)
{
    static struct sim_entry entries[64];
    struct consensus_msg *x = &m->msg;

    switch (x->kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ: inject_ask(c, x); break;
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_VOTE_RES: inject_answer(c, x); break;
    case CONSENSUS_APPEND_REQ:
        pair_of(script_option(c, "prev", "0"), &x->append.prev_index, &x->append.prev_term);
        x->append.session = script_number(c, "session", 77);
        x->append.commit = script_number(c, "commit", 0);
        x->append.entries_count =
            (uint32_t)entries_of(p, script_option(c, "entries", ""), entries, MU_LEN(entries));
        m->entries = mu_new_array(x->append.entries_count, sizeof *entries);
        memcpy(m->entries, entries, x->append.entries_count * sizeof *entries);
        break;
    case CONSENSUS_APPEND_RES:
        x->ack.session = session_of(c, from, to);
        x->ack.match = script_number(c, "match", 0);
        x->ack.is_accepted = script_option(c, "match", NULL) != NULL;
        x->ack.prev_index = script_number(c, "prev", 0);
        pair_of(script_option(c, "hint", "0"), &x->ack.hint_index, &x->ack.hint_term);
        break;
    case CONSENSUS_HEARTBEAT:
        x->heartbeat.session = script_number(c, "session", 77);
        x->heartbeat.commit = script_number(c, "commit", 0);
        break;
    case CONSENSUS_HEARTBEAT_RES:
        x->alive.session = session_of(c, from, to);
        x->alive.read_seq = script_number(c, "round", 0);
        x->alive.last_index = script_number(c, "last", 0);
        break;
    }
    return true;
}

static bool cmd_inject(struct play *p, const struct script_command *c)
{
    struct sim_node *from = sim_node_find(p->w, script_option(c, "from", ""));
    struct sim_node *to = sim_node_find(p->w, script_option(c, "to", ""));
    struct sim_message *m = mu_new(sizeof *m);

    MU_ASSERT(from != NULL && to != NULL && to->core != NULL);
    m->from = from->place;
    m->to = to->place;
    m->msg.from = from->id;
    m->msg.from_disk = from->disk.id;
    m->msg.to = to->id;
    m->msg.cluster = to->disk.hard.cluster;
    m->msg.epoch = script_number(c, "epoch", 0);
    m->msg.term = script_number(c, "term", 1);
    if (script_number(c, "blank_disk", 0) == 1) {
        m->msg.from_disk.b[3] ^= 1;
    }
    if (script_number(c, "foreign", 0) == 1) {
        m->msg.cluster.b[3] ^= 1;
    }
    for (unsigned kind = 1; kind <= CONSENSUS_MSG_KINDS; kind++) {
        m->msg.kind = (enum consensus_msg_kind)kind;
        if (strcmp(script_option(c, "kind", ""), sim_kind_text(m)) == 0) {
            bool ok = inject_body(p, c, m, from, to);

            sim_net_deliver(p->w, m);
            return ok;
        }
    }
    sim_message_free(m);
    return false;
}

/* -- commands: looking
 * ---------------------------------------------------------------------------------- */

static bool cmd_show(struct play *p, const struct script_command *c)
{
    const char *what = c->words_count > 1 ? c->words[1] : "";

    p->w->shows_messages = strcmp(what, "messages") == 0;
    p->w->line = strcmp(what, "nothing") == 0 ? NULL : add_line;
    p->w->shows_level = strcmp(what, "traces") == 0 ? MU_TRACE : MU_DEBUG;
    return strcmp(what, "decisions") == 0 || p->w->shows_messages || p->w->line == NULL ||
           p->w->shows_level == MU_TRACE;
}

static void status_of(struct play *p, const struct sim_node *n)
{
    struct consensus_status s;

    if (!n->is_up || n->dead != NULL) {
        mu_buf_addf(p->out, "%s: %s\n", n->name, n->dead != NULL ? n->dead : "down");
        return;
    }
    if (n->core == NULL) {
        mu_buf_addf(p->out, "%s: fresh\n", n->name);
        return;
    }
    consensus_status(n->core, &s);
    mu_buf_addf(p->out,
                "%s: %s, term %llu, last %llu/%llu, durable %llu, commit %llu, applied %llu\n",
                n->name, consensus_role_text(s.role), U(s.term), U(s.last_index), U(s.last_term),
                U(s.stable), U(s.commit), U(s.applied));
}

static bool cmd_status(struct play *p, const struct script_command *c)
{
    if (c->words_count > 1) {
        if (node(p, c, 1) == NULL) {
            return false;
        }
        status_of(p, node(p, c, 1));
        return true;
    }
    for (uint32_t i = 0; i < p->w->nodes_count; i++) {
        status_of(p, &p->w->nodes[i]);
    }
    return true;
}

/* What is in memory, or else on the disk. */
static bool cmd_log(struct play *p, const struct script_command *c)
{
    struct sim_node *n = node(p, c, 1);
    struct consensus_entry e;

    if (n == NULL) {
        return false;
    }
    uint64_t last = n->core != NULL ? n->core->log.last_index : n->disk.log.last;

    mu_buf_addf(p->out, "%s:", n->name);
    for (uint64_t i = n->disk.log.base + 1; i <= last; i++) {
        const struct sim_entry *d = sim_log_at(&n->disk.log, i);
        struct sim_entry at = d != NULL ? *d : (struct sim_entry){ 0 };

        if (n->core != NULL && consensus_entry_at(n->core, i, &e)) {
            at = (struct sim_entry){ e.term, e.handle != 0 ? n->pool[e.handle - 1].content : 0,
                                     e.bytes, e.kind };
        }
        mu_buf_addf(p->out, " %llu/%llu:%s", U(i), U(at.term),
                    at.kind == CONSENSUS_CONFIG ? "config" : label_of(p, at.content));
    }
    mu_buf_add_text(p->out, "\n");
    return true;
}

static bool cmd_peers(struct play *p, const struct script_command *c)
{
    static const char *const states[] = { "probe", "replicate", "snapshot" };
    struct sim_node *n = node(p, c, 1);
    struct consensus_status s;

    if (n == NULL || n->core == NULL) {
        return false;
    }
    consensus_status(n->core, &s);
    for (size_t i = 0; i < s.peers_count; i++) {
        mu_buf_addf(p->out, "%s: %s match %llu, next %llu, %u in flight\n",
                    sim_name_of(p->w, &s.peers[i].id), states[s.peers[i].state],
                    U(s.peers[i].match), U(s.peers[i].next), s.peers[i].inflight);
    }
    return true;
}

static bool cmd_set(struct play *p, const struct script_command *c)
{
    struct consensus_options *o = &p->w->options;

    o->append_entries_max = (uint32_t)script_number(c, "append_entries", o->append_entries_max);
    o->inflight_max = (uint32_t)script_number(c, "inflight", o->inflight_max);
    o->inflight_bytes_max = (uint32_t)script_number(c, "inflight_bytes", o->inflight_bytes_max);
    o->proposals_max = (uint32_t)script_number(c, "proposals", o->proposals_max);
    o->uncommitted_bytes_max =
        (uint32_t)script_number(c, "uncommitted_bytes", o->uncommitted_bytes_max);
    o->unsynced_bytes_max = (uint32_t)script_number(c, "unsynced_bytes", o->unsynced_bytes_max);
    o->apply_lag_max = (uint32_t)script_number(c, "apply_lag", o->apply_lag_max);
    o->reads_max = (uint32_t)script_number(c, "reads", o->reads_max);
    o->cache_bytes = (uint32_t)script_number(c, "cache_bytes", o->cache_bytes);
    return true;
}

/* -- the table
 * ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool (*run)(struct play *p, const struct script_command *c);
} commands[] = {
    // clang-format off
    { "apply", cmd_apply },     { "campaign", cmd_campaign }, { "compact", cmd_compact },
    { "crash", cmd_crash },     { "cut", cmd_cut },           { "deliver", cmd_held },
    { "disk", cmd_disk },       { "drop", cmd_held },         { "dup", cmd_held },
    { "expect", cmd_expect },   { "formed", cmd_formed },     { "fresh", cmd_fresh },
    { "heal", cmd_heal },       { "hold", cmd_hold },         { "inject", cmd_inject },
    { "link", cmd_link },       { "log", cmd_log },           { "messages", cmd_messages },
    { "nodes", cmd_nodes },     { "pause", cmd_pause },       { "peers", cmd_peers },
    { "persist", cmd_persist }, { "propose", cmd_propose },   { "read", cmd_read },
    { "release", cmd_release }, { "restart", cmd_start },     { "run", cmd_run },
    { "set", cmd_set },         { "show", cmd_show },         { "start", cmd_start },
    { "status", cmd_status },   { "stop", cmd_stop },         { "store", cmd_store },
    { "wipe", cmd_wipe },
}; // clang-format on

static bool play_run(void *world, const struct script_command *c, struct mu_buf *out)
{
    struct play *p = world;

    p->out = out;
    for (size_t i = 0; i < MU_LEN(commands); i++) {
        if (strcmp(commands[i].name, c->words[0]) == 0) {
            return commands[i].run(p, c);
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct script_world world = { play_open, play_run, play_close };

    mu_log_set_fd(-1);
    size_t failed = script_run_dir(argc > 1 ? argv[1] : "data/consensus", &world);

    if (failed > 0) {
        (void)fprintf(stderr, "%zu scripts differ\n", failed);
    }
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
