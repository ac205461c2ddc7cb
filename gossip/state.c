#include "state.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "message.h"

#define HEAD                "muster gossip 1"
#define COORDINATE_TEXT_MAX 512

static const struct {
    const char *word;
    size_t at;
} clocks[] = {
    { "incarnation", offsetof(struct gossip__clocks, incarnation) },
    { "clock", offsetof(struct gossip__clocks, member_time) },
    { "event-clock", offsetof(struct gossip__clocks, event_time) },
    { "query-clock", offsetof(struct gossip__clocks, query_time) },
};

static uint64_t *clock_of(struct gossip__clocks *all, size_t i)
{
    return (uint64_t *)(void *)((char *)all + clocks[i].at);
}

/* Cut " #crc" off a line and check it. */
static bool line_open(struct mu_span *line)
{
    uint32_t crc = 0;

    if (line->bytes < 11 || memcmp(line->data + line->bytes - 10, " #", 2) != 0) {
        return false;
    }
    for (size_t i = line->bytes - 8; i < line->bytes; i++) {
        uint8_t c = line->data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        crc = crc << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *line = mu_span_sub(*line, 0, line->bytes - 10);
    return mu_crc32c(0, line->data, line->bytes) == crc;
}

static void line_close(struct mu_buf *to, size_t start)
{
    mu_buf_addf(to, " #%08x\n", mu_crc32c(0, to->data + start, to->bytes - start));
}

/* Names may hold blanks, so the last one separates. */
bool gossip__state_peer(struct mu_span text, struct mu_span *name, struct mu_addr *addr)
{
    char copy[MU_NODE_NAME_MAX + 1] = "";
    size_t cut = text.bytes;

    while (cut > 0 && text.data[cut - 1] != ' ') {
        cut--;
    }
    if (cut < 2 || cut - 1 > MU_NODE_NAME_MAX ||
        mu_addr_parse(mu_span_sub(text, cut, text.bytes), 0, addr, NULL) != MU_OK ||
        addr->port == 0) {
        return false;
    }
    *name = mu_span_sub(text, 0, cut - 1);
    memcpy(copy, name->data, name->bytes);
    return strlen(copy) == name->bytes && gossip__name_ok(copy);
}

/* The numbers, error first; the adjustment is not kept, since its window is not. */
static bool read_coordinate(struct mu_span rest, struct coordinate *out)
{
    double *to[2 + COORDINATE_DIMS] = { &out->error, &out->height };
    char text[COORDINATE_TEXT_MAX];
    char *at = text;

    for (size_t i = 0; i < COORDINATE_DIMS; i++) {
        to[2 + i] = &out->vec[i];
    }
    if (rest.bytes == 0 || rest.bytes >= sizeof text) {
        return false;
    }
    memcpy(text, rest.data, rest.bytes);
    text[rest.bytes] = '\0';
    *out = (struct coordinate)COORDINATE_ORIGIN;
    for (size_t i = 0; i < MU_LEN(to); i++) {
        char *end = at;

        *to[i] = strtod(at, &end);
        if (end == at || (*end != ' ' && *end != '\0')) {
            return false;
        }
        at = end;
    }
    return *at == '\0' && coordinate_is_valid(out);
}

static bool read_line(struct mu_span line, struct mu_arena *arena, struct gossip__kept *out)
{
    struct mu_span rest;

    if (!line_open(&line)) {
        return false;
    }
    struct mu_span word = mu_span_split(line, ' ', &rest, NULL);

    for (size_t i = 0; i < MU_LEN(clocks); i++) {
        if (mu_span_eq_text(word, clocks[i].word)) {
            return mu_span_u64(rest, clock_of(&out->clocks, i));
        }
    }
    if (mu_span_eq_text(word, "leave")) {
        out->has_left = true;
        return true;
    }
    if (mu_span_eq_text(word, "coordinate")) {
        out->has_coordinate = read_coordinate(rest, &out->coordinate);
        return out->has_coordinate;
    }
    bool is_peer = mu_span_eq_text(word, "alive") || mu_span_eq_text(word, "failed");
    struct gossip_known *peer = &out->known[out->known_count];
    struct mu_span name;

    if (!is_peer || out->known_count == GOSSIP__KNOWN_MAX ||
        !gossip__state_peer(rest, &name, &peer->addr)) {
        return false;
    }
    peer->name = mu_arena_text(arena, name.data, name.bytes);
    out->known_count++;
    return true;
}

void gossip__state_read(struct mu_span text, struct mu_arena *arena, struct gossip__kept *out)
{
    struct mu_span line = mu_span_split(text, '\n', &text, NULL);

    *out = (struct gossip__kept){ .has_left = false };
    out->known = mu_arena_array(arena, GOSSIP__KNOWN_MAX, sizeof *out->known);
    if (!mu_span_eq_text(line, HEAD)) {
        out->skipped = 1;
        return;
    }
    while (text.bytes > 0) {
        line = mu_span_split(text, '\n', &text, NULL);
        out->skipped += line.bytes > 0 && !read_line(line, arena, out);
    }
}

static void add_number(struct mu_buf *to, const char *word, uint64_t value)
{
    size_t start = to->bytes;

    mu_buf_addf(to, "%s %llu", word, (unsigned long long)value);
    line_close(to, start);
}

void gossip__state_begin(struct mu_buf *to, const struct gossip__clocks *given, bool has_left)
{
    struct gossip__clocks all = *given;

    mu_buf_add_text(to, HEAD "\n");
    for (size_t i = 0; i < MU_LEN(clocks); i++) {
        if (i == 0 || *clock_of(&all, i) > 0) {
            add_number(to, clocks[i].word, *clock_of(&all, i));
        }
    }
    if (has_left) {
        size_t start = to->bytes;

        mu_buf_add_text(to, "leave");
        line_close(to, start);
    }
}

void gossip__state_add_coordinate(struct mu_buf *to, const struct coordinate *c)
{
    size_t start = to->bytes;

    mu_buf_addf(to, "coordinate %.9g %.9g", c->error, c->height);
    for (size_t i = 0; i < COORDINATE_DIMS; i++) {
        mu_buf_addf(to, " %.9g", c->vec[i]);
    }
    line_close(to, start);
}

void gossip__state_add(struct mu_buf *to, const struct gossip_view *member)
{
    bool is_failed = member->status == GOSSIP_STATUS_FAILED;
    char addr[MU_ADDR_TEXT_MAX];
    size_t start = to->bytes;

    if (member->is_self || (!is_failed && member->status != GOSSIP_STATUS_ALIVE)) {
        return;
    }
    mu_addr_text(&member->addr, addr);
    mu_buf_addf(to, "%s %s %s", is_failed ? "failed" : "alive", member->name, addr);
    line_close(to, start);
}

void gossip__state_write(struct mu_buf *to, const struct gossip__kept *kept)
{
    gossip__state_begin(to, &kept->clocks, kept->has_left);
    if (kept->has_coordinate) {
        gossip__state_add_coordinate(to, &kept->coordinate);
    }
    for (size_t i = 0; i < kept->known_count; i++) {
        struct gossip_view peer = { .name = kept->known[i].name,
                                    .addr = kept->known[i].addr,
                                    .status = GOSSIP_STATUS_FAILED };

        gossip__state_add(to, &peer);
    }
}
