/* Archives of the state: what was written is read back, by us and as the tar file that it says it
 * is; no cut, changed or lengthened one is taken, and no text that contradicts another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "agent/archive.h"
#include "base/assert.h"
#include "catalog/query.h"
#include "catalog/watch.h"
#include "memory_stream.h"
#include "proto/command.h"

#define SERVERS "\"Configuration\":{\"Servers\":[]},\"ConfigurationIndex\":0"

static enum mu_code collect(void *data, struct mu_span bytes, struct mu_err *err)
{
    struct mu_buf *to = data;

    (void)err;
    mu_buf_add_span(to, bytes);
    return MU_OK;
}

static enum mu_code no_room(void *data, struct mu_span bytes, struct mu_err *err)
{
    (void)data;
    (void)bytes;
    return mu_fail(err, MU_FULL, "no room");
}

static void must(enum mu_code code, const struct mu_err *err)
{
    if (code != MU_OK) {
        fail_msg("%s", err->text);
    }
}

static void put_key(struct catalog *c, uint64_t index)
{
    struct command command = { .kind = COMMAND_KV_SET,
                               .stamp_ms = 1600000000000U + index,
                               .kv_set = { .key = MU_SPAN_LIT("a"),
                                           .value = MU_SPAN_LIT("of no weight") } };
    struct mu_err err = MU_ERR_NONE;
    struct catalog_changes *changes;
    struct catalog_result result;
    struct mu_buf bytes = MU_BUF_NONE;

    must(command_encode(&command, &bytes, &err), &err);
    must(catalog_begin(c, &err), &err);
    must(catalog_apply(c, index, 3, mu_buf_span(&bytes), &result, &err), &err);
    must(catalog_commit(c, &changes, &err), &err);
    catalog_changes_free(changes);
    catalog_result_free(&result);
    mu_buf_deinit(&bytes);
}

/* The stream of a small state, and what is known of it. */
static void make_state(struct memory_stream *s, struct catalog_snapshot *info)
{
    const struct catalog_options options = { .path = NULL };
    struct mu_err err = MU_ERR_NONE;
    struct catalog_reader *reader;
    struct catalog *c;

    *s = (struct memory_stream){ .bytes = MU_BUF_NONE };
    must(catalog_open(&c, &options, &err), &err);
    put_key(c, 1);
    put_key(c, 2);
    must(catalog_reader_open(&reader, NULL, c, &err), &err);
    must(catalog_export(reader, memory_stream_sink, s, info, &err), &err);
    catalog_reader_release(reader);
    catalog_reader_close(reader);
    catalog_close(c);
}

static void make_archive(struct mu_buf *to)
{
    struct mu_err err = MU_ERR_NONE;
    struct catalog_snapshot info;
    struct memory_stream s;

    make_state(&s, &info);
    must(archive_write(&info, MU_SPAN_LIT(SERVERS), memory_stream_source, &s, collect, to, &err),
         &err);
    mu_buf_deinit(&s.bytes);
}

static void is_read_as_it_was_written(void **state)
{
    struct mu_buf archive = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct archive_contents c;
    struct catalog_snapshot info;
    struct memory_stream s;

    (void)state;
    make_state(&s, &info);
    must(archive_write(&info, MU_SPAN_LIT(SERVERS), memory_stream_source, &s, collect, &archive,
                       &err),
         &err);
    must(archive_read_bytes(mu_buf_span(&archive), &c, &err), &err);
    assert_string_equal(c.id, "3-2-1600000000002");
    assert_int_equal(c.version, 1);
    assert_int_equal(c.index, 2);
    assert_int_equal(c.term, 3);
    assert_int_equal(c.bytes, info.bytes);
    assert_memory_equal(&c.state, &info, sizeof info);
    mu_buf_deinit(&archive);
    mu_buf_deinit(&s.bytes);
}

static void a_stream_of_another_length_is_not_written(void **state)
{
    struct mu_buf archive = MU_BUF_NONE;
    struct catalog_snapshot info;
    struct memory_stream s;

    (void)state;
    make_state(&s, &info);
    s.bytes.bytes--;
    assert_int_equal(archive_write(&info, MU_SPAN_LIT(SERVERS), memory_stream_source, &s, collect,
                                   &archive, NULL),
                     MU_IO);
    mu_buf_deinit(&archive);
    mu_buf_deinit(&s.bytes);
}

static void what_the_sink_says_ends_it(void **state)
{
    struct catalog_snapshot info;
    struct memory_stream s;

    (void)state;
    make_state(&s, &info);
    assert_int_equal(
        archive_write(&info, MU_SPAN_LIT(SERVERS), memory_stream_source, &s, no_room, NULL, NULL),
        MU_FULL);
    mu_buf_deinit(&s.bytes);
}

static void no_cut_changed_or_longer_one_is_taken(void **state)
{
    enum { GZIP_HEAD = 10 }; /* flags, time and system: of no meaning to anybody here */
    struct mu_buf archive = MU_BUF_NONE;
    struct archive_contents whole, c;

    (void)state;
    make_archive(&archive);
    assert_int_equal(archive_read_bytes(mu_buf_span(&archive), &whole, NULL), MU_OK);
    for (size_t i = 0; i < archive.bytes; i++) {
        if (archive_read_bytes(mu_span_of(archive.data, i), &c, NULL) != MU_CORRUPT) {
            fail_msg("cut to %zu of %zu bytes, it was taken", i, archive.bytes);
        }
    }
    for (size_t i = GZIP_HEAD; i < archive.bytes; i++) {
        archive.data[i] ^= 0x55;
        /* some code the same contents in another way: zeroes copied from elsewhere */
        if (archive_read_bytes(mu_buf_span(&archive), &c, NULL) == MU_OK &&
            memcmp(&c, &whole, sizeof c) != 0) {
            fail_msg("byte %zu changed, something else was taken", i);
        }
        archive.data[i] ^= 0x55;
    }
    mu_buf_add_byte(&archive, 0);
    assert_int_equal(archive_read_bytes(mu_buf_span(&archive), &c, NULL), MU_CORRUPT);
    mu_buf_deinit(&archive);
}

/* -- whole gzip streams of tar files that are wrong -------------------------------------------- */

static void unzip(struct mu_buf *archive, struct mu_buf *to)
{
    enum { ROOM = 1024 * 1024 };
    z_stream z = { .next_in = archive->data, .avail_in = (uInt)archive->bytes };

    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    z.next_out = mu_buf_reserve(to, ROOM);
    z.avail_out = ROOM;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    to->bytes = z.total_out;
    (void)inflateEnd(&z);
}

static void zip(struct mu_buf *tar, struct mu_buf *to)
{
    enum { ROOM = 1024 * 1024 };
    z_stream z = { .next_in = tar->data, .avail_in = (uInt)tar->bytes };

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = mu_buf_reserve(to, ROOM);
    z.avail_out = ROOM;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->bytes = z.total_out;
    (void)deflateEnd(&z);
}

static uint8_t *find(struct mu_buf *in, const char *text)
{
    uint8_t *at = memmem(in->data, in->bytes, text, strlen(text));

    assert_non_null(at);
    return at;
}

static void contradictions_are_named(void **state)
{
    static const struct {
        const char *why, *find, *put, *text;
    } cases[] = {
        // clang-format off
        { "another index",     "\"Index\":2", "\"Index\":9",
          "failed to read snapshot file: meta.json and state.bin differ" },
        { "no size",           "\"Size\":",   "\"Sise\":",
          "failed to read snapshot file: meta.json and state.bin differ" },
        { "another id",        "3-2-16",      "3-2-17",
          "failed to read snapshot file: failed checking integrity of snapshot: hash check failed "
          "for \"meta.json\"" },
        { "another version",   "Version\":1", "Version\":2", "unsupported snapshot version 2" },
        { "no JSON",           "{\"Vers",     "[\"Vers",
          "failed to read snapshot file: failed to decode meta.json" },
        { "another member",    "state.bin",   "state.bim",
          "failed to read snapshot file: invalid tar header" },
        { "a changed value",   "no weight",   "no height",
          "failed to read snapshot file: state.bin" },
        { "the wrong sum",     "  state.bin", "  state.bim",
          "failed to read snapshot file: failed checking integrity of snapshot: hash check failed "
          "for \"state.bin\"" },
    }; // clang-format on
    struct mu_buf archive = MU_BUF_NONE;

    (void)state;
    make_archive(&archive);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf tar = MU_BUF_NONE;
        struct mu_buf changed = MU_BUF_NONE;
        struct mu_err err = MU_ERR_NONE;
        struct archive_contents c;

        unzip(&archive, &tar);
        memcpy(find(&tar, cases[i].find), cases[i].put, strlen(cases[i].put));
        zip(&tar, &changed);
        if (archive_read_bytes(mu_buf_span(&changed), &c, &err) == MU_OK ||
            strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0) {
            fail_msg("%s: %s", cases[i].why, err.text);
        }
        mu_buf_deinit(&tar);
        mu_buf_deinit(&changed);
    }
    mu_buf_deinit(&archive);
}

static void what_is_no_archive_is_refused(void **state)
{
    static const struct {
        const char *why, *bytes, *text;
    } cases[] = {
        { "nothing", "", "failed to decompress snapshot: unexpected EOF" },
        { "a text", "not a snapshot at all", "failed to decompress snapshot: " },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct archive_contents c;
        enum mu_code rc = archive_read_bytes(mu_span_text(cases[i].bytes), &c, &err);

        if (rc != MU_CORRUPT || strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0) {
            fail_msg("%s: %s", cases[i].why, err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_as_it_was_written),
        cmocka_unit_test(a_stream_of_another_length_is_not_written),
        cmocka_unit_test(no_cut_changed_or_longer_one_is_taken),
        cmocka_unit_test(contradictions_are_named),
        cmocka_unit_test(what_the_sink_says_ends_it),
        cmocka_unit_test(what_is_no_archive_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
