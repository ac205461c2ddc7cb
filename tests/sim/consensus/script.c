/* script.c - transcripts of the consensus core (spec/consensus.md 4.8): the commands below, and
 * what the cores then say as expected output. Messages, writes and applies take 1 ms unless they
 * are held.
 *
 *   nodes a b c                      servers of one cluster, formed and started
 *   formed a b c | fresh a b expect=2    the same, down; without a cluster, down
 *   disk a term=3 vote=b log=2:x,3:- applied=1   what lies on its disk behind the configuration
 *   start a b | crash a [lose=all|none|2] | restart a | wipe a | pause a 300ms | stop a
 *   rot a                            down: its log is damaged behind what the state has
 *   campaign a                       its election timer fires
 *   run 50ms
 *   cut a b | cut a>b | heal [a b]
 *   hold net | release net           messages wait; they all arrive, now
 *   deliver|drop|dup [from=a] [to=b] [kind=vote_res] [count=1]     of those that wait
 *   messages                         what waits
 *   hold disk a | persist a [n] | release disk a          likewise for writes and applies
 *   hold apply a | apply a [upto] | release apply a
 *   hold orders a | orders a | order a [count|fails] | release orders a     work on snapshots
 *   propose a x y z | read a         z follows y follows x, in one event
 *   version a 2 | propose-new a x    the version it is started with; of a kind that came with it
 *   change a add|promote|demote|remove|set d [priority=1] [address=x] [disk=old] [forced=1]
 *   change a replace b by=d | transfer a [b]
 *   spoil a                          its state is not what it applied
 *   store a slow|full|read-only|failed|ok | link a b up|down|blocked|writable | compact a 5
 *   checkpoint a [bytes=100]         what it has applied is durable; so much is its state
 *   set trailing=4 inflight=2 ...      options of servers started from now on
 *   set disk_ms=500                  what every write takes, from now on
 *   set hold=2 awaits=1              commit indexes are held; proposals are waited for elsewhere
 *   set leases=1 quiet=1             reads by lease; who starts again gives no vote for a while
 *   jump a 300ms                     its clock goes forward
 *   inject from=a to=b kind=... field=value ...       a message that nobody sent
 *   show messages|traces|decisions|nothing
 *   status [a] | log a | peers a | config a | heard a     how long ago the leader was in contact
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "play.h"

/* -- the world of scripts ------------------------------------------------------------------ */

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

void play_line(void *data, const char *line)
{
    struct play *p = data;

    mu_buf_addf(p->out, "%s\n", line);
}

const char *play_label(const struct play *p, uint64_t content)
{
    uint64_t label = content & ~SIM_NEW_KIND;

    return label >= 1 && label <= p->labels_count ? p->labels[label - 1] : "-";
}

static void on_result(void *data, struct sim_node *n, const struct consensus_result *r)
{
    struct play *p = data;
    const struct sim_ticket *t = &p->w->tickets[r->ticket - 1];
    const char *what = t->kind == SIM_READ       ? "read"
                       : t->kind == SIM_CHANGE   ? "change"
                       : t->kind == SIM_TRANSFER ? "transfer"
                                                 : play_label(p, t->content);

    if (r->outcome == CONSENSUS_COMMITTED || r->outcome == CONSENSUS_READABLE) {
        sim_say(p->w, n, "%s %s at %llu", what, sim_outcome_text(r), U(r->index));
    } else {
        sim_say(p->w, n, "%s %s", what, sim_outcome_text(r));
    }
}

static uint64_t disk_ms(void *data, uint32_t node)
{
    const struct play *p = data;

    (void)node;
    return p->disk_ms;
}

static void *play_open(const char *file)
{
    struct play *p = mu_new(sizeof *p);
    struct sim_policy policy = {
        .data = p,
        .net_ms = net_ms,
        .net_twice = net_twice,
        .disk_ms = disk_ms,
        .apply_ms = one_ms,
        .gossip_ms = one_ms,
    };
    struct consensus_options options;

    (void)file;
    p->disk_ms = 1;
    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.with_trace = true;
    options.push_hold_ms = 0;
    p->w = sim_world_new(&options, &policy, 1);
    p->w->line = play_line;
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

/* -- words --------------------------------------------------------------------------------- */

struct sim_node *play_node(struct play *p, const struct script_command *c, size_t i)
{
    return i < c->words_count ? sim_node_find(p->w, c->words[i]) : NULL;
}

uint64_t play_content(struct play *p, const char *label)
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
        e.content = play_content(p, colon + 1);
        e.bytes = 10;
    }
    return e;
}

/* "3/2": index and term. */
void play_pair(const char *text, uint64_t *index, uint64_t *term)
{
    char *rest = NULL;

    *index = strtoull(text, &rest, 10);
    *term = *rest == '/' ? strtoull(rest + 1, NULL, 10) : 0;
}

size_t play_entries(struct play *p, const char *text, struct sim_entry *out, size_t count_max)
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

/* -- commands: servers --------------------------------------------------------------------- */

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
    struct sim_node *n = play_node(p, c, 1);
    struct sim_entry entries[64];
    struct sim_node *vote = sim_node_find(p->w, script_option(c, "vote", ""));

    if (n == NULL || n->is_up) {
        return false;
    }
    size_t count = play_entries(p, script_option(c, "log", ""), entries, MU_LEN(entries));

    n->disk.log.room = count + 1;
    n->disk.log.at = mu_grow(n->disk.log.at, (count + 1) * sizeof *entries);
    memcpy(n->disk.log.at + 1, entries, count * sizeof *entries);
    n->disk.log.last = count + 1;
    n->disk.hard.term = script_number(c, "term", 1);
    n->disk.hard.voted_for = vote != NULL ? vote->id : MU_ID_NONE;
    uint64_t applied = script_number(c, "applied", 0);

    n->disk.state = (struct sim_state){ 0 };
    for (uint64_t i = 1; i <= applied; i++) {
        sim_state_apply(&n->disk.state, i, sim_log_at(&n->disk.log, i));
    }
    sim_check_durable(p->w, n, 1);
    return true;
}

static bool cmd_start(struct play *p, const struct script_command *c)
{
    for (size_t i = 1; i < c->words_count; i++) {
        struct sim_node *n = play_node(p, c, i);

        if (n == NULL || n->is_up) {
            return false;
        }
        sim_node_start(p->w, n);
    }
    return true;
}

static bool cmd_crash(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);
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
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->is_up) {
        return false;
    }
    sim_node_wipe(p->w, n);
    return true;
}

static bool cmd_rot(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->is_up) {
        return false;
    }
    sim_node_rot(p->w, n);
    return true;
}

static bool cmd_lose_state(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->is_up) {
        return false;
    }
    sim_node_lose_state(p->w, n);
    return true;
}

static bool cmd_expect(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->is_up || c->words_count < 3) {
        return false;
    }
    n->expect = (uint32_t)strtoul(c->words[2], NULL, 10);
    return true;
}

static bool cmd_version(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->is_up || c->words_count < 3) {
        return false;
    }
    n->level_max = (uint32_t)strtoul(c->words[2], NULL, 10);
    return true;
}

static bool cmd_pause(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || c->words_count < 3) {
        return false;
    }
    sim_node_pause(p->w, n, script_ms(c->words[2]));
    return true;
}

static bool cmd_jump(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || c->words_count < 3) {
        return false;
    }
    n->clock_offset += script_ms(c->words[2]);
    return true;
}

static bool cmd_stop(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n != NULL) {
        sim_stop(p->w, n);
    }
    return n != NULL;
}

static bool cmd_campaign(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

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

/* -- commands: work ------------------------------------------------------------------------ */

static bool propose(struct play *p, const struct script_command *c, uint64_t kind)
{
    struct sim_node *n = play_node(p, c, 1);
    uint64_t first = 0;
    size_t count = 0;

    if (n == NULL || n->core == NULL || c->words_count < 3) {
        return false;
    }
    for (size_t i = 2; i < c->words_count; i++) {
        uint64_t content = play_content(p, c->words[i]);

        first = count == 0 ? content : first;
        if (content != first + count++) {
            return false; /* contents of one event must be new, in order */
        }
    }
    (void)sim_propose(p->w, n, count, first | kind, 10);
    return true;
}

static bool cmd_propose(struct play *p, const struct script_command *c)
{
    return propose(p, c, 0);
}

static bool cmd_propose_new(struct play *p, const struct script_command *c)
{
    return propose(p, c, SIM_NEW_KIND);
}

static bool cmd_read(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->core == NULL) {
        return false;
    }
    (void)sim_read(p->w, n);
    return true;
}

static const struct mu_id *disk_of(const struct sim_node *n, const char *which)
{
    return strcmp(which, "old") == 0 ? &n->lost.id : &n->disk.id;
}

/* change a add|promote|demote|remove|set d [priority=1] [address=x] [disk=old] [forced=1]
 * change a replace b by=d */
static bool cmd_change(struct play *p, const struct script_command *c)
{
    static const char *const kinds[] = { "add", "promote", "demote", "remove", "set", "replace" };
    struct sim_node *n = play_node(p, c, 1);
    struct sim_node *server = play_node(p, c, 3);
    struct sim_node *by = sim_node_find(p->w, script_option(c, "by", ""));
    struct consensus_change what = { .kind = CONSENSUS_ADD };

    if (n == NULL || n->core == NULL || server == NULL) {
        return false;
    }
    what.server = server->id;
    what.priority = (uint8_t)script_number(c, "priority", 0);
    what.level = server->level_max;
    what.is_forced = script_number(c, "forced", 0) == 1;
    what.by = by != NULL ? by->id : MU_ID_NONE;
    (void)snprintf(what.address, sizeof what.address, "%s", script_option(c, "address", ""));
    for (size_t i = 0; i < MU_LEN(kinds); i++) {
        if (strcmp(c->words[2], kinds[i]) == 0) {
            what.kind = (enum consensus_change_kind)i;
            if (i == 0 || script_option(c, "disk", NULL) != NULL) {
                what.disk = *disk_of(server, script_option(c, "disk", ""));
            }
            (void)sim_change(p->w, n, &what);
            return true;
        }
    }
    return false;
}

static bool cmd_transfer(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);
    struct sim_node *to = play_node(p, c, 2);

    if (n == NULL || n->core == NULL || (to == NULL && c->words_count > 2)) {
        return false;
    }
    (void)sim_transfer(p->w, n, to != NULL ? &to->id : &MU_ID_NONE);
    return true;
}

static bool cmd_store(struct play *p, const struct script_command *c)
{
    static const char *const names[] = { "ok", "slow", "full", "read-only", "failed" };
    struct sim_node *n = play_node(p, c, 1);

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
    struct sim_node *n = play_node(p, c, 1);
    struct sim_node *peer = play_node(p, c, 2);

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
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || c->words_count < 3) {
        return false;
    }
    n->durable_applied = n->applied;
    sim_apply(p->w, n, n->applied);
    sim_compact(p->w, n, strtoull(c->words[2], NULL, 10));
    return true;
}

/* Its log on disk is damaged up to an entry. */
static bool cmd_shed(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->core == NULL || c->words_count < 3) {
        return false;
    }
    sim_feed(p->w, n,
             &(struct consensus_event){ .kind = CONSENSUS_EV_SHED,
                                        .shed_index = strtoull(c->words[2], NULL, 10) });
    return true;
}

/* What the state machine has applied becomes durable in its file. */
static bool cmd_checkpoint(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->core == NULL) {
        return false;
    }
    n->durable_applied = n->applied;
    n->state_bytes = script_number(c, "bytes", 0);
    sim_apply(p->w, n, n->applied);
    return true;
}

/* What was applied and what the state is are two things from now on. */
static bool cmd_spoil(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL) {
        return false;
    }
    n->disk.is_spoiled = true;
    return true;
}

/* -- the table ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(struct play *p, const struct script_command *c);
} commands[] = {
    // clang-format off
    { "apply", play_apply },     { "campaign", cmd_campaign }, { "change", cmd_change },
    { "compact", cmd_compact },  { "config", play_config },    { "transfer", cmd_transfer },
    { "checkpoint", cmd_checkpoint }, { "order", play_order }, { "orders", play_orders },
    { "crash", cmd_crash },     { "cut", play_cut },           { "deliver", play_held },
    { "disk", cmd_disk },       { "drop", play_held },         { "dup", play_held },
    { "expect", cmd_expect },   { "formed", cmd_formed },     { "fresh", cmd_fresh },
    { "heal", play_heal },       { "hold", play_hold },         { "inject", play_inject },
    { "link", cmd_link },       { "log", play_log },           { "messages", play_messages },
    { "nodes", cmd_nodes },     { "pause", cmd_pause },       { "peers", play_peers },
    { "persist", play_persist }, { "propose", cmd_propose },   { "read", cmd_read },
    { "release", play_release }, { "restart", cmd_start },     { "run", cmd_run },
    { "set", play_set },         { "show", play_show },         { "start", cmd_start },
    { "status", play_status },   { "stop", cmd_stop },         { "store", cmd_store },
    { "heard", play_heard },     { "wipe", cmd_wipe },         { "spoil", cmd_spoil },
    { "rot", cmd_rot },         { "jump", cmd_jump },         { "lose-state", cmd_lose_state },
    { "shed", cmd_shed },       { "version", cmd_version },   { "propose-new", cmd_propose_new },
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
    size_t failed = script_run_one("data/consensus", argc > 1 ? argv[1] : NULL, &world);

    if (failed > 0) {
        (void)fprintf(stderr, "%zu scripts differ\n", failed);
    }
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
