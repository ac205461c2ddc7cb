#include "compaction.h"

#include "base/assert.h"
#include "base/mem.h"

#define AGAIN_MS 1000U /* after a step that failed */
#define SAMPLES  (COMPACTION_RETENTION_MS / COMPACTION_GRANULARITY_MS + 2)

struct sample {
    uint64_t at_ms, rev;
};

struct compaction {
    bool is_in_office, is_in_flight;
    uint64_t rev, compacted_rev;
    uint64_t markers_rev;  /* markers up to here may go */
    uint64_t markers_done; /* and have gone */
    uint64_t look_ms;      /* when to sample, and to do what has not gathered */
    uint64_t pause_ms;     /* nothing before this: the last step failed */
    bool is_quiet_due;     /* a while has passed: also what is less than a step */
    struct sample samples[SAMPLES];
    unsigned samples_count; /* oldest first */
};

struct compaction *compaction_new(void)
{
    return mu_new(sizeof(struct compaction));
}

void compaction_free(struct compaction *c)
{
    mu_free(c);
}

void compaction_lead(struct compaction *c, uint64_t now_ms)
{
    *c = (struct compaction){ .is_in_office = true,
                              .rev = c->rev,
                              .compacted_rev = c->compacted_rev,
                              .look_ms = now_ms + COMPACTION_GRANULARITY_MS };
}

void compaction_rest(struct compaction *c)
{
    *c = (struct compaction){ .rev = c->rev, .compacted_rev = c->compacted_rev };
}

void compaction_note(struct compaction *c, uint64_t rev, uint64_t compacted_rev)
{
    c->rev = rev;
    c->compacted_rev = compacted_rev;
}

/* Remember which revision it is, unless it is still the same one. */
static void sample(struct compaction *c, uint64_t now_ms)
{
    if (c->samples_count > 0 && c->samples[c->samples_count - 1].rev == c->rev) {
        return;
    }
    if (c->samples_count == SAMPLES) {
        for (unsigned i = 1; i < SAMPLES; i++) {
            c->samples[i - 1] = c->samples[i];
        }
        c->samples_count--;
    }
    c->samples[c->samples_count++] = (struct sample){ now_ms, c->rev };
}

/* The newest revision that is old enough: what was current then. */
static void forget_markers(struct compaction *c, uint64_t now_ms)
{
    unsigned old = 0;

    while (old < c->samples_count && c->samples[old].at_ms + COMPACTION_RETENTION_MS <= now_ms) {
        c->markers_rev = c->samples[old++].rev;
    }
    for (unsigned i = old; i < c->samples_count; i++) {
        c->samples[i - old] = c->samples[i];
    }
    c->samples_count -= old;
}

static void look(struct compaction *c, uint64_t now_ms)
{
    c->look_ms = now_ms + COMPACTION_GRANULARITY_MS;
    c->is_quiet_due = true;
    forget_markers(c, now_ms);
    if (c->rev > c->markers_rev) {
        sample(c, now_ms);
    }
}

static uint64_t waiting(const struct compaction *c)
{
    return c->rev > c->compacted_rev ? c->rev - c->compacted_rev : 0;
}

bool compaction_due(struct compaction *c, uint64_t now_ms, struct compaction_step *out)
{
    if (!c->is_in_office) {
        return false;
    }
    if (now_ms >= c->look_ms) {
        look(c, now_ms);
    }
    if (now_ms >= c->pause_ms) {
        c->pause_ms = 0;
    }
    bool has_step = waiting(c) >= COMPACTION_STEP;
    bool has_rest = c->is_quiet_due && (waiting(c) > 0 || c->markers_rev > c->markers_done);

    if (c->is_in_flight || c->pause_ms > 0 || (!has_step && !has_rest)) {
        return false;
    }
    uint64_t rows = waiting(c) > COMPACTION_STEP ? waiting(c) : COMPACTION_STEP;

    *out = (struct compaction_step){
        .versions_rev = c->rev,
        .markers_rev = c->markers_rev,
        .rows = rows < COMPACTION_ROWS ? (uint32_t)rows : COMPACTION_ROWS,
    };
    c->is_in_flight = true;
    return true;
}

void compaction_ended(struct compaction *c, const struct compaction_step *step, bool did_succeed,
                      bool is_behind, uint64_t now_ms)
{
    if (!c->is_in_flight) {
        return; /* of a time in office that is over */
    }
    c->is_in_flight = false;
    if (!did_succeed) {
        c->pause_ms = now_ms + AGAIN_MS;
        return;
    }
    if (!is_behind) {
        c->markers_done = step->markers_rev;
        c->is_quiet_due = false;
    }
}

uint64_t compaction_wake_ms(const struct compaction *c)
{
    if (!c->is_in_office) {
        return 0;
    }
    return c->pause_ms > 0 && c->pause_ms < c->look_ms ? c->pause_ms : c->look_ms;
}
