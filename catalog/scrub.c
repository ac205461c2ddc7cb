/* scrub.c - all pages and all rows of the state, read in peace. */
#include "catalog/scrub.h"

#include <string.h>

#include "reader.h"
#include "row.h"
#include "vfs.h"

#define CACHE_PRAGMA "PRAGMA cache_size = -1024" /* KiB: nothing is read twice */

struct scrubbing {
    struct catalog_scrub *scrub;
    sqlite3 *db;
    enum mu_code rc; /* why it was given up */
};

static bool wal_is_long(const struct scrubbing *s)
{
    sqlite3_file *wal = NULL;
    sqlite3_int64 bytes = 0;

    return s->scrub->wal_bytes_max > 0 &&
           sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK &&
           wal != NULL && wal->pMethods != NULL &&
           wal->pMethods->xFileSize(wal, &bytes) == SQLITE_OK &&
           (uint64_t)bytes > s->scrub->wal_bytes_max;
}

/* After each page that was read from the file. False: read no more. */
static bool on_page(void *data, size_t bytes)
{
    struct scrubbing *s = data;

    s->scrub->bytes += bytes;
    if (s->rc == MU_OK && !s->scrub->pace(s->scrub->data, bytes)) {
        s->rc = MU_CANCELLED;
    }
    if (s->rc == MU_OK && wal_is_long(s)) {
        s->rc = MU_BUSY;
    }
    return s->rc == MU_OK;
}

/* It answers "ok", or a line about the first thing that is wrong. Pages that cannot be read are
 * such a line, too, and no error. */
static enum mu_code trees_check(struct catalog_reader *r, struct scrubbing *s, struct mu_err *err)
{
    sqlite3_stmt *check = NULL;
    bool has_row = false;
    enum mu_code rc = catalog__prepare(r->db, "PRAGMA quick_check(1)", &check, err);

    rc = rc == MU_OK ? catalog__step(r->db, check, &has_row, err) : rc;
    if (rc == MU_OK && s->rc == MU_OK) {
        struct mu_span line = has_row ? column_bytes(check, 0) : MU_SPAN_NONE;

        if (!mu_span_eq(line, MU_SPAN_LIT("ok"))) {
            rc = mu_fail(err, MU_CORRUPT, "state %s: %.*s", r->db->path, MU_SPAN_FMT(line));
        }
    }
    (void)sqlite3_finalize(check);
    return rc;
}

static enum mu_code rows_check(struct catalog_reader *r, struct scrubbing *s, struct mu_err *err)
{
    uint8_t hash[HASH_BYTES];
    struct hash_sum sum;
    enum mu_code rc = catalog__rows_recount(r->db, &sum, err);

    catalog__hash_write(sum, hash);
    if (rc == MU_OK && memcmp(hash, s->scrub->applied.hash, sizeof hash) != 0) {
        s->scrub->differs = true;
        rc = mu_fail(err, MU_CORRUPT,
                     "state %s: its rows do not add up to the hash that was kept with them",
                     r->db->path);
    }
    return rc;
}

enum mu_code catalog_scrub(struct catalog_reader *r, struct catalog_scrub *scrub,
                           struct mu_err *err)
{
    struct scrubbing s = { .scrub = scrub, .db = r->db->db };
    struct vfs_pace pace = { on_page, &s };
    enum mu_code rc = catalog__exec(r->db, CACHE_PRAGMA, err);

    scrub->bytes = 0;
    scrub->differs = false;
    catalog__vfs_pace(s.db, &pace);
    rc = rc == MU_OK ? catalog_reader_applied(r, &scrub->applied, err) : rc;
    rc = rc == MU_OK ? trees_check(r, &s, err) : rc;
    rc = rc == MU_OK && s.rc == MU_OK ? rows_check(r, &s, err) : rc;
    catalog_reader_release(r);
    catalog__vfs_pace(s.db, NULL);
    if (s.rc != MU_OK) { /* what else it met is of its own making */
        *err = (struct mu_err)MU_ERR_NONE;
        return mu_fail(err, s.rc, "state %s: %s", r->db->path,
                       s.rc == MU_BUSY ? "its WAL grows too long meanwhile" : "given up");
    }
    return rc;
}
