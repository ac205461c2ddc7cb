/* serf_snapshot.c - the lines of Serf's snapshot, played back.
 *
 * Who is alive at the end are those we may find the cluster by. They lie in one array, and the
 * table finds them by name; a name that goes gives its place to the last one, for nobody minds the
 * order. More than our own file keeps are not taken: as many find a cluster.
 *
 * After a leave the writer stays alone, and so does whoever takes over from it, unless it is told
 * to rejoin: those known before are kept for that. Its next life says itself to be alive, which
 * changes nothing; when it says so of another one it has found somebody, and those are better.
 */
#include "serf_snapshot.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"

#define BEGINNING_BYTES 64 /* of a line that is shown */

struct place {
    struct mu_span name; /* a view into the text */
    struct mu_addr addr;
};

struct reading {
    struct mu_span self;
    struct place *places;
    size_t places_count;
    struct mu_table *by_name; /* to the places */
    struct gossip__clocks clocks;
    bool has_left;
};

/* -- who is alive -------------------------------------------------------------------------------
 */

static void forget(struct reading *r, struct place *gone)
{
    struct place *last = &r->places[r->places_count - 1];

    (void)mu_table_remove(r->by_name, gone->name);
    if (gone != last) {
        *gone = *last;
        (void)mu_table_put(r->by_name, gone->name, gone);
    }
    r->places_count--;
}

static bool take_alive(struct reading *r, struct mu_span rest)
{
    struct place p;

    if (!gossip__state_peer(rest, &p.name, &p.addr)) {
        return false;
    }
    if (mu_span_eq(p.name, r->self)) {
        return true;
    }
    while (r->has_left && r->places_count > 0) {
        forget(r, &r->places[r->places_count - 1]);
    }
    r->has_left = false;
    struct place *known = mu_table_find(r->by_name, p.name);

    if (known != NULL) {
        known->addr = p.addr;
    } else if (r->places_count < GOSSIP__KNOWN_MAX) {
        r->places[r->places_count] = p;
        (void)mu_table_put(r->by_name, p.name, &r->places[r->places_count++]);
    }
    return true;
}

static bool take_not_alive(struct reading *r, struct mu_span rest)
{
    struct place *known = mu_table_find(r->by_name, rest);

    if (known != NULL) {
        forget(r, known);
    }
    return rest.bytes > 0;
}

static bool take_leave(struct reading *r, struct mu_span rest)
{
    r->has_left = r->has_left || rest.bytes == 0;
    return rest.bytes == 0;
}

/* -- times --------------------------------------------------------------------------------------
 */

static bool take_time(struct mu_span rest, uint64_t *next)
{
    uint64_t last;

    if (!mu_span_u64(rest, &last) || last == UINT64_MAX) {
        return false;
    }
    *next = last + 1;
    return true;
}

static bool take_clock(struct reading *r, struct mu_span rest)
{
    return take_time(rest, &r->clocks.member_time);
}

static bool take_event_clock(struct reading *r, struct mu_span rest)
{
    return take_time(rest, &r->clocks.event_time);
}

static bool take_query_clock(struct reading *r, struct mu_span rest)
{
    return take_time(rest, &r->clocks.query_time);
}

/* Where this node was: that is soon measured anew. */
static bool take_coordinate(struct reading *r, struct mu_span rest)
{
    (void)r;
    (void)rest;
    return true;
}

/* -- lines --------------------------------------------------------------------------------------
 */

static const struct {
    const char *word;
    bool (*take)(struct reading *r, struct mu_span rest); /* false: not such a line after all */
} words[] = {
    // clang-format off
    { "alive:",       take_alive },
    { "not-alive:",   take_not_alive },
    { "clock:",       take_clock },
    { "event-clock:", take_event_clock },
    { "query-clock:", take_query_clock },
    { "coordinate:",  take_coordinate },
    { "leave",        take_leave },
}; // clang-format on

static bool take_line(struct reading *r, struct mu_span line)
{
    struct mu_span rest;
    struct mu_span word = mu_span_split(line, ' ', &rest, NULL);

    if (line.bytes > GOSSIP__SERF_LINE_MAX) {
        return false;
    }
    for (size_t i = 0; i < MU_LEN(words); i++) {
        if (mu_span_eq_text(word, words[i].word)) {
            return words[i].take(r, rest);
        }
    }
    return line.bytes == 0 || line.data[0] == '#';
}

static void take_all(struct reading *r, struct mu_span text, struct gossip__serf_snapshot *out)
{
    for (size_t number = 1; text.bytes > 0; number++) {
        bool is_whole;
        struct mu_span line = mu_span_split(text, '\n', &text, &is_whole);

        if (is_whole && take_line(r, line)) {
            continue;
        }
        if (out->kept.skipped++ == 0) {
            out->skipped_line = number;
            out->skipped_text = mu_span_sub(line, 0, BEGINNING_BYTES);
        }
    }
}

void gossip__serf_snapshot_read(struct mu_span text, const char *self, struct mu_arena *arena,
                                struct gossip__serf_snapshot *out)
{
    struct reading r = { .self = mu_span_text(self),
                         .places = mu_new_array(GOSSIP__KNOWN_MAX, sizeof *r.places),
                         .by_name = mu_table_new() };

    *out = (struct gossip__serf_snapshot){ .skipped_line = 0 };
    take_all(&r, text, out);
    out->kept.clocks = r.clocks;
    out->kept.has_left = r.has_left;
    out->kept.known = mu_arena_array(arena, r.places_count, sizeof *out->kept.known);
    for (size_t i = 0; i < r.places_count; i++) {
        const struct place *p = &r.places[i];

        out->kept.known[out->kept.known_count++] =
            (struct gossip_known){ .name = mu_arena_text(arena, p->name.data, p->name.bytes),
                                   .addr = p->addr };
    }
    mu_table_free(r.by_name);
    mu_free(r.places);
}
