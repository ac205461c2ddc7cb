/* judge.c - what must be true once everything is healed, and of things done on purpose: a client
 * that dies and comes back, one that comes back as another machine, a leader that dies, a partition
 * that hides many, servers that all restart at once.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "cluster.h"

#define STEP_MS     200
#define SETTLE_MS   300000 /* two reconnects of gossip with their jitter, a pause of removal */
#define REST_MS     5000
#define CRITICAL_MS 15000 /* from a death until the catalog must call it critical */
#define HIDDEN_MS   45000 /* who hears nobody at all is patient: 26 s (gossip/health.c) */
#define OFFICE_MS   4000  /* two elections that miss, at worst, and the barrier */
#define CLEANUP_MS  8000  /* looks, and the entry */
#define WHY_BYTES   160

/* -- the catalog of one server ----------------------------------------------------------------- */

static bool services_are(const struct cluster *c, const struct client *k,
                         const struct listed *listed)
{
    (void)c;
    for (size_t i = 0; i < SERVICES_MAX; i++) {
        const struct service *service = &k->services[i];
        uint16_t port = service->version > 0 && service->is_wanted ? service->port : 0;

        if (listed->ports[i] != port) {
            return false;
        }
    }
    return true;
}

static bool living_is_listed(struct cluster *c, size_t member, const struct listed *listed,
                             char *why)
{
    struct mu_addr addr = world_addr(c->gossip, member);
    char address[MU_ADDR_TEXT_MAX];
    char id[MU_ID_TEXT_BYTES + 1];
    struct mu_id node_id = member_id(c, member);

    mu_addr_ip_text(&addr, address);
    mu_id_text(&node_id, id);
    if (!listed->is_passing || !mu_span_eq_text(listed->address, address) ||
        !mu_span_eq_text(listed->id, id)) {
        (void)snprintf(why, WHY_BYTES, "%s lives and is not registered as passing where it is",
                       member_name(c, member));
        return false;
    }
    if (member >= c->servers_count &&
        !services_are(c, &c->clients[member - c->servers_count], listed)) {
        (void)snprintf(why, WHY_BYTES, "the services of %s are not what it wants",
                       member_name(c, member));
        return false;
    }
    return true;
}

static bool catalog_is_right(struct cluster *c, struct server *s, char *why)
{
    struct mu_arena arena;
    bool is_right = true;

    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < c->members_count && is_right; i++) {
        struct listed listed;

        listed_read(c, s, &arena, member_name(c, i), &listed);
        if (member_is_up(c, i)) {
            is_right = living_is_listed(c, i, &listed, why);
        } else if (listed.is_there) {
            is_right = false;
            (void)snprintf(why, WHY_BYTES, "%s is gone and still registered", member_name(c, i));
        }
    }
    mu_arena_deinit(&arena);
    catalog_reader_release(s->reader);
    return is_right;
}

/* -- all servers ------------------------------------------------------------------------------- */

static bool servers_agree(struct cluster *c, char *why)
{
    size_t leaders = 0;

    for (size_t i = 0; i < c->servers_count; i++) {
        struct server *s = &c->servers[i];
        struct catalog_applied applied = { .index = 0 };

        leaders += s->office.state == OFFICE_HELD;
        if (s->catalog != NULL) {
            applied = catalog_applied(s->catalog);
        }
        if (s->node->core != NULL && s->node->seen.last_index != s->node->seen.commit) {
            (void)snprintf(why, WHY_BYTES, "%s has entries %llu to %llu under way", s->node->name,
                           U(s->node->seen.commit + 1), U(s->node->seen.last_index));
            return false;
        }
        if (s->node->queue_count > 0) { /* what others have committed already */
            (void)snprintf(why, WHY_BYTES, "%s still writes", s->node->name);
            return false;
        }
        if (applied.index != c->facts_last) {
            (void)snprintf(why, WHY_BYTES, "%s has applied %llu of %llu", s->node->name,
                           U(applied.index), U(c->facts_last));
            return false;
        }
    }
    if (leaders != 1) {
        (void)snprintf(why, WHY_BYTES, "%zu leaders are in office", leaders);
        return false;
    }
    return true;
}

static bool is_settled(struct cluster *c, char *why)
{
    struct mu_buf first = MU_BUF_NONE;
    bool agrees;

    if (!servers_agree(c, why)) {
        return false;
    }
    for (size_t i = 0; i < c->members_count; i++) {
        if (member_is_up(c, i) && (!member_runs(c, i) || c->is_leaving[i])) {
            (void)snprintf(why, WHY_BYTES, "%s stands still or leaves", member_name(c, i));
            return false;
        }
    }
    agrees = world_agrees(c->gossip, &first);
    if (!agrees) {
        (void)snprintf(why, WHY_BYTES, "membership: %s", mu_buf_text(&first));
    }
    mu_buf_deinit(&first);
    if (agrees && c->stabilization_ms > 0 && !pilot_is_done(c, cluster_leader(c))) {
        (void)snprintf(why, WHY_BYTES, "not all servers are voters again");
        return false;
    }
    return agrees && catalog_is_right(c, cluster_leader(c), why);
}

static void settle(struct cluster *c, const char *after)
{
    char why[WHY_BYTES] = "";

    for (uint64_t ms = 0; ms < SETTLE_MS; ms += STEP_MS) {
        cluster_run(c, STEP_MS);
        if (is_settled(c, why)) {
            cluster_run(c, REST_MS); /* and it stays so */
            if (is_settled(c, why)) {
                return;
            }
        }
    }
    cluster_fail(c, "everything converges %s: after %d s %s", after, SETTLE_MS / 1000, why);
}

/* Byte for byte, and the hash is what the rows are. */
static void states_compare(struct cluster *c)
{
    struct mu_buf first = MU_BUF_NONE;
    struct mu_buf dump = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    uint8_t hash[16] = { 0 };

    for (size_t i = 0; i < c->servers_count; i++) {
        struct server *s = &c->servers[i];

        model_compare(c, s);
        if (catalog_dump(s->catalog, i == 0 ? &first : &dump, &err) != MU_OK ||
            catalog_recount(s->catalog, hash, &err) != MU_OK) {
            cluster_fail(c, "%s cannot be dumped: %s", s->node->name, err.text);
        }
        if (i > 0 && !mu_span_eq(mu_buf_span(&first), mu_buf_span(&dump))) {
            cluster_fail(c, "equal state at equal index: the rows of %s differ from those of %s",
                         s->node->name, c->servers[0].node->name);
        }
        if (memcmp(hash, catalog_applied(s->catalog).hash, sizeof hash) != 0) {
            cluster_fail(c, "the hash is that of the rows: not on %s", s->node->name);
        }
        if (catalog_applied(s->catalog).index < c->acked_index) {
            cluster_fail(c, "acknowledged writes are kept: not on %s", s->node->name);
        }
        sim_check_kept(c->log, s->node);
        mu_buf_clear(&dump);
    }
    cluster_fold(c, c->facts_last);
    for (size_t i = 0; i < sizeof hash; i++) {
        cluster_fold(c, hash[i]);
    }
    mu_buf_deinit(&first);
    mu_buf_deinit(&dump);
}

/* -- on purpose -------------------------------------------------------------------------------- */

static struct listed leader_lists(struct cluster *c, size_t member, struct mu_arena *arena)
{
    struct server *s = cluster_leader(c);
    struct listed listed = { .is_there = false };

    if (s == NULL) {
        cluster_fail(c, "a calm cluster keeps its leader");
    }
    listed_read(c, s, arena, member_name(c, member), &listed);
    catalog_reader_release(s->reader);
    return listed;
}

static bool is_critical(struct cluster *c, size_t member, bool *is_there)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    struct listed listed = leader_lists(c, member, &arena);

    mu_arena_deinit(&arena);
    *is_there = listed.is_there;
    return listed.is_critical;
}

/* A client dies, is critical soon, is gone later, and comes back. */
static void death(struct cluster *c)
{
    size_t member = c->servers_count;
    bool is_there = true;
    bool was_critical = false;

    while (member < c->members_count && !member_is_up(c, member)) {
        member++;
    }
    if (member == c->members_count) {
        return;
    }
    member_crash(c, member);
    for (uint64_t ms = 0; is_there; ms += STEP_MS) {
        cluster_run(c, STEP_MS);
        was_critical = is_critical(c, member, &is_there) || was_critical;
        if (!was_critical && (!is_there || ms > CRITICAL_MS)) {
            cluster_fail(c, "the dead are critical: %s is not, %s", member_name(c, member),
                         is_there ? "for long" : "and already gone");
        }
        if (ms > CRITICAL_MS + REMOVE_AFTER_MS) {
            cluster_fail(c, "the dead are removed: %s is not", member_name(c, member));
        }
    }
    member_start(c, member, false, false);
    settle(c, "behind a death");
}

/* A client loses its data directory and is back before anybody saw it die: to gossip a restart, to
 * the catalog another machine of that name. */
static void change_of_hands(struct cluster *c)
{
    for (size_t i = c->servers_count; i < c->members_count; i++) {
        if (member_is_up(c, i)) {
            member_crash(c, i);
            cluster_run(c, cluster_below(c, 500));
            member_start(c, i, false, true);
            settle(c, "behind a change of hands");
            return;
        }
    }
}

/* The others have a leader in office soon. */
static void death_of_leader(struct cluster *c)
{
    struct server *was = cluster_leader(c);
    uint64_t died_ms = c->now_ms;

    if (c->servers_count < 3) {
        return;
    }
    member_crash(c, was->node->place);
    while (cluster_leader(c) == NULL) {
        cluster_run(c, 10);
        if (c->now_ms - died_ms > OFFICE_MS) {
            cluster_fail(c, "a dead leader is replaced: not in %d ms", OFFICE_MS);
        }
    }
    cluster_say(c, "a leader is in office after %llu ms", U(c->now_ms - died_ms));
    member_start(c, was->node->place, false, false);
    settle(c, "behind the death of a leader");
}

static bool is_named(struct cluster *c, const struct server *s)
{
    struct server *leader = cluster_leader(c);

    return leader == NULL ||
           consensus_config_find(consensus_config_now(leader->node->core), &s->node->id) != NULL;
}

static struct server *some_follower(struct cluster *c)
{
    size_t server = mu_rand_below(&c->pilot_rand, c->servers_count);

    return &c->servers[&c->servers[server] == cluster_leader(c) ? (server + 1) % c->servers_count
                                                                : server];
}

/* A server that stays away is cleaned up, and taken in again when it returns; one that returns on a
 * blank disk, at another address, takes its own place; one that only gossip misses stays. */
static void servers_replaced(struct cluster *c)
{
    uint64_t patience_ms = CRITICAL_MS + c->stabilization_ms + CLEANUP_MS;

    if (c->stabilization_ms == 0 || c->servers_count < 3) {
        return;
    }
    struct server *s = some_follower(c);

    member_crash(c, s->node->place);
    for (uint64_t ms = 0; is_named(c, s); ms += STEP_MS) {
        cluster_run(c, STEP_MS);
        if (ms > patience_ms) {
            cluster_fail(c, "autopilot cleans up the dead: %s is still one of the servers",
                         s->node->name);
        }
    }
    member_start(c, s->node->place, false, false);
    settle(c, "behind a server that was cleaned up");
    s = some_follower(c);
    member_crash(c, s->node->place);
    sim_node_wipe(c->log, s->node);
    c->sums.wiped++;
    cluster_run(c, mu_rand_below(&c->pilot_rand, 4000));
    member_start(c, s->node->place, true, false);
    settle(c, "behind a blank disk");
    s = some_follower(c);
    torture_hide(c, s->node->place);
    cluster_run(c, patience_ms);
    if (!is_named(c, s)) {
        cluster_fail(c, "autopilot cleans up the dead: %s, hidden from gossip, lives",
                     s->node->name);
    }
    network_apply(c);
    settle(c, "behind a server that gossip did not see");
}

/* More than a third of the members disappear behind a cut: they are critical, and stay. */
static void hiding(struct cluster *c)
{
    size_t hidden = 0;
    size_t living = 0;

    for (size_t i = 0; i < c->members_count; i++) {
        c->group[i] = 0;
        living += member_is_up(c, i);
    }
    for (size_t i = c->members_count; i-- > c->servers_count;) {
        if (member_is_up(c, i) && (hidden <= 2 || hidden * 3 <= living)) {
            c->group[i] = 1;
            hidden++;
        }
    }
    if (hidden > 2 && hidden * 3 > living) {
        cluster_say(c, "%zu of %zu members are hidden", hidden, living);
        c->is_cut[0][1] = c->is_cut[1][0] = true;
        network_apply(c);
        cluster_run(c, HIDDEN_MS);
        for (size_t i = c->servers_count; i < c->members_count; i++) {
            bool is_there = true;

            if (c->group[i] == 1 && (!is_critical(c, i, &is_there) || !is_there)) {
                cluster_fail(c, "self-preservation: %s is %s", member_name(c, i),
                             is_there ? "not critical" : "removed in a big partition");
            }
        }
    }
    memset(c->is_cut, 0, sizeof c->is_cut);
    network_apply(c);
    settle(c, "behind a partition");
}

static void restart(struct cluster *c)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        member_crash(c, i);
    }
    cluster_run(c, cluster_below(c, 2000));
    for (size_t i = 0; i < c->servers_count; i++) {
        member_start(c, i, false, false);
    }
    settle(c, "behind a restart of all servers");
}

void judge(struct cluster *c)
{
    torture_heal(c);
    settle(c, "behind the faults");
    holders_judge(c);
    c->holders_rest = true; /* or entries would always be under way */
    settle(c, "behind sessions");
    states_compare(c);
    death(c);
    change_of_hands(c);
    death_of_leader(c);
    servers_replaced(c);
    hiding(c);
    restart(c);
    states_compare(c);
}
