#include "scrub_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "catalog/query.h"

#define REST_MS    10U /* shorter rests are put together */
#define FASTER     4U  /* each time that the WAL grew too long */
#define NOTE_BYTES (2 * MU_ERR_TEXT_MAX)

bool scrub_pace(void *data, size_t bytes)
{
    struct scrub_pace *p = data;

    p->owed += bytes;
    if (p->bytes_per_s == 0) {
        p->owed = 0;
        return p->host->rest(p->host->self, 0);
    }
    uint64_t ms = p->owed * 1000 / p->bytes_per_s;

    if (ms < REST_MS) {
        return true;
    }
    p->owed = 0;
    return p->host->rest(p->host->self, ms);
}

/* -- the state --------------------------------------------------------------------------------- */

static enum mu_code look_once(const char *path, struct scrub_pace *pace, uint64_t wal_bytes_max,
                              uint64_t *bytes, bool *differs, struct mu_err *err)
{
    struct catalog_scrub scrub = { .pace = scrub_pace,
                                   .data = pace,
                                   .wal_bytes_max = wal_bytes_max };
    struct catalog_reader *reader = NULL;
    enum mu_code rc = catalog_reader_open(&reader, path, NULL, err);

    if (rc == MU_OK) {
        rc = catalog_scrub(reader, &scrub, err);
        catalog_reader_close(reader);
    }
    *bytes += scrub.bytes;
    *differs = scrub.differs;
    return rc;
}

/* Its read transaction keeps the WAL from starting over: rather less easy than for ever. */
static enum mu_code look_in_time(const char *path, const struct scrub_host *host,
                                 uint64_t bytes_per_s, uint32_t wal_bytes, uint64_t *bytes,
                                 bool *differs, struct mu_err *err)
{
    enum mu_code rc = MU_BUSY;
    uint64_t wal_bytes_max = wal_bytes > 0 && wal_bytes < SCRUB_WAL_BYTES_MAX / 2
                                 ? 2 * (uint64_t)wal_bytes
                                 : SCRUB_WAL_BYTES_MAX;

    for (unsigned i = 1; rc == MU_BUSY && i <= SCRUB_TRIES; i++) {
        bool is_last = i == SCRUB_TRIES;
        struct scrub_pace pace = { .host = host, .bytes_per_s = is_last ? 0 : bytes_per_s };

        *err = (struct mu_err)MU_ERR_NONE;
        rc = look_once(path, &pace, is_last ? 0 : wal_bytes_max, bytes, differs, err);
        bytes_per_s *= FASTER;
    }
    return rc;
}

enum mu_code scrub_state(const char *path, const struct scrub_host *host, uint64_t bytes_per_s,
                         uint32_t wal_bytes, uint64_t *bytes, bool *differs, struct mu_err *err)
{
    struct mu_err again = MU_ERR_NONE;
    enum mu_code rc;

    *bytes = 0;
    rc = look_in_time(path, host, bytes_per_s, wal_bytes, bytes, differs, err);
    if (rc != MU_CORRUPT && rc != MU_IO) {
        return rc;
    }
    rc = look_in_time(path, host, bytes_per_s, wal_bytes, bytes, differs, &again);
    if (rc == MU_IO) {
        again.code = rc = MU_CORRUPT;
    }
    *err = again;
    return rc;
}

/* -- what is remembered ------------------------------------------------------------------------ */

enum mu_code scrub_note_read(const char *path, struct scrub_note *out, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(path, NOTE_BYTES, &text, err);
    char *rest = NULL;

    *out = (struct scrub_note){ .last_s = 0 };
    if (rc == MU_OK) {
        out->last_s = strtoull(mu_buf_text(&text), &rest, 10);
        out->found_s = strtoull(rest, &rest, 10);
        rest += *rest == ' ';
        (void)snprintf(out->found, sizeof out->found, "%.*s", (int)strcspn(rest, "\n"), rest);
    } else if (rc == MU_NOT_FOUND) {
        *err = MU_ERR_NONE;
        rc = MU_OK;
    }
    mu_buf_deinit(&text);
    return rc;
}

void scrub_note_text(const struct scrub_note *note, struct mu_buf *to)
{
    mu_buf_addf(to, "%llu %llu %.*s\n", (unsigned long long)note->last_s,
                (unsigned long long)note->found_s, (int)strcspn(note->found, "\n"), note->found);
}
