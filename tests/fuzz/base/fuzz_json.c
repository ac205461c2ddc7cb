/* Any bytes as JSON: parsed, decoded by a table, and written again. What we write, we read. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct part {
    struct mu_span name;
    int64_t x;
};

struct whole {
    struct mu_span text;
    bool flag;
    int64_t number, wait_ns;
    uint64_t count, given;
    struct mu_texts texts;
    struct mu_pairs pairs;
    struct mu_multi multi;
    struct part object;
    struct mu_objects objects, named;
};

static const struct mu_json_field part_fields[] = {
    { .name = "x", .as = MU_JSON_AS_INT, .offset = offsetof(struct part, x) },
};
static const struct mu_json_shape part_shape = {
    .fields = part_fields, .fields_count = 1, .bytes = sizeof(struct part), .is_loose = true
};
static const struct mu_json_field whole_fields[] = {
    // clang-format off
    { .name = "t", .as = MU_JSON_AS_TEXT,     .offset = offsetof(struct whole, text),
      .also = { "u" } },
    { .name = "f", .as = MU_JSON_AS_BOOL,     .offset = offsetof(struct whole, flag) },
    { .name = "i", .as = MU_JSON_AS_INT,      .offset = offsetof(struct whole, number) },
    { .name = "c", .as = MU_JSON_AS_UINT,     .offset = offsetof(struct whole, count) },
    { .name = "w", .as = MU_JSON_AS_DURATION, .offset = offsetof(struct whole, wait_ns) },
    { .name = "l", .as = MU_JSON_AS_TEXTS,    .offset = offsetof(struct whole, texts) },
    { .name = "p", .as = MU_JSON_AS_PAIRS,    .offset = offsetof(struct whole, pairs) },
    { .name = "m", .as = MU_JSON_AS_MULTI,    .offset = offsetof(struct whole, multi) },
    { .name = "o", .as = MU_JSON_AS_OBJECT,   .offset = offsetof(struct whole, object),
      .of = &part_shape },
    { .name = "a", .as = MU_JSON_AS_OBJECTS,  .offset = offsetof(struct whole, objects),
      .of = &part_shape },
    { .name = "n", .as = MU_JSON_AS_NAMED,    .offset = offsetof(struct whole, named),
      .of = &part_shape },
}; // clang-format on
static const struct mu_json_shape whole_shape = { .fields = whole_fields,
                                                  .fields_count = MU_LEN(whole_fields),
                                                  .bytes = sizeof(struct whole),
                                                  .has_given = true,
                                                  .given_offset = offsetof(struct whole, given) };

/* -0 comes back as the integer 0. From 2^63 to 1e21 reals are written with all their digits, as Go
 * does, and come back as integers, which are refused where they do not fit 64 bits. */
static void real_rewrite(struct mu_json_out *o, double v)
{
    bool is_refused = fabs(v) >= 0x1p63 && fabs(v) < 1e21;

    mu_json_put_real(o, v == 0 || is_refused ? 0 : v);
}

/* False: nested deeper than the writer goes. */
static bool rewrite(struct mu_json_out *o, const struct mu_json *v)
{
    struct mu_json_at at = { 0 };
    bool fits = true;

    switch (mu_json_kind_of(v)) {
    case MU_JSON_NULL: mu_json_put_null(o); break;
    case MU_JSON_BOOL: mu_json_put_bool(o, mu_json_bool(v)); break;
    case MU_JSON_INT: mu_json_put_i64(o, mu_json_int(v)); break;
    case MU_JSON_REAL: real_rewrite(o, mu_json_number(v)); break;
    case MU_JSON_STRING: mu_json_put_span(o, mu_json_string(v)); break;
    case MU_JSON_LIST:
        if (o->depth == MU_JSON_DEPTH_MAX) {
            return false;
        }
        mu_json_open(o, '[');
        for (size_t i = 0; i < mu_json_count(v) && fits; i++) {
            fits = rewrite(o, mu_json_at(v, i));
        }
        mu_json_close(o, ']');
        break;
    case MU_JSON_OBJECT:
        if (o->depth == MU_JSON_DEPTH_MAX) {
            return false;
        }
        mu_json_open(o, '{');
        while (fits && mu_json_next(v, &at)) {
            mu_json_key(o, at.name);
            fits = rewrite(o, at.value);
            if (!fits) {
                o->has_key = false;
            }
        }
        mu_json_close(o, '}');
        break;
    }
    return fits;
}

/* Written, read and written again: the same bytes, compact and indented. */
static void round_trip(const struct mu_json *root, bool is_pretty)
{
    struct mu_buf texts[2] = { MU_BUF_NONE, MU_BUF_NONE };
    struct mu_json *back = NULL;
    struct mu_json_out o;

    mu_json_out_init(&o, &texts[0], is_pretty);
    if (rewrite(&o, root)) {
        mu_json_out_end(&o);
        MU_ASSERT(mu_json_parse(&back, mu_buf_span(&texts[0]), true, NULL) == MU_OK);
        mu_json_out_init(&o, &texts[1], is_pretty);
        MU_ASSERT(rewrite(&o, back));
        mu_json_out_end(&o);
        MU_ASSERT(mu_span_eq(mu_buf_span(&texts[0]), mu_buf_span(&texts[1])));
    }
    mu_json_free(back);
    mu_buf_deinit(&texts[0]);
    mu_buf_deinit(&texts[1]);
}

/* Any bytes at all can be written as a string. */
static void write_string(struct mu_span bytes)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json *back = NULL;
    struct mu_json_out o;

    mu_json_out_init(&o, &text, false);
    mu_json_put_span(&o, bytes);
    mu_json_out_end(&o);
    MU_ASSERT(mu_span_is_utf8(mu_buf_span(&text)));
    enum mu_code code = mu_json_parse(&back, mu_buf_span(&text), true, NULL);

    for (size_t i = 0; i < bytes.bytes && code != MU_OK; i++) {
        code = bytes.data[i] == '\0' ? MU_OK : code; /* which the reader refuses */
    }
    MU_ASSERT(code == MU_OK);
    mu_json_free(back);
    mu_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span text = mu_span_of(data, bytes);
    struct mu_json *root = NULL;
    struct whole w = { .given = 0 };
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (mu_json_parse(&root, text, false, NULL) == MU_OK) {
        round_trip(root, false);
        round_trip(root, true);
        if (mu_json_decode(root, &whole_shape, &w, &arena, NULL) != MU_OK) {
            w.given = 0;
        }
    }
    write_string(text);
    mu_json_free(root);
    mu_arena_deinit(&arena);
    return 0;
}
