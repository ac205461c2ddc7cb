/* Commands survive the way to bytes and back, and nothing else passes for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/command.h"

#define TEXT(t) MU_SPAN_LIT(t)

static struct command_origin an_origin(void)
{
    struct command_origin o = { .boot = 7, .seq = UINT64_MAX };

    memset(o.server.b, 0xab, sizeof o.server.b);
    return o;
}

/* -- one command of each kind, with every field set -------------------------------------------- */

static struct mu_pair node_pairs[] = { { TEXT("lan"), TEXT("10.0.0.1") },
                                       { TEXT("wan"), TEXT("") } };
static struct mu_span tags[] = { TEXT("primary"), TEXT(""), TEXT("v\xc3\xa9") };
static struct command_service_address addresses[] = { { TEXT("lan"), TEXT("10.0.0.2"), 65535 },
                                                      { TEXT("wan"), TEXT("2001:db8::1"), 0 } };
static struct command_check checks[] = {
    { TEXT("c1"), TEXT("first"), TEXT("passing"), TEXT("notes"), TEXT("out\0\xff"), TEXT("web1"),
      TEXT("http"), TEXT("{\"HTTP\":\"http://x\"}") },
    { TEXT("c2"), TEXT(""), TEXT(""), TEXT(""), TEXT(""), TEXT(""), TEXT(""), TEXT("") },
};

static struct command full_register(void)
{
    return (struct command){
        .kind = COMMAND_REGISTER,
        .origin = an_origin(),
        .stamp_ms = 1764000000000,
        .reg = {
            .node = { .name = TEXT("n1"), .id = TEXT("87f5181f-dafa-e714-567c-fa22ef8f4bc3"),
                      .address = TEXT("10.0.0.1"), .tagged_addresses = { node_pairs, 2 },
                      .meta = { node_pairs, 1 }, .has_tagged_addresses = true, .has_meta = true },
            .has_service = true,
            .service = { .id = TEXT("web1"), .name = TEXT("web"), .kind = TEXT("connect-proxy"),
                         .tags = { tags, 3 }, .address = TEXT("10.0.0.5"), .port = 80,
                         .tagged_addresses = addresses, .tagged_addresses_count = 2,
                         .meta = { node_pairs, 2 }, .has_meta = true, .weight_passing = 10,
                         .weight_warning = 1, .enable_tag_override = true,
                         .proxy = TEXT("{\"MeshGateway\":{}}"), .connect = TEXT("{}") },
            .checks = checks,
            .checks_count = 2,
            .skip_node_update = true,
        },
    };
}

static struct command full_deregister(void)
{
    return (struct command){
        .kind = COMMAND_DEREGISTER,
        .origin = an_origin(),
        .stamp_ms = 1,
        .dereg = { TEXT("n1"), TEXT("web1"), TEXT("c1") },
    };
}

static struct command full_kv_set(void)
{
    return (struct command){
        .kind = COMMAND_KV_SET,
        .stamp_ms = UINT64_MAX,
        .kv_set = { .key = TEXT("a/\0\xff"),
                    .value = TEXT("v\0v"),
                    .flags = UINT64_MAX,
                    .has_cas = true,
                    .cas = 5 },
    };
}

static struct command full_kv_delete(void)
{
    return (struct command){
        .kind = COMMAND_KV_DELETE,
        .origin = an_origin(),
        .kv_delete = { .key = TEXT("a/"), .recurse = true, .has_cas = true, .cas = UINT64_MAX },
    };
}

static struct command full_autopilot(void)
{
    return (struct command){
        .kind = COMMAND_AUTOPILOT,
        .autopilot = { .cleanup_dead_servers = true,
                       .disable_upgrade_migration = true,
                       .last_contact_ns = 1,
                       .stabilization_ns = INT64_MAX,
                       .max_trailing_logs = 250,
                       .min_quorum = 3,
                       .redundancy_zone_tag = TEXT("zone"),
                       .upgrade_version_tag = TEXT("v"),
                       .has_cas = true,
                       .cas = UINT64_MAX },
    };
}

static struct command full_coordinates(void)
{
    static struct command_coordinate items[] = {
        { MU_SPAN_LIT("n1"),
          { .vec = { 0.1, -0.2, 1e-300 }, .error = 1.5, .adjustment = -0.3, .height = 1e-5 } },
        { MU_SPAN_LIT("n2"), COORDINATE_ORIGIN },
    };

    return (struct command){ .kind = COMMAND_COORDINATES, .coordinates = { items, 2 } };
}

static struct mu_id an_id(uint8_t byte)
{
    struct mu_id id;

    memset(id.b, byte, sizeof id.b);
    return id;
}

static struct command full_kv_lock(void)
{
    return (struct command){
        .kind = COMMAND_KV_LOCK,
        .request = an_id(9),
        .kv_lock = { .key = TEXT("a/\0\xff"),
                     .value = TEXT("v\0v"),
                     .flags = UINT64_MAX,
                     .session = an_id(5),
                     .is_release = true },
    };
}

static struct command full_kv_compact(void)
{
    return (struct command){
        .kind = COMMAND_KV_COMPACT,
        .kv_compact = { .space = 1, .versions_rev = 1000, .markers_rev = 7, .rows = 256 },
    };
}

static struct command full_txn(void)
{
    static struct command_txn_op ops[] = {
        { .verb = COMMAND_TXN_CAS,
          .key = MU_SPAN_LIT("a/\0\xff"),
          .value = MU_SPAN_LIT("v"),
          .flags = UINT64_MAX,
          .index = 7,
          .session = MU_SPAN_LIT("abc") },
        { .verb = COMMAND_TXN_DELETE_CAS, .key = MU_SPAN_LIT("b") },
    };

    return (struct command){ .kind = COMMAND_TXN, .txn = { ops, MU_LEN(ops) } };
}

static struct command full_txn_catalog(void)
{
    static struct command full;
    static struct command_node named = { .name = MU_SPAN_LIT("n2") };
    static struct command_txn_op ops[6];

    full = full_register();
    ops[0] =
        (struct command_txn_op){ .verb = COMMAND_TXN_SET, .key = TEXT("a"), .value = TEXT("v\0v") };
    ops[1] = (struct command_txn_op){ .verb = COMMAND_TXN_NODE_CAS,
                                      .index = UINT64_MAX,
                                      .node = &full.reg.node };
    ops[2] = (struct command_txn_op){ .verb = COMMAND_TXN_SERVICE_SET,
                                      .key = TEXT("n1"),
                                      .service = &full.reg.service };
    ops[3] = (struct command_txn_op){
        .verb = COMMAND_TXN_CHECK_CAS, .key = TEXT("n1"), .index = 9, .check = &checks[0]
    };
    ops[4] = (struct command_txn_op){ .verb = COMMAND_TXN_NODE_GET, .node = &named };
    ops[5] = (struct command_txn_op){ .verb = COMMAND_TXN_CHECK_DELETE_CAS,
                                      .key = TEXT("n1"),
                                      .check = &checks[1] };
    return (struct command){ .kind = COMMAND_TXN_CATALOG,
                             .origin = an_origin(),
                             .txn = { ops, MU_LEN(ops) } };
}

static struct command full_session_create(void)
{
    static struct mu_span ids[] = { MU_SPAN_LIT("serfHealth"), MU_SPAN_LIT("c1") };
    static struct mu_pair pairs[] = { { MU_SPAN_LIT("service:web"), MU_SPAN_LIT("") } };

    return (struct command){
        .kind = COMMAND_SESSION_CREATE,
        .session = { .id = an_id(6),
                     .name = TEXT("mine"),
                     .node = TEXT("n1"),
                     .lock_delay_ns = INT64_MAX,
                     .behavior = TEXT("delete"),
                     .ttl = TEXT("15.0s"),
                     .node_checks = { ids, 2 },
                     .service_checks = { pairs, 1 },
                     .has_service_checks = true },
    };
}

static struct command full_session_destroy(void)
{
    return (struct command){
        .kind = COMMAND_SESSION_DESTROY,
        .origin = an_origin(),
        .session_destroy = { .id = an_id(7) },
    };
}

static struct command full_stage(void)
{
    return (struct command){
        .kind = COMMAND_STAGE,
        .origin = an_origin(),
        .stage = { .id = an_id(8), .offset = 4096, .data = TEXT("part") },
    };
}

static struct command full_restore(void)
{
    return (struct command){
        .kind = COMMAND_RESTORE,
        .origin = an_origin(),
        .restore = { .id = an_id(8), .bytes = MU_RESTORE_BYTES_MAX, .hash = { 1, 2, 3 } },
    };
}

static const struct {
    const char *why;
    struct command (*make)(void);
} examples[] = {
    { "register", full_register },
    { "deregister", full_deregister },
    { "kv-set", full_kv_set },
    { "kv-delete", full_kv_delete },
    { "autopilot", full_autopilot },
    { "coordinates", full_coordinates },
    { "kv-lock", full_kv_lock },
    { "kv-compact", full_kv_compact },
    { "txn", full_txn },
    { "txn-catalog", full_txn_catalog },
    { "session-create", full_session_create },
    { "session-destroy", full_session_destroy },
    { "stage", full_stage },
    { "restore", full_restore },
};

static struct mu_buf encoded(const struct command *c)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf b = MU_BUF_NONE;

    if (command_encode(c, &b, &err) != MU_OK) {
        fail_msg("cannot encode: %s", err.text);
    }
    return b;
}

/* The bytes in memory of exactly their size, so that the sanitizer sees a read behind them. */
static enum mu_code decode_exact(const void *data, size_t bytes, struct mu_arena *arena,
                                 struct command *out, struct mu_err *err)
{
    void *exact = mu_new(bytes > 0 ? bytes : 1);

    if (bytes > 0) {
        memcpy(exact, data, bytes);
    }
    enum mu_code rc = command_decode(mu_span_of(exact, bytes), arena, out, err);

    mu_free(exact); /* and what was decoded must not point into it */
    return rc;
}

/* -- round trips ------------------------------------------------------------------------------- */

static void every_field_of_a_registration_comes_back(void **state)
{
    struct command c = full_register();
    struct mu_buf b = encoded(&c);
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    const struct command_node *n = &d.reg.node;
    const struct command_service *s = &d.reg.service;
    const struct command_check *k = d.reg.checks;

    assert_int_equal(d.kind, COMMAND_REGISTER);
    assert_int_equal(d.stamp_ms, c.stamp_ms);
    assert_true(mu_id_eq(&d.origin.server, &c.origin.server));
    assert_true(d.origin.boot == 7 && d.origin.seq == UINT64_MAX);
    assert_true(mu_span_eq(n->name, c.reg.node.name) && mu_span_eq(n->id, c.reg.node.id));
    assert_true(mu_span_eq_text(n->address, "10.0.0.1"));
    assert_int_equal(n->tagged_addresses.count, 2);
    assert_true(mu_span_eq_text(n->tagged_addresses.items[0].value, "10.0.0.1"));
    assert_true(mu_span_eq_text(n->tagged_addresses.items[1].key, "wan"));
    assert_true(n->meta.count == 1 && n->has_meta && n->has_tagged_addresses);
    assert_true(d.reg.has_service && d.reg.skip_node_update);
    assert_true(mu_span_eq_text(s->id, "web1") && mu_span_eq_text(s->name, "web"));
    assert_true(mu_span_eq_text(s->kind, "connect-proxy") && s->port == 80);
    assert_true(s->tags.count == 3 && mu_span_eq_text(s->tags.items[2], "v\xc3\xa9"));
    assert_true(s->tagged_addresses_count == 2 && s->tagged_addresses[0].port == 65535);
    assert_true(mu_span_eq_text(s->tagged_addresses[1].address, "2001:db8::1"));
    assert_true(s->meta.count == 2 && s->has_meta && s->enable_tag_override);
    assert_true(s->weight_passing == 10 && s->weight_warning == 1);
    assert_true(mu_span_eq_text(s->proxy, "{\"MeshGateway\":{}}"));
    assert_true(mu_span_eq_text(s->connect, "{}"));
    assert_int_equal(d.reg.checks_count, 2);
    assert_true(mu_span_eq(k[0].output, checks[0].output) && mu_span_eq_text(k[0].type, "http"));
    assert_true(mu_span_eq_text(k[0].notes, "notes") && mu_span_eq_text(k[0].status, "passing"));
    assert_true(mu_span_eq_text(k[0].service_id, "web1") && mu_span_eq_text(k[0].name, "first"));
    assert_true(mu_span_eq(k[0].definition, checks[0].definition));
    assert_true(mu_span_eq_text(k[1].id, "c2") && k[1].name.bytes == 0);
    mu_arena_deinit(&arena);
    mu_buf_deinit(&b);
}

static void the_other_kinds_come_back(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);

    struct command c = full_deregister();
    struct mu_buf b = encoded(&c);

    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_span_eq_text(d.dereg.node, "n1") && mu_span_eq_text(d.dereg.check_id, "c1"));
    assert_true(mu_span_eq_text(d.dereg.service_id, "web1") && d.stamp_ms == 1);
    mu_buf_deinit(&b);

    c = full_kv_set();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_span_eq(d.kv_set.key, c.kv_set.key));
    assert_true(mu_span_eq(d.kv_set.value, c.kv_set.value));
    assert_true(d.kv_set.flags == UINT64_MAX && d.kv_set.has_cas && d.kv_set.cas == 5);
    assert_true(mu_id_is_none(&d.origin.server) && d.origin.boot == 0 && d.origin.seq == 0);
    mu_buf_deinit(&b);

    c = full_kv_delete();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_span_eq_text(d.kv_delete.key, "a/") && d.kv_delete.recurse);
    assert_true(d.kv_delete.has_cas && d.kv_delete.cas == UINT64_MAX && d.stamp_ms == 0);
    mu_buf_deinit(&b);
    mu_arena_deinit(&arena);
}

static void sessions_and_locks_come_back(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);

    struct command c = full_kv_lock();
    struct mu_buf b = encoded(&c);

    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_span_eq(d.kv_lock.key, c.kv_lock.key) && d.kv_lock.is_release);
    assert_true(mu_span_eq(d.kv_lock.value, c.kv_lock.value) && d.kv_lock.flags == UINT64_MAX);
    assert_true(mu_id_eq(&d.kv_lock.session, &c.kv_lock.session));
    assert_true(mu_id_eq(&d.request, &c.request));
    mu_buf_deinit(&b);

    c = full_kv_compact();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(d.kv_compact.space == 1 && d.kv_compact.versions_rev == 1000);
    assert_true(d.kv_compact.markers_rev == 7 && d.kv_compact.rows == 256);
    assert_true(mu_id_is_none(&d.request));
    mu_buf_deinit(&b);

    c = full_session_create();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_id_eq(&d.session.id, &c.session.id));
    assert_true(mu_span_eq_text(d.session.name, "mine") && mu_span_eq_text(d.session.node, "n1"));
    assert_true(mu_span_eq_text(d.session.behavior, "delete"));
    assert_true(mu_span_eq_text(d.session.ttl, "15.0s") && d.session.lock_delay_ns == INT64_MAX);
    assert_true(d.session.node_checks.count == 2 && d.session.has_service_checks);
    assert_true(mu_span_eq_text(d.session.node_checks.items[1], "c1"));
    assert_true(mu_span_eq_text(d.session.service_checks.items[0].key, "service:web"));
    mu_buf_deinit(&b);

    c = full_session_destroy();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_id_eq(&d.session_destroy.id, &c.session_destroy.id));
    mu_buf_deinit(&b);

    c = full_stage();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_id_eq(&d.stage.id, &c.stage.id) && d.stage.offset == 4096);
    assert_true(mu_span_eq_text(d.stage.data, "part"));
    mu_buf_deinit(&b);

    c = full_restore();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_true(mu_id_eq(&d.restore.id, &c.restore.id));
    assert_true(d.restore.bytes == MU_RESTORE_BYTES_MAX);
    assert_memory_equal(d.restore.hash, c.restore.hash, sizeof d.restore.hash);
    mu_buf_deinit(&b);
    mu_arena_deinit(&arena);
}

static void transactions_come_back(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    struct command c = full_txn_catalog();
    struct mu_buf b = encoded(&c);
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_int_equal(d.txn.ops_count, 6);
    const struct command_txn_op *ops = d.txn.ops;

    assert_true(mu_span_eq(ops[0].key, TEXT("a")) && mu_span_eq(ops[0].value, TEXT("v\0v")));
    assert_true(ops[0].node == NULL && ops[0].service == NULL && ops[0].check == NULL);
    assert_true(ops[1].verb == COMMAND_TXN_NODE_CAS && ops[1].index == UINT64_MAX);
    assert_true(mu_span_eq_text(ops[1].node->name, "n1") && ops[1].node->meta.count == 1);
    assert_true(ops[1].service == NULL && ops[1].check == NULL);
    assert_true(mu_span_eq_text(ops[2].key, "n1") && ops[2].service->port == 80);
    assert_true(ops[2].service->tags.count == 3 && ops[2].node == NULL);
    assert_true(mu_span_eq_text(ops[3].check->id, "c1") && ops[3].index == 9);
    assert_true(ops[3].node == NULL && ops[3].service == NULL);
    assert_true(mu_span_eq_text(ops[4].node->name, "n2"));
    assert_true(ops[5].verb == COMMAND_TXN_CHECK_DELETE_CAS);
    assert_true(mu_span_eq_text(ops[5].check->id, "c2"));
    mu_buf_deinit(&b);
    mu_arena_deinit(&arena);
}

/* null and {} differ in answers, and so do an absent service and an empty one. */
static void absent_and_empty_are_told_apart(void **state)
{
    struct command c = { .kind = COMMAND_REGISTER };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);
    for (unsigned bits = 0; bits < 16; bits++) {
        c.reg.has_service = (bits & 1) != 0;
        c.reg.service.has_meta = (bits & 2) != 0;
        c.reg.node.has_meta = (bits & 4) != 0;
        c.reg.node.has_tagged_addresses = (bits & 8) != 0;
        struct mu_buf b = encoded(&c);

        assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
        assert_int_equal(d.reg.has_service, c.reg.has_service);
        assert_int_equal(d.reg.service.has_meta, c.reg.has_service && c.reg.service.has_meta);
        assert_int_equal(d.reg.node.has_meta, c.reg.node.has_meta);
        assert_int_equal(d.reg.node.has_tagged_addresses, c.reg.node.has_tagged_addresses);
        mu_buf_deinit(&b);
    }
    mu_arena_deinit(&arena);
}

static void encoding_what_was_decoded_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(examples); i++) {
        struct command c = examples[i].make();
        struct mu_err err = MU_ERR_NONE;
        struct mu_buf b = encoded(&c);
        struct mu_arena arena;
        struct command d;

        mu_arena_init(&arena, 0);
        assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
        struct mu_buf again = encoded(&d);

        if (!mu_span_eq(mu_buf_span(&b), mu_buf_span(&again))) {
            fail_msg("%s: differs when encoded again", examples[i].why);
        }
        assert_string_equal(command_kind_text(d.kind), examples[i].why);
        mu_buf_deinit(&again);
        mu_buf_deinit(&b);
        mu_arena_deinit(&arena);
    }
}

/* -- bytes that are no command ----------------------------------------------------------------- */

/* A truncation is refused, or happens to lie between two fields: then it is the command with later
 * fields left out, never one with a part of a text. */
static void no_truncation_is_read_past_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(examples); i++) {
        struct command c = examples[i].make();
        struct mu_buf b = encoded(&c);
        size_t accepted = 0;

        for (size_t bytes = 0; bytes < b.bytes; bytes++) {
            struct mu_err err = MU_ERR_NONE;
            struct mu_arena arena;
            struct command d;

            mu_arena_init(&arena, 0);
            enum mu_code rc = decode_exact(b.data, bytes, &arena, &d, &err);

            if (rc != MU_OK && (rc != err.code || err.text[0] == '\0')) {
                fail_msg("%s cut to %zu: no text with the code", examples[i].why, bytes);
            }
            accepted += rc == MU_OK;
            mu_arena_deinit(&arena);
        }
        /* kind+version, and behind each of origin and stamp: the fields before the body; for a kind
         * whose body may not be empty none of them */
        bool needs_body = c.kind == COMMAND_KV_COMPACT || c.kind == COMMAND_RESTORE;

        assert_in_range(accepted, needs_body ? 0 : 1, 3);
        mu_buf_deinit(&b);
    }
}

static void add_varint(struct mu_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        mu_buf_add_byte(b, (uint8_t)(v | 0x80));
    }
    mu_buf_add_byte(b, (uint8_t)v);
}

static void add_number(struct mu_buf *b, unsigned field, uint64_t v)
{
    add_varint(b, field << 3);
    add_varint(b, v);
}

static void add_bytes(struct mu_buf *b, unsigned field, struct mu_span s)
{
    add_varint(b, field << 3 | 2);
    add_varint(b, s.bytes);
    mu_buf_add_span(b, s);
}

/* An envelope of kind and version around a body. */
static struct mu_buf envelope(unsigned kind, unsigned version, struct mu_span body)
{
    struct mu_buf b = MU_BUF_NONE;

    add_number(&b, 1, kind);
    add_number(&b, 2, version);
    add_bytes(&b, 5, body);
    return b;
}

static void expect(const char *why, struct mu_buf *b, enum mu_code code, const char *text)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct command d;

    mu_arena_init(&arena, 0);
    enum mu_code rc = decode_exact(b->data, b->bytes, &arena, &d, &err);

    if (rc != code || (text != NULL && strstr(err.text, text) == NULL)) {
        fail_msg("%s: gave %s (%s), expected %s (%s)", why, mu_code_text(rc), err.text,
                 mu_code_text(code), text);
    }
    mu_arena_deinit(&arena);
    mu_buf_deinit(b);
}

static void envelopes_are_judged(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    expect("nothing", &b, MU_CORRUPT, "0 bytes are no command");
    b = envelope(0, 1, MU_SPAN_NONE);
    expect("no kind", &b, MU_CORRUPT, "are no command");
    b = envelope(3, 0, MU_SPAN_NONE);
    expect("no version", &b, MU_CORRUPT, "are no command");
    b = envelope(99, 1, MU_SPAN_NONE);
    expect("a later kind", &b, MU_UNSUPPORTED, "command kind 99 is not known");
    b = envelope(UINT32_MAX, 1, MU_SPAN_NONE);
    expect("the last kind", &b, MU_UNSUPPORTED, "command kind 4294967295 is not known");
    b = envelope(3, 2, MU_SPAN_NONE);
    expect("a later version", &b, MU_UNSUPPORTED, "version 2 of command 'kv-set'");
    b = envelope(3, 1, MU_SPAN_NONE);
    add_number(&b, 77, 1);
    expect("a later field of the envelope", &b, MU_UNSUPPORTED, "not known to this binary");
    b = envelope(3, 1, MU_SPAN_NONE);
    add_bytes(&b, 3,
              TEXT("\x0a\x03"
                   "abc"));
    expect("an id of three bytes", &b, MU_CORRUPT, "the id of its origin has 3 bytes");
    mu_buf_add_text(&b, "this is not a protobuf message");
    expect("text", &b, MU_CORRUPT, "30 bytes are no command");
    b = envelope(3, 1, MU_SPAN_NONE);
    expect("an empty body is a message of defaults", &b, MU_OK, NULL);
}

static void bodies_are_judged(void **state)
{
    static const struct {
        const char *why;
        unsigned kind;
        struct mu_span body;
        const char *text;
    } cases[] = {
        // clang-format off
        { "cut text",              3, TEXT("\x0a\x05" "ab"),       "kv-set: bad body: malformed" },
        { "wrong wire type",       1, TEXT("\x08\x01"),            "register: bad body" },
        { "group",                 4, TEXT("\x0b\x0c"),            "kv-delete: bad body: malformed" },
        { "field 0",               2, TEXT("\x00\x00"),            "deregister: bad body" },
        { "endless varint",        3, TEXT("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "bad body" },
        { "unknown field",         3, TEXT("\x50\x01"),            "a field of it is unknown" },
        { "unknown in the node",   1, TEXT("\x0a\x02\x78\x01"),    "a field of it is unknown" },
        { "unknown in a service",  1, TEXT("\x12\x03\xa0\x06\x01"), "a field of it is unknown" },
        { "unknown in a check",    1, TEXT("\x1a\x02\x78\x01"),    "a field of it is unknown" },
        { "unknown in a pair",     1, TEXT("\x0a\x04\x2a\x02\x78\x01"), "a field of it is unknown" },
        { "unknown in an address", 1, TEXT("\x12\x04\x3a\x02\x78\x01"), "a field of it is unknown" },
        { "port 65536",            1, TEXT("\x12\x04\x30\x80\x80\x04"), "a port is outside 0..65535" },
        { "tagged port 65536",     1, TEXT("\x12\x06\x3a\x04\x18\x80\x80\x04"), "a port is outside 0..65535" },
        { "NUL in a name",         1, TEXT("\x0a\x05\x0a\x03" "a\0b"), "the node name is not valid UTF-8" },
        { "a verb on a node",      8, TEXT("\x0a\x02\x08\x0e"), "txn: bad body: an operation of it is unknown" },
        { "no verb",               18, TEXT("\x0a\x02\x12\x00"), "an operation of it is unknown" },
        { "a later verb",          18, TEXT("\x0a\x04\x0a\x02\x08\x1d"), "an operation of it is unknown" },
        { "a verb on nothing",     18, TEXT("\x0a\x04\x0a\x02\x08\x0e"), "is not about what its verb says" },
        { "a key and a node",      18, TEXT("\x0a\x06\x0a\x02\x08\x01\x12\x00"), "is not about what its verb says" },
        { "a node and a check",    18, TEXT("\x0a\x08\x0a\x02\x08\x0e\x12\x00\x22\x00"), "is not about what its verb says" },
        { "unknown beside a verb", 18, TEXT("\x0a\x06\x0a\x02\x08\x01\x28\x01"), "a field of it is unknown" },
        { "half a character",      2, TEXT("\x0a\x02" "n\xc3"),    "the node name is not valid UTF-8" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = envelope(cases[i].kind, 1, cases[i].body);

        expect(cases[i].why, &b, MU_INVALID, cases[i].text);
    }
}

/* Two bytes on the wire that become a hundred in memory, a million times. */
static void hostile_lists_are_refused_not_stored(void **state)
{
    static const struct {
        const char *why;
        unsigned kind;
        const char *unit; /* two bytes: a field of length zero */
        size_t count;
        const char *text;
    } cases[] = {
        { "a million checks", 1, "\x1a\x00", 1000000, "malformed" },
        { "a million nodes that merge", 1, "\x0a\x00", 1000000, "malformed" },
        { "too many checks", 1, "\x1a\x00", MU_COMMAND_LIST_MAX + 1, "a list in it is too long" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf body = MU_BUF_NONE;

        for (size_t n = 0; n < cases[i].count; n++) {
            mu_buf_add(&body, cases[i].unit, 2);
        }
        struct mu_buf b = envelope(cases[i].kind, 1, mu_buf_span(&body));

        expect(cases[i].why, &b, MU_INVALID, cases[i].text);
        mu_buf_deinit(&body);
    }
    struct mu_buf tags_body = MU_BUF_NONE;
    struct mu_buf body = MU_BUF_NONE;

    for (size_t n = 0; n < 900000; n++) {
        mu_buf_add(&tags_body, "\x22\x00", 2);
    }
    add_bytes(&body, 2, mu_buf_span(&tags_body));
    struct mu_buf b = envelope(1, 1, mu_buf_span(&body));

    expect("tags", &b, MU_INVALID, "bad body");
    mu_buf_deinit(&tags_body);
    mu_buf_deinit(&body);
}

static void size_is_bounded_in_both_directions(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf b = MU_BUF_NONE;
    uint8_t *huge = mu_new(MU_COMMAND_BYTES_MAX + 1);
    struct command c = { .kind = COMMAND_KV_SET };
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);
    c.kv_set.value = mu_span_of(huge, MU_COMMAND_BYTES_MAX);
    mu_buf_add_text(&b, "kept");
    assert_int_equal(command_encode(&c, &b, &err), MU_TOO_BIG);
    assert_non_null(strstr(err.text, "kv-set: the command has 2097"));
    assert_true(mu_span_eq_text(mu_buf_span(&b), "kept"));
    mu_buf_deinit(&b);

    err = MU_ERR_NONE;
    assert_int_equal(command_decode(mu_span_of(huge, MU_COMMAND_BYTES_MAX + 1), &arena, &d, &err),
                     MU_TOO_BIG);

    /* the largest value that may be configured fits */
    uint8_t key[MU_KV_KEY_MAX];

    memset(key, 'k', sizeof key);
    c.kv_set.key = mu_span_of(key, sizeof key);
    c.kv_set.value = mu_span_of(huge, MU_KV_VALUE_MAX);
    c.origin = an_origin();
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_int_equal(d.kv_set.value.bytes, MU_KV_VALUE_MAX);
    mu_buf_deinit(&b);
    mu_arena_deinit(&arena);
    mu_free(huge);
}

/* -- what is refused before it is encoded, so that nothing undecodable enters a log ------------ */

static struct mu_span long_text(size_t bytes)
{
    static uint8_t room[MU_KV_KEY_MAX + 1];

    assert_true(bytes <= sizeof room);
    memset(room, 'x', sizeof room);
    return mu_span_of(room, bytes);
}

static void set_node_name(struct command *c, struct mu_span s)
{
    c->reg.node.name = s;
}
static void set_node_id(struct command *c, struct mu_span s)
{
    c->reg.node.id = s;
}
static void set_node_address(struct command *c, struct mu_span s)
{
    c->reg.node.address = s;
}
static void set_service_id(struct command *c, struct mu_span s)
{
    c->reg.service.id = s;
}
static void set_service_name(struct command *c, struct mu_span s)
{
    c->reg.service.name = s;
}
static void set_service_kind(struct command *c, struct mu_span s)
{
    c->reg.service.kind = s;
}
static void set_address(struct command *c, struct mu_span s)
{
    c->reg.service.address = s;
}
static void set_proxy(struct command *c, struct mu_span s)
{
    c->reg.service.proxy = s;
}
static void set_connect(struct command *c, struct mu_span s)
{
    c->reg.service.connect = s;
}
static void set_tag(struct command *c, struct mu_span s)
{
    c->reg.service.tags.items[0] = s;
}
static void set_meta_key(struct command *c, struct mu_span s)
{
    c->reg.node.meta.items[0].key = s;
}
static void set_tagged(struct command *c, struct mu_span s)
{
    c->reg.service.tagged_addresses[0].name = s;
}
static void set_check_id(struct command *c, struct mu_span s)
{
    c->reg.checks[0].id = s;
}
static void set_check_name(struct command *c, struct mu_span s)
{
    c->reg.checks[0].name = s;
}
static void set_status(struct command *c, struct mu_span s)
{
    c->reg.checks[0].status = s;
}
static void set_notes(struct command *c, struct mu_span s)
{
    c->reg.checks[0].notes = s;
}
static void set_type(struct command *c, struct mu_span s)
{
    c->reg.checks[0].type = s;
}
static void set_owner(struct command *c, struct mu_span s)
{
    c->reg.checks[0].service_id = s;
}
static void set_definition(struct command *c, struct mu_span s)
{
    c->reg.checks[0].definition = s;
}

static void texts_are_bounded_and_valid(void **state)
{
    static const struct {
        const char *what;
        void (*set)(struct command *c, struct mu_span s);
        size_t bytes_max; /* 0: only the whole command is bounded */
    } cases[] = {
        // clang-format off
        { "the node name",                   set_node_name,    MU_NODE_NAME_MAX },
        { "the node id",                     set_node_id,      MU_NAME_MAX },
        { "the node address",                set_node_address, MU_NAME_MAX },
        { "the service id",                  set_service_id,   MU_NAME_MAX },
        { "the service name",                set_service_name, MU_NAME_MAX },
        { "the service kind",                set_service_kind, MU_NAME_MAX },
        { "the service address",             set_address,      MU_NAME_MAX },
        { "the service proxy",               set_proxy,        0 },
        { "the service connect",             set_connect,      0 },
        { "a service tag",                   set_tag,          0 },
        { "metadata of the node",            set_meta_key,     MU_NAME_MAX },
        { "tagged addresses of the service", set_tagged,       MU_NAME_MAX },
        { "the check id",                    set_check_id,     MU_NAME_MAX },
        { "the check name",                  set_check_name,   MU_NAME_MAX },
        { "the check status",                set_status,       MU_NAME_MAX },
        { "the check notes",                 set_notes,        0 },
        { "the check type",                  set_type,         MU_NAME_MAX },
        { "the service id of the check",     set_owner,        MU_NAME_MAX },
        { "the check definition",            set_definition,   0 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_pair meta[] = { { TEXT("k"), TEXT("v") } };
        struct mu_span own_tags[] = { TEXT("t") };
        struct command_service_address own_addresses[] = { addresses[0] };
        struct command_check own_checks[] = { checks[0] };
        struct command c = full_register();
        struct mu_buf b = MU_BUF_NONE;
        struct mu_err err = MU_ERR_NONE;

        c.reg.node.meta = (struct mu_pairs){ meta, 1 };
        c.reg.service.tags = (struct mu_texts){ own_tags, 1 };
        c.reg.service.tagged_addresses = own_addresses;
        c.reg.service.tagged_addresses_count = 1;
        c.reg.checks = own_checks;
        c.reg.checks_count = 1;

        cases[i].set(&c, long_text(cases[i].bytes_max > 0 ? cases[i].bytes_max : 1000));
        assert_int_equal(command_encode(&c, &b, &err), MU_OK);
        mu_buf_deinit(&b);
        if (cases[i].bytes_max > 0) {
            cases[i].set(&c, long_text(cases[i].bytes_max + 1));
            if (command_encode(&c, &b, &err) != MU_INVALID ||
                strstr(err.text, cases[i].what) == NULL || b.bytes > 0) {
                fail_msg("%s: one byte too long gave: %s", cases[i].what, err.text);
            }
        }
        err = MU_ERR_NONE;
        cases[i].set(&c, TEXT("a\xff"));
        if (command_encode(&c, &b, &err) != MU_INVALID || strstr(err.text, "UTF-8") == NULL) {
            fail_msg("%s: bad UTF-8 gave: %s", cases[i].what, err.text);
        }
    }
}

static void lists_and_keys_are_bounded(void **state)
{
    struct mu_span *many = mu_new_array(MU_COMMAND_LIST_MAX + 1, sizeof *many);
    struct mu_pair *pairs = mu_new_array(MU_COMMAND_LIST_MAX + 1, sizeof *pairs);
    struct command_check *list = mu_new_array(MU_COMMAND_LIST_MAX + 1, sizeof *list);
    struct command c = { .kind = COMMAND_REGISTER, .reg = { .has_service = true } };
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf b = MU_BUF_NONE;
    struct mu_arena arena;
    struct command d;

    (void)state;
    mu_arena_init(&arena, 0);
    c.reg.service.tags = (struct mu_texts){ many, MU_COMMAND_LIST_MAX };
    c.reg.node.meta = (struct mu_pairs){ pairs, MU_COMMAND_LIST_MAX };
    c.reg.checks = list;
    c.reg.checks_count = MU_COMMAND_LIST_MAX;
    b = encoded(&c);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    assert_int_equal(d.reg.checks_count, MU_COMMAND_LIST_MAX);
    assert_int_equal(d.reg.service.tags.count, MU_COMMAND_LIST_MAX);
    mu_buf_deinit(&b);
    mu_arena_deinit(&arena);

    c.reg.service.tags.count++;
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);
    assert_string_equal(err.text, "register: 4097 tags of the service, at most 4096 are allowed");
    c.reg.service.tags.count--;
    c.reg.node.meta.count++;
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);
    c.reg.node.meta.count--;
    c.reg.checks_count++;
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);

    /* Each list of a transaction may be as long; all of them together not. */
    struct command_node node = { .meta = { pairs, MU_COMMAND_LIST_MAX } };
    struct command_txn_op ops[MU_TXN_OPS_MAX + 1];

    for (size_t i = 0; i < MU_LEN(ops); i++) {
        ops[i] = (struct command_txn_op){ .verb = COMMAND_TXN_NODE_SET, .node = &node };
    }
    c = (struct command){ .kind = COMMAND_TXN_CATALOG };
    c.txn = (struct command_txn){ ops, MU_TXN_ITEMS_MAX / MU_COMMAND_LIST_MAX };
    b = encoded(&c);
    mu_arena_init(&arena, 0);
    assert_int_equal(decode_exact(b.data, b.bytes, &arena, &d, &err), MU_OK);
    mu_arena_deinit(&arena);
    mu_buf_deinit(&b);
    c.txn.ops_count++;
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);
    assert_non_null(strstr(err.text, "items in lists of its operations, at most 65536"));
    node.meta.count = 0;
    c.txn.ops_count = MU_TXN_OPS_MAX + 1;
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);
    assert_string_equal(err.text, "txn-catalog: 65 operations, at most 64 are allowed");
    c.txn.ops_count = 1;
    node.name = long_text(MU_NODE_NAME_MAX + 1);
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);

    c = (struct command){ .kind = COMMAND_KV_SET };
    c.kv_set.key = long_text(MU_KV_KEY_MAX + 1);
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);
    assert_string_equal(err.text, "kv-set: the key has 4097 bytes, at most 4096 are allowed");
    c = (struct command){ .kind = COMMAND_KV_DELETE };
    c.kv_delete.key = long_text(MU_KV_KEY_MAX + 1);
    assert_int_equal(command_encode(&c, &b, &err), MU_INVALID);
    assert_int_equal(b.bytes, 0);
    mu_free(many);
    mu_free(pairs);
    mu_free(list);
}

/* -- the leader's stamp ------------------------------------------------------------------------ */

static void stamping_changes_stamp_and_origin_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(examples); i++) {
        struct command c = examples[i].make();
        struct command_origin origin = { .boot = 1, .seq = 2 };
        struct mu_err err = MU_ERR_NONE;
        struct mu_buf stamped = MU_BUF_NONE;
        struct mu_buf b = encoded(&c);

        memset(origin.server.b, 0x11, sizeof origin.server.b);
        assert_int_equal(command_stamp(mu_buf_span(&b), &origin, 12345, &stamped, &err), MU_OK);
        c.origin = origin;
        c.stamp_ms = 12345;
        struct mu_buf expected = encoded(&c);

        if (!mu_span_eq(mu_buf_span(&stamped), mu_buf_span(&expected))) {
            fail_msg("%s: not what encoding with that stamp gives", examples[i].why);
        }
        mu_buf_deinit(&expected);
        mu_buf_deinit(&stamped);
        mu_buf_deinit(&b);
    }
}

static void stamping_refuses_what_a_log_must_not_hold(void **state)
{
    struct command_origin origin = an_origin();
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf to = MU_BUF_NONE;
    struct mu_buf b = envelope(99, 1, MU_SPAN_NONE);

    (void)state;
    assert_int_equal(command_stamp(mu_buf_span(&b), &origin, 1, &to, &err), MU_UNSUPPORTED);
    mu_buf_deinit(&b);
    b = envelope(3, 9, MU_SPAN_NONE);
    assert_int_equal(command_stamp(mu_buf_span(&b), &origin, 1, &to, &err), MU_UNSUPPORTED);
    mu_buf_deinit(&b);
    b = envelope(3, 1, MU_SPAN_NONE);
    mu_buf_add(&b,
               "\x32\x03"
               "abc",
               5); /* a request id of three bytes */
    assert_int_equal(command_stamp(mu_buf_span(&b), &origin, 1, &to, &err), MU_CORRUPT);
    mu_buf_deinit(&b);
    b = envelope(3, 1, MU_SPAN_NONE);
    mu_buf_add(&b,
               "\x1a\x05\x0a\x03"
               "abc",
               7); /* an origin's */
    assert_int_equal(command_stamp(mu_buf_span(&b), NULL, 1, &to, &err), MU_CORRUPT);
    mu_buf_deinit(&b);
    assert_int_equal(command_stamp(TEXT("garbage"), &origin, 1, &to, &err), MU_CORRUPT);

    /* one that is just small enough without stamp and origin */
    uint8_t *huge = mu_new(MU_COMMAND_BYTES_MAX);

    b = envelope(3, 1, mu_span_of(huge, MU_COMMAND_BYTES_MAX - 10));
    assert_true(b.bytes <= MU_COMMAND_BYTES_MAX);
    assert_int_equal(command_stamp(mu_buf_span(&b), &origin, 1, &to, &err), MU_TOO_BIG);
    assert_int_equal(to.bytes, 0);
    mu_buf_deinit(&b);
    mu_free(huge);
}

/* By the first bytes of what was encoded or stamped. */
static void kinds_and_levels_are_told_by_the_first_bytes(void **state)
{
    const struct command c = { .kind = COMMAND_SESSION_DESTROY };
    struct mu_buf b = MU_BUF_NONE, to = MU_BUF_NONE;

    (void)state;
    assert_int_equal(command_encode(&c, &b, NULL), MU_OK);
    assert_int_equal(command_kind_of(mu_buf_span(&b)), COMMAND_SESSION_DESTROY);
    assert_int_equal(command_stamp(mu_buf_span(&b), NULL, 77, &to, NULL), MU_OK);
    assert_int_equal(command_kind_of(mu_buf_span(&to)), COMMAND_SESSION_DESTROY);
    assert_int_equal(command_level(mu_buf_span(&to)), COMMAND_LEVEL_FIRST);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(command_kind_of(mu_span_of(b.data, i)), COMMAND_NONE);
    }
    b.data[1] = 127; /* a kind that there is not */
    assert_int_equal(command_kind_of(mu_buf_span(&b)), COMMAND_NONE);
    assert_int_equal(command_level(mu_buf_span(&b)), COMMAND_LEVEL_FIRST);
    assert_int_equal(command_level_max(), COMMAND_LEVEL_FIRST);
    mu_buf_deinit(&b);
    mu_buf_deinit(&to);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(command_kind_text(COMMAND_NONE), "unknown");
    assert_string_equal(command_kind_text((enum command_kind)1000), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_registration_comes_back),
        cmocka_unit_test(the_other_kinds_come_back),
        cmocka_unit_test(sessions_and_locks_come_back),
        cmocka_unit_test(transactions_come_back),
        cmocka_unit_test(absent_and_empty_are_told_apart),
        cmocka_unit_test(encoding_what_was_decoded_gives_the_same_bytes),
        cmocka_unit_test(no_truncation_is_read_past_its_end),
        cmocka_unit_test(envelopes_are_judged),
        cmocka_unit_test(bodies_are_judged),
        cmocka_unit_test(hostile_lists_are_refused_not_stored),
        cmocka_unit_test(size_is_bounded_in_both_directions),
        cmocka_unit_test(texts_are_bounded_and_valid),
        cmocka_unit_test(lists_and_keys_are_bounded),
        cmocka_unit_test(stamping_changes_stamp_and_origin_only),
        cmocka_unit_test(stamping_refuses_what_a_log_must_not_hold),
        cmocka_unit_test(kinds_and_levels_are_told_by_the_first_bytes),
        cmocka_unit_test(kinds_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
