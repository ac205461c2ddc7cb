/* log_thread.h - the thread that owns the durable log: a mailbox in, a report out.
 *
 * Life:    init -> (journal and meta are opened by the owner) -> start -> post, collect ... ->
 *          close -> (report.is_closed) -> deinit. deinit without start is fine.
 * Thread:  journal, meta and the queues behind the mailbox are the log thread's from start on.
 * Memory:  a job is *given*; what its records point to is borrowed until its write is reported.
 */
#ifndef CONSENSUS_LOG_THREAD_H
#define CONSENSUS_LOG_THREAD_H

#include <pthread.h>

#include "ballast.h"
#include "consensus/store.h"
#include "journal.h"
#include "meta.h"

enum consensus_job_kind {
    CONSENSUS_JOB_WRITE,
    CONSENSUS_JOB_FETCH,
    CONSENSUS_JOB_RECORD,
    CONSENSUS_JOB_COMPACT,
    CONSENSUS_JOB_RELIEVE,
};

struct consensus_job {
    struct consensus_job *next;
    enum consensus_job_kind kind;
    union {
        struct consensus_write write;
        struct consensus_fetch fetch;
        uint64_t upto;
        size_t record_bytes;
    };
    union { /* as many as needed */
        struct mu_span records[1];
        uint8_t record[1];
    };
};

struct consensus_job_queue {
    struct consensus_job *first;
    struct consensus_job **end;
    size_t count;
};

struct consensus_log {
    struct consensus_disk disk;
    consensus_store_wake_fn *wake;
    void *wake_data;
    pthread_t thread;
    bool is_running;

    pthread_mutex_t lock; /* guards the next block */
    pthread_cond_t arrived;
    struct consensus_job_queue inbox;
    struct consensus_store_report report;
    bool is_closing;

    /* The log thread's, once it runs. */
    struct consensus_journal journal;
    struct consensus_meta meta;
    struct consensus_ballast ballast;
    struct consensus_job_queue todo;     /* in the order of arrival */
    struct consensus_job_queue urgent; /* at any time: these make room */
    uint64_t meta_segment;               /* the newest one when meta was saved */
    uint64_t flushed_ms;                 /* last append */
    uint64_t full_until_ms; /* neither spare nor ballast is tried before; 0: there is space */
    bool is_blocked;                     /* writes wait for space */
};

/* l: zeroed. */
void consensus__log_init(struct consensus_log *l, consensus_store_wake_fn *wake, void *wake_data);
void consensus__log_start(struct consensus_log *l);
void consensus__log_post(struct consensus_log *l, struct consensus_job *job);
void consensus__log_collect(struct consensus_log *l, struct consensus_store_report *out);
void consensus__log_close(struct consensus_log *l);
void consensus__log_deinit(struct consensus_log *l);

/* A cluster or an epoch that the log knows must not be missing where the log is looked for. */
MU_MUST_CHECK enum mu_code consensus__log_meta_follow(struct consensus_log *l, struct mu_err *err);

#endif
