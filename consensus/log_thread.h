/* log_thread.h - the owner of the durable log: a mailbox in, steps, a report out.
 *
 * What it does is cut into steps. In production a thread takes them; a simulator takes them itself,
 * and makes each request to the disk below last as long as it likes (spec/consensus.md 4.2).
 *
 * Life:    init -> (journal and meta are opened by the owner) -> start -> post, collect ... ->
 *          close -> (report.is_closed) -> deinit. deinit without start is fine.
 * Thread:  journal, meta and the queues behind the mailbox belong to whoever takes the steps, from
 *          start on.
 * Memory:  a job is *given*; what its records point to is borrowed until its write is reported.
 */
#ifndef CONSENSUS_LOG_THREAD_H
#define CONSENSUS_LOG_THREAD_H

#include <pthread.h>

#include "ballast.h"
#include "base/nudge.h"
#include "consensus/store.h"
#include "journal.h"
#include "meta.h"

enum consensus_job_kind {
    CONSENSUS_JOB_WRITE,
    CONSENSUS_JOB_FETCH,
    CONSENSUS_JOB_RECORD,
    CONSENSUS_JOB_COMPACT,
    CONSENSUS_JOB_RELIEVE,
    CONSENSUS_JOB_SURVEY,
    CONSENSUS_JOB_SHED,
};

struct consensus_job {
    struct consensus_job *next;
    enum consensus_job_kind kind;
    union {
        struct consensus_write write;
        struct consensus_fetch fetch;
        uint64_t upto;
        uint64_t segment; /* SHED */
        size_t record_bytes;
    };
    union { /* as many as needed; or, of a write that resets, its configuration */
        struct mu_span records[1];
        uint8_t record[1];
    };
};

struct consensus_job_queue {
    struct consensus_job *first;
    struct consensus_job **end;
    size_t count;
};

struct consensus_log;

/* Who takes the steps. */
struct consensus_log_host {
    void *self;
    uint64_t (*now_ns)(void *self);
    void (*start)(void *self, struct consensus_log *l); /* call consensus__log_step() from now on */
    void (*mail)(void *self); /* and again, it has work; called with the mailbox locked */
    void (*join)(void *self); /* wait until a step has returned false */
};

struct consensus_log {
    struct consensus_disk disk;
    struct consensus_log_host host;
    consensus_store_wake_fn *wake;
    void *wake_data;
    pthread_t thread;
    bool is_running;
    struct mu_nudge mail; /* of the thread */

    pthread_mutex_t lock; /* guards the next block */
    struct consensus_job_queue inbox;
    struct consensus_store_report report;
    uint64_t persisted_ns;  /* when report.persisted_seq was */
    uint64_t collected_seq; /* of it, as the owner knows */
    bool is_hushed;
    bool is_closing;

    /* The steps', once they are taken. */
    struct consensus_journal journal;
    struct consensus_meta meta;
    struct consensus_ballast ballast;
    struct consensus_job_queue todo;   /* in the order of arrival */
    struct consensus_job_queue urgent; /* at any time: these make room */
    uint64_t meta_segment;             /* the newest one when meta was saved */
    uint64_t flushed_ms;               /* last append */
    uint64_t tend_ms;                  /* what can wait is not gone on with before */
    uint64_t full_until_ms; /* neither spare nor ballast is tried before; 0: there is space */
    bool is_blocked;        /* writes wait for space */
    bool is_finished;       /* nothing is written any more */
};

/* l: zeroed. */
void consensus__log_init(struct consensus_log *l, const struct consensus_log_host *host,
                         consensus_store_wake_fn *wake, void *wake_data);
/* A thread of its own, and the machine's clock. */
void consensus__log_thread_host(struct consensus_log *l, struct consensus_log_host *out);
void consensus__log_start(struct consensus_log *l);
/* Take what has arrived and do one piece of work: at most one batch. False: it was closed, which
 * has been reported; no step after that. *nap_ms: for how long the next one has nothing to do
 * unless mail comes; 0: it has; UINT64_MAX: until mail comes. */
bool consensus__log_step(struct consensus_log *l, uint64_t *nap_ms);
void consensus__log_post(struct consensus_log *l, struct consensus_job *job);
/* See the store's. */
void consensus__log_hush(struct consensus_log *l, bool is_hushed);
void consensus__log_collect(struct consensus_log *l, struct consensus_store_report *out);
void consensus__log_close(struct consensus_log *l);
void consensus__log_deinit(struct consensus_log *l);

/* A cluster or an epoch that the log knows must not be missing where the log is looked for. */
MU_MUST_CHECK enum mu_code consensus__log_meta_follow(struct consensus_log *l, struct mu_err *err);

#endif
