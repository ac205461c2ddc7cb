/* lease.pml - reads by lease, promises, leadership given away, and a TIMEOUT_NOW that comes late, on
 * a discrete clock: consensus/lease.c, transfer.c and election.c (spec/consensus.md 2.3, 2.4, 2.7).
 *
 * Server 0 leads; 1 and 2 may lead a later term, and commit at once when they do. A tick passes
 * between any two events, or none. Clocks differ by what leases assume: a promise lasts PROMISE
 * ticks of its voter, a lease LEASE ticks of its leader, whose clock misses one tick in that time.
 * Messages stay under way for any time: a heartbeat, its answer and the invitation are bits.
 *
 * Safety: no read is answered by lease when another leader may have committed.
 * Liveness (opens): whoever gives its office away takes proposals again, or another one does; also
 * when heartbeats always come in time and nobody stands by its timer (PATIENT).
 *
 * Variants that must be found wrong: COUNTS_FROM_ANSWER, LEASES_AFTER_INVITE, BEGINS_AT_ONCE,
 * NO_MARGIN, FORGETS_WITH_TERM (safety), NEVER_GIVES_UP (liveness).
 */
#define N       3
#define PROMISE 3
#ifdef NO_MARGIN
#define LEASE PROMISE
#else
#define LEASE (PROMISE - 1)
#endif
#define TRANSFER 2
#define ROUNDS   2 /* of heartbeats */
#ifndef STARTS
#define STARTS 1 /* of voters that begin anew */
#endif
#ifndef GIVES
#define GIVES 1 /* transfers */
#endif

/* server 0, in the first term */
bool leads = true;
byte rounds;             /* sent */
byte round_left[ROUNDS]; /* of the lease that begins when it was sent */
bool answered[ROUNDS];   /* its answer has come: with 0 itself that is a quorum */
byte counted = LEASE;    /* ticks since its clock missed one */
byte gives;
bool gives_away;
byte transfer_left;
bool is_over; /* no lease for the rest of the term */

/* under way, or once under way: for ever */
bool promised[ROUNDS]; /* by a voter that is not yet known to have said so */
bool invite;           /* to server 1 */

/* voters */
byte promise_left[N]; /* to 0 */
byte quiet_left[N];   /* it began lately, and may have forgotten one */
byte timer_left[N];   /* its election timer, at the least */
byte heard_left[N];   /* an invitation counts */
bool stands[N];       /* in a later term */
bool invited[N];      /* because it was asked to */
bool voted[N];        /* in a later term, for another */
byte starts;

bool has_committed; /* somebody else */

#define LESS(x)    x = (x > 0 -> x - 1 : 0)
#define IS_OF_0(i) (!stands[i] && !voted[i])
#define HAS_LEASE  (leads && !is_over && !gives_away && \
                    ((answered[0] && round_left[0] > 0) || (answered[1] && round_left[1] > 0)))
/* of `i`, to another that stands */
#define FORBIDS(i, asker) \
    ((promise_left[i] > 0 || quiet_left[i] > 0) && !invited[asker])

inline voter_tick(i)
{
    LESS(promise_left[i]);
    LESS(quiet_left[i]);
    LESS(timer_left[i]);
    LESS(heard_left[i])
}

inline leader_tick()
{
    LESS(round_left[0]);
    LESS(round_left[1]);
    LESS(transfer_left);
    counted = (counted < LEASE -> counted + 1 : LEASE)
}

proctype Clock()
{
    do
    :: atomic { voter_tick(1); voter_tick(2); leader_tick() }
    :: atomic { counted >= LEASE -> voter_tick(1); voter_tick(2); counted = 0 }
    od
}

proctype Leader()
{
    do
    :: atomic { leads && rounds < ROUNDS -> round_left[rounds] = LEASE; rounds++ }
    :: atomic { leads && promised[0] && !answered[0] -> answered[0] = true;
#ifdef COUNTS_FROM_ANSWER
        round_left[0] = LEASE
#endif
        }
    :: atomic { leads && promised[1] && !answered[1] -> answered[1] = true;
#ifdef COUNTS_FROM_ANSWER
        round_left[1] = LEASE
#endif
        }
    :: atomic { leads && gives < GIVES && !gives_away ->
        gives++; gives_away = true; transfer_left = TRANSFER }
    :: atomic { leads && gives_away && transfer_left > 0 && !invite ->
        invite = true;
#ifndef LEASES_AFTER_INVITE
        is_over = true
#endif
        }
#ifndef NEVER_GIVES_UP
    :: atomic { leads && gives_away && transfer_left == 0 -> gives_away = false }
#endif
    /* it hears of a later term at last */
    :: atomic { leads && (stands[1] || stands[2]) -> leads = false; gives_away = false }
    od
}

proctype Reader()
{
    do
    :: atomic { HAS_LEASE -> assert(!has_committed) }
    od
}

inline hear(i, k)
{
    promised[k] = true;
    promise_left[i] = PROMISE;
    timer_left[i] = PROMISE;
    heard_left[i] = TRANSFER
}

/* Only what it has not promised yet, or what time has taken from it, makes a difference. */
#define HEARS(i, k) (rounds > k && IS_OF_0(i) && (!promised[k] || promise_left[i] < PROMISE))

proctype Voter(byte i; byte other)
{
    byte heard; /* bits of rounds: a heartbeat comes once to each */

    do
    :: atomic { HEARS(i, 0) && (heard & 1) == 0 -> heard = heard | 1; hear(i, 0) }
    :: atomic { HEARS(i, 1) && (heard & 2) == 0 -> heard = heard | 2; hear(i, 1) }
    /* it stands: by its timer, or because it is asked to by the leader it follows */
#ifndef PATIENT
    :: atomic { IS_OF_0(i) && timer_left[i] == 0 -> stands[i] = true }
#endif
    :: atomic { IS_OF_0(i) && i == 1 && invite && heard_left[i] > 0 ->
        stands[i] = true; invited[i] = true }
    /* its vote: then the other leads, for 0 is not asked */
    :: atomic { IS_OF_0(i) && stands[other] && !FORBIDS(i, other) ->
        voted[i] = true; has_committed = true }
#ifdef FORGETS_WITH_TERM /* it hears of a later term from anybody */
    :: atomic { promise_left[i] > 0 && stands[other] -> promise_left[i] = 0 }
#endif
    :: atomic { starts < STARTS && IS_OF_0(i) ->
        starts++;
        promise_left[i] = 0;
        heard_left[i] = 0;
        timer_left[i] = PROMISE;
#ifndef BEGINS_AT_ONCE
        quiet_left[i] = PROMISE
#endif
        }
    od
}

init
{
    atomic {
        timer_left[1] = PROMISE; timer_left[2] = PROMISE;
        run Clock(); run Leader(); run Reader(); run Voter(1, 2); run Voter(2, 1)
    }
}

ltl opens { [] (gives_away -> <> !gives_away) }
