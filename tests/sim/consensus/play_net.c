/* play_net.c - commands of transcripts about the network, the disk and apply, and forged messages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "play.h"

/* -- commands: network --------------------------------------------------------------------- */

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

bool play_cut(struct play *p, const struct script_command *c)
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

bool play_heal(struct play *p, const struct script_command *c)
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
bool play_held(struct play *p, const struct script_command *c)
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

bool play_messages(struct play *p, const struct script_command *c)
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

/* -- commands: hold and release ------------------------------------------------------------ */

bool play_hold(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 2);

    if (c->words_count == 2 && strcmp(c->words[1], "net") == 0) {
        p->w->holds_net = true;
        return true;
    }
    if (n == NULL) {
        return false;
    }
    if (strcmp(c->words[1], "disk") == 0) {
        n->holds_disk = true;
    } else if (strcmp(c->words[1], "orders") == 0) {
        n->holds_orders = true;
    } else {
        n->holds_apply = true;
    }
    return true;
}

bool play_release(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 2);

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
    } else if (strcmp(c->words[1], "orders") == 0) {
        n->holds_orders = false;
        if (n->orders_count > 0) {
            sim_order_run(p->w, n, false);
        }
    } else {
        n->holds_apply = false;
        sim_apply(p->w, n, n->commit_to);
    }
    return true;
}

bool play_persist(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL) {
        return false;
    }
    size_t count = c->words_count > 2 ? strtoul(c->words[2], NULL, 10) : n->queue_count;

    sim_persist(p->w, n, count < n->queue_count ? count : n->queue_count);
    return true;
}

bool play_apply(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL) {
        return false;
    }
    sim_apply(p->w, n, c->words_count > 2 ? strtoull(c->words[2], NULL, 10) : n->commit_to);
    return true;
}

static const char *const order_texts[] = {
    [CONSENSUS_SNAP_EXPORT] = "export",   [CONSENSUS_SNAP_CLOSE] = "close",
    [CONSENSUS_SNAP_OPEN] = "open",       [CONSENSUS_SNAP_STORE] = "store",
    [CONSENSUS_SNAP_IMPORT] = "import",   [CONSENSUS_SNAP_SWITCH] = "switch",
    [CONSENSUS_SNAP_ABANDON] = "abandon",
};

bool play_orders(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    for (size_t i = 0; n != NULL && i < n->orders_count; i++) {
        mu_buf_addf(p->out, "%s %llu\n", order_texts[n->orders[i].kind],
                    U(n->orders[i].snap.index));
    }
    return n != NULL;
}

/* The first order, or the first `count`; "fails": it does not succeed. */
bool play_order(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);
    bool fails = c->words_count > 2 && strcmp(c->words[2], "fails") == 0;
    unsigned long count = c->words_count > 2 && !fails ? strtoul(c->words[2], NULL, 10) : 1;

    if (n == NULL || n->orders_count == 0) {
        return false;
    }
    for (unsigned long i = 0; i < count && n->is_up && n->orders_count > 0; i++) {
        mu_buf_addf(p->out, "%s %llu\n", order_texts[n->orders[0].kind],
                    U(n->orders[0].snap.index));
        sim_order_run(p->w, n, fails);
        sim_run_until(p->w, p->w->now + 10);
    }
    return true;
}

/* -- commands: forged messages ------------------------------------------------------------- */

static void inject_ask(const struct script_command *c, struct consensus_msg *m)
{
    play_pair(script_option(c, "last", "0"), &m->ask.last_index, &m->ask.last_term);
    m->ask.next_term = m->term + (m->kind == CONSENSUS_PREVOTE_REQ);
    m->ask.round = script_number(c, "round", 1);
    m->ask.transfer_term = script_number(c, "transfer", 0);
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

/* Of the export that its sender, or another server (of=), holds; or of one that nobody made. */
static void inject_snap(struct play *p, const struct script_command *c, struct sim_message *m,
                        const struct sim_node *from)
{
    const struct sim_node *of = sim_node_find(p->w, script_option(c, "of", from->name));
    struct consensus_msg *x = &m->msg;

    x->snapshot.session = script_number(c, "session", 77);
    x->snapshot.snap = of->export;
    if (script_option(c, "snap", NULL) != NULL) {
        play_pair(script_option(c, "snap", "0"), &x->snapshot.snap.index, &x->snapshot.snap.term);
        x->snapshot.snap.bytes = 100;
    }
    x->snapshot.offset = script_number(c, "offset", 0);
    x->snapshot.bytes = (uint32_t)script_number(c, "bytes", 50);
    if (x->kind == CONSENSUS_SNAP_OFFER) {
        m->config = mu_new(sizeof *m->config);
        *m->config = p->w->configs[0];
        m->config->index = 1;
    }
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
        play_pair(script_option(c, "prev", "0"), &x->append.prev_index, &x->append.prev_term);
        x->append.session = script_number(c, "session", 77);
        x->append.commit = script_number(c, "commit", 0);
        x->append.entries_count =
            (uint32_t)play_entries(p, script_option(c, "entries", ""), entries, MU_LEN(entries));
        m->entries = mu_new_array(x->append.entries_count, sizeof *entries);
        memcpy(m->entries, entries, x->append.entries_count * sizeof *entries);
        break;
    case CONSENSUS_APPEND_RES:
        x->ack.session = session_of(c, from, to);
        x->ack.match = script_number(c, "match", 0);
        x->ack.is_accepted = script_option(c, "match", NULL) != NULL;
        x->ack.prev_index = script_number(c, "prev", 0);
        play_pair(script_option(c, "hint", "0"), &x->ack.hint_index, &x->ack.hint_term);
        break;
    case CONSENSUS_HEARTBEAT:
        x->heartbeat.session = script_number(c, "session", 77);
        x->heartbeat.commit = script_number(c, "commit", 0);
        x->heartbeat.promise_ms = (uint32_t)script_number(c, "promise", 0);
        break;
    case CONSENSUS_HEARTBEAT_RES:
        x->alive.session = session_of(c, from, to);
        x->alive.read_seq = script_number(c, "round", 0);
        x->alive.last_index = script_number(c, "last", 0);
        x->alive.is_promised = script_number(c, "promised", 0) == 1;
        break;
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_SNAP_CHUNK: inject_snap(p, c, m, from); break;
    case CONSENSUS_SNAP_RES:
        x->snapshot_res.session = session_of(c, from, to);
        x->snapshot_res.match = script_number(c, "match", 0);
        x->snapshot_res.offset = script_number(c, "offset", 0);
        x->snapshot_res.answer =
            script_option(c, "match", NULL) != NULL ? CONSENSUS_SNAP_DONE : CONSENSUS_SNAP_WANT;
        break;
    case CONSENSUS_TIMEOUT_NOW:
        x->timeout_now.last_index = script_number(c, "last", 0);
        x->timeout_now.valid_ms = (uint32_t)script_number(c, "valid", 500);
        break;
    case CONSENSUS_MEMBER_REQ: break;
    case CONSENSUS_MEMBER_RES:
        x->removed.config_index = script_number(c, "index", 1);
        x->removed.disk = sim_node_find(p->w, script_option(c, "disk", to->name))->disk.id;
        break;
    case CONSENSUS_INVITE: x->invite.disk = to->disk.id; break;
    }
    return true;
}

bool play_inject(struct play *p, const struct script_command *c)
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
