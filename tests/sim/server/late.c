/* late.c - faults that were thought of later: what they draw comes from a stream of its own, so
 * that a seed of before tells its old story with them off.
 *
 *   error    some request of a log's disk fails, whichever it is: of a thread, or of an opening
 *   aim      bits rot where the log has entries, and the server has to find that when it starts
 *   differ   a state adds up to something else than what was applied
 *   crowd    thousands read at once, and some wish for another leader where there is none to give
 *   strange  frames that no muster sends (strange.c), or that come from somebody else than they say
 */
#include "base/assert.h"
#include "strange.h"
#include "world.h"

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_rand_below(&w->late_rand, bound);
}

static struct server *any(struct world *w)
{
    return &w->servers[below(w, w->servers_count)];
}

static void trip(struct server *s, uint64_t within)
{
    s->world->bad[FAULT_error]++;
    s->is_excused = true;
    disk_trip(s->disk, DISK_CALL_ANY, 1 + below(s->world, within), MU_IO);
}

void late_start(struct server *s)
{
    struct world *w = s->world;

    if (world_has(w, FAULT_error) && event_is_set(&w->late) && below(w, 4) == 0) {
        trip(s, 60);
    }
}

static void act_error(struct world *w)
{
    struct server *s = any(w);

    if (s->state != SERVER_DOWN) {
        trip(s, 200);
        world_say(w, "%s: a request of the log's disk will fail", s->name);
    }
}

/* The power is cut, or the process dies, for only then the log is read again. */
static void act_aim(struct world *w)
{
    struct server *s = any(w);

    for (size_t i = 0; i < w->servers_count && below(w, 2) == 0; i++) {
        s = w->servers[i].is_hurt ? &w->servers[i] : s; /* once more */
    }
    if (!world_is_formed(w) || !torture_can_spare(w, s) || s->is_refused ||
        !disk_rot_log(s->disk, below(w, 3) == 0)) {
        return;
    }
    s->is_hurt = s->is_torn = true;
    w->bad[FAULT_aim]++;
    world_say(w, "%s: a bit of its entries rots", s->name);
    uint64_t away = below(w, SECOND);

    server_crash(s, below(w, 4) == 0, away);
}

static void act_differ(struct world *w)
{
    struct server *s = any(w);

    if (server_is_up(s) && !s->differs && torture_can_spare(w, s)) {
        s->differs = true;
        w->bad[FAULT_differ]++;
        world_say(w, "%s: its state is another one from now on", s->name);
    }
}

/* No two go wrong in the same way: they would be a majority against one that is right. */
void late_sums(struct server *s, const struct consensus_sum *sums, size_t count)
{
    size_t wrong = s->differs ? (size_t)(s - s->world->servers) + 1 : 0;

    for (size_t i = 0; i < count && world_has(s->world, FAULT_differ); i++) {
        struct consensus_sum sum = sums[i];

        sum.hash[0] ^= (uint8_t)wrong;
        consensus__node_sum(&s->node, &sum);
    }
}

bool late_frame(struct server *from, struct server *to, struct mu_span frame,
                struct server **sender, struct mu_buf *out)
{
    struct world *w = from->world;

    bool is_rare = calls_strange(w, frame); /* and seldom drawn here */

    if (!is_rare &&
        (!world_has(w, FAULT_strange) || !event_is_set(&w->late) || below(w, 64) != 0)) {
        return false;
    }
    *sender = is_rare ? from : any(w);
    w->bad[FAULT_strange]++;
    if (is_rare) {
        strange_frame_more(frame, &w->calls_rand, out);
    } else if (*sender != from && *sender != to && below(w, 4) == 0) {
        mu_buf_add_span(out, frame);
    } else {
        *sender = from;
        strange_frame(frame, &w->late_rand, out);
    }
    return true;
}

/* Nobody waits for these; whoever does is in client.c. */
static void on_crowd(void *data, enum mu_code code, uint64_t index)
{
    struct world *w = data;

    if ((code == MU_OK) != (index > 0)) {
        world_fail(w, "a read is answered %s, from index %llu", mu_code_text(code), U(index));
    }
}

static void on_wish(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct world *w = data;

    (void)index;
    world_say(w, "a wish: %s%s%s", mu_code_text(code), why != NULL ? ", " : "",
              why != NULL ? why : "");
}

static void act_crowd(struct world *w)
{
    struct server *s = any(w);
    uint64_t count = 100 + below(w, 3000);

    if (!server_is_up(s) || w->now < s->paused_until) {
        return;
    }
    w->bad[FAULT_crowd]++;
    for (uint64_t i = 0; i < count; i++) {
        consensus__node_read(&s->node, on_crowd, w);
    }
    for (uint64_t i = 0; i < 6 && !s->node.is_leader; i++) {
        consensus__node_transfer(&s->node, &MU_ID_NONE, on_wish, w);
    }
    server_settle(s);
}

/* What an operator is shown is never ahead of itself. */
static void look(struct world *w)
{
    struct server *s = any(w);
    struct consensus_status st = { .role = CONSENSUS_OBSERVER };

    if (server_is_up(s)) {
        consensus__node_status(&s->node, &st);
        if (st.commit > st.last_index || st.applied > st.commit || st.stable > st.last_index) {
            world_fail(w, "%s: shows applied %llu, commit %llu, last %llu, stable %llu", s->name,
                       U(st.applied), U(st.commit), U(st.last_index), U(st.stable));
        }
    }
}

static void on_late(void *data)
{
    struct world *w = data;
    static const struct {
        enum world_fault fault;
        void (*act)(struct world *w);
    } acts[] = {
        { FAULT_error, act_error },
        { FAULT_aim, act_aim },
        { FAULT_differ, act_differ },
        { FAULT_crowd, act_crowd },
    };
    size_t at = below(w, MU_LEN(acts));

    if (world_has(w, acts[at].fault)) {
        acts[at].act(w);
    }
    look(w);
    event_set(w, &w->late, w->now + below(w, world_has(w, FAULT_aim) ? SECOND : 2 * SECOND),
              on_late, w);
}

/* Who is hurt may need all others, as may a server on a blank disk: not both in one run. */
void late_begin(struct world *w)
{
    for (size_t i = FAULT_error; i < FAULT_ask; i++) {
        if (below(w, 2) == 0) {
            w->options.off |= UINT64_C(1) << i;
        }
    }
    w->has_all_calls = world_has(w, FAULT_error) && below(w, 2) == 0;
    if (world_has(w, FAULT_churn)) {
        w->options.off |= UINT64_C(1) << FAULT_aim;
    }
    event_set(w, &w->late, w->now + 2 * SECOND, on_late, w);
}

/* A difference that was told already may stand where no majority is left to judge it, and with two
 * states no write is taken: somebody has decided. */
void late_end(struct world *w)
{
    event_cancel(w, &w->late);
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        if (s->differs) {
            s->is_excused = s->is_doubted = true;
            s->differs = false;
            if (server_is_up(s)) { /* else its next life adds up anew; judge.c sees to the rest */
                server_state_bad(s, "somebody has decided that it is the wrong one");
            }
        }
    }
}
