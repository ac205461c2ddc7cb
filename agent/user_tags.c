/* user_tags.c - tags that users give this node: in the configuration, and at run time (serf tags).
 *
 *   asked --> judged --> tags_file is written, where there is one --> told to others --> answered
 *
 * One change after the other: each begins with what the one before it left. With a tags_file they
 * outlive the process, and a reload reads them from there; without one they are gone with either,
 * as with Serf.
 *
 * A reload and a change are never under way at once: one that had read the file before it was
 * written, and is applied behind that, would take the change back until the next one. Each waits
 * for the other, in turns.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "file_write.h"
#include "ipc.h"

struct change {
    struct mu_link place;
    struct mu_arena arena;
    struct mu_pairs set;
    struct ipc_texts remove;
    struct mu_pairs after; /* once it has begun */
    agent__tagged_fn *done;
    void *data;
};

struct user_tags {
    struct agent *agent;
    struct mu_arena arena;
    struct mu_pairs tags;
    bool has_set;             /* `tags` count, not those of the configuration */
    struct mu_link changes;   /* those that wait, in the order of asking */
    struct mu_link spreading; /* those that others are being told */
    struct change *current;   /* its file is being written */
    struct file_write *write; /* of `current` */
    struct timer soon;
};

static void next(void *data);

/* -- which tags -------------------------------------------------------------------------------- */

/* What other agents go by, whether this agent has it now or not. */
static const char *const own_tags[] = {
    "role",      "dc",     "segment",  "id",           "vsn",     "vsn_min", "vsn_max",
    "build",     "acls",   "port",     "raft_vsn",     "ft_fs",   "ft_si",   "wan_join_port",
    "bootstrap", "expect", "nonvoter", "read_replica", "use_tls",
};

static bool is_own(const struct agent *a, struct mu_span key)
{
    for (size_t i = 0; !a->config->serf.is_on && i < MU_LEN(own_tags); i++) {
        if (mu_span_eq_text(key, own_tags[i])) {
            return true;
        }
    }
    return mu_span_starts(key, MU_SPAN_LIT("mu_"));
}

static bool is_removed(struct mu_span key, const struct mu_pairs *set,
                       const struct ipc_texts *remove)
{
    for (size_t i = 0; i < remove->count; i++) {
        if (mu_span_eq_text(key, remove->items[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < set->count; i++) {
        if (mu_span_eq(key, set->items[i].key)) {
            return true;
        }
    }
    return false;
}

static enum mu_code own_check(const struct agent *a, const struct mu_pairs *set,
                              const struct ipc_texts *remove, struct mu_err *err)
{
    for (size_t i = 0; i < set->count; i++) {
        if (is_own(a, set->items[i].key)) {
            return mu_fail(err, MU_DENIED, "Tag '%.*s' is the agent's own",
                           MU_SPAN_FMT(set->items[i].key));
        }
    }
    for (size_t i = 0; i < remove->count; i++) {
        if (is_own(a, mu_span_text(remove->items[i]))) {
            return mu_fail(err, MU_DENIED, "Tag '%s' is the agent's own", remove->items[i]);
        }
    }
    return MU_OK;
}

static void tag_put(struct mu_arena *arena, struct mu_pairs *to, const struct mu_pair *tag)
{
    size_t at = 0;

    while (at < to->count && !mu_span_eq(to->items[at].key, tag->key)) {
        at++;
    }
    to->items[at].key = mu_arena_span(arena, tag->key);
    to->items[at].value = mu_arena_span(arena, tag->value); /* the last of a key counts */
    to->count += at == to->count;
}

/* Those that `serf agent` was given, until others are set. */
struct mu_pairs agent__user_tags(const struct agent *a)
{
    const struct user_tags *u = a->user_tags;

    return u != NULL && u->has_set ? u->tags : a->config->serf.tags;
}

/* What the tags are after a change. */
static enum mu_code judge(struct user_tags *u, struct change *c, struct mu_err *err)
{
    struct agent *a = u->agent;
    struct mu_pairs before = agent__user_tags(a);

    c->after.items = mu_arena_array(&c->arena, before.count + c->set.count, sizeof *c->after.items);
    for (size_t i = 0; i < before.count; i++) {
        if (!is_removed(before.items[i].key, &c->set, &c->remove)) {
            tag_put(&c->arena, &c->after, &before.items[i]);
        }
    }
    for (size_t i = 0; i < c->set.count; i++) {
        tag_put(&c->arena, &c->after, &c->set.items[i]);
    }
    if (!a->config->serf.is_on && c->after.count > AGENT_USER_TAGS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "More than %d tags", AGENT_USER_TAGS_MAX);
    }
    return gossip_tags_check(&c->after, err);
}

/* -- the end of a change ----------------------------------------------------------------------- */

static void change_end(struct change *c, const char *error)
{
    c->done(c->data, error);
    mu_arena_deinit(&c->arena);
    mu_free(c);
}

static void on_spread(void *data, bool is_told)
{
    struct change *c = data;

    mu_list_remove(&c->place);
    change_end(c, is_told ? NULL : "timeout waiting for update broadcast");
}

/* The tags of `c` are those of this node from now on; on failure everything is as it was. */
static enum mu_code take_over(struct user_tags *u, struct change *c, struct mu_err *err)
{
    struct mu_pairs kept = u->tags;
    bool had_set = u->has_set;

    u->tags = c->after;
    u->has_set = true;
    enum mu_code rc = agent__tags_set(u->agent, err);

    if (rc != MU_OK) {
        u->tags = kept;
        u->has_set = had_set;
        return rc;
    }
    struct mu_arena before = u->arena;

    u->arena = c->arena;
    mu_arena_deinit(&before);
    mu_arena_init(&c->arena, 0);
    return MU_OK;
}

static void change_apply(struct user_tags *u, struct change *c)
{
    struct mu_err err = MU_ERR_NONE;

    if (take_over(u, c, &err) != MU_OK) {
        change_end(c, err.text);
        return;
    }
    mu_list_push_back(&u->spreading, &c->place);
    gossip_driver_spread(u->agent->gossip, on_spread, c);
}

static void on_written(void *data, enum mu_code code, const struct mu_err *err)
{
    struct user_tags *u = data;
    struct change *c = u->current;

    u->write = NULL;
    u->current = NULL;
    if (code == MU_OK) {
        change_apply(u, c);
    } else {
        struct mu_err why = *err;

        (void)mu_wrap(&why, code, "Failed to write tags file");
        change_end(c, why.text);
    }
    agent__reload_next(u->agent);
    next(u);
}

/* -- one after the other ----------------------------------------------------------------------- */

static void tags_encode(const struct mu_pairs *tags, struct mu_buf *to)
{
    struct mu_json_out o;

    mu_json_out_init(&o, to, true);
    mu_json_open(&o, '{');
    for (size_t i = 0; i < tags->count; i++) {
        mu_json_key_span(&o, tags->items[i].key);
        mu_json_put_span(&o, tags->items[i].value);
    }
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
}

static void change_begin(struct user_tags *u, struct change *c)
{
    const char *path = u->agent->config->serf.tags_file;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (judge(u, c, &err) != MU_OK) {
        change_end(c, err.text);
        return;
    }
    if (path == NULL) {
        change_apply(u, c);
        return;
    }
    tags_encode(&c->after, &text);
    u->current = c;
    u->write = file_write_start(u->agent->loop, path, &text, on_written, u);
}

static void next(void *data)
{
    struct user_tags *u = data;

    while (u->current == NULL && !agent__reload_is_reading(u->agent) &&
           !mu_list_empty(&u->changes)) {
        change_begin(u, MU_CONTAINER(mu_list_pop_front(&u->changes), struct change, place));
    }
}

static void change_keep(struct change *c, const struct mu_pairs *set,
                        const struct ipc_texts *remove)
{
    c->set.items = mu_arena_array(&c->arena, set->count, sizeof *c->set.items);
    for (size_t i = 0; i < set->count; i++) {
        tag_put(&c->arena, &c->set, &set->items[i]);
    }
    c->remove.items = mu_arena_array(&c->arena, remove->count, sizeof *c->remove.items);
    for (size_t i = 0; i < remove->count; i++) {
        c->remove.items[c->remove.count++] = mu_arena_strdup(&c->arena, remove->items[i]);
    }
}

enum mu_code agent__user_tags_change(struct agent *a, const struct mu_pairs *set,
                                     const struct ipc_texts *remove, agent__tagged_fn *done,
                                     void *data, struct mu_err *err)
{
    struct user_tags *u = a->user_tags;
    enum mu_code rc = own_check(a, set, remove, err);

    if (rc != MU_OK) {
        return rc;
    }
    struct change *c = mu_new(sizeof *c);

    mu_arena_init(&c->arena, 0);
    change_keep(c, set, remove);
    c->done = done;
    c->data = data;
    mu_list_push_back(&u->changes, &c->place);
    timer_set(a->timers, &u->soon, 0, next, u); /* the answer never comes from inside */
    return MU_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__user_tags_open(struct agent *a)
{
    struct user_tags *u = mu_new(sizeof *u);

    u->agent = a;
    mu_arena_init(&u->arena, 0);
    mu_list_init(&u->changes);
    mu_list_init(&u->spreading);
    a->user_tags = u;
}

bool agent__user_tags_are_written(const struct agent *a)
{
    return a->user_tags != NULL && a->user_tags->current != NULL;
}

void agent__user_tags_next(struct agent *a)
{
    if (a->user_tags != NULL) {
        next(a->user_tags);
    }
}

/* Of `serf agent` only: what was set at run time is in its tags_file, or gone. */
void agent__user_tags_reload(struct agent *a)
{
    if (a->config->serf.is_on) {
        a->user_tags->has_set = false;
        agent__tags_refresh(a);
    }
}

void agent__user_tags_cancel(struct agent *a)
{
    struct user_tags *u = a->user_tags;

    timer_cancel(&u->soon);
    if (u->write != NULL) {
        file_write_abandon(u->write);
        change_end(u->current, "this agent stops");
        u->write = NULL;
        u->current = NULL;
    }
    while (!mu_list_empty(&u->changes)) {
        change_end(MU_CONTAINER(mu_list_pop_front(&u->changes), struct change, place),
                   "this agent stops");
    }
}

void agent__user_tags_free(struct agent *a)
{
    struct user_tags *u = a->user_tags;

    if (u == NULL) {
        return;
    }
    MU_ASSERT(mu_list_empty(&u->changes) && mu_list_empty(&u->spreading));
    mu_arena_deinit(&u->arena);
    mu_free(u);
    a->user_tags = NULL;
}
