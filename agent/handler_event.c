#include "handler_event.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define VARIABLES_MAX 5 /* beside those of tags */

/* -- types ------------------------------------------------------------------------------------- */

const char *const handler_types[HANDLER_TYPES] = {
    "member-join", "member-leave", "member-failed", "member-update",
    "member-reap", HANDLER_USER,   HANDLER_QUERY,
};

const char *handler_event_type(enum gossip_notice_kind kind)
{
    switch (kind) {
    case GOSSIP_JOINED: return "member-join";
    case GOSSIP_LEFT: return "member-leave";
    case GOSSIP_FAILED: return "member-failed";
    case GOSSIP_UPDATED: return "member-update";
    case GOSSIP_REAPED: return "member-reap";
    case GOSSIP_REFUTED:
    case GOSSIP_CONFLICT:
    case GOSSIP_UNREACHABLE:
    case GOSSIP_USELESS: break;
    }
    return NULL;
}

bool handler_is_filter(struct mu_span type)
{
    for (size_t i = 0; i < HANDLER_TYPES; i++) {
        if (mu_span_eq_text(type, handler_types[i])) {
            return true;
        }
    }
    return mu_span_eq_text(type, "*");
}

/* -- events ------------------------------------------------------------------------------------ */

static struct handler_event *event_new(const char *type)
{
    struct handler_event *e = mu_new(sizeof *e);

    mu_arena_init(&e->arena, 0);
    e->type = type;
    e->name = "";
    e->holders = 1;
    return e;
}

void handler_event_hold(struct handler_event *e)
{
    e->holders++;
}

void handler_event_release(struct handler_event *e)
{
    MU_ASSERT(e->holders > 0);
    if (--e->holders == 0) {
        mu_arena_deinit(&e->arena);
        mu_free(e);
    }
}

struct handler_event *handler_event_of_members(const char *type, size_t members_max)
{
    struct handler_event *e = event_new(type);

    e->members = mu_arena_array(&e->arena, members_max, sizeof *e->members);
    return e;
}

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

static struct mu_pairs shown_tags(struct mu_arena *arena, const struct mu_pairs *tags)
{
    struct mu_pairs out = { mu_arena_array(arena, tags->count, sizeof *out.items), 0 };

    for (size_t i = 0; i < tags->count; i++) {
        if (!mu_span_starts(tags->items[i].key, MU_SPAN_LIT("mu_"))) {
            out.items[out.count++] = (struct mu_pair){ mu_arena_span(arena, tags->items[i].key),
                                                       mu_arena_span(arena, tags->items[i].value) };
        }
    }
    qsort(out.items, out.count, sizeof *out.items, by_key);
    return out;
}

void handler_event_add(struct handler_event *e, const struct gossip_view *member)
{
    e->members[e->members_count++] = (struct handler_member){
        .name = mu_arena_strdup(&e->arena, member->name),
        .addr = member->addr,
        .tags = shown_tags(&e->arena, &member->tags),
    };
}

struct handler_event *handler_event_of_user(const struct gossip_user_event *event)
{
    struct handler_event *e = event_new(HANDLER_USER);

    e->name = mu_arena_strdup(&e->arena, event->name);
    e->ltime = event->ltime;
    e->coalesce = event->coalesce;
    e->payload = mu_arena_span(&e->arena, event->payload);
    return e;
}

struct handler_event *handler_event_of_query(const struct gossip_query *query)
{
    struct handler_event *e = event_new(HANDLER_QUERY);

    e->name = mu_arena_strdup(&e->arena, query->name);
    e->ltime = query->ltime;
    e->payload = mu_arena_span(&e->arena, query->payload);
    e->query_id = query->id;
    e->answer_bytes_max = query->answer_bytes_max;
    return e;
}

/* -- variables --------------------------------------------------------------------------------- */

static void add(struct mu_pairs *to, const char *key, const char *value)
{
    to->items[to->count++] = (struct mu_pair){ mu_span_text(key), mu_span_text(value) };
}

/* Upper case; what is neither a letter nor a digit becomes one '_' for each character. */
static const char *tag_variable(struct mu_arena *arena, struct mu_span key)
{
    struct mu_buf name = MU_BUF_NONE;

    mu_buf_add_text(&name, "SERF_TAG_");
    for (size_t i = 0; i < key.bytes; i++) {
        uint8_t c = key.data[i];

        if (c >= 'a' && c <= 'z') {
            mu_buf_add_byte(&name, (uint8_t)(c - 'a' + 'A'));
        } else if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
            mu_buf_add_byte(&name, c);
        } else if ((c & 0xc0) != 0x80) { /* of a longer character only the first byte counts */
            mu_buf_add_byte(&name, '_');
        }
    }
    const char *text = mu_arena_strdup(arena, mu_buf_text(&name));

    mu_buf_deinit(&name);
    return text;
}

static struct mu_span value_of(const struct mu_pairs *tags, const char *key)
{
    for (size_t i = 0; i < tags->count; i++) {
        if (mu_span_eq_text(tags->items[i].key, key)) {
            return tags->items[i].value;
        }
    }
    return MU_SPAN_LIT("");
}

struct mu_pairs handler_event_variables(const struct handler_event *e, const char *self,
                                        const struct mu_pairs *tags, struct mu_arena *arena)
{
    struct mu_pairs shown = shown_tags(arena, tags);
    struct mu_pairs out = { mu_arena_array(arena, shown.count + VARIABLES_MAX, sizeof *out.items),
                            0 };
    const char *ltime = mu_arena_printf(arena, "%llu", (unsigned long long)e->ltime);

    add(&out, "SERF_EVENT", e->type);
    add(&out, "SERF_SELF_NAME", self);
    out.items[out.count++] =
        (struct mu_pair){ MU_SPAN_LIT("SERF_SELF_ROLE"), value_of(&shown, "role") };
    for (size_t i = 0; i < shown.count; i++) {
        out.items[out.count++] =
            (struct mu_pair){ mu_span_text(tag_variable(arena, shown.items[i].key)),
                              shown.items[i].value };
    }
    if (strcmp(e->type, HANDLER_USER) == 0) {
        add(&out, "SERF_USER_EVENT", e->name);
        add(&out, "SERF_USER_LTIME", ltime);
    } else if (strcmp(e->type, HANDLER_QUERY) == 0) {
        add(&out, "SERF_QUERY_NAME", e->name);
        add(&out, "SERF_QUERY_LTIME", ltime);
    }
    return out;
}

/* -- standard input ---------------------------------------------------------------------------- */

static void add_escaped(struct mu_buf *to, struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] == '\t') {
            mu_buf_add_text(to, "\\t");
        } else if (text.data[i] == '\n') {
            mu_buf_add_text(to, "\\n");
        } else {
            mu_buf_add_byte(to, text.data[i]);
        }
    }
}

/* NAME \t IP \t ROLE \t TAGS \n */
static void add_member(struct mu_buf *to, const struct handler_member *m)
{
    char ip[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(&m->addr, ip);
    add_escaped(to, mu_span_text(m->name));
    mu_buf_addf(to, "\t%s\t", ip);
    add_escaped(to, value_of(&m->tags, "role"));
    mu_buf_add_byte(to, '\t');
    for (size_t i = 0; i < m->tags.count; i++) {
        if (i > 0) {
            mu_buf_add_byte(to, ',');
        }
        add_escaped(to, m->tags.items[i].key);
        mu_buf_add_byte(to, '=');
        add_escaped(to, m->tags.items[i].value);
    }
    mu_buf_add_byte(to, '\n');
}

void handler_event_input(const struct handler_event *e, struct mu_buf *to)
{
    for (size_t i = 0; i < e->members_count; i++) {
        add_member(to, &e->members[i]);
    }
    mu_buf_add_span(to, e->payload);
    if (e->payload.bytes > 0 && e->payload.data[e->payload.bytes - 1] != '\n') {
        mu_buf_add_byte(to, '\n');
    }
}
