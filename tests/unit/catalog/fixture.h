/* fixture.h - a catalog on a file or in memory, fed one command at a time.
 *
 * Header only: every test program here is linked by itself.
 */
#ifndef TESTS_CATALOG_FIXTURE_H
#define TESTS_CATALOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/query.h"
#include "catalog/watch.h"
#include "core.h"
#include "proto/command.h"
#include "scratch.h"

struct fixture {
    const char *dir; /* NULL: in memory */
    char path[96];
    struct catalog *catalog;
    struct catalog_reader *reader;
    struct mu_arena arena; /* of the last query */
    uint64_t index;        /* of the last entry */
};

#define CHECK(call)                                                                 \
    do {                                                                            \
        struct mu_err check_err = MU_ERR_NONE;                                      \
        struct mu_err *err = &check_err;                                            \
        enum mu_code check_rc = (call);                                             \
        if (check_rc != MU_OK) {                                                    \
            fail_msg("%s: %s (%s)", #call, mu_code_text(check_rc), check_err.text); \
        }                                                                           \
    } while (0)

static inline void fixture_open(struct fixture *f)
{
    struct catalog_options options = { .path = f->dir != NULL ? f->path : NULL };

    CHECK(catalog_open(&f->catalog, &options, err));
    CHECK(catalog_reader_open(&f->reader, options.path, options.path == NULL ? f->catalog : NULL,
                              err));
}

static inline void fixture_init(struct fixture *f, bool on_disk)
{
    memset(f, 0, sizeof *f);
    mu_arena_init(&f->arena, 0);
    if (on_disk) {
        f->dir = scratch_dir();
        (void)snprintf(f->path, sizeof f->path, "%s/state.db", f->dir);
    }
    fixture_open(f);
}

static inline void fixture_close(struct fixture *f)
{
    catalog_reader_close(f->reader);
    catalog_close(f->catalog);
    f->reader = NULL;
    f->catalog = NULL;
}

static inline void fixture_deinit(struct fixture *f)
{
    fixture_close(f);
    mu_arena_deinit(&f->arena);
    if (f->dir != NULL) {
        CHECK(mu_dir_remove(f->dir, err));
    }
}

/* As after the process was killed: what is committed is there, nothing was closed in order. On a
 * file only. */
static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline void fixture_begin(struct fixture *f)
{
    CHECK(catalog_begin(f->catalog, err));
}

static inline struct catalog_changes *fixture_commit(struct fixture *f)
{
    struct catalog_changes *changes = NULL;

    CHECK(catalog_commit(f->catalog, &changes, err));
    return changes;
}

/* The next entry; the result's text is the caller's. */
static inline struct catalog_result fixture_apply(struct fixture *f, const struct command *command)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct catalog_result result;

    if (command != NULL) {
        CHECK(command_encode(command, &bytes, err));
    }
    f->index++;
    CHECK(catalog_apply(f->catalog, f->index, 1, mu_buf_span(&bytes), &result, err));
    mu_buf_deinit(&bytes);
    return result;
}

/* One entry in a transaction of its own; asserts that it was carried out. */
static inline void fixture_do(struct fixture *f, const struct command *command)
{
    fixture_begin(f);
    struct catalog_result result = fixture_apply(f, command);

    if (result.code != MU_OK || !result.did_apply) {
        fail_msg("refused: %s", result.text != NULL ? result.text : "no effect");
    }
    catalog_changes_free(fixture_commit(f));
}

static inline void fixture_put(struct fixture *f, const char *key, const char *value)
{
    fixture_do(f, &(struct command){
                      .kind = COMMAND_KV_SET,
                      .kv_set = { .key = mu_span_text(key), .value = mu_span_text(value) } });
}

/* Everything in the index of tagged addresses, as text. */
static inline void fixture_addresses(struct fixture *f, struct mu_buf *to)
{
    sqlite3_stmt *s = NULL;
    bool has_row = false;

    CHECK(catalog__prepare(&f->catalog->db,
                           "SELECT quote(ip) || quote(node) || quote(service) FROM addresses", &s,
                           err));
    CHECK(catalog__step(&f->catalog->db, s, &has_row, err));
    while (has_row) {
        mu_buf_addf(to, "%s\n", (const char *)sqlite3_column_text(s, 0));
        CHECK(catalog__step(&f->catalog->db, s, &has_row, err));
    }
    (void)sqlite3_finalize(s);
}

/* It is what follows from the rows of nodes and services, whatever way they came in. */
static inline void fixture_check_addresses(struct fixture *f)
{
    struct mu_buf kept = MU_BUF_NONE;
    struct mu_buf made = MU_BUF_NONE;

    fixture_addresses(f, &kept);
    CHECK(catalog__exec(&f->catalog->db, "SAVEPOINT made; DELETE FROM addresses", err));
    CHECK(catalog__addresses_fill(&f->catalog->rows, err));
    fixture_addresses(f, &made);
    CHECK(catalog__exec(&f->catalog->db, "ROLLBACK TO made; RELEASE made", err));
    if (!mu_span_eq(mu_buf_span(&kept), mu_buf_span(&made))) {
        fail_msg("the index of tagged addresses has:\n%sand not:\n%s", mu_buf_text(&kept),
                 mu_buf_text(&made));
    }
    mu_buf_deinit(&kept);
    mu_buf_deinit(&made);
}

/* The incremental hash is what counting all rows gives. */
static inline void fixture_check_hash(struct fixture *f)
{
    fixture_check_addresses(f);
    struct catalog_applied applied = catalog_applied(f->catalog);
    uint8_t hash[16];

    CHECK(catalog_recount(f->catalog, hash, err));
    if (memcmp(hash, applied.hash, sizeof hash) != 0) {
        fail_msg("at index %llu the hash is not that of the rows",
                 (unsigned long long)applied.index);
    }
}

/* A number that SQL counts in the catalog's own connection. */
static inline uint64_t fixture_count(struct fixture *f, const char *sql)
{
    int64_t count = 0;

    CHECK(catalog__exec_number(&f->catalog->db, sql, &count, err));
    return (uint64_t)count;
}

static inline void fixture_dump(struct fixture *f, struct mu_buf *to)
{
    mu_buf_clear(to);
    CHECK(catalog_dump(f->catalog, to, err));
}

#endif
