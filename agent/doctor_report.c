#include "doctor_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"

#define HEAD    "muster doctor 1"
#define MORE    "more\n" /* the last line, where not all of it fits */
#define SKEW_MS 5000

static const char *const ways[] = {
    [GOSSIP_WAY_UNKNOWN] = "-",       [GOSSIP_WAY_OPEN] = "open",
    [GOSSIP_WAY_REFUSED] = "refused", [GOSSIP_WAY_SILENT] = "silent",
    [GOSSIP_WAY_STALLED] = "stalled",
};

static const char *const kinds[] = {
    [DOCTOR_CLOCK] = "clock",     [DOCTOR_STATE] = "state", [DOCTOR_BUSY] = "busy",
    [DOCTOR_REFUSED] = "refused", [DOCTOR_OUT] = "out",     [DOCTOR_IN] = "in",
    [DOCTOR_NARROW] = "narrow",   [DOCTOR_TCP] = "tcp",     [DOCTOR_ASTRAY] = "astray",
    [DOCTOR_FAILED] = "failed",
};

const char *doctor_way_text(enum gossip_way way)
{
    return way == GOSSIP_WAY_UNKNOWN ? "unknown" : ways[way];
}

bool doctor_way_read(struct mu_span word, enum gossip_way *out)
{
    for (size_t i = 0; i < MU_LEN(ways); i++) {
        if (mu_span_eq_text(word, ways[i])) {
            *out = (enum gossip_way)i;
            return true;
        }
    }
    return false;
}

/* -- writing ----------------------------------------------------------------------------------- */

void doctor_report_begin(struct mu_buf *to)
{
    mu_buf_add_text(to, HEAD "\n");
}

void doctor_report_add(struct mu_buf *to, const struct doctor_line *line)
{
    size_t start = to->bytes;
    bool is_full =
        start >= sizeof MORE && memcmp(to->data + start - sizeof MORE, "\n" MORE, sizeof MORE) == 0;

    if (is_full) {
        return;
    }
    mu_buf_addf(to, "%s %s %" PRIu64 " %s", kinds[line->kind], ways[line->way], line->number,
                line->name[0] != '\0' ? line->name : "-");
    if (line->more[0] != '\0') {
        mu_buf_addf(to, "\t%s", line->more);
    }
    mu_buf_add_byte(to, '\n');
    if (to->bytes + sizeof MORE > DOCTOR_REPORT_BYTES) {
        to->bytes = start;
        mu_buf_add_text(to, MORE);
    }
}

/* -- reading ----------------------------------------------------------------------------------- */

static bool read_kind(struct mu_span word, enum doctor_kind *out)
{
    for (size_t i = 0; i < MU_LEN(kinds); i++) {
        if (mu_span_eq_text(word, kinds[i])) {
            *out = (enum doctor_kind)i;
            return true;
        }
    }
    return false;
}

static bool text_ok(struct mu_span text)
{
    if (text.bytes > DOCTOR_TEXT_BYTES || !mu_span_is_utf8(text)) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < ' ' || text.data[i] == 0x7f) {
            return false; /* it reaches terminals */
        }
    }
    return true;
}

static bool read_line(struct mu_span line, struct mu_arena *arena, struct doctor_line *out)
{
    struct mu_span rest;
    struct mu_span more;
    struct mu_span kind = mu_span_split(line, ' ', &rest, NULL);
    struct mu_span way = mu_span_split(rest, ' ', &rest, NULL);
    struct mu_span number = mu_span_split(rest, ' ', &rest, NULL);
    struct mu_span name = mu_span_split(rest, '\t', &more, NULL);

    if (!read_kind(kind, &out->kind) || !doctor_way_read(way, &out->way) ||
        !mu_span_u64(number, &out->number) || name.bytes == 0 || !text_ok(name) || !text_ok(more)) {
        return false;
    }
    out->name = mu_arena_text(arena, name.data, name.bytes);
    out->more = mu_arena_text(arena, more.data, more.bytes);
    return true;
}

enum mu_code doctor_report_read(struct mu_span text, struct mu_arena *arena,
                                struct doctor_report *out, struct mu_err *err)
{
    struct mu_span line = mu_span_split(text, '\n', &text, NULL);

    *out = (struct doctor_report){ .count = 0 };
    if (!mu_span_eq_text(line, HEAD)) {
        return mu_fail(err, MU_CORRUPT, "not a report of what is wrong");
    }
    out->items = mu_arena_array(arena, DOCTOR_REPORT_MAX, sizeof *out->items);
    while (text.bytes > 0) {
        line = mu_span_split(text, '\n', &text, NULL);
        if (mu_span_eq_text(line, "more") || out->count == DOCTOR_REPORT_MAX) {
            out->has_more = true;
            return MU_OK;
        }
        if (!read_line(line, arena, &out->items[out->count++])) {
            return mu_fail(err, MU_CORRUPT, "a line of a report of what is wrong cannot be read");
        }
    }
    return MU_OK;
}

bool doctor_clock_is_off(uint64_t their_ms, uint64_t our_ms, int64_t *ahead_ms)
{
    bool is_ahead = their_ms > our_ms;
    uint64_t by = is_ahead ? their_ms - our_ms : our_ms - their_ms;

    by = by < INT64_MAX ? by : INT64_MAX; /* it may say anything */
    *ahead_ms = is_ahead ? (int64_t)by : -(int64_t)by;
    return by > SKEW_MS;
}
