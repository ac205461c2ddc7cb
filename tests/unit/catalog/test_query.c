/* What readers see, against what they are told: an index moves when, and mostly only when, the
 * answer it stands for has changed, and whoever waits for that answer is woken. And keys against a
 * naive twin. */
#include "fixture.h"
#include "random_commands.h"

/* -- answers as text --------------------------------------------------------------------------- */

static void show(struct mu_buf *to, struct mu_span s)
{
    mu_buf_addf(to, "%zu:", s.bytes);
    mu_buf_add_span(to, s);
    mu_buf_add_byte(to, ' ');
}

static void show_indexes(struct mu_buf *to, uint64_t created, uint64_t modified)
{
    mu_buf_addf(to, "[%llu %llu]\n", (unsigned long long)created, (unsigned long long)modified);
}

static void show_pairs(struct mu_buf *to, bool has, const struct mu_pairs *pairs)
{
    mu_buf_addf(to, "%d{", has);
    for (size_t i = 0; i < pairs->count; i++) {
        show(to, pairs->items[i].key);
        show(to, pairs->items[i].value);
    }
    mu_buf_add_text(to, "} ");
}

static void show_texts(struct mu_buf *to, const struct mu_texts *texts)
{
    mu_buf_add_byte(to, '(');
    for (size_t i = 0; i < texts->count; i++) {
        show(to, texts->items[i]);
    }
    mu_buf_add_text(to, ") ");
}

static void show_node(struct mu_buf *to, const struct catalog_node *n)
{
    show(to, n->name);
    show(to, n->id);
    show(to, n->address);
    show_pairs(to, n->has_tagged_addresses, &n->tagged_addresses);
    show_pairs(to, n->has_meta, &n->meta);
    show_indexes(to, n->create_index, n->modify_index);
}

static void show_service(struct mu_buf *to, const struct catalog_service *s)
{
    show(to, s->id);
    show(to, s->name);
    show_texts(to, &s->tags);
    show(to, s->address);
    show_pairs(to, s->has_meta, &s->meta);
    mu_buf_addf(to, "%u %u/%u ", s->port, s->weight_passing, s->weight_warning);
    show_indexes(to, s->create_index, s->modify_index);
}

static void show_check(struct mu_buf *to, const struct catalog_check *c)
{
    show(to, c->node);
    show(to, c->id);
    show(to, c->status);
    show(to, c->output);
    show(to, c->service_id);
    show(to, c->service_name);
    show_texts(to, &c->service_tags);
    show_indexes(to, c->create_index, c->modify_index);
}

static void show_kv(struct mu_buf *to, const struct catalog_kv *kv)
{
    show(to, kv->key);
    show(to, kv->value);
    mu_buf_addf(to, "%llu %llu ", (unsigned long long)kv->flags,
                (unsigned long long)kv->lock_index);
    show_indexes(to, kv->create_index, kv->modify_index);
}

/* -- views: a query, what it waits for, and how its index may move ----------------------------- */

struct answer {
    struct mu_buf text;
    size_t count; /* rows */
    uint64_t index;
};

typedef void view_fn(struct fixture *f, struct mu_span name, struct answer *out);

static void view_nodes(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_nodes list;

    (void)name;
    CHECK(catalog_query_nodes(f->reader, &f->arena, NULL, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        show_node(&out->text, &list.items[i]);
    }
    out->count = list.count;
    out->index = list.index;
}

static void view_names(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_service_names list;

    (void)name;
    CHECK(catalog_query_service_names(f->reader, &f->arena, NULL, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        show(&out->text, list.items[i].name);
        show_texts(&out->text, &list.items[i].tags);
    }
    out->count = list.count;
    out->index = list.index;
}

static void show_instances(struct answer *out, const struct catalog_instances *list)
{
    for (size_t i = 0; i < list->count; i++) {
        show_node(&out->text, list->items[i].node);
        show_service(&out->text, &list->items[i].service);
        for (size_t k = 0; k < list->items[i].checks_count; k++) {
            show_check(&out->text, &list->items[i].checks[k]);
        }
    }
    out->count = list->count;
    out->index = list->index;
}

static void view_service(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_instances list;

    CHECK(catalog_query_instances(f->reader, &f->arena, name, NULL, false, &list, err));
    show_instances(out, &list);
}

static void view_health(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_instances list;

    CHECK(catalog_query_instances(f->reader, &f->arena, name, NULL, true, &list, err));
    show_instances(out, &list);
}

static void view_node_services(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_node_services list;

    CHECK(catalog_query_node_services(f->reader, &f->arena, name, &list, err));
    if (list.node != NULL) {
        show_node(&out->text, list.node);
    }
    for (size_t i = 0; i < list.services_count; i++) {
        show_service(&out->text, &list.services[i]);
    }
    out->count = list.node != NULL;
    out->index = list.index;
}

static void show_checks(struct answer *out, const struct catalog_checks *list)
{
    for (size_t i = 0; i < list->count; i++) {
        show_check(&out->text, &list->items[i]);
    }
    out->count = list->count;
    out->index = list->index;
}

static void view_node_checks(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_checks list;

    CHECK(catalog_query_node_checks(f->reader, &f->arena, name, &list, err));
    show_checks(out, &list);
}

static void view_service_checks(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_checks list;

    CHECK(catalog_query_service_checks(f->reader, &f->arena, name, NULL, &list, err));
    show_checks(out, &list);
}

static void view_state(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_checks list;

    CHECK(catalog_query_state_checks(f->reader, &f->arena, name, NULL, &list, err));
    show_checks(out, &list);
}

static void view_key(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_kvs list;

    CHECK(catalog_query_key(f->reader, &f->arena, name, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        show_kv(&out->text, &list.items[i]);
    }
    out->count = list.count;
    out->index = list.index;
}

static void view_prefix(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_kvs list;

    CHECK(catalog_query_prefix(f->reader, &f->arena, name, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        show_kv(&out->text, &list.items[i]);
    }
    out->count = list.count;
    out->index = list.index;
}

static void view_keys(struct fixture *f, struct mu_span name, struct answer *out)
{
    struct catalog_keys list;

    CHECK(catalog_query_keys(f->reader, &f->arena, name, MU_SPAN_LIT("/"), &list, err));
    for (size_t i = 0; i < list.count; i++) {
        show(&out->text, list.items[i]);
    }
    out->count = list.count;
    out->index = list.index;
}

enum moves {
    WITH_OTHERS,    /* its index may also move for others */
    ONLY_WITH_IT,   /* an equal answer keeps its index */
    WHILE_NOT_EMPTY /* the same, as long as there are rows before and after */
};

static const struct view {
    const char *what;
    view_fn *ask;
    const char *name;
    enum catalog_topic_kind topic;
    enum moves moves;
} views[] = {
    // clang-format off
    { "nodes",          view_nodes,          "",         CATALOG_NODES,    ONLY_WITH_IT },
    { "names",          view_names,          "",         CATALOG_SERVICES, WITH_OTHERS },
    { "service web",    view_service,        "web",      CATALOG_SERVICE,  WITH_OTHERS },
    { "service db",     view_service,        "DB",       CATALOG_SERVICE,  WITH_OTHERS },
    { "health web",     view_health,         "web",      CATALOG_SERVICE,  WHILE_NOT_EMPTY },
    { "health db",      view_health,         "db",       CATALOG_SERVICE,  WHILE_NOT_EMPTY },
    { "health api",     view_health,         "Api",      CATALOG_SERVICE,  WHILE_NOT_EMPTY },
    { "services of n1", view_node_services,  "n1",       CATALOG_NODE,     WITH_OTHERS },
    { "services of n2", view_node_services,  "N2",       CATALOG_NODE,     WITH_OTHERS },
    { "checks of n1",   view_node_checks,    "n1",       CATALOG_NODE,     WITH_OTHERS },
    { "checks of web",  view_service_checks, "web",      CATALOG_SERVICE,  WITH_OTHERS },
    { "checks of db",   view_service_checks, "db",       CATALOG_SERVICE,  WITH_OTHERS },
    { "any state",      view_state,          "any",      CATALOG_CHECKS,   ONLY_WITH_IT },
    { "passing",        view_state,          "passing",  CATALOG_CHECKS,   WITH_OTHERS },
    { "critical",       view_state,          "critical", CATALOG_CHECKS,   WITH_OTHERS },
    { "key a",          view_key,            "a",        CATALOG_KEY,      WHILE_NOT_EMPTY },
    { "key /",          view_key,            "/",        CATALOG_KEY,      WHILE_NOT_EMPTY },
    { "key aa",         view_key,            "aa",       CATALOG_KEY,      WHILE_NOT_EMPTY },
    { "prefix a",       view_prefix,         "a",        CATALOG_PREFIX,   WHILE_NOT_EMPTY },
    { "prefix a/",      view_prefix,         "a/",       CATALOG_PREFIX,   WHILE_NOT_EMPTY },
    { "prefix b",       view_prefix,         "b",        CATALOG_PREFIX,   WHILE_NOT_EMPTY },
    { "all pairs",      view_prefix,         "",         CATALOG_PREFIX,   ONLY_WITH_IT },
    { "keys /",         view_keys,           "/",        CATALOG_PREFIX,   WITH_OTHERS },
    { "all keys",       view_keys,           "",         CATALOG_PREFIX,   WITH_OTHERS },
}; // clang-format on

static void ask(struct fixture *f, const struct view *v, struct answer *out)
{
    mu_arena_reset(&f->arena);
    mu_buf_clear(&out->text);
    v->ask(f, mu_span_text(v->name), out);
    assert_true(out->index >= 1);
}

static void on_fire(void *data)
{
    *(bool *)data = true;
}

/* One view, around one entry. */
static void judge(const struct view *v, const struct answer *before, const struct answer *after,
                  uint64_t entry, bool woken)
{
    bool is_same = mu_span_eq(mu_buf_span(&before->text), mu_buf_span(&after->text));
    bool has_rows = before->count > 0 && after->count > 0;

    if (!is_same && after->index != entry && !(v->moves != ONLY_WITH_IT && after->count == 0)) {
        fail_msg("entry %llu changed what '%s' shows, and its index is %llu",
                 (unsigned long long)entry, v->what, (unsigned long long)after->index);
    }
    if (!is_same && !woken) {
        fail_msg("entry %llu changed what '%s' shows, and nobody was woken",
                 (unsigned long long)entry, v->what);
    }
    bool is_tied = v->moves == ONLY_WITH_IT || (v->moves == WHILE_NOT_EMPTY && has_rows);

    if (is_same && is_tied && after->index != before->index) {
        fail_msg("entry %llu left '%s' alone, and its index went from %llu to %llu",
                 (unsigned long long)entry, v->what, (unsigned long long)before->index,
                 (unsigned long long)after->index);
    }
    if (has_rows && after->index < before->index) {
        fail_msg("entry %llu: the index of '%s' went back", (unsigned long long)entry, v->what);
    }
}

static void an_index_moves_with_what_is_seen(void **state)
{
    struct answer before[MU_LEN(views)] = { 0 };
    struct answer after = { .text = MU_BUF_NONE };
    struct catalog_watch *watch = catalog_watch_new();
    struct mu_arena arena;
    struct fixture f;
    struct mu_rand r;

    (void)state;
    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, 5);
    fixture_init(&f, false);
    for (size_t i = 0; i < MU_LEN(views); i++) {
        ask(&f, &views[i], &before[i]);
        assert_int_equal(before[i].index, 1);
    }
    while (f.index < 4000) {
        bool woken[MU_LEN(views)] = { false };
        struct catalog_wait *waits[MU_LEN(views)];
        struct command c;

        for (size_t i = 0; i < MU_LEN(views); i++) {
            struct catalog_topic t = { views[i].topic, mu_span_text(views[i].name) };

            waits[i] = catalog_watch_add(watch, &t, 1, on_fire, &woken[i]);
        }
        mu_arena_reset(&arena);
        draw_command(&r, &arena, f.index + 1, &c);
        if (c.kind == COMMAND_KV_COMPACT) {
            c.kv_compact.markers_rev = 0; /* without them an index may go back, as documented */
        }
        fixture_begin(&f);
        struct catalog_result result = fixture_apply(&f, &c);
        struct catalog_changes *changes = fixture_commit(&f);

        mu_free(result.text);
        mu_buf_deinit(&result.data);

        catalog_watch_fire(watch, changes);
        catalog_changes_free(changes);
        for (size_t i = 0; i < MU_LEN(views); i++) {
            ask(&f, &views[i], &after);
            judge(&views[i], &before[i], &after, f.index, woken[i]);
            catalog_watch_cancel(woken[i] ? NULL : waits[i]);

            struct answer swap = before[i];

            before[i] = after;
            after = swap;
        }
    }
    for (size_t i = 0; i < MU_LEN(views); i++) {
        mu_buf_deinit(&before[i].text);
    }
    mu_buf_deinit(&after.text);
    catalog_watch_free(watch);
    fixture_deinit(&f);
    mu_arena_deinit(&arena);
}

/* -- keys against a twin ----------------------------------------------------------------------- */

#define TWIN_KEYS 600

/* A key that was ever written: an unordered list, searched from end to end. */
struct twin_key {
    uint8_t name[8];
    size_t bytes;
    bool is_live;
    uint64_t created, modified, flags;
    uint8_t value[8];
    size_t value_bytes;
};

struct twin {
    struct twin_key keys[TWIN_KEYS];
    size_t count;
    uint64_t table; /* index of the last change of anything */
};

static struct mu_span twin_name(const struct twin_key *k)
{
    return mu_span_of(k->name, k->bytes);
}

static struct twin_key *twin_find(struct twin *t, struct mu_span name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (mu_span_eq(twin_name(&t->keys[i]), name)) {
            return &t->keys[i];
        }
    }
    assert_true(t->count < TWIN_KEYS);
    struct twin_key *k = &t->keys[t->count++];

    memcpy(k->name, name.data, k->bytes = name.bytes);
    return k;
}

static void twin_put(struct twin *t, uint64_t index, struct mu_span name, struct mu_span value,
                     uint64_t flags)
{
    struct twin_key *k = twin_find(t, name);

    if (k->is_live && k->flags == flags &&
        mu_span_eq(mu_span_of(k->value, k->value_bytes), value)) {
        return;
    }
    k->created = k->is_live ? k->created : index;
    k->is_live = true;
    k->modified = t->table = index;
    k->flags = flags;
    memcpy(k->value, value.data, k->value_bytes = value.bytes);
}

static void twin_delete(struct twin *t, uint64_t index, struct mu_span name, bool recurse)
{
    for (size_t i = 0; i < t->count; i++) {
        struct twin_key *k = &t->keys[i];
        bool is_meant =
            recurse ? mu_span_starts(twin_name(k), name) : mu_span_eq(twin_name(k), name);

        if (is_meant && k->is_live) {
            k->is_live = false;
            k->modified = t->table = index;
        }
    }
}

/* The live keys with a prefix in order, and the index that goes with them. */
static size_t twin_range(const struct twin *t, struct mu_span prefix,
                         const struct twin_key *out[TWIN_KEYS], uint64_t *index)
{
    size_t count = 0;

    *index = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct twin_key *k = &t->keys[i];

        if (!mu_span_starts(twin_name(k), prefix) || k->modified == 0) {
            continue;
        }
        *index = k->modified > *index ? k->modified : *index;
        if (!k->is_live) {
            continue;
        }
        size_t at = count++;

        for (; at > 0 && mu_span_cmp(twin_name(out[at - 1]), twin_name(k)) > 0; at--) {
            out[at] = out[at - 1];
        }
        out[at] = k;
    }
    if (*index == 0 || prefix.bytes == 0) {
        *index = t->table > 0 ? t->table : 1;
    }
    return count;
}

static void compare_range(struct fixture *f, const struct twin *t, struct mu_span prefix)
{
    const struct twin_key *expected[TWIN_KEYS];
    struct catalog_kvs list;
    uint64_t index = 0;
    size_t count = twin_range(t, prefix, expected, &index);

    CHECK(catalog_query_prefix(f->reader, &f->arena, prefix, &list, err));
    assert_int_equal(list.count, count);
    assert_int_equal(list.index, index);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_kv *kv = &list.items[i];
        const struct twin_key *k = expected[i];

        assert_true(mu_span_eq(kv->key, twin_name(k)));
        assert_true(mu_span_eq(kv->value, mu_span_of(k->value, k->value_bytes)));
        assert_int_equal(kv->flags, k->flags);
        assert_int_equal(kv->create_index, k->created);
        assert_int_equal(kv->modify_index, k->modified);
        assert_int_equal(kv->lock_index, 0);
        assert_int_equal(kv->session.bytes, 0);
    }
}

/* Cut behind the first separator after the prefix, looked for at every place. */
static struct mu_span cut(struct mu_span key, size_t prefix_bytes, struct mu_span separator)
{
    for (size_t end = prefix_bytes + separator.bytes; end <= key.bytes; end++) {
        if (separator.bytes > 0 &&
            mu_span_eq(mu_span_sub(key, end - separator.bytes, separator.bytes), separator)) {
            return mu_span_sub(key, 0, end);
        }
    }
    return key;
}

static void compare_keys(struct fixture *f, const struct twin *t, struct mu_span prefix,
                         struct mu_span separator)
{
    const struct twin_key *expected[TWIN_KEYS];
    struct catalog_keys list;
    uint64_t index = 0;
    size_t count = twin_range(t, prefix, expected, &index);
    size_t at = 0;

    CHECK(catalog_query_keys(f->reader, &f->arena, prefix, separator, &list, err));
    assert_int_equal(list.index, index);
    for (size_t i = 0; i < count; i++) {
        struct mu_span shown = cut(twin_name(expected[i]), prefix.bytes, separator);

        if (at > 0 && mu_span_eq(list.items[at - 1], shown)) {
            continue;
        }
        assert_true(at < list.count);
        assert_true(mu_span_eq(list.items[at++], shown));
    }
    assert_int_equal(at, list.count);
}

static void compare_key(struct fixture *f, struct twin *t, struct mu_span name)
{
    struct catalog_kvs list;
    struct twin_key *k = twin_find(t, name);

    CHECK(catalog_query_key(f->reader, &f->arena, name, &list, err));
    assert_int_equal(list.count, k->is_live);
    assert_int_equal(list.index, k->is_live ? k->modified : t->table > 0 ? t->table : 1);
}

static void keys_agree_with_a_naive_twin(void **state)
{
    static const char *const separators[] = { "/", "", "a", "//", "ab" };
    struct twin *t = mu_new(sizeof *t);
    struct mu_arena arena;
    struct fixture f;
    struct mu_rand r;

    (void)state;
    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, 3);
    fixture_init(&f, false);
    while (f.index < 6000) {
        mu_arena_reset(&arena);
        mu_arena_reset(&f.arena);
        struct mu_span name = draw_key(&r, &arena, 3);
        struct mu_span value = draw_key(&r, &arena, 2);
        struct command c = { .kind = COMMAND_KV_SET };

        if (draw_bool(&r, 3)) {
            c.kind = COMMAND_KV_DELETE;
            c.kv_delete = (struct command_kv_delete){ .key = name, .recurse = draw_bool(&r, 20) };
            twin_delete(t, f.index + 1, name, c.kv_delete.recurse);
        } else {
            c.kv_set = (struct command_kv_set){ .key = name,
                                                .value = value,
                                                .flags = mu_rand_below(&r, 2) };
            if (name.bytes > 0) { /* else refused */
                twin_put(t, f.index + 1, name, value, c.kv_set.flags);
            }
        }
        fixture_begin(&f);
        mu_free(fixture_apply(&f, &c).text);
        catalog_changes_free(fixture_commit(&f));
        if (draw_bool(&r, 3)) {
            compare_range(&f, t, draw_key(&r, &arena, 3));
            compare_keys(&f, t, draw_key(&r, &arena, 3), DRAW(&r, separators));
            compare_key(&f, t, draw_key(&r, &arena, 3));
        }
    }
    fixture_deinit(&f);
    mu_arena_deinit(&arena);
    mu_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_moves_with_what_is_seen),
        cmocka_unit_test(keys_agree_with_a_naive_twin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
