#include "link_report.h"

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"

#define HEAD "muster links 1"
#define MORE "more\n"

static const char *const ways[] = {
    [GOSSIP_WAY_UNKNOWN] = "unknown", [GOSSIP_WAY_OPEN] = "open",
    [GOSSIP_WAY_REFUSED] = "refused", [GOSSIP_WAY_SILENT] = "silent",
    [GOSSIP_WAY_STALLED] = "stalled",
};

const char *link_way_text(enum gossip_way way)
{
    return ways[way];
}

void link_report_begin(struct mu_buf *to)
{
    mu_buf_add_text(to, HEAD "\n");
}

void link_report_add(struct mu_buf *to, const struct gossip_link *link)
{
    size_t start = to->bytes;
    bool is_full = start >= sizeof MORE &&
                   memcmp(to->data + start - (sizeof MORE - 1), MORE, sizeof MORE - 1) == 0;

    if (is_full) {
        return;
    }
    mu_buf_addf(to, "%s %s %u %s\n", link->is_heard ? "out" : "in", ways[link->tcp], link->missed,
                link->name);
    if (to->bytes + sizeof MORE > LINK_REPORT_BYTES) {
        to->bytes = start;
        mu_buf_add_text(to, MORE);
    }
}

static bool read_way(struct mu_span word, enum gossip_way *out)
{
    for (size_t i = 0; i < MU_LEN(ways); i++) {
        if (mu_span_eq_text(word, ways[i])) {
            *out = (enum gossip_way)i;
            return true;
        }
    }
    return false;
}

static bool read_line(struct mu_span line, struct mu_arena *arena, struct gossip_link *out)
{
    struct mu_span rest;
    struct mu_span direction = mu_span_split(line, ' ', &rest, NULL);
    struct mu_span way = mu_span_split(rest, ' ', &rest, NULL);
    struct mu_span missed = mu_span_split(rest, ' ', &rest, NULL);
    uint64_t number = 0;

    if (!(mu_span_eq_text(direction, "out") || mu_span_eq_text(direction, "in")) ||
        !read_way(way, &out->tcp) || !mu_span_u64(missed, &number) || number > UINT32_MAX ||
        rest.bytes == 0 || rest.bytes > MU_NODE_NAME_MAX || !mu_span_is_utf8(rest)) {
        return false;
    }
    out->is_heard = mu_span_eq_text(direction, "out");
    out->missed = (unsigned)number;
    out->name = mu_arena_text(arena, rest.data, rest.bytes);
    return true;
}

enum mu_code link_report_read(struct mu_span text, struct mu_arena *arena, struct link_report *out,
                              struct mu_err *err)
{
    struct mu_span line = mu_span_split(text, '\n', &text, NULL);

    *out = (struct link_report){ .count = 0 };
    if (!mu_span_eq_text(line, HEAD)) {
        return mu_fail(err, MU_CORRUPT, "not a report of links");
    }
    out->items = mu_arena_array(arena, LINK_REPORT_MAX, sizeof *out->items);
    while (text.bytes > 0) {
        line = mu_span_split(text, '\n', &text, NULL);
        if (mu_span_eq_text(line, "more") || out->count == LINK_REPORT_MAX) {
            out->has_more = true;
            return MU_OK;
        }
        if (!read_line(line, arena, &out->items[out->count++])) {
            return mu_fail(err, MU_CORRUPT, "a line of a report of links cannot be read");
        }
    }
    return MU_OK;
}
