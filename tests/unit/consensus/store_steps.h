/* store_steps.h - the store on a disk in memory, whose steps the test takes, on time of its own.
 * Header-only. */
#ifndef TESTS_STORE_STEPS_H
#define TESTS_STORE_STEPS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log_model.h"
#include "memory_disk.h"
#include "store_segment.h"

#define SEGMENT   (64U * 1024)
#define SPARES    2U
#define BALLAST   (2U * SEGMENT)
#define RESERVE   (BALLAST + (SPARES + 2U) * SEGMENT)
#define META      CONSENSUS_META_BYTES
#define STEPS_MAX 10000

/* A store whose steps the test takes, on time of its own. */
struct rig {
    struct memory_disk *disk;
    struct consensus_disk view;
    struct consensus_store store;
    struct consensus_opened opened;
    struct consensus_log *log;
    struct consensus_store_report report;
    struct mu_err err;
    uint64_t now_ms;
    struct model *model;
    struct model_write writes[64];
    size_t writes_count;
    unsigned wakes;
};

static inline uint64_t host_now_ns(void *self)
{
    const struct rig *r = self;

    return r->now_ms * (uint64_t)MU_NS_PER_MS;
}

static inline void host_start(void *self, struct consensus_log *l)
{
    struct rig *r = self;

    r->log = l;
}

static inline void host_wake(void *self)
{
    struct rig *r = self;

    r->wakes++;
}

static inline void host_nothing(void *self)
{
    (void)self;
}

static inline enum mu_code rig_open(struct rig *r, uint64_t ballast)
{
    struct consensus_store_options options = {
        .server = model_id(1),
        .segment_bytes = SEGMENT,
        .spares_count = SPARES,
        .ballast_bytes = ballast,
        .seed = 1,
        .wake = host_wake,
        .wake_data = r,
    };
    struct consensus_log_host host = { r, host_now_ns, host_start, host_nothing, host_nothing };

    r->view = memory_disk_view(r->disk);
    consensus__store_segment_on(&r->store, &options, &r->view, &host);
    return r->store.ops->open(r->store.self, &r->opened, &r->err);
}

static inline struct rig *rig_new(uint64_t capacity)
{
    struct rig *r = mu_new(sizeof *r);

    r->disk = memory_disk_new();
    r->disk->capacity = capacity;
    r->model = mu_new(sizeof *r->model);
    r->now_ms = 1;
    return r;
}

/* Work until `ms` have passed. */
static inline void run(struct rig *r, uint64_t ms)
{
    uint64_t until = r->now_ms + ms;
    uint64_t nap = 0;

    for (int i = 0; r->now_ms < until; i++) {
        assert_true(i < STEPS_MAX);
        assert_true(consensus__log_step(r->log, &nap));
        r->now_ms = nap >= until - r->now_ms ? until : r->now_ms + nap;
    }
    r->store.ops->collect(r->store.self, &r->report);
}

static inline void put(struct rig *r, uint32_t bytes)
{
    uint64_t seq = ++r->writes_count;
    struct model_write *mw = &r->writes[seq - 1];

    assert_true(seq <= MU_LEN(r->writes));
    model_write(r->model, mw, seq, seq, 1, (struct model_entry){ 0, bytes, CONSENSUS_COMMAND });
    r->store.ops->submit(r->store.self, &mw->w, mw->records);
}

static inline void rig_close(struct rig *r)
{
    uint64_t nap;

    if (r->log != NULL) {
        r->store.ops->close(r->store.self);
        while (consensus__log_step(r->log, &nap)) {
        }
    }
    if (r->store.self != NULL) {
        r->store.ops->free(r->store.self);
        r->store.self = NULL;
    }
    consensus_opened_deinit(&r->opened);
    memory_crash(r->disk);
    r->log = NULL;
}

static inline void rig_free(struct rig *r)
{
    rig_close(r);
    for (size_t i = 0; i < r->writes_count; i++) {
        model_write_deinit(&r->writes[i]);
    }
    memory_disk_free(r->disk);
    mu_free(r->model);
    mu_free(r);
}

#endif
