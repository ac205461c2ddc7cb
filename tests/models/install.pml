/* install.pml - a snapshot taken in place of the log, with a crash at each step: consensus/install.c,
 * node.c, agent/snapshot_files.c and state.c (spec/consensus.md 2.12, 2.16).
 *
 * One follower. Entries are numbers, all of them committed: its log holds base+1 to last, the state
 * that counts all up to its number. Another state is imported into a file of its own and flushed,
 * the log begins anew behind it, it becomes the one that counts, the old file goes. The leader has
 * all entries and keeps those behind KEPT. A state may be found to be bad at a start: that is noted,
 * and what the log does not hold any more has to come from the leader, while the log stays.
 *
 * Safety: what was acknowledged stays in the log or below its beginning; at each start the state
 * reaches to where the log begins, and not beyond its end, or is known to be lost.
 * Liveness (arrives): in the end the follower has applied everything.
 *
 * Variants that must be found wrong: RESETS_FIRST, SWITCHES_FIRST, FLUSHES_NOT, DROPS_OLD_FIRST,
 * TAKES_NONE, CUTS_A_KEPT_LOG (safety), GIVES_UP (liveness).
 */
#define LAST 5
#define KEPT 3
#ifndef CRASHES
#define CRASHES 3
#endif
#define FAILURES 1
#define LOSSES   1
#define NO_FILE  255

#define IDLE     0
#define IMPORTS  1
#define WRITTEN  2 /* not flushed */
#define IMPORTED 3
#define SWITCHES 4
#define SWITCHED 5 /* the old file is there yet */

/* the disk */
byte base, last;
byte state[2];       /* of two generations: what is applied; NO_FILE */
bit current;         /* the one that counts */
bool is_lost;        /* what there is of it is of no use: noted */
bool is_dirty;       /* the next one is written, and not flushed */

byte acked;
byte crashes, failures, losses;

/* memory */
bool is_up = true;
byte step;
byte snap;
bool has_failed;

#define NEXT      (1 - current)
#define HAS_STATE (!is_lost && state[current] != NO_FILE)
#define IS_NEEDED (is_lost || last < KEPT)
#ifdef GIVES_UP
#define TRIES !has_failed
#else
#define TRIES true
#endif

inline reset()
{
    base = snap;
    last = snap
}

inline begin(what)
{
    snap = what;
#ifdef RESETS_FIRST
    if
    :: last < snap -> reset()
    :: else
    fi;
#endif
#ifdef DROPS_OLD_FIRST
    state[current] = NO_FILE;
#endif
    step = IMPORTS
}

/* It is complete: what becomes of the log? */
inline imported()
{
    if
    :: !is_lost && last >= snap -> /* the log has brought it */
        state[NEXT] = NO_FILE;
        step = IDLE
#ifndef CUTS_A_KEPT_LOG
    :: is_lost && last >= snap -> step = SWITCHES
#endif
    :: else ->
#ifndef SWITCHES_FIRST
        reset();
#endif
        step = SWITCHES
    fi
}

inline switched()
{
    current = NEXT;
    is_lost = false;
    step = SWITCHED
}

inline done()
{
#ifdef SWITCHES_FIRST
    if
    :: last < snap -> reset()
    :: else
    fi;
#endif
    state[NEXT] = NO_FILE;
    acked = (acked < snap -> snap : acked);
    step = IDLE
}

/* What was not flushed is there, or is not. */
inline crash()
{
    crashes++;
    if
    :: is_dirty -> state[NEXT] = NO_FILE
    :: true
    fi;
    is_dirty = false;
    step = IDLE;
    snap = 0;
    has_failed = false;
    is_up = false
}

inline start()
{
    if
#ifndef TAKES_NONE
    :: (!HAS_STATE || state[current] < base) && state[NEXT] == base -> /* an install is completed */
        current = NEXT;
        is_lost = false
#endif
    :: else ->
        assert(is_lost || (HAS_STATE && state[current] >= base && state[current] <= last))
    fi;
    state[NEXT] = NO_FILE;
    is_up = true
}

proctype Follower()
{
    do
    /* entries, which are durable before they are acknowledged; none while log and state differ */
    :: atomic { is_up && step < SWITCHES && last >= KEPT && last < LAST -> last++; acked = last }
    :: atomic { is_up && HAS_STATE && step < SWITCHES && state[current] < last -> state[current]++ }
    :: atomic { is_up && HAS_STATE && step < SWITCHES && base < state[current] ->
        base = state[current] }
    /* an install; it is of what the leader has applied */
    :: atomic { is_up && step == IDLE && IS_NEEDED && TRIES && base <= KEPT -> begin(KEPT) }
    :: atomic { is_up && step == IDLE && IS_NEEDED && TRIES && base <= LAST - 1 -> begin(LAST - 1) }
    :: atomic { is_up && step == IDLE && IS_NEEDED && TRIES && base <= LAST -> begin(LAST) }
    :: atomic { is_up && step == IMPORTS -> state[NEXT] = snap; is_dirty = true; step = WRITTEN }
    :: atomic { is_up && step == IMPORTS && failures < FAILURES ->
        failures++; has_failed = true; step = IDLE }
    :: atomic { is_up && step == WRITTEN ->
#ifndef FLUSHES_NOT
        is_dirty = false;
#endif
        step = IMPORTED }
    :: atomic { is_up && step == IMPORTED -> imported() }
    :: atomic { is_up && step == SWITCHES -> switched() }
    :: atomic { is_up && step == SWITCHED -> done() }
    /* faults */
    :: atomic { is_up && crashes < CRASHES -> crash() }
    :: atomic { !is_up && losses < LOSSES && base > 0 && base <= state[current] ->
        losses++; is_lost = true; state[current] = 0 }
    :: atomic { !is_up -> start() }
    od
}

proctype Judge()
{
    do
    :: assert(acked <= last)
    od
}

init
{
    atomic {
        state[1] = NO_FILE;
        /* it was away for long: the leader's log begins behind its own, or within it */
        if
        :: last = 1; acked = 1
        :: last = 2; acked = 2; base = 1; state[0] = 1
        :: last = 4; acked = 4; base = 2; state[0] = 3
        fi;
        run Follower(); run Judge()
    }
}

ltl arrives { <> (is_up && HAS_STATE && state[current] == LAST) }
