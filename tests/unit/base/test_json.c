#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <string.h>

#include "abort.h"
#include "base/assert.h"
#include "base/json.h"

/* -- the tree ------------------------------------------------------------------------------- */

static void trees_are_parsed(void **state)
{
    static const struct {
        const char *why, *text;
        bool whole;
        const char *error; /* "" when it parses */
    } cases[] = {
        // clang-format off
        { "an object", " {\"a\":1} ", true, "" },
        { "a number alone", "7", true, "" },
        { "the first of two documents", "{} {}", false, "" },
        { "rubbish behind it", "{}x", false, "" },
        { "nothing", "", false, "EOF" },
        { "blanks", " \t\r\n", false, "EOF" },
        { "a cut object", "{\"a\":", false, "unexpected EOF" },
        { "a cut string", "\"a", false, "unexpected EOF" },
        { "a cut list", "[1,2", false, "unexpected EOF" },
        { "two documents where one is wanted", "{} {}", true,
          "line 1, column 4: end of file expected near '{'" },
        { "rubbish", "{\n  x}", false, "line 2, column 3: string or '}' expected near 'x'" },
        { "single quotes", "{'a':1}", false, "line 1, column 2: string or '}' expected near '''" },
        { "a comma too many", "[1,]", false, "line 1, column 4: unexpected token near ']'" },
        { "NaN", "NaN", false, "line 1, column 3: invalid token near 'NaN'" },
        { "a leading zero", "[01]", false, "line 1, column 2: invalid token near '0'" },
        { "2^64", "18446744073709551616", false,
          "line 1, column 20: too big integer near '18446744073709551616'" },
        { "bad UTF-8", "\"\xff\"", false, "line 1, column 1: unable to decode byte 0xff near '\"'" },
        { "a lone surrogate", "\"\\ud800\"", false,
          "line 1, column 8: invalid Unicode '\\uD800' near '\"\\ud800\"'" },
        { "a control byte in a string", "\"a\nb\"", false,
          "line 1, column 2: unexpected newline near '\"a'" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_json *root = NULL;
        struct mu_err err = MU_ERR_NONE;
        enum mu_code code = mu_json_parse(&root, mu_span_text(cases[i].text), cases[i].whole, &err);

        if (strcmp(err.text, cases[i].error) != 0 ||
            code != (cases[i].error[0] != '\0' ? MU_INVALID : MU_OK) ||
            (root != NULL) != (code == MU_OK)) {
            fail_msg("%s: '%s'", cases[i].why, err.text);
        }
        mu_json_free(root);
    }
}

static void values_are_what_they_are(void **state)
{
    static const char text[] =
        "{\"n\":null,\"b\":true,\"i\":-9223372036854775808,\"r\":1.5,"
        "\"s\":\"\\u00e9\\ud83d\\ude00\\n\",\"l\":[1,[]],\"o\":{\"x\":1,\"y\":2}}";
    struct mu_json *root = NULL;
    struct mu_json_at at = { 0 };
    struct mu_buf names = MU_BUF_NONE;

    (void)state;
    assert_int_equal(mu_json_parse(&root, mu_span_text(text), true, NULL), MU_OK);
    assert_int_equal(mu_json_kind_of(root), MU_JSON_OBJECT);
    assert_int_equal(mu_json_count(root), 7);
    assert_int_equal(mu_json_kind_of(mu_json_find(root, "n")), MU_JSON_NULL);
    assert_true(mu_json_bool(mu_json_find(root, "b")));
    assert_int_equal(mu_json_int(mu_json_find(root, "i")), INT64_MIN);
    assert_true(mu_json_number(mu_json_find(root, "r")) == 1.5);
    assert_true(mu_json_number(mu_json_find(root, "i")) == -0x1p63);
    assert_true(
        mu_span_eq_text(mu_json_string(mu_json_find(root, "s")), "\xc3\xa9\xf0\x9f\x98\x80\n"));
    assert_int_equal(mu_json_count(mu_json_find(root, "l")), 2);
    assert_int_equal(mu_json_kind_of(mu_json_at(mu_json_find(root, "l"), 1)), MU_JSON_LIST);
    assert_null(mu_json_find(root, "N")); /* exact */
    while (mu_json_next(root, &at)) {
        mu_buf_addf(&names, "%s:%s ", at.name, mu_json_kind_text(mu_json_kind_of(at.value)));
    }
    assert_string_equal(mu_buf_text(&names),
                        "n:null b:bool i:number r:number s:string l:array o:object ");
    mu_buf_deinit(&names);
    mu_json_free(root);
    mu_json_free(NULL);
}

/* -- decoding ------------------------------------------------------------------------------- */

struct inner {
    struct mu_span name; /* of NAMED; else unused */
    int64_t x;
};

struct outer {
    struct mu_span text;
    bool flag;
    int64_t number;
    uint64_t count;
    int64_t wait_ns;
    struct mu_texts texts;
    struct mu_pairs pairs;
    struct mu_multi multi;
    struct inner object;
    struct mu_objects objects, named;
    uint64_t given;
};

static const struct mu_json_field inner_fields[] = {
    { .name = "X", .as = MU_JSON_AS_INT, .offset = offsetof(struct inner, x) },
};
static const struct mu_json_shape inner_shape = { .fields = inner_fields,
                                                  .fields_count = 1,
                                                  .bytes = sizeof(struct inner) };
static const struct mu_json_shape loose_shape = {
    .fields = inner_fields, .fields_count = 1, .bytes = sizeof(struct inner), .is_loose = true
};

static const struct mu_json_field outer_fields[] = {
    // clang-format off
    { .name = "Text",    .as = MU_JSON_AS_TEXT,     .offset = offsetof(struct outer, text),
      .also = { "some_text", "TheText" } },
    { .name = "Flag",    .as = MU_JSON_AS_BOOL,     .offset = offsetof(struct outer, flag) },
    { .name = "Number",  .as = MU_JSON_AS_INT,      .offset = offsetof(struct outer, number) },
    { .name = "Count",   .as = MU_JSON_AS_UINT,     .offset = offsetof(struct outer, count) },
    { .name = "Wait",    .as = MU_JSON_AS_DURATION, .offset = offsetof(struct outer, wait_ns) },
    { .name = "Texts",   .as = MU_JSON_AS_TEXTS,    .offset = offsetof(struct outer, texts) },
    { .name = "Pairs",   .as = MU_JSON_AS_PAIRS,    .offset = offsetof(struct outer, pairs) },
    { .name = "Multi",   .as = MU_JSON_AS_MULTI,    .offset = offsetof(struct outer, multi) },
    { .name = "Object",  .as = MU_JSON_AS_OBJECT,   .offset = offsetof(struct outer, object),
      .of = &inner_shape },
    { .name = "Objects", .as = MU_JSON_AS_OBJECTS,  .offset = offsetof(struct outer, objects),
      .of = &inner_shape },
    { .name = "Named",   .as = MU_JSON_AS_NAMED,    .offset = offsetof(struct outer, named),
      .of = &loose_shape },
    { .name = "Nothing", .as = MU_JSON_AS_NOTHING },
}; // clang-format on
static const struct mu_json_shape outer_shape = {
    .fields = outer_fields,
    .fields_count = MU_LEN(outer_fields),
    .bytes = sizeof(struct outer),
    .has_given = true,
    .given_offset = offsetof(struct outer, given),
};

static void describe_inner(struct mu_buf *b, const struct mu_objects *objects)
{
    const struct inner *items = objects->items;

    for (size_t i = 0; i < objects->count; i++) {
        mu_buf_addf(b, " %.*s:%lld", MU_SPAN_FMT(items[i].name), (long long)items[i].x);
    }
}

/* What was given, and what it is now: "Text=a Number=3". */
static const char *describe(struct mu_buf *b, const struct outer *o)
{
    mu_buf_clear(b);
    for (size_t i = 0; i < MU_LEN(outer_fields); i++) {
        if ((o->given & 1ULL << i) == 0) {
            continue;
        }
        mu_buf_addf(b, "%s%s=", b->bytes > 0 ? " " : "", outer_fields[i].name);
        switch (i) {
        case 0: mu_buf_add_span(b, o->text); break;
        case 1: mu_buf_add_text(b, o->flag ? "true" : "false"); break;
        case 2: mu_buf_addf(b, "%lld", (long long)o->number); break;
        case 3: mu_buf_add_u64(b, o->count); break;
        case 4: mu_buf_addf(b, "%lld", (long long)o->wait_ns); break;
        case 5:
            for (size_t n = 0; n < o->texts.count; n++) {
                mu_buf_addf(b, "%.*s,", MU_SPAN_FMT(o->texts.items[n]));
            }
            break;
        case 6:
            for (size_t n = 0; n < o->pairs.count; n++) {
                mu_buf_addf(b, "%.*s:%.*s,", MU_SPAN_FMT(o->pairs.items[n].key),
                            MU_SPAN_FMT(o->pairs.items[n].value));
            }
            break;
        case 7:
            for (size_t n = 0; n < o->multi.count; n++) {
                mu_buf_addf(b, "%.*s:%zu,", MU_SPAN_FMT(o->multi.items[n].key),
                            o->multi.items[n].values.count);
            }
            break;
        case 8: mu_buf_addf(b, "%lld", (long long)o->object.x); break;
        case 9: describe_inner(b, &o->objects); break;
        case 10: describe_inner(b, &o->named); break;
        default: break;
        }
    }
    return mu_buf_text(b);
}

static void objects_are_decoded_by_their_table(void **state)
{
    static const struct {
        const char *why, *text, *got;
    } cases[] = {
        // clang-format off
        { "nothing given", "{}", "" },
        { "each kind", "{\"Text\":\"a\",\"Flag\":true,\"Number\":-3,\"Count\":4,\"Wait\":\"1.5s\","
          "\"Texts\":[\"x\",\"y\"],\"Pairs\":{\"k\":\"v\"},\"Multi\":{\"h\":[\"1\",\"2\"]},"
          "\"Object\":{\"X\":5},\"Objects\":[{\"X\":6},{\"X\":7}],\"Named\":{\"n\":{\"X\":8}},"
          "\"Nothing\":[1,{}]}",
          "Text=a Flag=true Number=-3 Count=4 Wait=1500000000 Texts=x,y, Pairs=k:v, Multi=h:2, "
          "Object=5 Objects= :6 :7 Named= n:8 Nothing=" },
        { "names fold", "{\"tEXT\":\"a\",\"FLAG\":true}", "Text=a Flag=true" },
        { "other spellings, folded too", "{\"SOME_Text\":\"a\"}", "Text=a" },
        { "exact overrules folded, before", "{\"Text\":\"exact\",\"text\":\"folded\"}", "Text=exact" },
        { "exact overrules folded, behind", "{\"text\":\"folded\",\"Text\":\"exact\"}", "Text=exact" },
        { "exact overrules another spelling", "{\"Text\":\"exact\",\"some_text\":\"other\"}",
          "Text=exact" },
        { "an exact null overrules nobody", "{\"Text\":null,\"text\":\"folded\"}", "Text=folded" },
        { "of several the last wins", "{\"text\":\"1\",\"TEXT\":\"2\",\"some_text\":\"3\"}", "Text=3" },
        { "null counts as absent", "{\"Text\":null,\"Number\":null,\"Texts\":null,\"Object\":null}",
          "" },
        { "a duration as a number", "{\"Wait\":7}", "Wait=7" },
        { "a whole number written as a real", "{\"Number\":3.0,\"Count\":1e3}", "Number=3 Count=1000" },
        { "empty lists and objects are given", "{\"Texts\":[],\"Pairs\":{},\"Objects\":[]}",
          "Texts= Pairs= Objects=" },
        { "nulls inside", "{\"Texts\":[null,\"a\"],\"Pairs\":{\"k\":null},\"Multi\":{\"h\":null},"
          "\"Objects\":[null,{\"X\":1}],\"Named\":{\"n\":null}}",
          "Texts=,a, Pairs=k:, Multi=h:0, Objects= :1 Named= n:0" },
        { "unknown members of a loose shape", "{\"Named\":{\"n\":{\"Y\":1,\"x\":2}}}",
          "Named= n:2" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_err err = MU_ERR_NONE;
        struct mu_arena arena;
        struct outer o = { .given = 0 };

        mu_arena_init(&arena, 0);
        enum mu_code code =
            mu_json_read(mu_span_text(cases[i].text), &outer_shape, &o, &arena, &err);

        if (code != MU_OK || strcmp(describe(&b, &o), cases[i].got) != 0) {
            fail_msg("%s: <%s> (%s)", cases[i].why, mu_buf_text(&b), err.text);
        }
        mu_buf_deinit(&b);
        mu_arena_deinit(&arena);
    }
}

static void what_does_not_fit_is_refused_in_gos_words(void **state)
{
#define OF_TYPE(json, field, type) \
    "json: cannot unmarshal " json " into Go struct field ." field " of type " type
    static const struct {
        const char *text, *error;
    } cases[] = {
        // clang-format off
        { "", "EOF" },
        { "{", "unexpected EOF" },
        { "[]", "json: cannot unmarshal array into Go value of type struct" },
        { "null", "json: cannot unmarshal null into Go value of type struct" },
        { "{\"Foo\":1}", "json: unknown field \"Foo\"" },
        { "{\"Foo\":null}", "json: unknown field \"Foo\"" },
        { "{\"Object\":{\"Foo\":1}}", "json: unknown field \"Foo\"" },
        { "{\"Objects\":[{\"Foo\":1}]}", "json: unknown field \"Foo\"" },
        { "{\"text\":1}", OF_TYPE("number", "Text", "string") },
        { "{\"Flag\":\"true\"}", OF_TYPE("string", "Flag", "bool") },
        { "{\"Number\":\"1\"}", OF_TYPE("string", "Number", "int") },
        { "{\"Number\":1.5}", OF_TYPE("number", "Number", "int") },
        { "{\"Number\":1e300}", OF_TYPE("number", "Number", "int") },
        { "{\"Count\":-1}", OF_TYPE("number", "Count", "uint64") },
        { "{\"Wait\":\"nope\"}", "time: invalid duration \"nope\"" },
        { "{\"Wait\":\"10q\"}", "time: unknown unit \"q\" in duration \"10q\"" },
        { "{\"Wait\":true}", OF_TYPE("bool", "Wait", "time.Duration") },
        { "{\"Texts\":\"a\"}", OF_TYPE("string", "Texts", "[]string") },
        { "{\"Texts\":[1]}", OF_TYPE("number", "Texts", "[]string") },
        { "{\"Pairs\":[]}", OF_TYPE("array", "Pairs", "map[string]string") },
        { "{\"Pairs\":{\"a\":{}}}", OF_TYPE("object", "Pairs", "map[string]string") },
        { "{\"Multi\":{\"a\":\"b\"}}", OF_TYPE("string", "Multi", "map[string][]string") },
        { "{\"Multi\":1}", OF_TYPE("number", "Multi", "map[string][]string") },
        { "{\"Object\":[]}", OF_TYPE("array", "Object", "struct") },
        { "{\"Objects\":{}}", OF_TYPE("object", "Objects", "[]struct") },
        { "{\"Objects\":[1]}", "json: cannot unmarshal number into Go value of type struct" },
        { "{\"Named\":[]}", OF_TYPE("array", "Named", "map[string]struct") },
        { "{\"Named\":{\"n\":1}}", "json: cannot unmarshal number into Go value of type struct" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_arena arena;
        struct outer o = { .given = 0 };

        mu_arena_init(&arena, 0);
        if (mu_json_read(mu_span_text(cases[i].text), &outer_shape, &o, &arena, &err) !=
                MU_INVALID ||
            strcmp(err.text, cases[i].error) != 0) {
            fail_msg("%s: '%s'", cases[i].text, err.text);
        }
        mu_arena_deinit(&arena);
    }
}

static void defaults_stay_where_nothing_is_given(void **state)
{
    struct outer o = { .text = MU_SPAN_LIT("before"), .number = 9 };
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(
        mu_json_read(MU_SPAN_LIT("{\"Number\":null,\"Count\":1}"), &outer_shape, &o, &arena, NULL),
        MU_OK);
    assert_true(mu_span_eq_text(o.text, "before"));
    assert_int_equal(o.number, 9);
    mu_arena_deinit(&arena);
}

/* What was decoded does not point into the text or the tree. */
static void decoded_strings_are_copies(void **state)
{
    char text[] = "{\"Text\":\"abc\",\"Pairs\":{\"k\":\"v\"}}";
    struct outer o = { .given = 0 };
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(mu_json_read(mu_span_text(text), &outer_shape, &o, &arena, NULL), MU_OK);
    memset(text, 'x', sizeof text - 1);
    assert_string_equal((const char *)o.text.data, "abc"); /* with a NUL behind it */
    assert_string_equal((const char *)o.pairs.items[0].key.data, "k");
    mu_arena_deinit(&arena);
}

/* -- writing -------------------------------------------------------------------------------- */

static void write_sample(struct mu_buf *b, bool is_pretty)
{
    struct mu_json_out o;

    mu_json_out_init(&o, b, is_pretty);
    mu_json_open(&o, '{');
    mu_json_text(&o, "a", "x");
    mu_json_key(&o, "list");
    mu_json_open(&o, '[');
    mu_json_put_i64(&o, INT64_MIN);
    mu_json_put_u64(&o, UINT64_MAX);
    mu_json_open(&o, '{');
    mu_json_close(&o, '}');
    mu_json_open(&o, '[');
    mu_json_close(&o, ']');
    mu_json_close(&o, ']');
    mu_json_boolean(&o, "b", true);
    mu_json_nothing(&o, "n");
    mu_json_key_span(&o, MU_SPAN_LIT("k\""));
    mu_json_put_raw(&o, MU_SPAN_LIT("{\"raw\":[1,{}],\"s\":\"a,{\\\"\"}"));
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
}

static void documents_are_written_compact_and_indented(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    write_sample(&b, false);
    assert_string_equal(mu_buf_text(&b),
                        "{\"a\":\"x\",\"list\":[-9223372036854775808,18446744073709551615,{},[]],"
                        "\"b\":true,\"n\":null,\"k\\\"\":{\"raw\":[1,{}],\"s\":\"a,{\\\"\"}}");
    mu_buf_clear(&b);
    write_sample(&b, true);
    assert_string_equal(mu_buf_text(&b), "{\n"
                                         "    \"a\": \"x\",\n"
                                         "    \"list\": [\n"
                                         "        -9223372036854775808,\n"
                                         "        18446744073709551615,\n"
                                         "        {},\n"
                                         "        []\n"
                                         "    ],\n"
                                         "    \"b\": true,\n"
                                         "    \"n\": null,\n"
                                         "    \"k\\\"\": {\n"
                                         "        \"raw\": [\n"
                                         "            1,\n"
                                         "            {}\n"
                                         "        ],\n"
                                         "        \"s\": \"a,{\\\"\"\n"
                                         "    }\n"
                                         "}\n");
    mu_buf_deinit(&b);
}

/* A finished value may come with blanks of its own. */
static void finished_values_are_indented_alike(void **state)
{
    static const struct {
        const char *why, *raw, *written;
    } cases[] = {
        // clang-format off
        { "compact", "{\"a\":[1,\"x y\"],\"b\":{}}",
          "{\n    \"a\": [\n        1,\n        \"x y\"\n    ],\n    \"b\": {}\n}\n" },
        { "with blanks", " { \"a\" : [ 1 , \"x y\" ] ,\n\t\"b\" : { } } ",
          "{\n    \"a\": [\n        1,\n        \"x y\"\n    ],\n    \"b\": {}\n}\n" },
        { "a string that looks like more", "\"{[ \\\" ,:\"", "\"{[ \\\" ,:\"\n" },
        { "a number", "7", "7\n" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_json_out o;

        mu_json_out_init(&o, &b, true);
        mu_json_put_raw(&o, mu_span_text(cases[i].raw));
        mu_json_out_end(&o);
        if (strcmp(mu_buf_text(&b), cases[i].written) != 0) {
            fail_msg("%s: <%s>", cases[i].why, mu_buf_text(&b));
        }
        mu_buf_deinit(&b);
    }
}

static void strings_are_escaped(void **state)
{
    static const struct {
        const char *why;
        struct mu_span text;
        const char *written;
    } cases[] = {
        // clang-format off
        { "plain", MU_SPAN_LIT("az AZ 09 /<>&~"), "\"az AZ 09 /<>&~\"" },
        { "empty", MU_SPAN_NONE, "\"\"" },
        { "quotes", MU_SPAN_LIT("a\"b\\c"), "\"a\\\"b\\\\c\"" },
        { "line ends", MU_SPAN_LIT("\n\r\t"), "\"\\n\\r\\t\"" },
        { "controls", MU_SPAN_LIT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"" },
        { "UTF-8", MU_SPAN_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
          "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "bad UTF-8", MU_SPAN_LIT("a\xff" "b\xc3" "c\xe2\x82"),
          "\"a\xef\xbf\xbd" "b\xef\xbf\xbd" "c\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "a surrogate", MU_SPAN_LIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_json_out o;
        struct mu_json *back = NULL;

        mu_json_out_init(&o, &b, false);
        mu_json_put_span(&o, cases[i].text);
        mu_json_out_end(&o);
        if (strcmp(mu_buf_text(&b), cases[i].written) != 0) {
            fail_msg("%s: %s", cases[i].why, mu_buf_text(&b));
        }
        if (strstr(cases[i].written, "\\u0000") == NULL) { /* the reader takes no NUL */
            assert_int_equal(mu_json_parse(&back, mu_buf_span(&b), true, NULL), MU_OK);
        }
        mu_json_free(back);
        mu_buf_deinit(&b);
    }
}

static void numbers_read_back_equal(void **state)
{
    static const double numbers[] = { 0,    1,       -1,      0.1,     1.0 / 3,      1e-5,
                                      1e21, 1.5e300, DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 123456789.125,
                                      0.3 };

    (void)state;
    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_json_out o;
        struct mu_json *back = NULL;

        mu_json_out_init(&o, &b, false);
        mu_json_put_real(&o, numbers[i]);
        mu_json_out_end(&o);
        assert_int_equal(mu_json_parse(&back, mu_buf_span(&b), true, NULL), MU_OK);
        if (mu_json_number(back) != numbers[i] || b.bytes > 24) {
            fail_msg("%.17g was written as %s", numbers[i], mu_buf_text(&b));
        }
        mu_json_free(back);
        mu_buf_deinit(&b);
    }
}

static void numbers_look_as_go_writes_them(void **state)
{
    static const struct {
        double value;
        const char *written;
    } cases[] = {
        { 0, "0" },
        { 1.5, "1.5" },
        { 1e-5, "0.00001" },
        { 1e-6, "0.000001" },
        { 1e-7, "1e-7" },
        { -0.00025, "-0.00025" },
        { 100, "100" },
        { 1e20, "100000000000000000000" },
        { 1e21, "1e+21" },
        { 1.25e-9, "1.25e-9" },
        { 123456.5, "123456.5" },
        { 0.30000000000000004, "0.30000000000000004" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_json_out o;

        mu_json_out_init(&o, &b, false);
        mu_json_put_real(&o, cases[i].value);
        mu_json_out_end(&o);
        assert_string_equal(mu_buf_text(&b), cases[i].written);
        mu_buf_deinit(&b);
    }
}

static void bytes_as_base64(void **state)
{
    static const struct {
        struct mu_span bytes;
        const char *written;
    } cases[] = {
        { MU_SPAN_NONE, "\"\"" },
        { MU_SPAN_LIT("f"), "\"Zg==\"" },
        { MU_SPAN_LIT("fo"), "\"Zm8=\"" },
        { MU_SPAN_LIT("foo"), "\"Zm9v\"" },
        { MU_SPAN_LIT("\xfb\xff\0"), "\"+/8A\"" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_json_out o;

        mu_json_out_init(&o, &b, false);
        mu_json_put_base64(&o, cases[i].bytes);
        assert_string_equal(mu_buf_text(&b), cases[i].written);
        mu_buf_deinit(&b);
    }
}

static void leave_open(void *data)
{
    struct mu_json_out o;

    mu_json_out_init(&o, data, false);
    mu_json_open(&o, '{');
    mu_json_out_end(&o);
}

static void nest_too_deep(void *data)
{
    struct mu_json_out o;

    mu_json_out_init(&o, data, false);
    for (unsigned i = 0; i <= MU_JSON_DEPTH_MAX; i++) {
        mu_json_open(&o, '[');
    }
}

static void a_document_that_does_not_balance_is_a_bug(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    assert_true(aborts(leave_open, &b));
    assert_true(aborts(nest_too_deep, &b));
    mu_buf_deinit(&b);
}

/* Between 2^63 and 2^64 only where the table wants an unsigned one; digits in texts are texts. */
static void large_unsigned_integers_are_taken_where_they_are_wanted(void **state)
{
    static const struct {
        const char *why, *text;
        enum mu_code code;
        uint64_t count;
    } cases[] = {
        { "2^63 - 1", "{\"Count\":9223372036854775807}", MU_OK, INT64_MAX },
        { "2^63", "{\"Count\":9223372036854775808}", MU_OK, UINT64_C(9223372036854775808) },
        { "2^64 - 1", "{\"Count\": 18446744073709551615 }", MU_OK, UINT64_MAX },
        { "2^64", "{\"Count\":18446744073709551616}", MU_INVALID, 0 },
        { "negative", "{\"Count\":-9223372036854775809}", MU_INVALID, 0 },
        { "a fraction", "{\"Count\":0.9223372036854775808}", MU_INVALID, 0 },
        { "a text of digits", "{\"Count\":\"9223372036854775808\"}", MU_INVALID, 0 },
        { "behind a quote in a text", "{\"Text\":\"\\\"9223372036854775808\",\"Count\":7}", MU_OK,
          7 },
        { "for a number with a sign", "{\"Number\":9223372036854775808}", MU_INVALID, 0 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct outer o = { .count = 0 };
        struct mu_err err = MU_ERR_NONE;
        struct mu_json *root = NULL;
        struct mu_arena arena;

        mu_arena_init(&arena, 0);
        enum mu_code code = mu_json_parse(&root, mu_span_text(cases[i].text), true, &err);

        if (code == MU_OK) {
            code = mu_json_decode(root, &outer_shape, &o, &arena, &err);
        }
        if (code != cases[i].code || o.count != cases[i].count) {
            fail_msg("%s: %s, %llu (%s)", cases[i].why, mu_code_text(code),
                     (unsigned long long)o.count, err.text);
        }
        mu_json_free(root);
        mu_arena_deinit(&arena);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_parsed),
        cmocka_unit_test(large_unsigned_integers_are_taken_where_they_are_wanted),
        cmocka_unit_test(values_are_what_they_are),
        cmocka_unit_test(objects_are_decoded_by_their_table),
        cmocka_unit_test(what_does_not_fit_is_refused_in_gos_words),
        cmocka_unit_test(defaults_stay_where_nothing_is_given),
        cmocka_unit_test(decoded_strings_are_copies),
        cmocka_unit_test(documents_are_written_compact_and_indented),
        cmocka_unit_test(finished_values_are_indented_alike),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(numbers_read_back_equal),
        cmocka_unit_test(numbers_look_as_go_writes_them),
        cmocka_unit_test(bytes_as_base64),
        cmocka_unit_test(a_document_that_does_not_balance_is_a_bug),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
