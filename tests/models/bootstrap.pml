/* bootstrap.pml - the promise protocol of consensus/bootstrap.c (spec/consensus.md 2.10): crashes at
 * every write, messages that are lost, late and repeated, views that differ and change for ever.
 *
 * What was said can be heard at any later time, so a message is a bit, or no state at all where what
 * it tells never changes again: ADOPT and ABORT are read off who says them, when asked. A PROMISE
 * comes to nobody more than TWICE, since whoever was released may promise the same set again. PING
 * and PONG change nothing that lasts and are left out; a refusal is a coordinator that is late.
 *
 * A leader of a cluster that is there may add anybody at any time: who is free joins it, and who is
 * bound breaks its promise, of which it says nothing from then on.
 *
 * Safety: of two sets that somebody has adopted no server is in both; nobody adopts twice.
 * Liveness (settles): in the end nobody is bound to a set that is decided by nobody.
 *
 * Variants that must be found wrong: ANSWERS_EARLY, FREES_ITSELF (safety), FORGETS_ALONE (liveness).
 */
#define N 3
#ifndef TRIES
#define TRIES 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef TWICE
#define TWICE 2
#endif

#define OTHER     (TRIES + 1) /* the cluster that is there */
#define BIT(i)    (1 << (i))
#define FREE      0
#define BINDING   1 /* the promise is on its way to the disk */
#define PROMISING 2
#define BOUND     3
#define RELEASING 4 /* the record is being cleared */
#define ADOPTING  5 /* index 1 is on its way to the disk */
#define ADOPTED   6
#define DOWN      7

byte tries; /* sets, from 1 */
byte coordinator[TRIES + 1];
byte members[TRIES + 1];  /* bits */
bool promise[TRIES + 1];  /* was asked of all of the set */
byte promised[TRIES + 1]; /* bits of who said so */

byte phase[N];
byte set[N];     /* memory: the record, durable or on its way */
byte record[N];  /* disk */
byte cluster[N]; /* disk */
byte heard[N * (TRIES + 1)]; /* how often PROMISE came */
byte crashes;
bool has_cluster; /* there is one already */
bool hides; /* the lowest is out of sight of the others */

#define IN(i, u)     ((members[u] & BIT(i)) != 0)
#define WOULD(u)     (coordinator[u] == 0 || hides)
#define HAS(i, u)    (phase[i] == ADOPTED && cluster[i] == u)
#define HAS_OTHER(i, u) (phase[i] == ADOPTED && cluster[i] != u && IN(i, u) && record[i] != u)

/* Who is bound asks all of the set, again and again: anybody who has adopted it says so, its
 * coordinator when it knows nothing of it, and whoever belongs to another cluster. */
#define HEARS_ADOPT(u) (HAS(0, u) || HAS(1, u) || HAS(2, u))
#ifdef FORGETS_ALONE
#define GIVEN_UP(u) false
#else
#define GIVEN_UP(u) (phase[coordinator[u]] != DOWN && set[coordinator[u]] != u)
#endif
#define HEARS_ABORT(u) (GIVEN_UP(u) || HAS_OTHER(0, u) || HAS_OTHER(1, u) || HAS_OTHER(2, u))

#define ADOPTED_BY_ANY(u) (cluster[0] == u || cluster[1] == u || cluster[2] == u)

inline adopts(i)
{
    assert(cluster[i] == 0);
    cluster[i] = set[i];
#if TRIES > 1
    assert((members[1] & members[2]) == 0 || !ADOPTED_BY_ANY(1) || !ADOPTED_BY_ANY(2))
#endif
#if TRIES > 2
    ; assert((members[1] & members[3]) == 0 || !ADOPTED_BY_ANY(1) || !ADOPTED_BY_ANY(3));
    assert((members[2] & members[3]) == 0 || !ADOPTED_BY_ANY(2) || !ADOPTED_BY_ANY(3))
#endif
}

inline propose(i, whom)
{
    tries++;
    coordinator[tries] = i;
    members[tries] = whom;
    set[i] = tries;
    phase[i] = BINDING
}

inline bound(i) /* the record is durable */
{
    record[i] = set[i];
    if
    :: coordinator[set[i]] == i -> promise[set[i]] = true; phase[i] = PROMISING
    :: else -> promised[set[i]] = promised[set[i]] | BIT(i); phase[i] = BOUND
    fi
}

inline on_promise(i, u)
{
    heard[i * (TRIES + 1) + u]++;
    if
    :: phase[i] == FREE && WOULD(u) ->
#ifdef ANSWERS_EARLY
        promised[u] = promised[u] | BIT(i);
#endif
        set[i] = u;
        phase[i] = BINDING
    :: else
    fi
}

/* What becomes of a write that is under way is open. */
inline crash(i)
{
    crashes++;
    if
    :: phase[i] == BINDING -> record[i] = set[i]
    :: phase[i] == RELEASING -> record[i] = 0
    :: phase[i] == ADOPTING -> adopts(i)
    :: true
    fi;
    set[i] = 0;
    phase[i] = DOWN
}

inline start(i)
{
    if
    :: cluster[i] != 0 -> set[i] = cluster[i]; phase[i] = ADOPTED
    :: cluster[i] == 0 && record[i] != 0 && coordinator[record[i]] != i ->
        set[i] = record[i];
        phase[i] = BOUND
    :: cluster[i] == 0 && record[i] != 0 && coordinator[record[i]] == i ->
        set[i] = record[i];
        phase[i] = RELEASING
    :: else -> phase[i] = FREE
    fi
}

#define MEETS(u) \
    :: atomic { phase[i] != DOWN && promise[u] && IN(i, u) && coordinator[u] != i && \
                heard[i * (TRIES + 1) + u] < TWICE -> on_promise(i, u) }

proctype Server(byte i)
{
    do
    /* the lowest id in sight coordinates, with whom it sees */
    :: atomic { phase[i] == FREE && tries < TRIES && i == 0 -> propose(i, 7) }
    :: atomic { phase[i] == FREE && tries < TRIES && i == 0 -> propose(i, 3) }
    :: atomic { phase[i] == FREE && tries < TRIES && i == 0 -> propose(i, 5) }
    :: atomic { phase[i] == FREE && tries < TRIES && i == 1 && hides -> propose(i, 6) }
    /* the disk */
    :: atomic { phase[i] == BINDING -> bound(i) }
    :: atomic { phase[i] == RELEASING -> record[i] = 0; set[i] = 0; phase[i] = FREE }
    :: atomic { phase[i] == ADOPTING -> adopts(i); phase[i] = ADOPTED }
    /* the coordinator: all have promised, or it is late */
    :: atomic { phase[i] == PROMISING && (promised[set[i]] | BIT(i)) == members[set[i]] ->
                phase[i] = ADOPTING }
    :: atomic { phase[i] == PROMISING -> phase[i] = RELEASING }
    /* a member */
    MEETS(1)
    MEETS(2)
    :: atomic { phase[i] == BOUND && HEARS_ADOPT(set[i]) -> phase[i] = ADOPTING }
    :: atomic { phase[i] == BOUND && HEARS_ABORT(set[i]) -> phase[i] = RELEASING }
    /* a leader has added it */
    :: atomic { (phase[i] == FREE || phase[i] == BOUND) && has_cluster ->
                set[i] = OTHER; phase[i] = ADOPTING }
#ifdef FREES_ITSELF
    :: atomic { phase[i] == BOUND -> phase[i] = RELEASING }
#endif
    /* faults */
    :: atomic { phase[i] != DOWN && crashes < CRASHES -> crash(i) }
    :: atomic { phase[i] == DOWN -> start(i) }
    od
}

proctype Gossip() /* views change for ever */
{
    do
    :: hides = !hides
    od
}

init
{
    if
    :: has_cluster = true
    :: true
    fi;
    atomic { run Server(0); run Server(1); run Server(2); run Gossip() }
}

ltl settles { <>[] (phase[0] != BOUND && phase[1] != BOUND && phase[2] != BOUND) }
