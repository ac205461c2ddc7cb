#include "explain_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"

#define HEAD "muster explain 1"
#define MORE "more\n"

/* The words that a field may have; what is read is one of these. */
static const char *const statuses[] = { "none", "alive", "leaving", "left", "failed" };
static const char *const states[] = { "alive", "suspect", "dead", "left" };
static const char *const ways[] = { "-", "open", "refused", "silent", "stalled" };
static const char *const checks[] = { "none", "passing", "warning", "critical" };
static const char *const plans[] = { "none",   "keep",    "critical", "paused",
                                     "remove", "removed", "absent",   "self" };
static const char *const whats[] = { "missed", "suspected", "confirmed", "refuted",
                                     "dead",   "leaving",   "left",      "returned" };

/* -- writing ----------------------------------------------------------------------------------- */

static void write_change(struct mu_buf *to, const struct agent_change *c)
{
    mu_buf_addf(to,
                "change %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "%s%s\n",
                c->what, c->way, c->ago_ms, c->incarnation, c->asked, c->refused, c->answered,
                c->by[0] != '\0' ? " " : "", c->by);
}

static void write_changes(struct mu_buf *to, const struct agent_account *a)
{
    for (size_t i = a->changes_count; i-- > 0;) {
        size_t start = to->bytes;

        write_change(to, &a->changes[i]);
        if (to->bytes + sizeof MORE > EXPLAIN_REPORT_BYTES) {
            to->bytes = start;
            mu_buf_add_text(to, MORE);
            return;
        }
    }
    if (a->has_more) {
        mu_buf_add_text(to, MORE);
    }
}

void explain_report_write(struct mu_buf *to, const struct agent_account *a)
{
    mu_buf_add_text(to, HEAD "\n");
    if (a->is_known) {
        mu_buf_addf(to,
                    "account %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                    " %" PRIu64 " %" PRIu64 "\n",
                    a->status, a->state, a->state_for_ms, a->incarnation, a->acked_ago_ms,
                    a->heard_ago_ms, a->rtt_us, a->missed, a->health);
    }
    if (a->is_suspected) {
        mu_buf_addf(to, "suspicion %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a->evidence,
                    a->confirmations, a->wanted, a->deadline_in_ms);
    }
    if (a->is_leader) {
        mu_buf_addf(to, "leader %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", a->check, a->plan,
                    a->plan_in_ms, a->failed, a->members);
    }
    write_changes(to, a);
}

/* -- reading ----------------------------------------------------------------------------------- */

struct words { /* of a line, one after the other; the first that does not fit fails it */
    struct mu_span rest;
    bool is_bad;
};

static struct mu_span next(struct words *w)
{
    return mu_span_split(w->rest, ' ', &w->rest, NULL);
}

static uint64_t number(struct words *w)
{
    uint64_t n = 0;

    w->is_bad = !mu_span_u64(next(w), &n) || w->is_bad;
    return n;
}

static const char *word_of(struct words *w, const char *const *words, size_t count)
{
    struct mu_span word = next(w);

    for (size_t i = 0; i < count; i++) {
        if (mu_span_eq_text(word, words[i])) {
            return words[i];
        }
    }
    w->is_bad = true;
    return words[0];
}

#define WORD(w, words) word_of(w, words, MU_LEN(words))

static bool name_ok(struct mu_span name)
{
    if (name.bytes > MU_NODE_NAME_MAX || !mu_span_is_utf8(name)) {
        return false;
    }
    for (size_t i = 0; i < name.bytes; i++) {
        if (name.data[i] < ' ' || name.data[i] == 0x7f) {
            return false; /* it reaches terminals */
        }
    }
    return true;
}

struct reading {
    struct mu_arena *arena;
    struct agent_account *out;
    struct agent_change *changes; /* newest first, from the end of an array */
    size_t count;
};

static void read_account(struct words *w, struct reading *r)
{
    struct agent_account *a = r->out;

    a->is_known = true;
    a->status = WORD(w, statuses);
    a->state = WORD(w, states);
    a->state_for_ms = number(w);
    a->incarnation = number(w);
    a->acked_ago_ms = number(w);
    a->heard_ago_ms = number(w);
    a->rtt_us = number(w);
    a->missed = number(w);
    a->health = number(w);
}

static void read_suspicion(struct words *w, struct reading *r)
{
    r->out->is_suspected = true;
    r->out->evidence = WORD(w, ways);
    r->out->confirmations = number(w);
    r->out->wanted = number(w);
    r->out->deadline_in_ms = number(w);
}

static void read_leader(struct words *w, struct reading *r)
{
    r->out->is_leader = true;
    r->out->check = WORD(w, checks);
    r->out->plan = WORD(w, plans);
    r->out->plan_in_ms = number(w);
    r->out->failed = number(w);
    r->out->members = number(w);
}

static void read_change(struct words *w, struct reading *r)
{
    struct agent_change c = { .what = WORD(w, whats) };

    c.way = WORD(w, ways);
    c.ago_ms = number(w);
    c.incarnation = number(w);
    c.asked = number(w);
    c.refused = number(w);
    c.answered = number(w);
    w->is_bad = w->is_bad || !name_ok(w->rest);
    c.by = mu_arena_text(r->arena, w->rest.data, w->rest.bytes);
    w->rest = MU_SPAN_NONE;
    r->count++;
    r->changes[EXPLAIN_CHANGES_MAX - r->count] = c;
}

static bool read_line(struct mu_span line, struct reading *r)
{
    static const struct {
        const char *word;
        void (*read)(struct words *w, struct reading *r);
    } lines[] = {
        { "account", read_account },
        { "suspicion", read_suspicion },
        { "leader", read_leader },
        { "change", read_change },
    };
    struct words w = { .rest = line };
    struct mu_span first = next(&w);

    for (size_t i = 0; i < MU_LEN(lines); i++) {
        if (mu_span_eq_text(first, lines[i].word)) {
            lines[i].read(&w, r);
            return !w.is_bad && w.rest.bytes == 0;
        }
    }
    return false;
}

enum mu_code explain_report_read(struct mu_span text, struct mu_arena *arena,
                                 struct agent_account *out, struct mu_err *err)
{
    struct mu_span line = mu_span_split(text, '\n', &text, NULL);
    struct reading r = { .arena = arena, .out = out };

    *out = (struct agent_account){ .seen_by = "",
                                   .status = "none",
                                   .state = states[0],
                                   .evidence = "-",
                                   .check = "none",
                                   .plan = "none" };
    if (!mu_span_eq_text(line, HEAD)) {
        return mu_fail(err, MU_CORRUPT, "not an account of a member");
    }
    r.changes = mu_arena_array(arena, EXPLAIN_CHANGES_MAX, sizeof *r.changes);
    while (text.bytes > 0 && !out->has_more) {
        line = mu_span_split(text, '\n', &text, NULL);
        if (mu_span_eq_text(line, "more") || r.count == EXPLAIN_CHANGES_MAX) {
            out->has_more = true;
        } else if (!read_line(line, &r)) {
            return mu_fail(err, MU_CORRUPT, "a line of an account of a member cannot be read");
        }
    }
    out->changes = r.changes + EXPLAIN_CHANGES_MAX - r.count;
    out->changes_count = r.count;
    return MU_OK;
}
