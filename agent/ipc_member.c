/* ipc_member.c - members as the serf command sees them, and which of them it asks for. */
#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"
#include "ipc_session.h"

struct members {
    struct mu_arena *arena;
    const struct gossip_view **items;
    size_t count;
    /* filters; NULL: none */
    struct mu_pattern *name, *status;
    struct mu_pairs tags;
    struct mu_pattern **tag_patterns;
};

static bool is_shown(const struct mu_pair *tag)
{
    return !mu_span_starts(tag->key, MU_SPAN_LIT("mu_"));
}

void ipc_put_tags(struct mu_buf *to, const struct mu_pairs *tags)
{
    size_t count = 0;

    for (size_t i = 0; i < tags->count; i++) {
        count += is_shown(&tags->items[i]);
    }
    ipc_put_map(to, count);
    for (size_t i = 0; i < tags->count; i++) {
        if (is_shown(&tags->items[i])) {
            ipc_put_span(to, tags->items[i].key);
            ipc_put_span(to, tags->items[i].value);
        }
    }
}

/* The versions of Serf 0.9 (spec 9.4): what clients print as the protocol. */
void ipc__put_member(struct ipc_session *s, const struct ipc__member *m)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct mu_buf *to = &s->out;
    uint8_t addr[16];
    size_t bytes = 0;

    if (s->host.addr16 && m->addr.ip_bytes == 4) {
        memcpy(addr, mapped, sizeof mapped);
        bytes = sizeof mapped;
    }
    memcpy(addr + bytes, m->addr.ip, m->addr.ip_bytes);
    bytes += m->addr.ip_bytes;
    ipc_put_map(to, 11);
    ipc_put_text(to, "Addr");
    ipc_put_bytes(to, mu_span_of(addr, bytes));
    ipc__put_number(to, "DelegateCur", 5);
    ipc__put_number(to, "DelegateMax", 5);
    ipc__put_number(to, "DelegateMin", 2);
    ipc_put_text(to, "Name");
    ipc_put_text(to, m->name);
    ipc__put_number(to, "Port", m->addr.port);
    ipc__put_number(to, "ProtocolCur", 2);
    ipc__put_number(to, "ProtocolMax", 5);
    ipc__put_number(to, "ProtocolMin", 1);
    ipc_put_text(to, "Status");
    ipc_put_text(to, gossip_status_text(m->status));
    ipc_put_text(to, "Tags");
    ipc_put_tags(to, &m->tags);
}

static struct mu_span tag_value(const struct gossip_view *m, struct mu_span key)
{
    for (size_t i = 0; i < m->tags.count; i++) {
        if (mu_span_eq(m->tags.items[i].key, key)) {
            return m->tags.items[i].value;
        }
    }
    return MU_SPAN_NONE;
}

static bool passes(const struct members *l, const struct gossip_view *m)
{
    if ((l->name != NULL && !mu_pattern_matches(l->name, mu_span_text(m->name))) ||
        (l->status != NULL &&
         !mu_pattern_matches(l->status, mu_span_text(gossip_status_text(m->status))))) {
        return false;
    }
    for (size_t i = 0; i < l->tags.count; i++) {
        if (!mu_pattern_matches(l->tag_patterns[i], tag_value(m, l->tags.items[i].key))) {
            return false;
        }
    }
    return true;
}

static void member_add(void *data, const struct gossip_view *m)
{
    struct members *l = data;

    if (!passes(l, m)) {
        return;
    }
    struct gossip_view *copy = mu_arena_new(l->arena, sizeof *copy);

    *copy = *m; /* what it points to stays as it is until the next step */
    l->items = mu_arena_grow(l->arena, l->items, l->count, sizeof *l->items);
    l->items[l->count++] = copy;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct gossip_view *const *)a)->name,
                  (*(const struct gossip_view *const *)b)->name);
}

static void answer_members(struct ipc_session *s, const struct request *r, struct members *l)
{
    l->arena = r->arena;
    s->host.each(s->host.data, member_add, l);
    if (l->count > 0) {
        qsort(l->items, l->count, sizeof *l->items, by_name);
    }
    ipc__put_header(s, r->seq, "");
    ipc_put_map(&s->out, 1);
    ipc_put_text(&s->out, "Members");
    ipc_put_list(&s->out, l->count);
    for (size_t i = 0; i < l->count; i++) {
        const struct gossip_view *m = l->items[i];

        ipc__put_member(s, &(struct ipc__member){ m->name, m->addr, m->tags, m->status });
    }
}

void ipc__on_members(struct ipc_session *s, struct request *r)
{
    struct members l = { 0 };

    answer_members(s, r, &l);
}

/* Serf puts anchors around the text, which is not the same as around the expression (9.6). */
static bool compile(struct ipc_session *s, const struct request *r, const char *text,
                    struct mu_pattern **out)
{
    struct mu_err err = MU_ERR_NONE;

    const char *anchored = mu_arena_printf(r->arena, "^%s$", text);

    if (mu_pattern_compile(out, mu_span_text(anchored), r->arena, &err) != MU_OK) {
        ipc__hang_up(s, IPC_FAULT_PATTERN, err.text);
        return false;
    }
    return true;
}

void ipc__on_members_filtered(struct ipc_session *s, struct request *r)
{
    const char *name = ipc_get_text(&r->body, "Name");
    const char *status = ipc_get_text(&r->body, "Status");
    struct members l = { .tags = ipc_get_pairs(&r->body, "Tags") };

    if (!ipc__is_sound(s, r) || (name[0] != '\0' && !compile(s, r, name, &l.name)) ||
        (status[0] != '\0' && !compile(s, r, status, &l.status))) {
        return;
    }
    l.tag_patterns = mu_arena_array(r->arena, l.tags.count, sizeof(struct mu_pattern *));
    for (size_t i = 0; i < l.tags.count; i++) {
        const char *text = (const char *)l.tags.items[i].value.data;

        /* an empty one asks for members without the tag, as with Serf (9.6 says otherwise) */
        if (!compile(s, r, text, &l.tag_patterns[i])) {
            return;
        }
    }
    answer_members(s, r, &l);
}
