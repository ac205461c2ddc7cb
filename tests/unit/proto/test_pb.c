#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <protobuf-c/protobuf-c.h>

#include "base/assert.h"
#include "proto/pb.h"

/* message Nest { Nest inner = 1; bytes data = 2; uint64 number = 3; repeated uint32 many = 4; }
 * written down by hand: the deepest of our own messages nests four levels. */
struct nest {
    ProtobufCMessage base;
    struct nest *inner;
    ProtobufCBinaryData data;
    uint64_t number;
    size_t n_many;
    uint32_t *many;
};

extern const ProtobufCMessageDescriptor nest_type;

static const ProtobufCFieldDescriptor nest_fields[] = {
    { "inner", 1, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_MESSAGE, 0, offsetof(struct nest, inner),
      &nest_type, NULL, 0, 0, NULL, NULL },
    { "data", 2, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_BYTES, 0, offsetof(struct nest, data), NULL,
      NULL, 0, 0, NULL, NULL },
    { "number", 3, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_UINT64, 0, offsetof(struct nest, number),
      NULL, NULL, 0, 0, NULL, NULL },
    { "many", 4, PROTOBUF_C_LABEL_REPEATED, PROTOBUF_C_TYPE_UINT32, offsetof(struct nest, n_many),
      offsetof(struct nest, many), NULL, NULL, PROTOBUF_C_FIELD_FLAG_PACKED, 0, NULL, NULL },
};
static const unsigned nest_by_name[] = { 1, 0, 3, 2 };
static const ProtobufCIntRange nest_ranges[] = { { 1, 0 }, { 0, 4 } };
const ProtobufCMessageDescriptor nest_type = {
    PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    "nest",
    "Nest",
    "nest",
    "",
    sizeof(struct nest),
    4,
    nest_fields,
    nest_by_name,
    1,
    nest_ranges,
    NULL,
    NULL,
    NULL,
    NULL,
};

static const struct nest nest_none = { .base = PROTOBUF_C_MESSAGE_INIT(&nest_type) };

/* `depth` messages inside each other, the innermost with a number. */
static void add_nested(struct mu_buf *to, unsigned depth)
{
    struct nest levels[64];

    MU_ASSERT(depth > 0 && depth <= MU_LEN(levels));
    for (unsigned i = 0; i < depth; i++) {
        levels[i] = nest_none;
        levels[i].inner = i + 1 < depth ? &levels[i + 1] : NULL;
    }
    levels[depth - 1].number = 7;
    (void)mu_pb_pack(&levels[0].base, to);
}

static void what_was_packed_is_unpacked(void **state)
{
    struct nest inner = nest_none;
    struct nest outer = nest_none;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_arena arena;
    uint32_t many[] = { 1, 300, 70000 };

    (void)state;
    inner.data = (ProtobufCBinaryData){ 3, (uint8_t[]){ 'a', 0, 'b' } };
    outer.inner = &inner;
    outer.number = UINT64_MAX;
    outer.n_many = MU_LEN(many);
    outer.many = many;
    mu_buf_add_text(&bytes, "kept");
    size_t packed = mu_pb_pack(&outer.base, &bytes);

    assert_int_equal(packed, bytes.bytes - 4);
    assert_memory_equal(bytes.data, "kept", 4);
    mu_arena_init(&arena, 4096);
    const struct nest *back =
        mu_pb_unpack(&nest_type, mu_span_sub(mu_buf_span(&bytes), 4, bytes.bytes), &arena);

    assert_non_null(back);
    assert_int_equal(back->number, UINT64_MAX);
    assert_int_equal(back->n_many, 3);
    assert_int_equal(back->many[2], 70000);
    assert_non_null(back->inner);
    assert_int_equal(back->inner->data.len, 3);
    assert_memory_equal(back->inner->data.data, "a\0b", 3);
    mu_arena_deinit(&arena);
    mu_buf_deinit(&bytes);
}

static void an_empty_message_needs_no_bytes(void **state)
{
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 4096);
    const struct nest *none = mu_pb_unpack(&nest_type, MU_SPAN_NONE, &arena);

    assert_non_null(none);
    assert_null(none->inner);
    mu_arena_deinit(&arena);
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= MU_PB_DEPTH_MAX + 3; depth++) {
        struct mu_buf bytes = MU_BUF_NONE;
        struct mu_arena arena;
        bool fits = depth <= MU_PB_DEPTH_MAX;

        add_nested(&bytes, depth);
        mu_arena_init(&arena, 65536);
        assert_int_equal(mu_pb_depth_ok(&nest_type, mu_buf_span(&bytes), MU_PB_DEPTH_MAX), fits);
        assert_int_equal(mu_pb_unpack(&nest_type, mu_buf_span(&bytes), &arena) != NULL, fits);
        mu_arena_deinit(&arena);
        mu_buf_deinit(&bytes);
    }
}

/* Bytes that only look like nested messages are data, however deep. */
static void data_is_not_followed(void **state)
{
    struct mu_buf inner = MU_BUF_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct nest outer = nest_none;

    (void)state;
    add_nested(&inner, 40);
    outer.data = (ProtobufCBinaryData){ inner.bytes, inner.data };
    (void)mu_pb_pack(&outer.base, &bytes);
    assert_true(mu_pb_depth_ok(&nest_type, mu_buf_span(&bytes), 1));
    mu_buf_deinit(&inner);
    mu_buf_deinit(&bytes);
}

static void memory_has_a_cap(void **state)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    add_nested(&bytes, 10);
    mu_arena_init(&arena, 5 * sizeof(struct nest));
    assert_null(mu_pb_unpack(&nest_type, mu_buf_span(&bytes), &arena));
    assert_true(arena.bytes <= arena.bytes_max);
    mu_arena_deinit(&arena);
    mu_buf_deinit(&bytes);
}

static void malformed_bytes_are_refused(void **state)
{
    static const struct {
        const char *why;
        struct mu_span bytes;
    } cases[] = {
        { "a tag alone", MU_SPAN_LIT("\x18") },
        { "a varint without end", MU_SPAN_LIT("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") },
        { "a length beyond the end", MU_SPAN_LIT("\x12\x05"
                                                 "abc") },
        { "a length of 2^63", MU_SPAN_LIT("\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01") },
        { "a group", MU_SPAN_LIT("\x1b\x1c") },
        { "wire type 6", MU_SPAN_LIT("\x1e\x00") },
        { "half a fixed64", MU_SPAN_LIT("\x29\x01\x02\x03") },
        { "half a fixed32", MU_SPAN_LIT("\x2d\x01") },
        { "a bad message inside", MU_SPAN_LIT("\x0a\x01\x18") },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;

        mu_arena_init(&arena, 4096);
        if (mu_pb_unpack(&nest_type, cases[i].bytes, &arena) != NULL) {
            fail_msg("%s: accepted", cases[i].why);
        }
        mu_arena_deinit(&arena);
    }
}

/* A cut message is either refused or, cut between two fields, a message without the later ones;
 * never more than what is there is read (the sanitizer watches). */
static void truncations_never_read_past_the_end(void **state)
{
    struct mu_buf bytes = MU_BUF_NONE;

    (void)state;
    add_nested(&bytes, 12);
    for (size_t cut = 0; cut < bytes.bytes; cut++) {
        struct mu_buf exact = MU_BUF_NONE;
        struct mu_arena arena;

        mu_arena_init(&arena, 65536);
        mu_buf_add(&exact, bytes.data, cut);
        const struct nest *got = mu_pb_unpack(&nest_type, mu_buf_span(&exact), &arena);

        assert_int_equal(got != NULL, cut == 0); /* one field, cut: only nothing is whole */
        mu_arena_deinit(&arena);
        mu_buf_deinit(&exact);
    }
    mu_buf_deinit(&bytes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_is_unpacked),
        cmocka_unit_test(an_empty_message_needs_no_bytes),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(data_is_not_followed),
        cmocka_unit_test(memory_has_a_cap),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(truncations_never_read_past_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
