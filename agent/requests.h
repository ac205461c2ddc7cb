/* requests.h - what request.c and read.c share: everything in flight on a server. */
#ifndef AGENT_REQUESTS_H
#define AGENT_REQUESTS_H

#include "core.h"
#include "fetch.h"

struct requests {
    bool is_ready;              /* this server leads and has committed an entry of its term */
    struct mu_table *by_ticket; /* ticket -> struct write */
    struct mu_link writes;
    size_t applying_count;   /* of those: done, and to be applied here before they are answered */
    struct mu_link reads;    /* struct agent_read that wait for a leader, an index or a turn */
    struct mu_link fetching; /* those that wait for a page of the state */
    struct fetcher *fetcher;
    struct mu_link rounds;   /* struct round in flight */
    struct mu_link forwards; /* struct agent_forward to the leader */
    struct mu_link settlers; /* who waits until nothing that was proposed here is open */
    struct round *next;      /* gathers the reads of this turn; NULL: none yet */
    struct mu_id leader;     /* as last told; none: nobody */
    uint64_t seq;            /* of proposals of this boot */
    uint64_t stamp_ms;       /* the last one given */
    uint64_t told_index;     /* up to here writes may have been answered, applied or not */
};

const char *agent__refusal_text(enum mu_code code); /* what the API answers with */
/* Before the next try: short at first, for a leader that has just been elected is ready within a
 * round trip, then twice as long each time, random, at most hold/16. Counts the try. */
uint64_t agent__hold_pause(struct agent *a, unsigned *tries);

void agent__reads_applied(struct agent *a);
void agent__reads_retry(struct agent *a);
void agent__reads_fetched(void *agent);
void agent__reads_close(struct agent *a);

void agent__forwards_retry(struct agent *a);
void agent__forwards_close(struct agent *a);

/* `settled` once nobody waits any more for a write that was proposed to this server's consensus, or
 * after a moment; never from inside this call. */
void agent__requests_settle(struct agent *a, agent_stopped_fn *settled, void *data);

/* An encoded command of a client agent: held and forwarded like our own. */
void agent__write_encoded(struct agent *a, struct mu_span command, agent_written_fn *done,
                          void *data);

#endif
