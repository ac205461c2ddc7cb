/* archive.c - gzip, tar and checksums around the stream of a state.
 *
 * Reading goes front to back through three layers: inflate, members, the stream. No size that an
 * archive claims is ever allocated: the small members have bounds, the state passes in blocks. The
 * end is read too: a file that was cut, or to which something was added, is not taken.
 */
#include "agent/archive.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>
#define ZLIB_CONST /* what is read is not written to */
#include <zlib.h>

#include "base/assert.h"
#include "base/json.h"

#define TAR_BLOCK       512U
#define TAR_BYTES_MAX   077777777777U /* of a member: eleven octal digits */
#define TAR_PADDING_MAX (64U * 1024)  /* zeroes at the end: tar's own records have 10 KiB */
#define GZIP_WINDOW     (15 + 16)     /* zlib: the largest window, with gzip's head and end */
#define META_BYTES_MAX  (64U * 1024)
#define SUMS_BYTES_MAX  4096U
#define STEP            (32U * 1024)

static const char name_meta[] = "meta.json";
static const char name_state[] = "state.bin";
static const char name_sums[] = "SHA256SUMS";

/* A member's head (POSIX.1-1988, 10.1.1). */
struct tar_head {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
        version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct tar_head) == TAR_BLOCK, "a head is a block");

/* The sum of all bytes of the head, its own field taken as blanks. */
static unsigned head_sum(struct tar_head head)
{
    const unsigned char *at = (const unsigned char *)&head;
    unsigned sum = 0;

    memset(head.sum, ' ', sizeof head.sum);
    for (size_t i = 0; i < sizeof head; i++) {
        sum += at[i];
    }
    return sum;
}

/* -- checksums --------------------------------------------------------------------------------- */

struct sums {
    crypto_hash_sha256_state meta, state;
};

static void add_sum(struct mu_buf *to, crypto_hash_sha256_state *sum, const char *name)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[crypto_hash_sha256_BYTES * 2 + 1];

    (void)crypto_hash_sha256_final(sum, hash);
    (void)sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    mu_buf_addf(to, "%s  %s\n", hex, name);
}

static void sums_init(struct sums *s)
{
    (void)crypto_hash_sha256_init(&s->meta);
    (void)crypto_hash_sha256_init(&s->state);
}

static void sums_text(struct sums *s, struct mu_buf *to)
{
    add_sum(to, &s->meta, name_meta);
    add_sum(to, &s->state, name_state);
}

/* -- writing ----------------------------------------------------------------------------------- */

struct writer {
    z_stream z;
    catalog_sink_fn *sink;
    void *sink_data;
    struct sums sums;
    struct mu_err *err;
    uint8_t out[STEP];
};

static enum mu_code put(struct writer *w, struct mu_span bytes, int flush)
{
    w->z.next_in = bytes.data;
    w->z.avail_in = (uInt)bytes.bytes;
    do {
        w->z.next_out = w->out;
        w->z.avail_out = sizeof w->out;
        int z = deflate(&w->z, flush);
        size_t done = sizeof w->out - w->z.avail_out;

        MU_ASSERT(z == Z_OK || z == Z_STREAM_END || z == Z_BUF_ERROR);
        enum mu_code rc =
            done > 0 ? w->sink(w->sink_data, mu_span_of(w->out, done), w->err) : MU_OK;

        if (rc != MU_OK) {
            return rc;
        }
    } while (w->z.avail_out == 0);
    return MU_OK;
}

static enum mu_code put_head(struct writer *w, const char *name, uint64_t bytes, uint64_t stamp_ms)
{
    struct tar_head head = { .mode = "0000600",
                             .uid = "0000000",
                             .gid = "0000000",
                             .type = '0',
                             .magic = "ustar",
                             .version = { '0', '0' } };

    if (bytes > TAR_BYTES_MAX) {
        return mu_fail(w->err, MU_TOO_BIG, "the state is larger than 8 GiB");
    }
    memcpy(head.name, name, strlen(name));
    (void)snprintf(head.size, sizeof head.size, "%011llo", (unsigned long long)bytes);
    (void)snprintf(head.mtime, sizeof head.mtime, "%011llo",
                   (unsigned long long)(stamp_ms / 1000 & TAR_BYTES_MAX));
    (void)snprintf(head.sum, sizeof head.sum - 1, "%06o", head_sum(head));
    head.sum[7] = ' ';
    return put(w, mu_span_of(&head, sizeof head), Z_NO_FLUSH);
}

static const uint8_t zeroes[TAR_BLOCK];

static struct mu_span padding_of(uint64_t bytes)
{
    return mu_span_of(zeroes, (size_t)((TAR_BLOCK - bytes % TAR_BLOCK) % TAR_BLOCK));
}

static enum mu_code put_text(struct writer *w, const char *name, const struct mu_buf *text,
                             uint64_t stamp_ms)
{
    enum mu_code rc = put_head(w, name, text->bytes, stamp_ms);

    if (rc == MU_OK) {
        rc = put(w, mu_buf_span(text), Z_NO_FLUSH);
    }
    return rc == MU_OK ? put(w, padding_of(text->bytes), Z_NO_FLUSH) : rc;
}

static enum mu_code put_meta(struct writer *w, const struct catalog_snapshot *state,
                             struct mu_span servers)
{
    const struct catalog_applied *at = &state->applied;
    struct mu_buf text = MU_BUF_NONE;

    mu_buf_addf(&text,
                "{\"Version\":1,\"ID\":\"%llu-%llu-%llu\",\"Index\":%llu,\"Term\":%llu,"
                "\"Peers\":\"\",",
                (unsigned long long)at->term, (unsigned long long)at->index,
                (unsigned long long)at->stamp_ms, (unsigned long long)at->index,
                (unsigned long long)at->term);
    mu_buf_add_span(&text, servers);
    mu_buf_addf(&text, ",\"Size\":%llu}", (unsigned long long)state->bytes);
    (void)crypto_hash_sha256_update(&w->sums.meta, text.data, text.bytes);
    enum mu_code rc = put_text(w, name_meta, &text, at->stamp_ms);

    mu_buf_deinit(&text);
    return rc;
}

static enum mu_code put_state(struct writer *w, const struct catalog_snapshot *state,
                              catalog_source_fn *source, void *data)
{
    uint8_t part[STEP];
    uint64_t total = 0;
    size_t got = 1;
    enum mu_code rc = put_head(w, name_state, state->bytes, state->applied.stamp_ms);

    while (rc == MU_OK && got > 0) {
        rc = source(data, part, sizeof part, &got, w->err);
        if (rc == MU_OK) {
            (void)crypto_hash_sha256_update(&w->sums.state, part, got);
            total += got;
            rc = put(w, mu_span_of(part, got), Z_NO_FLUSH);
        }
    }
    if (rc == MU_OK && total != state->bytes) {
        return mu_fail(w->err, MU_IO, "the stream of the state has %llu bytes instead of %llu",
                       (unsigned long long)total, (unsigned long long)state->bytes);
    }
    return rc == MU_OK ? put(w, padding_of(total), Z_NO_FLUSH) : rc;
}

static enum mu_code put_sums(struct writer *w, uint64_t stamp_ms)
{
    struct mu_buf text = MU_BUF_NONE;

    sums_text(&w->sums, &text);
    enum mu_code rc = put_text(w, name_sums, &text, stamp_ms);

    mu_buf_deinit(&text);
    return rc;
}

enum mu_code archive_write(const struct catalog_snapshot *state, struct mu_span servers,
                           catalog_source_fn *source, void *data, catalog_sink_fn *sink,
                           void *sink_data, struct mu_err *err)
{
    struct writer w = { .sink = sink, .sink_data = sink_data, .err = err };
    int init = deflateInit2(&w.z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);

    MU_ASSERT(init == Z_OK);
    sums_init(&w.sums);
    enum mu_code rc = put_meta(&w, state, servers);

    if (rc == MU_OK) {
        rc = put_state(&w, state, source, data);
    }
    if (rc == MU_OK) {
        rc = put_sums(&w, state->applied.stamp_ms);
    }
    for (int i = 0; i < 2 && rc == MU_OK; i++) { /* two empty blocks end a tar file */
        rc = put(&w, mu_span_of(zeroes, sizeof zeroes), i == 0 ? Z_NO_FLUSH : Z_FINISH);
    }
    (void)deflateEnd(&w.z); /* Z_DATA_ERROR when it was given up early */
    return rc;
}

/* -- reading: gzip ----------------------------------------------------------------------------- */

struct reader {
    z_stream z;
    catalog_source_fn *source;
    void *data;
    catalog_sink_fn *sink; /* of the state; NULL: only looked at */
    void *sink_data;
    struct sums sums;
    bool is_over;  /* the end of gzip was there */
    uint64_t left; /* of the member that is being read */
    uint8_t in[STEP];
};

static enum mu_code more(struct reader *r, struct mu_err *err)
{
    size_t got = 0;
    enum mu_code rc = r->source(r->data, r->in, sizeof r->in, &got, err);

    if (rc == MU_OK && got == 0) {
        return mu_fail(err, MU_CORRUPT, "failed to decompress snapshot: unexpected EOF");
    }
    r->z.next_in = r->in;
    r->z.avail_in = (uInt)got;
    return rc;
}

/* Up to `room` bytes, fewer only at the end. */
static enum mu_code pull(struct reader *r, void *to, size_t room, size_t *got, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    r->z.next_out = to;
    r->z.avail_out = (uInt)room;
    while (rc == MU_OK && r->z.avail_out > 0 && !r->is_over) {
        if (r->z.avail_in == 0) {
            rc = more(r, err);
            continue;
        }
        int z = inflate(&r->z, Z_NO_FLUSH);

        r->is_over = z == Z_STREAM_END;
        if (z != Z_OK && z != Z_STREAM_END) {
            rc = mu_fail(err, MU_CORRUPT, "failed to decompress snapshot: %s",
                         r->z.msg != NULL ? r->z.msg : "gzip: invalid data");
        }
    }
    *got = room - r->z.avail_out;
    return rc;
}

static enum mu_code pull_all(struct reader *r, void *to, size_t bytes, struct mu_err *err)
{
    size_t got = 0;
    enum mu_code rc = pull(r, to, bytes, &got, err);

    if (rc == MU_OK && got < bytes) {
        rc = mu_fail(err, MU_CORRUPT, "failed to read snapshot file: unexpected EOF");
    }
    return rc;
}

/* -- reading: tar ------------------------------------------------------------------------------ */

static bool octal(const char *text, size_t bytes, uint64_t *out)
{
    size_t i = 0;

    *out = 0;
    while (i < bytes && text[i] == ' ') {
        i++;
    }
    size_t first = i;

    for (; i < bytes && text[i] >= '0' && text[i] <= '7'; i++) {
        *out = *out << 3 | (uint64_t)(text[i] - '0'); /* at most 12 digits */
    }
    return i > first && (i == bytes || text[i] == '\0' || text[i] == ' ');
}

/* The head of a member that must be this one. */
static enum mu_code member_begin(struct reader *r, const char *name, uint64_t bytes_max,
                                 struct mu_err *err)
{
    struct tar_head head;
    uint64_t sum;
    enum mu_code rc = pull_all(r, &head, sizeof head, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (!octal(head.sum, sizeof head.sum, &sum) || sum != head_sum(head) ||
        !octal(head.size, sizeof head.size, &r->left)) {
        return mu_fail(err, MU_CORRUPT, "failed to read snapshot file: invalid tar header");
    }
    if (strncmp(head.name, name, sizeof head.name) != 0 || (head.type != '0' && head.type != 0)) {
        return mu_fail(err, MU_CORRUPT, "failed to read snapshot file: no \"%s\" where it belongs",
                       name);
    }
    if (r->left > bytes_max) {
        return mu_fail(err, MU_CORRUPT, "failed to read snapshot file: \"%s\" is too large", name);
    }
    return MU_OK;
}

static enum mu_code member_end(struct reader *r, uint64_t bytes, struct mu_err *err)
{
    uint8_t padding[TAR_BLOCK];

    return pull_all(r, padding, padding_of(bytes).bytes, err);
}

static enum mu_code member_text(struct reader *r, const char *name, size_t bytes_max,
                                struct mu_buf *to, struct mu_err *err)
{
    enum mu_code rc = member_begin(r, name, bytes_max, err);

    if (rc == MU_OK) {
        size_t bytes = (size_t)r->left;

        rc = pull_all(r, mu_buf_reserve(to, bytes + 1), bytes, err);
        to->bytes += rc == MU_OK ? bytes : 0;
    }
    return rc == MU_OK ? member_end(r, r->left, err) : rc;
}

/* -- reading: what the members say ------------------------------------------------------------- */

struct meta {
    struct mu_span id;
    uint64_t version, index, term, bytes;
};

#define AT(member) offsetof(struct meta, member)

static const struct mu_json_field meta_fields[] = {
    { "Version", { NULL }, MU_JSON_AS_UINT, AT(version), NULL },
    { "ID", { NULL }, MU_JSON_AS_TEXT, AT(id), NULL },
    { "Index", { NULL }, MU_JSON_AS_UINT, AT(index), NULL },
    { "Term", { NULL }, MU_JSON_AS_UINT, AT(term), NULL },
    { "Size", { NULL }, MU_JSON_AS_UINT, AT(bytes), NULL },
};

#undef AT

static const struct mu_json_shape meta_shape = { .fields = meta_fields,
                                                 .fields_count = MU_LEN(meta_fields),
                                                 .bytes = sizeof(struct meta),
                                                 .is_loose = true };

static enum mu_code read_meta(struct reader *r, struct archive_contents *out, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    struct meta meta = { .version = 0 };
    struct mu_arena arena;
    enum mu_code rc = member_text(r, name_meta, META_BYTES_MAX, &text, err);

    mu_arena_init(&arena, 0);
    if (rc == MU_OK) {
        (void)crypto_hash_sha256_update(&r->sums.meta, text.data, text.bytes);
        struct mu_err why = MU_ERR_NONE;

        if (mu_json_read(mu_buf_span(&text), &meta_shape, &meta, &arena, &why) != MU_OK) {
            rc = mu_fail(err, MU_CORRUPT,
                         "failed to read snapshot file: failed to decode meta.json: %s", why.text);
        }
    }
    if (rc == MU_OK && meta.version != 1) {
        rc = mu_fail(err, MU_UNSUPPORTED, "unsupported snapshot version %llu",
                     (unsigned long long)meta.version);
    }
    (void)snprintf(out->id, sizeof out->id, "%.*s", MU_SPAN_FMT(meta.id));
    out->version = meta.version;
    out->index = meta.index;
    out->term = meta.term;
    out->bytes = meta.bytes;
    mu_arena_deinit(&arena);
    mu_buf_deinit(&text);
    return rc;
}

static enum mu_code state_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    struct reader *r = data;
    size_t bytes = r->left < room ? (size_t)r->left : room;
    enum mu_code rc = pull_all(r, to, bytes, err);

    *got = rc == MU_OK ? bytes : 0;
    r->left -= *got;
    (void)crypto_hash_sha256_update(&r->sums.state, to, *got);
    return rc == MU_OK && r->sink != NULL && *got > 0
               ? r->sink(r->sink_data, mu_span_of(to, *got), err)
               : rc;
}

static enum mu_code read_state(struct reader *r, struct archive_contents *out, struct mu_err *err)
{
    const struct catalog_applied *at = &out->state.applied;
    enum mu_code rc = member_begin(r, name_state, TAR_BYTES_MAX, err);
    uint64_t bytes = r->left;

    if (rc != MU_OK) {
        return rc;
    }
    rc = catalog_inspect(state_source, r, &out->state, err);
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "failed to read snapshot file: state.bin");
    }
    if (r->left > 0 || bytes != out->bytes || at->index != out->index || at->term != out->term) {
        return mu_fail(err, MU_CORRUPT,
                       "failed to read snapshot file: meta.json and state.bin differ");
    }
    return member_end(r, bytes, err);
}

static enum mu_code read_sums(struct reader *r, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_buf want = MU_BUF_NONE;
    enum mu_code rc = member_text(r, name_sums, SUMS_BYTES_MAX, &text, err);

    sums_text(&r->sums, &want);
    if (rc == MU_OK && !mu_span_eq(mu_buf_span(&text), mu_buf_span(&want))) {
        bool has_meta = mu_span_starts(mu_buf_span(&text),
                                       mu_span_of(want.data, crypto_hash_sha256_BYTES * (size_t)2));

        rc = mu_fail(err, MU_CORRUPT,
                     "failed to read snapshot file: failed checking integrity of snapshot: hash "
                     "check failed for \"%s\"",
                     has_meta ? name_state : name_meta);
    }
    mu_buf_deinit(&text);
    mu_buf_deinit(&want);
    return rc;
}

/* Zeroes, and then nothing: neither in the stream nor behind it. */
static enum mu_code read_end(struct reader *r, struct mu_err *err)
{
    uint8_t block[TAR_BLOCK];
    uint64_t total = 0;
    size_t got = 1;
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && got > 0 && total <= TAR_PADDING_MAX) {
        rc = pull(r, block, sizeof block, &got, err);
        total += got;
        if (rc == MU_OK && memcmp(block, zeroes, got) != 0) {
            rc = mu_fail(err, MU_CORRUPT, "failed to read snapshot file: a member too many");
        }
    }
    if (rc != MU_OK) {
        return rc;
    }
    if (total < 2 * (uint64_t)TAR_BLOCK || total > TAR_PADDING_MAX) {
        return mu_fail(err, MU_CORRUPT, "failed to read snapshot file: no end where it belongs");
    }
    got = r->z.avail_in;
    if (got == 0) {
        rc = r->source(r->data, block, sizeof block, &got, err);
    }
    return rc == MU_OK && got > 0
               ? mu_fail(err, MU_CORRUPT, "failed to read snapshot file: bytes behind its end")
               : rc;
}

static enum mu_code read_all(struct reader *r, struct archive_contents *out, struct mu_err *err)
{
    int init = inflateInit2(&r->z, GZIP_WINDOW);

    MU_ASSERT(init == Z_OK);
    *out = (struct archive_contents){ .version = 0 };
    sums_init(&r->sums);
    enum mu_code rc = read_meta(r, out, err);

    if (rc == MU_OK) {
        rc = read_state(r, out, err);
    }
    if (rc == MU_OK) {
        rc = read_sums(r, err);
    }
    if (rc == MU_OK) {
        rc = read_end(r, err);
    }
    (void)inflateEnd(&r->z);
    return rc;
}

enum mu_code archive_read(catalog_source_fn *source, void *data, struct archive_contents *out,
                          struct mu_err *err)
{
    struct reader r = { .source = source, .data = data };

    return read_all(&r, out, err);
}

static enum mu_code span_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    struct mu_span *left = data;

    (void)err;
    *got = left->bytes < room ? left->bytes : room;
    if (*got > 0) {
        memcpy(to, left->data, *got);
    }
    *left = mu_span_sub(*left, *got, left->bytes - *got);
    return MU_OK;
}

enum mu_code archive_read_bytes(struct mu_span bytes, struct archive_contents *out,
                                struct mu_err *err)
{
    return archive_read(span_source, &bytes, out, err);
}

enum mu_code archive_unpack(catalog_source_fn *source, void *data, catalog_sink_fn *sink,
                            void *sink_data, struct archive_contents *out, struct mu_err *err)
{
    struct reader r = { .source = source, .data = data, .sink = sink, .sink_data = sink_data };

    return read_all(&r, out, err);
}
