/* muster serf members, info, join, leave, force-leave, tags, rtt: who is there. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "proto/coordinate.h"
#include "serf.h"

/* A tag as it is given on a command line; false: told. */
static bool tag_split(struct cli *cli, const char *text, struct mu_span *key, struct mu_span *value)
{
    bool has_value = false;

    *key = mu_span_split(mu_span_text(text), '=', value, &has_value);
    has_value = has_value && key->bytes > 0;
    if (!has_value) {
        (void)fprintf(cli->out, "Error: Invalid tag: '%s'\n", text);
    }
    return has_value;
}

/* False: told. */
static bool put_tags(struct serf_client *c, const char *name, const struct cli_texts *tags)
{
    ipc_put_text(&c->out, name);
    ipc_put_map(&c->out, tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        struct mu_span key, value;

        if (!tag_split(c->cli, tags->items[i], &key, &value)) {
            return false;
        }
        ipc_put_span(&c->out, key);
        ipc_put_span(&c->out, value);
    }
    return true;
}

static uint64_t number_of(const struct ipc_value *map, const char *name)
{
    const struct ipc_value *v = serf_find(map, name);

    return v != NULL && v->kind == IPC_UINT ? v->u : 0;
}

/* -- members ------------------------------------------------------------------------------------
 */

struct members_options {
    struct serf_flags flags;
    bool is_detailed;
    const char *format, *name, *role, *status;
    struct cli_texts tags;
};

static const struct cli_option members_rows[] = {
    // clang-format off
    SERF_FLAG_ROWS,
    { "detailed", CLI_BOOL,  offsetof(struct members_options, is_detailed), "Print protocol versions as well; not as JSON." },
    { "format",   CLI_TEXT,  offsetof(struct members_options, format),      "text, the default, or json." },
    { "name",     CLI_TEXT,  offsetof(struct members_options, name),        "Only members whose name matches this expression." },
    { "role",     CLI_TEXT,  offsetof(struct members_options, role),        "Only members whose tag role matches; -tag does more." },
    { "status",   CLI_TEXT,  offsetof(struct members_options, status),      "Only members whose status matches." },
    { "tag",      CLI_TEXTS, offsetof(struct members_options, tags),        "key=expression: only members whose tag matches." },
}; // clang-format on

const struct cli_options serf_members_options = CLI_OPTIONS(members_rows, struct members_options);

const struct ipc_value *serf_members(struct serf_client *c)
{
    struct serf_reply reply;

    serf_send(c);
    if (!serf_read(c, true, &reply)) {
        return NULL;
    }
    const struct ipc_value *list = serf_find(reply.value, "Members");

    if (list == NULL || list->kind != IPC_LIST) {
        (void)snprintf(c->error, sizeof c->error, "client closed");
        return NULL;
    }
    return list;
}

static void addr_text(const struct ipc_value *m, char to[MU_ADDR_TEXT_MAX])
{
    struct mu_span ip = serf_bytes(m, "Addr");
    struct mu_addr addr = { .port = (uint16_t)number_of(m, "Port") };

    if (ip.bytes == 16 && memcmp(ip.data, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0) {
        ip = mu_span_sub(ip, 12, ip.bytes);
    }
    if (ip.bytes == 4 || ip.bytes == 16) {
        memcpy(addr.ip, ip.data, ip.bytes);
        addr.ip_bytes = (uint8_t)ip.bytes;
    }
    mu_addr_text(&addr, to);
}

/* Sorted, so that what is printed does not change by chance. */
static struct mu_pairs tags_of(struct serf_client *c, const struct ipc_value *m)
{
    const struct ipc_value *tags = serf_find(m, "Tags");
    struct mu_pairs pairs = { NULL, 0 };

    if (tags == NULL || tags->kind != IPC_MAP) {
        return pairs;
    }
    pairs.items = mu_arena_array(&c->arena, tags->many.count, sizeof *pairs.items);
    for (size_t i = 0; i < tags->many.count; i++) {
        const struct ipc_value *key = &tags->many.items[2 * i];

        if (key->kind == IPC_TEXT && key[1].kind == IPC_TEXT) {
            pairs.items[pairs.count++] = (struct mu_pair){ key->text, key[1].text };
        }
    }
    return pairs;
}

static void add_row(struct serf_client *c, struct cli_table *t, const struct ipc_value *m,
                    bool is_detailed)
{
    char addr[MU_ADDR_TEXT_MAX];
    struct mu_pairs tags = tags_of(c, m);
    struct mu_buf text = MU_BUF_NONE;

    addr_text(m, addr);
    cli_table_cell_span(t, serf_bytes(m, "Name"));
    cli_table_cell(t, addr);
    cli_table_cell_span(t, serf_bytes(m, "Status"));
    cli_pairs_text(&tags, ",", &text);
    cli_table_cell(t, mu_buf_text(&text));
    if (is_detailed) {
        mu_buf_clear(&text);
        mu_buf_addf(&text, "Protocol Version: %llu  Available Protocol Range: [%llu, %llu]",
                    (unsigned long long)number_of(m, "DelegateCur"),
                    (unsigned long long)number_of(m, "DelegateMin"),
                    (unsigned long long)number_of(m, "DelegateMax"));
        cli_table_cell(t, mu_buf_text(&text));
    }
    mu_buf_deinit(&text);
}

static void print_rows(struct serf_client *c, const struct ipc_value *list, bool is_detailed)
{
    struct cli_table t;

    if (list->many.count == 0) {
        (void)fputc('\n', c->cli->out);
        return;
    }
    cli_table_init(&t, is_detailed ? 5 : 4, 2);
    t.is_trimmed = true;
    for (size_t i = 0; i < list->many.count; i++) {
        add_row(c, &t, &list->many.items[i], is_detailed);
    }
    cli_table_print(&t, c->cli->out);
    cli_table_deinit(&t);
}

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

static void put_json(struct serf_client *c, struct mu_json_out *o, const struct ipc_value *m)
{
    struct mu_pairs tags = tags_of(c, m);
    char addr[MU_ADDR_TEXT_MAX];

    if (tags.count > 0) {
        qsort(tags.items, tags.count, sizeof *tags.items, by_key);
    }
    addr_text(m, addr);
    mu_json_open(o, '{');
    mu_json_span(o, "name", serf_bytes(m, "Name"));
    mu_json_text(o, "addr", addr);
    mu_json_u64(o, "port", number_of(m, "Port"));
    mu_json_key(o, "tags");
    mu_json_open(o, '{');
    for (size_t i = 0; i < tags.count; i++) {
        mu_json_key(o, mu_arena_text(&c->arena, tags.items[i].key.data, tags.items[i].key.bytes));
        mu_json_put_span(o, tags.items[i].value);
    }
    mu_json_close(o, '}');
    mu_json_span(o, "status", serf_bytes(m, "Status"));
    mu_json_key(o, "protocol");
    mu_json_open(o, '{');
    mu_json_u64(o, "max", number_of(m, "DelegateMax"));
    mu_json_u64(o, "min", number_of(m, "DelegateMin"));
    mu_json_u64(o, "version", number_of(m, "DelegateCur"));
    mu_json_close(o, '}');
    mu_json_close(o, '}');
}

static void print_members_json(struct serf_client *c, const struct ipc_value *list)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    mu_json_out_init(&o, &text, true);
    mu_json_open(&o, '{');
    mu_json_key(&o, "members");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < list->many.count; i++) {
        put_json(c, &o, &list->many.items[i]);
    }
    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    serf_print_json(c->cli, &text);
    mu_buf_deinit(&text);
}

static void put_text(struct serf_client *c, const char *name, const char *value)
{
    ipc_put_text(&c->out, name);
    ipc_put_text(&c->out, value != NULL ? value : "");
}

static int members(struct serf_client *c, const struct members_options *o,
                   const struct cli_texts *tags)
{
    const char *format = o->format != NULL ? o->format : "text";

    (void)serf_begin(c, "members-filtered");
    ipc_put_map(&c->out, 3);
    put_text(c, "Name", o->name);
    put_text(c, "Status", o->status);
    if (!put_tags(c, "Tags", tags)) {
        return 1;
    }
    const struct ipc_value *list = serf_members(c);

    if (list == NULL) {
        return serf_fail(c->cli, "Error retrieving members", c->error);
    }
    if (strcmp(format, "json") == 0) {
        print_members_json(c, list);
    } else if (strcmp(format, "text") == 0) {
        print_rows(c, list, o->is_detailed);
    } else {
        (void)fprintf(c->cli->out, "Encoding error: Invalid output format \"%s\"\n", format);
        return 1;
    }
    return 0;
}

int serf_run_members(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct members_options *o = options;
    struct mu_arena arena;
    struct serf_client c;
    struct cli_texts tags = o->tags;
    int status = 1;

    (void)argc;
    (void)argv;
    mu_arena_init(&arena, 0);
    if (o->role != NULL) {
        (void)fprintf(cli->out, "Deprecation warning: 'Role' has been replaced with 'Tags'\n");
        tags.items = mu_arena_array(&arena, o->tags.count + 1, sizeof *tags.items);
        for (size_t i = 0; i < o->tags.count; i++) {
            tags.items[i] = o->tags.items[i];
        }
        tags.items[tags.count++] = mu_arena_printf(&arena, "role=%s", o->role);
    }
    if (serf_open(&c, cli, &o->flags)) {
        status = members(&c, o, &tags);
    }
    serf_close(&c);
    mu_arena_deinit(&arena);
    return status;
}

/* -- join, leave, force-leave, tags -------------------------------------------------------------
 */

/* Ask what is begun; 0, or told. */
static int ask(struct serf_client *c, const char *prefix)
{
    struct serf_reply reply;

    serf_send(c);
    return serf_read(c, false, &reply) ? 0 : serf_fail(c->cli, prefix, c->error);
}

struct join_options {
    struct serf_flags flags;
    bool replays;
};

static const struct cli_option join_rows[] = {
    SERF_FLAG_ROWS,
    { "replay", CLI_BOOL, offsetof(struct join_options, replays),
      "Also deliver user events that were sent before." },
};

const struct cli_options serf_join_options = CLI_OPTIONS(join_rows, struct join_options);

int serf_run_join(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct join_options *o = options;
    struct serf_reply reply;
    struct serf_client c;
    int status = 1;

    if (argc == 0) {
        return serf_usage(cli, "At least one address to join must be specified.");
    }
    if (serf_open(&c, cli, &o->flags)) {
        (void)serf_begin(&c, "join");
        ipc_put_map(&c.out, 2);
        ipc_put_text(&c.out, "Existing");
        ipc_put_list(&c.out, (size_t)argc);
        for (int i = 0; i < argc; i++) {
            ipc_put_text(&c.out, argv[i]);
        }
        ipc_put_text(&c.out, "Replay");
        ipc_put_bool(&c.out, o->replays);
        serf_send(&c);
        if (serf_read(&c, true, &reply)) {
            (void)fprintf(cli->out, "Successfully joined cluster by contacting %llu nodes.\n",
                          (unsigned long long)number_of(reply.value, "Num"));
            status = 0;
        } else {
            status = serf_fail(cli, "Error joining the cluster", c.error);
        }
    }
    serf_close(&c);
    return status;
}

static const struct cli_option leave_rows[] = { SERF_FLAG_ROWS };

const struct cli_options serf_leave_options = CLI_OPTIONS(leave_rows, struct serf_flags);

int serf_run_leave(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct serf_client c;
    int status = 1;

    (void)argc;
    (void)argv;
    if (serf_open(&c, cli, options)) {
        (void)serf_begin(&c, "leave");
        status = ask(&c, "Error leaving");
    }
    if (status == 0) {
        (void)fprintf(cli->out, "Graceful leave complete\n");
    }
    serf_close(&c);
    return status;
}

struct force_options {
    struct serf_flags flags;
    bool prunes;
};

static const struct cli_option force_rows[] = {
    SERF_FLAG_ROWS,
    { "prune", CLI_BOOL, offsetof(struct force_options, prunes), "Forget the member at once." },
};

const struct cli_options serf_force_leave_options = CLI_OPTIONS(force_rows, struct force_options);

int serf_run_force_leave(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct force_options *o = options;
    struct serf_client c;
    int status = 1;

    if (argc != 1) {
        return serf_usage(cli, "A node name must be specified to force leave.");
    }
    if (serf_open(&c, cli, &o->flags)) {
        (void)serf_begin(&c, "force-leave");
        ipc_put_map(&c.out, 2);
        put_text(&c, "Node", argv[0]);
        ipc_put_text(&c.out, "Prune");
        ipc_put_bool(&c.out, o->prunes);
        status = ask(&c, "Error force leaving");
    }
    serf_close(&c);
    return status;
}

struct tags_options {
    struct serf_flags flags;
    struct cli_texts set, remove;
};

static const struct cli_option tags_rows[] = {
    SERF_FLAG_ROWS,
    { "set", CLI_TEXTS, offsetof(struct tags_options, set), "key=value: create or change a tag." },
    { "delete", CLI_TEXTS, offsetof(struct tags_options, remove), "Remove the tag of this key." },
};

const struct cli_options serf_tags_options = CLI_OPTIONS(tags_rows, struct tags_options);

int serf_run_tags(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct tags_options *o = options;
    struct serf_client c;
    int status = 1;

    (void)argc;
    (void)argv;
    if (o->set.count + o->remove.count == 0) {
        return serf_usage(cli, NULL);
    }
    if (serf_open(&c, cli, &o->flags)) {
        (void)serf_begin(&c, "tags");
        ipc_put_map(&c.out, 2);
        ipc_put_text(&c.out, "DeleteTags");
        ipc_put_list(&c.out, o->remove.count);
        for (size_t i = 0; i < o->remove.count; i++) {
            ipc_put_text(&c.out, o->remove.items[i]);
        }
        status = put_tags(&c, "Tags", &o->set) ? ask(&c, "Error setting tags") : 1;
    }
    if (status == 0) {
        (void)fprintf(cli->out, "Successfully updated agent tags\n");
    }
    serf_close(&c);
    return status;
}

/* -- info ---------------------------------------------------------------------------------------
 */

struct info_options {
    struct serf_flags flags;
    const char *format;
};

static const struct cli_option info_rows[] = {
    SERF_FLAG_ROWS,
    { "format", CLI_TEXT, offsetof(struct info_options, format), "text, the default, or json." },
};

const struct cli_options serf_info_options = CLI_OPTIONS(info_rows, struct info_options);

static int by_map_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct ipc_value *)a)->text, ((const struct ipc_value *)b)->text);
}

/* Pairs of a map whose keys are texts, in the order of the keys. */
static size_t sorted(struct serf_client *c, const struct ipc_value *map,
                     struct ipc_value (**out)[2])
{
    size_t count = 0;

    *out = mu_arena_array(&c->arena, map->many.count, sizeof **out);
    for (size_t i = 0; i < map->many.count; i++) {
        if (map->many.items[2 * i].kind == IPC_TEXT) {
            (*out)[count][0] = map->many.items[2 * i];
            (*out)[count++][1] = map->many.items[2 * i + 1];
        }
    }
    if (count > 0) {
        qsort(*out, count, sizeof **out, by_map_key);
    }
    return count;
}

static void print_info(struct serf_client *c, const struct ipc_value *all, struct mu_json_out *json)
{
    struct ipc_value(*sections)[2], (*rows)[2];
    size_t count = sorted(c, all, &sections);

    for (size_t i = 0; i < count; i++) {
        const struct ipc_value *name = &sections[i][0];
        size_t rows_count = sections[i][1].kind == IPC_MAP ? sorted(c, &sections[i][1], &rows) : 0;

        if (json != NULL) {
            mu_json_key(json, mu_arena_text(&c->arena, name->text.data, name->text.bytes));
            mu_json_open(json, '{');
        } else {
            (void)fprintf(c->cli->out, "%.*s:\n", MU_SPAN_FMT(name->text));
        }
        for (size_t r = 0; r < rows_count; r++) {
            struct mu_span value = rows[r][1].kind == IPC_TEXT ? rows[r][1].text : MU_SPAN_NONE;
            struct mu_span key = rows[r][0].text;

            if (json != NULL) {
                mu_json_key(json, mu_arena_text(&c->arena, key.data, key.bytes));
                mu_json_put_span(json, value);
            } else {
                (void)fprintf(c->cli->out, "\t%.*s = %.*s\n", MU_SPAN_FMT(key), MU_SPAN_FMT(value));
            }
        }
        if (json != NULL) {
            mu_json_close(json, '}');
        }
    }
}

static int info(struct serf_client *c, const char *format)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;
    struct serf_reply reply;

    (void)serf_begin(c, "stats");
    serf_send(c);
    if (!serf_read(c, true, &reply)) {
        return serf_fail(c->cli, "Error querying agent", c->error);
    }
    if (strcmp(format, "text") == 0) {
        print_info(c, reply.value, NULL);
        return 0;
    }
    if (strcmp(format, "json") != 0) {
        (void)fprintf(c->cli->out, "Encoding error: Invalid output format \"%s\"\n", format);
        return 1;
    }
    mu_json_out_init(&o, &text, true);
    mu_json_open(&o, '{');
    print_info(c, reply.value, &o);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    serf_print_json(c->cli, &text);
    mu_buf_deinit(&text);
    return 0;
}

int serf_run_info(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct info_options *o = options;
    struct serf_client c;
    int status = 1;

    (void)argc;
    (void)argv;
    if (serf_open(&c, cli, &o->flags)) {
        status = info(&c, o->format != NULL ? o->format : "text");
    }
    serf_close(&c);
    return status;
}

/* -- rtt ----------------------------------------------------------------------------------------
 */

const struct cli_options serf_rtt_options = CLI_OPTIONS(leave_rows, struct serf_flags);

static double float_of(const struct ipc_value *map, const char *name)
{
    const struct ipc_value *v = serf_find(map, name);

    return v != NULL && v->kind == IPC_FLOAT ? v->f : 0;
}

/* False: told. */
static bool coordinate_of(struct serf_client *c, const char *node, struct coordinate *out)
{
    struct serf_reply reply;

    (void)serf_begin(c, "get-coordinate");
    ipc_put_map(&c->out, 1);
    put_text(c, "Node", node);
    serf_send(c);
    if (!serf_read(c, true, &reply)) {
        (void)serf_fail(c->cli, "Error getting coordinates", c->error);
        return false;
    }
    const struct ipc_value *coord = serf_find(reply.value, "Coord");
    const struct ipc_value *vec = coord != NULL ? serf_find(coord, "Vec") : NULL;

    if (!ipc_get_bool(&reply.body, "Ok") || vec == NULL || vec->kind != IPC_LIST ||
        vec->many.count != COORDINATE_DIMS) {
        (void)fprintf(c->cli->out, "Could not find a coordinate for node \"%s\"\n", node);
        return false;
    }
    out->error = float_of(coord, "Error");
    out->adjustment = float_of(coord, "Adjustment");
    out->height = float_of(coord, "Height");
    for (size_t i = 0; i < COORDINATE_DIMS; i++) {
        const struct ipc_value *v = &vec->many.items[i];

        out->vec[i] = v->kind == IPC_FLOAT ? v->f : 0;
    }
    return true;
}

/* The agent's own name, which no command gives alone; NULL: told. */
static char *own_name(struct serf_client *c, struct mu_arena *arena)
{
    struct serf_reply reply;

    (void)serf_begin(c, "stats");
    serf_send(c);
    if (!serf_read(c, true, &reply)) {
        (void)serf_fail(c->cli, "Error querying agent", c->error);
        return NULL;
    }
    struct mu_span name = serf_bytes(serf_find(reply.value, "agent"), "name");

    return mu_arena_text(arena, name.data, name.bytes);
}

int serf_run_rtt(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct coordinate a, b;
    struct mu_arena arena;
    struct serf_client c;
    const char *other = argc == 2 ? argv[1] : NULL;
    int status = 1;

    if (argc < 1 || argc > 2) {
        return serf_usage(cli, "One or two node names must be specified");
    }
    mu_arena_init(&arena, 0);
    if (serf_open(&c, cli, options)) {
        other = other != NULL ? other : own_name(&c, &arena);
        if (other != NULL && coordinate_of(&c, argv[0], &a) && coordinate_of(&c, other, &b)) {
            (void)fprintf(cli->out, "Estimated %s <-> %s rtt: %.3f ms\n", argv[0], other,
                          coordinate_distance(&a, &b) * 1000);
            status = 0;
        }
    }
    serf_close(&c);
    mu_arena_deinit(&arena);
    return status;
}
