/* The catalog as transcripts: commands, what they answer, what they wake, and what queries then
 * show. Each file runs twice: in memory, and on a file that is opened anew after every command. */
#include "fixture.h"
#include "script.h"

#include "base/addr.h"
#include "catalog/txn.h"

struct world {
    struct fixture f;
    bool in_batch;
    bool shows_topics;
};

static bool on_disk; /* how the next world is opened */

static void *world_open(const char *file)
{
    struct world *w = mu_new(sizeof *w);

    (void)file;
    fixture_init(&w->f, on_disk);
    w->shows_topics = true;
    return w;
}

static void world_close(void *data)
{
    struct world *w = data;

    fixture_deinit(&w->f);
    mu_free(w);
}

/* -- words into commands ----------------------------------------------------------------------- */

/* "%00" and the like are bytes; "-" alone is nothing. */
static struct mu_span unescape(struct mu_arena *arena, const char *text)
{
    size_t bytes = strlen(text);
    uint8_t *to = mu_arena_new(arena, bytes + 1);
    size_t at = 0;

    if (strcmp(text, "-") == 0) {
        return mu_span_of(to, 0);
    }
    for (size_t i = 0; i < bytes; i++) {
        unsigned value = 0;

        if (text[i] == '%' && sscanf(text + i + 1, "%2x", &value) == 1) {
            to[at++] = (uint8_t)value;
            i += 2;
        } else {
            to[at++] = (uint8_t)text[i];
        }
    }
    return mu_span_of(to, at);
}

static struct mu_span option(const struct script_command *c, const char *key)
{
    return mu_span_text(script_option(c, key, ""));
}

static bool has_word(const struct script_command *c, const char *word)
{
    for (size_t i = 1; i < c->words_count; i++) {
        if (strcmp(c->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* "a:1,b:2"; an option that is there but empty gives an empty list. */
static bool pairs_option(struct mu_arena *arena, const struct script_command *c, const char *key,
                         struct mu_pairs *out)
{
    const char *text = script_option(c, key, NULL);
    struct mu_span rest = mu_span_text(text);

    *out = (struct mu_pairs){ mu_arena_array(arena, 16, sizeof *out->items), 0 };
    while (rest.bytes > 0) {
        struct mu_span value;
        struct mu_span item = mu_span_split(rest, ',', &rest, NULL);
        struct mu_span name = mu_span_split(item, ':', &value, NULL);

        out->items[out->count++] = (struct mu_pair){ name, value };
    }
    return text != NULL;
}

static struct mu_texts texts_option(struct mu_arena *arena, const struct script_command *c,
                                    const char *key)
{
    struct mu_texts out = { mu_arena_array(arena, 16, sizeof *out.items), 0 };
    struct mu_span rest = option(c, key);

    while (rest.bytes > 0) {
        out.items[out.count++] = mu_span_split(rest, ',', &rest, NULL);
    }
    return out;
}

static void service_options(struct mu_arena *arena, const struct script_command *c,
                            struct command_service *s)
{
    struct mu_pairs tagged;

    s->id = option(c, "sid");
    s->name = option(c, "service");
    s->kind = option(c, "kind");
    s->tags = texts_option(arena, c, "tags");
    s->address = option(c, "saddress");
    s->port = (uint16_t)script_number(c, "port", 0);
    (void)pairs_option(arena, c, "stagged", &tagged);
    s->tagged_addresses = mu_arena_array(arena, tagged.count, sizeof *s->tagged_addresses);
    s->tagged_addresses_count = tagged.count;
    for (size_t i = 0; i < tagged.count; i++) {
        s->tagged_addresses[i] =
            (struct command_service_address){ tagged.items[i].key, tagged.items[i].value,
                                              (uint16_t)(1000 + i) };
    }
    s->has_meta = pairs_option(arena, c, "smeta", &s->meta);
    s->weight_passing = (uint32_t)script_number(c, "weight", 1);
    s->weight_warning = (uint32_t)script_number(c, "warning", 1);
    s->enable_tag_override = has_word(c, "override");
    s->proxy = option(c, "proxy");
    s->connect = option(c, "connect");
}

/* check=<id>/<status>/<service id>/<output>/<name>, as many as there are */
static void check_options(struct mu_arena *arena, const struct script_command *c,
                          struct command_register *reg)
{
    reg->checks = mu_arena_array(arena, c->words_count, sizeof *reg->checks);
    for (size_t i = 1; i < c->words_count; i++) {
        if (strncmp(c->words[i], "check=", 6) != 0) {
            continue;
        }
        struct command_check *check = &reg->checks[reg->checks_count++];
        struct mu_span rest = mu_span_text(c->words[i] + 6);

        check->id = mu_span_split(rest, '/', &rest, NULL);
        check->status = mu_span_split(rest, '/', &rest, NULL);
        check->service_id = mu_span_split(rest, '/', &rest, NULL);
        check->output = mu_span_split(rest, '/', &rest, NULL);
        check->name = rest;
    }
}

static void register_command(struct mu_arena *arena, const struct script_command *c,
                             struct command *out)
{
    struct command_register *reg = &out->reg;

    out->kind = COMMAND_REGISTER;
    reg->node.name = option(c, "node");
    reg->node.id = option(c, "id");
    reg->node.address = option(c, "address");
    reg->node.has_tagged_addresses = pairs_option(arena, c, "tagged", &reg->node.tagged_addresses);
    reg->node.has_meta = pairs_option(arena, c, "meta", &reg->node.meta);
    reg->skip_node_update = has_word(c, "skip");
    reg->has_service =
        script_option(c, "service", NULL) != NULL || script_option(c, "sid", NULL) != NULL;
    service_options(arena, c, &reg->service);
    check_options(arena, c, reg);
}

static void kv_command(struct mu_arena *arena, const struct script_command *c, struct command *out)
{
    struct mu_span key = unescape(arena, c->words[1]);
    bool has_cas = script_option(c, "cas", NULL) != NULL;
    uint64_t cas = script_number(c, "cas", 0);

    if (strcmp(c->words[0], "put") == 0) {
        out->kind = COMMAND_KV_SET;
        out->kv_set = (struct command_kv_set){ .key = key,
                                               .value = unescape(arena, c->words[2]),
                                               .flags = script_number(c, "flags", 0),
                                               .has_cas = has_cas,
                                               .cas = cas };
        return;
    }
    out->kind = COMMAND_KV_DELETE;
    out->kv_delete = (struct command_kv_delete){
        .key = key, .recurse = has_word(c, "recurse"), .has_cas = has_cas, .cas = cas
    };
}

static void autopilot_command(const struct script_command *c, struct command *out)
{
    out->kind = COMMAND_AUTOPILOT;
    out->autopilot = (struct command_autopilot){
        .cleanup_dead_servers = has_word(c, "cleanup"),
        .disable_upgrade_migration = has_word(c, "no-migration"),
        .last_contact_ns = script_number(c, "contact", 0),
        .stabilization_ns = script_number(c, "stable", 0),
        .max_trailing_logs = script_number(c, "trailing", 0),
        .min_quorum = script_number(c, "quorum", 0),
        .redundancy_zone_tag = option(c, "zone"),
        .upgrade_version_tag = option(c, "version"),
        .has_cas = script_option(c, "cas", NULL) != NULL,
        .cas = script_number(c, "cas", 0),
    };
}

/* "coordinates n1=10 n2=20": each so many milliseconds from the origin. */
static void coordinates_command(struct mu_arena *arena, const struct script_command *c,
                                struct command *out)
{
    struct command_coordinates *all = &out->coordinates;

    out->kind = COMMAND_COORDINATES;
    all->items = mu_arena_array(arena, c->words_count, sizeof *all->items);
    for (size_t i = 1; i < c->words_count; i++) {
        struct mu_span ms;
        struct command_coordinate *to = &all->items[all->count++];

        to->node = mu_span_split(mu_span_text(c->words[i]), '=', &ms, NULL);
        to->at = (struct coordinate)COORDINATE_ORIGIN;
        to->at.vec[0] = strtod((const char *)ms.data, NULL) / 1000;
    }
}

/* Sessions have short numbers here: the last byte of their id. */
static struct mu_id session_id(const char *text)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = 0x5e;
    id.b[sizeof id.b - 1] = (uint8_t)strtoul(text, NULL, 10);
    return id;
}

static void lock_command(struct mu_arena *arena, const struct script_command *c,
                         struct command *out)
{
    out->kind = COMMAND_KV_LOCK;
    out->kv_lock = (struct command_kv_lock){
        .key = unescape(arena, c->words[1]),
        .value = unescape(arena, c->words[2]),
        .flags = script_number(c, "flags", 0),
        .session = session_id(script_option(c, "session", "0")),
        .is_release = strcmp(c->words[0], "release") == 0,
    };
}

/* session <number> node=n1 [checks=a,b] [service-checks=x:,y:] [behavior=delete] [delay=<ms>] */
static void session_command(struct mu_arena *arena, const struct script_command *c,
                            struct command *out)
{
    struct command_session *s = &out->session;

    out->kind = COMMAND_SESSION_CREATE;
    s->id = session_id(c->words[1]);
    s->name = option(c, "name");
    s->node = option(c, "node");
    s->behavior = mu_span_text(script_option(c, "behavior", "release"));
    s->ttl = option(c, "ttl");
    s->lock_delay_ns = script_number(c, "delay", 0) * 1000000;
    s->node_checks = texts_option(arena, c, "checks");
    s->has_service_checks = pairs_option(arena, c, "service-checks", &s->service_checks);
}

/* from=<server>/<boot>/<seq>, request=<number> */
static void once_options(const struct script_command *c, struct command *out)
{
    unsigned server = 0;
    unsigned long long boot = 0;
    unsigned long long seq = 0;
    unsigned long long request = script_number(c, "request", 0);

    if (sscanf(script_option(c, "from", ""), "%u/%llu/%llu", &server, &boot, &seq) == 3) {
        out->origin = (struct command_origin){ .boot = boot, .seq = seq };
        out->origin.server.b[0] = (uint8_t)server;
    }
    out->request.b[0] = (uint8_t)request;
}

static const char *const verbs[] = {
    [COMMAND_TXN_SET] = "set",
    [COMMAND_TXN_CAS] = "cas",
    [COMMAND_TXN_LOCK] = "lock",
    [COMMAND_TXN_UNLOCK] = "unlock",
    [COMMAND_TXN_GET] = "get",
    [COMMAND_TXN_GET_TREE] = "get-tree",
    [COMMAND_TXN_GET_OR_EMPTY] = "get-or-empty",
    [COMMAND_TXN_CHECK_INDEX] = "check-index",
    [COMMAND_TXN_CHECK_SESSION] = "check-session",
    [COMMAND_TXN_CHECK_NOT_EXISTS] = "check-not-exists",
    [COMMAND_TXN_DELETE] = "delete",
    [COMMAND_TXN_DELETE_TREE] = "delete-tree",
    [COMMAND_TXN_DELETE_CAS] = "delete-cas",
    [COMMAND_TXN_NODE_GET] = "node-get",
    [COMMAND_TXN_NODE_SET] = "node-set",
    [COMMAND_TXN_NODE_CAS] = "node-cas",
    [COMMAND_TXN_NODE_DELETE] = "node-delete",
    [COMMAND_TXN_NODE_DELETE_CAS] = "node-delete-cas",
    [COMMAND_TXN_SERVICE_GET] = "service-get",
    [COMMAND_TXN_SERVICE_SET] = "service-set",
    [COMMAND_TXN_SERVICE_CAS] = "service-cas",
    [COMMAND_TXN_SERVICE_DELETE] = "service-delete",
    [COMMAND_TXN_SERVICE_DELETE_CAS] = "service-delete-cas",
    [COMMAND_TXN_CHECK_GET] = "check-get",
    [COMMAND_TXN_CHECK_SET] = "check-set",
    [COMMAND_TXN_CHECK_CAS] = "check-cas",
    [COMMAND_TXN_CHECK_DELETE] = "check-delete",
    [COMMAND_TXN_CHECK_DELETE_CAS] = "check-delete-cas",
};

static enum command_txn_verb verb_of(struct mu_span text)
{
    for (size_t i = 1; i < MU_LEN(verbs); i++) {
        if (mu_span_eq_text(text, verbs[i])) {
            return (enum command_txn_verb)i;
        }
    }
    fail_msg("no verb '%.*s'", MU_SPAN_FMT(text));
    return COMMAND_TXN_NONE;
}

/* A session's number, or a text that is none. */
static struct mu_span session_word(struct mu_arena *arena, struct mu_span word)
{
    char *text = mu_arena_new(arena, MU_ID_TEXT_BYTES + 1);
    uint64_t number = 0;

    if (!mu_span_u64(word, &number)) {
        return word;
    }
    struct mu_id id = session_id(mu_arena_text(arena, word.data, word.bytes));

    mu_id_text(&id, text);
    return mu_span_text(text);
}

/* node-<verb>,<name>[,<index>[,<address>[,<id>]]] */
static void txn_node(struct mu_arena *arena, struct mu_span rest, struct command_txn_op *op)
{
    struct command_node *node = mu_arena_new(arena, sizeof *node);

    node->name = mu_span_split(rest, ',', &rest, NULL);
    (void)mu_span_u64(mu_span_split(rest, ',', &rest, NULL), &op->index);
    node->address = mu_span_split(rest, ',', &rest, NULL);
    node->id = rest;
    op->node = node;
}

/* service-<verb>,<node>,<id>[,<index>[,<name>[,<tag>]]] */
static void txn_service(struct mu_arena *arena, struct mu_span rest, struct command_txn_op *op)
{
    struct command_service *service = mu_arena_new(arena, sizeof *service);

    op->key = mu_span_split(rest, ',', &rest, NULL);
    service->id = mu_span_split(rest, ',', &rest, NULL);
    (void)mu_span_u64(mu_span_split(rest, ',', &rest, NULL), &op->index);
    service->name = mu_span_split(rest, ',', &rest, NULL);
    service->tags.items = mu_arena_new(arena, sizeof *service->tags.items);
    service->tags.items[0] = rest;
    service->tags.count = rest.bytes > 0;
    op->service = service;
}

/* check-<verb>,<node>,<id>[,<index>[,<status>[,<service id>]]] */
static void txn_check(struct mu_arena *arena, struct mu_span rest, struct command_txn_op *op)
{
    struct command_check *check = mu_arena_new(arena, sizeof *check);

    op->key = mu_span_split(rest, ',', &rest, NULL);
    check->id = mu_span_split(rest, ',', &rest, NULL);
    (void)mu_span_u64(mu_span_split(rest, ',', &rest, NULL), &op->index);
    check->status = mu_span_split(rest, ',', &rest, NULL);
    check->service_id = rest;
    op->check = check;
}

static void txn_key(struct mu_arena *arena, struct mu_span rest, struct command_txn_op *op)
{
    op->key = mu_span_split(rest, ',', &rest, NULL);
    op->value = mu_span_split(rest, ',', &rest, NULL);
    (void)mu_span_u64(rest, &op->index);
    op->session = session_word(arena, rest);
}

/* txn <verb>,<key>[,<value>[,<index or session>]] ..., or a verb on one of the others */
static void txn_command(struct mu_arena *arena, const struct script_command *c, struct command *out)
{
    struct command_txn *txn = &out->txn;

    out->kind = COMMAND_TXN;
    txn->ops = mu_arena_array(arena, c->words_count, sizeof *txn->ops);
    for (size_t i = 1; i < c->words_count; i++) {
        struct mu_span rest = mu_span_text(c->words[i]);
        struct mu_span word = mu_span_split(rest, ',', &rest, NULL);

        if (strchr(c->words[i], ',') == NULL) {
            continue; /* an option */
        }
        struct command_txn_op *op = &txn->ops[txn->ops_count++];

        op->verb = verb_of(word);
        switch (command_txn_on(op->verb)) {
        case COMMAND_TXN_ON_KEY: txn_key(arena, rest, op); break;
        case COMMAND_TXN_ON_NODE: txn_node(arena, rest, op); break;
        case COMMAND_TXN_ON_SERVICE: txn_service(arena, rest, op); break;
        case COMMAND_TXN_ON_CHECK: txn_check(arena, rest, op); break;
        }
        if (command_txn_on(op->verb) != COMMAND_TXN_ON_KEY) {
            out->kind = COMMAND_TXN_CATALOG;
        }
    }
}

static bool make_command(struct mu_arena *arena, const struct script_command *c,
                         struct command *out)
{
    const char *word = c->words[0];

    *out = (struct command){ .stamp_ms = script_number(c, "stamp", 0) };
    once_options(c, out);
    if (strcmp(word, "register") == 0) {
        register_command(arena, c, out);
    } else if (strcmp(word, "deregister") == 0) {
        out->kind = COMMAND_DEREGISTER;
        out->dereg = (struct command_deregister){ option(c, "node"), option(c, "service"),
                                                  option(c, "check") };
    } else if (strcmp(word, "autopilot") == 0) {
        autopilot_command(c, out);
    } else if (strcmp(word, "coordinates") == 0) {
        coordinates_command(arena, c, out);
    } else if (strcmp(word, "put") == 0 && c->words_count >= 3) {
        kv_command(arena, c, out);
    } else if (strcmp(word, "delete") == 0 && c->words_count >= 2) {
        kv_command(arena, c, out);
    } else if ((strcmp(word, "acquire") == 0 || strcmp(word, "release") == 0) &&
               c->words_count >= 3) {
        lock_command(arena, c, out);
    } else if (strcmp(word, "session") == 0 && c->words_count >= 2) {
        session_command(arena, c, out);
    } else if (strcmp(word, "txn") == 0) {
        txn_command(arena, c, out);
    } else if (strcmp(word, "compact") == 0) {
        out->kind = COMMAND_KV_COMPACT;
        out->kv_compact =
            (struct command_kv_compact){ .space = (uint32_t)script_number(c, "space", 1),
                                         .versions_rev = script_number(c, "versions", 0),
                                         .markers_rev = script_number(c, "markers", 0),
                                         .rows = (uint32_t)script_number(c, "rows", 100) };
    } else if (strcmp(word, "destroy") == 0 && c->words_count >= 2) {
        out->kind = COMMAND_SESSION_DESTROY;
        out->session_destroy.id = session_id(c->words[1]);
    } else {
        return false;
    }
    return true;
}

/* -- applying ---------------------------------------------------------------------------------- */

static void print_bytes(struct mu_buf *out, struct mu_span s)
{
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.data[i] > ' ' && s.data[i] < 0x7f && s.data[i] != '%') {
            mu_buf_add_byte(out, s.data[i]);
        } else {
            mu_buf_addf(out, "%%%02x", s.data[i]);
        }
    }
}

static void print_topics(struct mu_buf *out, const struct catalog_changes *changes)
{
    static const char *const kinds[] = {
        [CATALOG_NODES] = "nodes",           [CATALOG_NODE] = "node",
        [CATALOG_SERVICES] = "services",     [CATALOG_SERVICE] = "service",
        [CATALOG_CHECKS] = "checks",         [CATALOG_KEY] = "key",
        [CATALOG_PREFIX] = "prefix",         [CATALOG_SESSIONS] = "sessions",
        [CATALOG_SESSION] = "session",       [CATALOG_COORDINATES] = "coordinates",
        [CATALOG_EVERYTHING] = "everything",
    };

    mu_buf_add_text(out, "  wakes");
    for (size_t i = 0; i < catalog_changes_count(changes); i++) {
        struct catalog_topic t = catalog_changes_at(changes, i);

        mu_buf_addf(out, " %s", kinds[t.kind]);
        if (t.kind == CATALOG_SESSION) {
            mu_buf_addf(out, ":%u", t.name.data[15]);
        } else if (t.kind == CATALOG_NODE || t.kind == CATALOG_SERVICE || t.kind == CATALOG_KEY ||
                   t.kind == CATALOG_PREFIX) {
            mu_buf_add_byte(out, ':');
            print_bytes(out, t.name);
        }
    }
    mu_buf_add_text(out, catalog_changes_count(changes) == 0 ? " nobody\n" : "\n");
}

static void commit(struct world *w, struct mu_buf *out)
{
    struct catalog_changes *changes = fixture_commit(&w->f);

    if (w->shows_topics) {
        print_topics(out, changes);
    }
    catalog_changes_free(changes);
    fixture_check_hash(&w->f);
    if (on_disk) {
        fixture_reopen(&w->f);
        fixture_check_hash(&w->f);
    }
}

static void print_kv(struct mu_buf *out, const struct catalog_kv *kv);
static void print_node(struct mu_buf *out, const struct catalog_node *n);
static void print_service(struct mu_buf *out, const struct catalog_service *s);
static void print_check(struct mu_buf *out, const struct catalog_check *c);

static void print_found(struct mu_buf *out, const struct catalog_txn_found *found)
{
    mu_buf_add_text(out, "  ");
    if (found->node != NULL) {
        print_node(out, found->node);
    } else if (found->service != NULL) {
        print_service(out, found->service);
    } else if (found->check != NULL) {
        print_check(out, found->check);
    } else {
        mu_buf_add_text(out, found->has_value ? "" : "(written) ");
        print_kv(out, &found->kv);
    }
}

static void print_txn(struct mu_buf *out, const struct catalog_txn_answer *answer)
{
    for (size_t i = 0; i < answer->found_count; i++) {
        print_found(out, &answer->found[i]);
    }
    for (size_t i = 0; i < answer->errors_count; i++) {
        mu_buf_addf(out, "  op %u: %.*s\n", answer->errors[i].op,
                    MU_SPAN_FMT(answer->errors[i].what));
    }
}

static void print_data(struct mu_buf *out, const struct mu_buf *data)
{
    struct catalog_txn_answer answer;
    struct mu_arena arena;

    if (data->bytes == 0) {
        return;
    }
    mu_arena_init(&arena, 0);
    CHECK(catalog_txn_answer_decode(mu_buf_span(data), &arena, &answer, err));
    print_txn(out, &answer);
    mu_arena_deinit(&arena);
}

static void apply(struct world *w, const struct command *command, struct mu_buf *out)
{
    if (!w->in_batch) {
        fixture_begin(&w->f);
    }
    struct catalog_result result = fixture_apply(&w->f, command);

    mu_buf_addf(out, "[%llu] ", (unsigned long long)w->f.index);
    if (result.code != MU_OK) {
        mu_buf_addf(out, "%s: %s\n", mu_code_text(result.code), result.text);
    } else {
        mu_buf_add_text(out, result.did_apply ? "true\n" : command == NULL ? "-\n" : "false\n");
    }
    print_data(out, &result.data);
    catalog_result_free(&result);
    if (!w->in_batch) {
        commit(w, out);
    }
}

/* -- showing ----------------------------------------------------------------------------------- */

static void print_pairs(struct mu_buf *out, const char *name, bool has, struct mu_pairs pairs)
{
    if (!has) {
        return;
    }
    mu_buf_addf(out, " %s={", name);
    for (size_t i = 0; i < pairs.count; i++) {
        mu_buf_addf(out, "%s%.*s:%.*s", i > 0 ? "," : "", MU_SPAN_FMT(pairs.items[i].key),
                    MU_SPAN_FMT(pairs.items[i].value));
    }
    mu_buf_add_byte(out, '}');
}

static void print_texts(struct mu_buf *out, const char *name, struct mu_texts texts)
{
    for (size_t i = 0; i < texts.count; i++) {
        mu_buf_addf(out, "%s%.*s", i > 0 ? "," : name, MU_SPAN_FMT(texts.items[i]));
    }
}

static void print_text(struct mu_buf *out, const char *name, struct mu_span text)
{
    if (text.bytes > 0) {
        mu_buf_addf(out, " %s=%.*s", name, MU_SPAN_FMT(text));
    }
}

static void print_indexes(struct mu_buf *out, uint64_t created, uint64_t modified)
{
    mu_buf_addf(out, " [%llu %llu]\n", (unsigned long long)created, (unsigned long long)modified);
}

static void print_index(struct mu_buf *out, uint64_t index)
{
    mu_buf_addf(out, "index %llu\n", (unsigned long long)index);
}

static void print_node(struct mu_buf *out, const struct catalog_node *n)
{
    mu_buf_addf(out, "%.*s", MU_SPAN_FMT(n->name));
    print_text(out, "id", n->id);
    print_text(out, "address", n->address);
    print_pairs(out, "tagged", n->has_tagged_addresses, n->tagged_addresses);
    print_pairs(out, "meta", n->has_meta, n->meta);
    print_indexes(out, n->create_index, n->modify_index);
}

static void print_service(struct mu_buf *out, const struct catalog_service *s)
{
    mu_buf_addf(out, "%.*s", MU_SPAN_FMT(s->id));
    print_text(out, "service", s->name);
    print_text(out, "kind", s->kind);
    print_texts(out, " tags=", s->tags);
    print_text(out, "address", s->address);
    mu_buf_addf(out, " port=%u", s->port);
    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        const struct catalog_tagged *t = &s->tagged_addresses[i];

        mu_buf_addf(out, " %.*s=%.*s:%u", MU_SPAN_FMT(t->name), MU_SPAN_FMT(t->address), t->port);
    }
    print_pairs(out, "meta", s->has_meta, s->meta);
    if (s->weight_passing != 1 || s->weight_warning != 1) {
        mu_buf_addf(out, " weights=%u/%u", s->weight_passing, s->weight_warning);
    }
    mu_buf_add_text(out, s->enable_tag_override ? " override" : "");
    print_text(out, "proxy", s->proxy);
    print_text(out, "connect", s->connect);
    print_indexes(out, s->create_index, s->modify_index);
}

static void print_check(struct mu_buf *out, const struct catalog_check *c)
{
    mu_buf_addf(out, "%.*s/%.*s %.*s", MU_SPAN_FMT(c->node), MU_SPAN_FMT(c->id),
                MU_SPAN_FMT(c->status));
    print_text(out, "name", c->name);
    print_text(out, "output", c->output);
    print_text(out, "service-id", c->service_id);
    print_text(out, "service", c->service_name);
    print_texts(out, " tags=", c->service_tags);
    print_indexes(out, c->create_index, c->modify_index);
}

static void print_instances(struct mu_buf *out, const struct catalog_instances *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct catalog_instance *instance = &list->items[i];

        mu_buf_addf(out, "%.*s: ", MU_SPAN_FMT(instance->node->name));
        print_service(out, &instance->service);
        for (size_t k = 0; k < instance->checks_count; k++) {
            mu_buf_add_text(out, "  ");
            print_check(out, &instance->checks[k]);
        }
    }
    print_index(out, list->index);
}

static void print_checks(struct mu_buf *out, const struct catalog_checks *list)
{
    for (size_t i = 0; i < list->count; i++) {
        print_check(out, &list->items[i]);
    }
    print_index(out, list->index);
}

/* -- queries ----------------------------------------------------------------------------------- */

/* query <what> <name> [meta=a:1,b:2] */
struct asked {
    struct fixture *f;
    struct mu_span name;
    struct mu_span separator;
    const struct catalog_filter *filter;
    struct mu_buf *out;
};

static void ask_nodes(const struct asked *q)
{
    struct catalog_nodes list;

    CHECK(catalog_query_nodes(q->f->reader, &q->f->arena, q->filter, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        print_node(q->out, &list.items[i]);
    }
    print_index(q->out, list.index);
}

static void ask_node(const struct asked *q)
{
    struct catalog_nodes list;

    CHECK(catalog_query_node(q->f->reader, &q->f->arena, q->name, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        print_node(q->out, &list.items[i]);
    }
    print_index(q->out, list.index);
}

static void ask_services(const struct asked *q)
{
    struct catalog_service_names list;

    CHECK(catalog_query_service_names(q->f->reader, &q->f->arena, q->filter, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        mu_buf_addf(q->out, "%.*s", MU_SPAN_FMT(list.items[i].name));
        print_texts(q->out, " tags=", list.items[i].tags);
        mu_buf_add_byte(q->out, '\n');
    }
    print_index(q->out, list.index);
}

static void ask_service(const struct asked *q)
{
    struct catalog_instances list;

    CHECK(
        catalog_query_instances(q->f->reader, &q->f->arena, q->name, q->filter, false, &list, err));
    print_instances(q->out, &list);
}

static void ask_health(const struct asked *q)
{
    struct catalog_instances list;

    CHECK(
        catalog_query_instances(q->f->reader, &q->f->arena, q->name, q->filter, true, &list, err));
    print_instances(q->out, &list);
}

static void ask_node_services(const struct asked *q)
{
    struct catalog_node_services list;

    CHECK(catalog_query_node_services(q->f->reader, &q->f->arena, q->name, &list, err));
    if (list.node != NULL) {
        print_node(q->out, list.node);
    }
    for (size_t i = 0; i < list.services_count; i++) {
        mu_buf_add_text(q->out, "  ");
        print_service(q->out, &list.services[i]);
    }
    print_index(q->out, list.index);
}

static void ask_node_checks(const struct asked *q)
{
    struct catalog_checks list;

    CHECK(catalog_query_node_checks(q->f->reader, &q->f->arena, q->name, &list, err));
    print_checks(q->out, &list);
}

static void ask_service_checks(const struct asked *q)
{
    struct catalog_checks list;

    CHECK(catalog_query_service_checks(q->f->reader, &q->f->arena, q->name, q->filter, &list, err));
    print_checks(q->out, &list);
}

static void ask_state(const struct asked *q)
{
    struct catalog_checks list;

    CHECK(catalog_query_state_checks(q->f->reader, &q->f->arena, q->name, q->filter, &list, err));
    print_checks(q->out, &list);
}

static void ask_address(const struct asked *q)
{
    struct catalog_instances instances;
    struct catalog_nodes nodes;
    struct mu_addr address;

    assert_true(mu_addr_parse_ip(q->name, &address));
    CHECK(catalog_query_address(q->f->reader, &q->f->arena, &address, &nodes, &instances, err));
    for (size_t i = 0; i < nodes.count; i++) {
        mu_buf_add_text(q->out, "node ");
        print_node(q->out, &nodes.items[i]);
    }
    if (instances.count > 0) {
        mu_buf_add_text(q->out, "instance ");
    }
    print_instances(q->out, &instances);
}

static void print_kv(struct mu_buf *out, const struct catalog_kv *kv)
{
    print_bytes(out, kv->key);
    mu_buf_add_byte(out, '=');
    print_bytes(out, kv->value);
    mu_buf_addf(out, " flags=%llu lock=%llu", (unsigned long long)kv->flags,
                (unsigned long long)kv->lock_index);
    print_text(out, "session", kv->session);
    print_indexes(out, kv->create_index, kv->modify_index);
}

static void print_kvs(struct mu_buf *out, const struct catalog_kvs *list)
{
    for (size_t i = 0; i < list->count; i++) {
        print_kv(out, &list->items[i]);
    }
    print_index(out, list->index);
}

static void ask_key(const struct asked *q)
{
    struct catalog_kvs list;

    CHECK(catalog_query_key(q->f->reader, &q->f->arena, q->name, &list, err));
    print_kvs(q->out, &list);
}

static void ask_prefix(const struct asked *q)
{
    struct catalog_kvs list;

    CHECK(catalog_query_prefix(q->f->reader, &q->f->arena, q->name, &list, err));
    print_kvs(q->out, &list);
}

static void ask_keys(const struct asked *q)
{
    struct catalog_keys list;

    CHECK(catalog_query_keys(q->f->reader, &q->f->arena, q->name, q->separator, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        print_bytes(q->out, list.items[i]);
        mu_buf_add_byte(q->out, '\n');
    }
    print_index(q->out, list.index);
}

static void ask_autopilot(const struct asked *q)
{
    struct catalog_autopilot a;

    CHECK(catalog_query_autopilot(q->f->reader, &q->f->arena, &a, err));
    if (!a.is_set) {
        mu_buf_add_text(q->out, "not set\n");
        return;
    }
    mu_buf_addf(q->out, "%s%s contact=%llu stable=%llu trailing=%llu quorum=%llu",
                a.cleanup_dead_servers ? "cleanup" : "no-cleanup",
                a.disable_upgrade_migration ? " no-migration" : "",
                (unsigned long long)a.last_contact_ns, (unsigned long long)a.stabilization_ns,
                (unsigned long long)a.max_trailing_logs, (unsigned long long)a.min_quorum);
    print_text(q->out, "zone", a.redundancy_zone_tag);
    print_text(q->out, "version", a.upgrade_version_tag);
    print_indexes(q->out, a.create_index, a.modify_index);
}

static void print_coordinates(struct mu_buf *out, const struct catalog_coordinates *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct catalog_coordinate *c = &list->items[i];

        mu_buf_addf(out, "%.*s at %g ms, error %g, height %g\n", MU_SPAN_FMT(c->node),
                    c->at.vec[0] * 1000, c->at.error, c->at.height);
    }
    print_index(out, list->index);
}

static void ask_coordinates(const struct asked *q)
{
    struct catalog_coordinates list;

    CHECK(catalog_query_coordinates(q->f->reader, &q->f->arena, &list, err));
    print_coordinates(q->out, &list);
}

static void ask_coordinate(const struct asked *q)
{
    struct catalog_coordinates list;

    CHECK(catalog_query_coordinate(q->f->reader, &q->f->arena, q->name, &list, err));
    print_coordinates(q->out, &list);
}

static void print_sessions(struct mu_buf *out, const struct catalog_sessions *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct catalog_session *s = &list->items[i];

        mu_buf_addf(out, "session %u node=%.*s %.*s", s->id.b[15], MU_SPAN_FMT(s->node),
                    MU_SPAN_FMT(s->behavior));
        print_text(out, "name", s->name);
        print_text(out, "ttl", s->ttl);
        mu_buf_addf(out, " delay=%llu", (unsigned long long)s->lock_delay_ns);
        print_texts(out, " checks=", s->node_checks);
        print_pairs(out, "service-checks", s->has_service_checks, s->service_checks);
        print_indexes(out, s->create_index, s->modify_index);
    }
    print_index(out, list->index);
}

static void ask_sessions(const struct asked *q)
{
    struct catalog_sessions list;

    CHECK(catalog_query_sessions(q->f->reader, &q->f->arena, &list, err));
    print_sessions(q->out, &list);
}

static void ask_node_sessions(const struct asked *q)
{
    struct catalog_sessions list;

    CHECK(catalog_query_node_sessions(q->f->reader, &q->f->arena, q->name, &list, err));
    print_sessions(q->out, &list);
}

static void ask_session(const struct asked *q)
{
    struct mu_id id = session_id((const char *)q->name.data);
    struct catalog_sessions list;

    CHECK(catalog_query_session(q->f->reader, &q->f->arena, &id, &list, err));
    print_sessions(q->out, &list);
}

static const struct {
    const char *word;
    void (*ask)(const struct asked *q);
} questions[] = {
    { "nodes", ask_nodes },
    { "node", ask_node },
    { "services", ask_services },
    { "service", ask_service },
    { "health", ask_health },
    { "node-services", ask_node_services },
    { "node-checks", ask_node_checks },
    { "service-checks", ask_service_checks },
    { "state", ask_state },
    { "address", ask_address },
    { "session", ask_session },
    { "sessions", ask_sessions },
    { "node-sessions", ask_node_sessions },
    { "key", ask_key },
    { "prefix", ask_prefix },
    { "keys", ask_keys },
    { "autopilot", ask_autopilot },
    { "coordinates", ask_coordinates },
    { "coordinate", ask_coordinate },
};

static bool run_query(struct world *w, const struct script_command *c, struct mu_buf *out)
{
    struct asked q = { .f = &w->f, .out = out };
    struct catalog_filter filter;
    struct mu_arena arena;
    bool known = false;

    mu_arena_init(&arena, 0);
    if (pairs_option(&arena, c, "meta", &filter.node_meta)) {
        q.filter = &filter;
    }
    if (c->words_count > 2 && strchr(c->words[2], '=') == NULL) {
        q.name = unescape(&arena, c->words[2]);
    }
    q.separator = option(c, "separator");
    for (size_t i = 0; c->words_count > 1 && i < MU_LEN(questions); i++) {
        if (strcmp(c->words[1], questions[i].word) == 0) {
            questions[i].ask(&q);
            known = true;
        }
    }
    catalog_reader_release(w->f.reader);
    mu_arena_reset(&w->f.arena);
    mu_arena_deinit(&arena);
    return known;
}

/* -- the words --------------------------------------------------------------------------------- */

static void show_lines(struct fixture *f, const char *start, struct mu_buf *out)
{
    struct mu_buf dump = MU_BUF_NONE;
    struct mu_span line;

    fixture_dump(f, &dump);
    struct mu_span rest = mu_buf_span(&dump);

    while (rest.bytes > 0) {
        line = mu_span_split(rest, '\n', &rest, NULL);
        if (mu_span_starts(line, mu_span_text(start))) {
            mu_buf_addf(out, "%.*s\n", MU_SPAN_FMT(line));
        }
    }
    mu_buf_deinit(&dump);
}

/* many <count> from=<server>/<boot>/<first seq>: puts that nobody looks at */
static void many(struct world *w, const struct script_command *c)
{
    struct command command = { .kind = COMMAND_KV_SET, .kv_set = { .key = MU_SPAN_LIT("many") } };
    unsigned long long count = strtoull(c->words[1], NULL, 10);

    once_options(c, &command);
    for (unsigned long long i = 0; i < count; i++) {
        fixture_begin(&w->f);
        struct catalog_result result = fixture_apply(&w->f, &command);

        assert_int_equal(result.code, MU_OK);
        catalog_result_free(&result);
        catalog_changes_free(fixture_commit(&w->f));
        command.origin.seq++;
    }
    fixture_check_hash(&w->f);
}

static void world_commit(struct world *w, struct mu_buf *out)
{
    w->in_batch = false;
    commit(w, out);
}

static bool world_run(void *data, const struct script_command *c, struct mu_buf *out)
{
    struct world *w = data;
    const char *word = c->words[0];
    struct command command = { .kind = COMMAND_NONE };
    struct mu_arena arena;
    bool known = true;

    mu_arena_init(&arena, 0);
    if (strcmp(word, "read") == 0) { /* a transaction that only reads, from the reader */
        struct catalog_txn_answer answer;

        txn_command(&arena, c, &command);
        assert_true(catalog_txn_is_read(&command.txn));
        CHECK(catalog_query_txn(w->f.reader, &arena, &command.txn, &answer, err));
        print_txn(out, &answer);
        catalog_reader_release(w->f.reader);
    } else if (strcmp(word, "query") == 0) {
        known = run_query(w, c, out);
    } else if (strcmp(word, "indexes") == 0) {
        show_lines(&w->f, "idx ", out);
    } else if (strcmp(word, "dump") == 0) {
        show_lines(&w->f, c->words_count > 1 ? c->words[1] : "", out);
    } else if (strcmp(word, "many") == 0) {
        many(w, c);
    } else if (strcmp(word, "topics") == 0) {
        w->shows_topics = !has_word(c, "off");
    } else if (strcmp(word, "begin") == 0) {
        fixture_begin(&w->f);
        w->in_batch = true;
    } else if (strcmp(word, "commit") == 0) {
        world_commit(w, out);
    } else if (strcmp(word, "rollback") == 0) {
        catalog_rollback(w->f.catalog);
        w->in_batch = false;
        w->f.index = catalog_applied(w->f.catalog).index;
        fixture_check_hash(&w->f);
    } else if (strcmp(word, "entry") == 0) {
        apply(w, NULL, out);
    } else {
        known = make_command(&arena, c, &command);
        if (known) {
            apply(w, &command, out);
        }
    }
    mu_arena_deinit(&arena);
    return known;
}

static const struct script_world world = { world_open, world_run, world_close };

static void in_memory_it_goes_as_written(void **state)
{
    (void)state;
    on_disk = false;
    assert_int_equal(script_run_dir("data/catalog", &world), 0);
}

static void on_a_file_reopened_after_each_command_too(void **state)
{
    (void)state;
    on_disk = true;
    assert_int_equal(script_run_dir("data/catalog", &world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_memory_it_goes_as_written),
        cmocka_unit_test(on_a_file_reopened_after_each_command_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
