/* journal.h - the durable log as segment files: append, read back, recycle, and find everything
 * again after a crash. Blocking and single-threaded; store_segment.c gives it a thread.
 *
 *   segment k                       segment k+1 (current)          k+2            spares
 *   | head | batch | batch | ... |  | head | BASE HARD .. | b |..|  | head | 0000 |  | 0000 | ...
 *
 * An append is one batch: one write, one flush. Each segment begins with where the log stood (BASE:
 * position before it and the newest configuration) and the hard state, so that older ones can go
 * without anything being rewritten.
 *
 * What is where in memory: `points` says for ascending indexes in which batch to begin to read;
 * between two points entries follow one another without a gap, since a write that truncates always
 * begins a batch and gets a point of its own.
 *
 * Opening proves what it found. Batches are flushed one after the other, so any intact batch proves
 * all before it. A bad one at the very end was never acknowledged and is left out. The last intact
 * batch may have been in the page cache only: it is written again into a fresh segment and flushed,
 * before anybody is told of it.
 *
 * A bad batch with an intact one behind it, or one that meta or the state knows to be durable, is
 * damage. A steady stream proves each batch by the next one, an idle log by a MARK after 50 ms; the
 * first batch of a segment, which has no neighbour in its file, also by meta, some milliseconds
 * later. What was flushed, acknowledged and not yet proven when the power went looks like what was
 * being written then: if just that rots, too, and was not applied, it is taken for torn. No reader
 * can tell; spec/consensus.md 2.16 leaves these two faults at once out of what one copy survives.
 *
 * Each batch begins with the hard state and with where the log stood, so that the next intact one
 * tells what was lost (spec/consensus.md 2.16):
 *   nothing that still counts        the log goes on
 *   entries that the state contains  the log begins behind them, as if it had been compacted
 *   others                           the log restarts behind the state, with a *floor*: it once
 *                                    ended there, and until it is that far again this server must
 *                                    not be counted on, nor forget how far it had been
 * Where that cannot be told, MU_CORRUPT names file and offset and nothing is changed.
 *
 * Thread:  one owner at a time.
 * Errors:  MU_FULL: nothing was changed, may be tried again; unless `has_failed`: a batch found no
 *          space while it was written. That, and every other failure of a write, flush or rename,
 *          is for good: no call touches the disk again, since a second flush may report success
 *          for bytes that are gone.
 */
#ifndef CONSENSUS_JOURNAL_H
#define CONSENSUS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"
#include "base/wire.h"
#include "consensus/consensus.h"
#include "consensus/scrub.h"
#include "disk.h"
#include "record.h"
#include "segment.h"

#define CONSENSUS_SEGMENT_BYTES_MIN (64U * 1024)
#define CONSENSUS_RECENT            4096U /* newest entries whose term and chain are in memory */

struct consensus_position {
    uint64_t index, term;
    uint32_t chain;
    uint32_t reserved;
};

struct consensus_standing { /* what every batch begins with */
    struct consensus_hard hard;
    struct consensus_position tail;
    uint64_t config_index; /* of the newest configuration; 0: none */
};

struct consensus_journal_options {
    struct mu_id server, disk;
    uint32_t segment_bytes; /* a multiple of the page, at least CONSENSUS_SEGMENT_BYTES_MIN */
    uint32_t spares_count;  /* zero-filled files kept ready */
    uint64_t durable_seq;   /* meta: batches up to this one were durable */
    /* The state contains entries up to here; index 0: nothing. */
    uint64_t applied_index, applied_term;
    /* Meta, after a stop that was asked for: durable_seq was the last batch of all, and so the log
     * ended. Without it the end of a log whose end is damaged is not known. */
    bool is_end_known;
    struct consensus_standing end;
    uint64_t seed;     /* of the salts */
    bool is_read_only; /* only look: the log can be read afterwards, and not be written */
};

struct consensus_segment {
    uint64_t number, salt, bytes;
    struct consensus_position base; /* the position before its first entry */
    bool is_dead;                   /* all its entries were overwritten later, or cut by a reset */
    bool is_raw; /* of reserved blocks, not all written yet: each flush notes of them, too, that
                    they are */
};

#define CONSENSUS_POINT_BYTES (64U * 1024) /* a read walks at most this far to its first entry */

struct consensus_point {
    uint64_t index, segment, offset;
};

struct consensus_stored_config {
    uint64_t index, term;
    struct mu_buf bytes;
};

struct consensus_journal {
    const struct consensus_disk *disk;
    struct consensus_journal_options options;
    struct mu_rand rand;
    bool has_failed;

    struct consensus_segment *segments; /* ascending; the last one is current */
    size_t segments_count;
    int file;        /* of the current one */
    uint64_t offset; /* where its next batch goes */

    struct consensus_segment next; /* made ahead; number 0: none */
    int next_file;

    uint64_t *spares; /* numbers of zero-filled files */
    size_t spares_count;
    uint64_t spare_number; /* for the next one */
    int fill_file;         /* the one being filled, or CONSENSUS_DISK_NONE */
    uint64_t fill_bytes;

    uint64_t seq; /* of the newest batch */
    uint32_t prev_crc;
    bool is_marked; /* nothing was appended since the last MARK */

    struct consensus_hard hard;
    struct consensus_position base, tail;
    struct consensus_position
        floor; /* it once ended here, and not before; index 0: no such thing */
    struct consensus_stored_config *configs; /* the base's first, if it has one */
    size_t configs_count;
    struct consensus_point *points;
    size_t points_count, points_room;
    struct consensus_position *recent; /* ring by index */
    uint64_t recent_first;             /* it holds recent_first .. tail.index */

    struct mu_buf batch; /* being built */
    uint32_t batch_records;
};

/* One write: what struct consensus_write says, with a record (record.h; chain left 0) for each
 * entry. */
struct consensus_journal_write {
    const struct consensus_write *write;
    const struct mu_span *records;
};

/* What open found, beside what stays in the journal. */
struct consensus_journal_found {
    struct consensus_run *runs; /* mu_free() */
    size_t runs_count;
    bool was_empty;
    bool was_rewritten;           /* the tail was not proven and has been written again */
    char damage[MU_ERR_TEXT_MAX]; /* the first that was found and could be dealt with; "": none */
    uint64_t damaged_segment;     /* the last that has some; it is still there; 0: none */
};

/* On failure the journal holds nothing. */
MU_MUST_CHECK enum mu_code consensus__journal_open(struct consensus_journal *j,
                                                   const struct consensus_disk *disk,
                                                   const struct consensus_journal_options *options,
                                                   struct consensus_journal_found *found,
                                                   struct mu_err *err);
void consensus__journal_close(struct consensus_journal *j); /* writes nothing */

/* How many of these writes may share a batch: all up to MU_LOG_BATCH_BYTES (in small segments a
 * quarter of one), and up to one behind the first that truncates or resets; at least 1. */
size_t consensus__journal_group(const struct consensus_journal *j,
                                const struct consensus_journal_write *writes, size_t count);
/* Durable when it returns MU_OK. */
MU_MUST_CHECK enum mu_code consensus__journal_append(struct consensus_journal *j,
                                                     const struct consensus_journal_write *writes,
                                                     size_t count, struct mu_err *err);
/* Prove the newest batch: what an idle log does. */
MU_MUST_CHECK enum mu_code consensus__journal_mark(struct consensus_journal *j, struct mu_err *err);

/* Append the records of entries first.. to `to`, at most `last`, at most bytes_max (at least one
 * entry). MU_NOT_FOUND: below the start of the log, or behind its end. MU_CORRUPT, MU_IO. */
MU_MUST_CHECK enum mu_code consensus__journal_read(struct consensus_journal *j, uint64_t first,
                                                   uint64_t last, size_t bytes_max,
                                                   struct mu_buf *to, struct mu_err *err);

/* Entries up to `upto` are no longer needed: recycle the segments that hold nothing else. */
MU_MUST_CHECK enum mu_code consensus__journal_compact(struct consensus_journal *j, uint64_t upto,
                                                      struct mu_err *err);

/* How the segments lie, for who looks at them beside us; mu_free() it. */
struct consensus_survey *consensus__journal_survey(const struct consensus_journal *j);
/* A segment is damaged: the log goes on in another one, and *upto says with which entries the
 * damaged one goes (0: it is gone). MU_FULL: there is no other one yet. */
MU_MUST_CHECK enum mu_code consensus__journal_shed(struct consensus_journal *j, uint64_t number,
                                                   uint64_t *upto, struct mu_err *err);

/* One bounded piece of work that can wait (the next segment, 256 KiB of a spare). MU_FULL: no room
 * for it; what is there still works. */
MU_MUST_CHECK enum mu_code consensus__journal_tend(struct consensus_journal *j, struct mu_err *err);
/* On a full disk others may need the space more than the spare that is being made. */
void consensus__journal_give_way(struct consensus_journal *j);
bool consensus__journal_wants(const struct consensus_journal *j);      /* there is such work */
bool consensus__journal_is_pressed(const struct consensus_journal *j); /* and it is urgent */

/* -- between the journal's own files ------------------------------------------------------- */

#define CONSENSUS_JOURNAL_NAME_MAX 32
#define CONSENSUS_FILL_NAME        "spare.part"
/* What its user can do about a directory that nothing can go on from. */
#define CONSENSUS_START_OVER "muster recover -rejoin lets the server start over as a new one"
void consensus__journal_name(uint64_t number, char out[CONSENSUS_JOURNAL_NAME_MAX]);
void consensus__journal_spare_name(uint64_t number, char out[CONSENSUS_JOURNAL_NAME_MAX]);
/* "log-<16 hex>.seg", "spare-<16 hex>.seg". */
bool consensus__journal_name_parse(const char *name, const char *prefix, uint64_t *number);

/* Make the next segment ready, with room for at least `bytes`. */
MU_MUST_CHECK enum mu_code consensus__journal_prepare(struct consensus_journal *j, uint64_t bytes,
                                                      struct mu_err *err);
/* Go on in it: it becomes current. */
void consensus__journal_advance(struct consensus_journal *j);
/* Give up the oldest segment's file. */
MU_MUST_CHECK enum mu_code consensus__journal_recycle(struct consensus_journal *j,
                                                      struct mu_err *err);

/* Follow what was found, or is about to be put, in the log. */
void consensus__journal_note_truncate(struct consensus_journal *j,
                                      const struct consensus_position *at);
void consensus__journal_note_reset(struct consensus_journal *j,
                                   const struct consensus_position *at);
void consensus__journal_note_entry(struct consensus_journal *j, const struct consensus_record *r);
void consensus__journal_note_config(struct consensus_journal *j, uint64_t index, uint64_t term,
                                    struct mu_span bytes);
/* An entry stands in the batch at this offset of the newest segment. */
void consensus__journal_note_place(struct consensus_journal *j, uint64_t index, uint64_t offset,
                                   bool is_forced);

/* Term and chain of a retained index, or of the base; may have to read the disk. */
MU_MUST_CHECK enum mu_code consensus__journal_position(struct consensus_journal *j, uint64_t index,
                                                       struct consensus_position *out,
                                                       struct mu_err *err);

/* Building one batch that begins to add entries at `start` + 1. `bytes`: an upper bound of its
 * records, beside BASE and HARD. */
MU_MUST_CHECK enum mu_code consensus__journal_begin(struct consensus_journal *j,
                                                    const struct consensus_position *start,
                                                    size_t bytes, bool in_new_segment,
                                                    struct mu_err *err);
void consensus__journal_add_hard(struct consensus_journal *j, const struct consensus_hard *hard,
                                 const struct consensus_position *at);
/* It once ended there. restarts: and what is not in the state is to be had anew, from this
 * segment's base on. */
void consensus__journal_add_floor(struct consensus_journal *j, bool restarts);
/* What a batch would begin with now: for meta. */
void consensus__journal_standing(const struct consensus_journal *j, struct consensus_standing *out);
/* Has the log not been as far again as it once was? */
bool consensus__journal_lacks(const struct consensus_journal *j);
void consensus__journal_add_reset(struct consensus_journal *j, const struct consensus_position *at,
                                  const struct consensus_config *config); /* NULL: none */
void consensus__journal_add_entry(struct consensus_journal *j, struct mu_span record);
void consensus__journal_add_mark(struct consensus_journal *j);
MU_MUST_CHECK enum mu_code consensus__journal_commit(struct consensus_journal *j,
                                                     struct mu_err *err);

/* One file that is named like a segment. */
struct consensus_found_file {
    uint64_t number, bytes;
    enum consensus_head_state head_state;
    uint32_t version;
    struct consensus_segment_head head;
    bool is_begun;      /* an intact batch stands first in it */
    uint64_t first_seq; /* of that one */
};

struct consensus_journal_scan {
    struct consensus_journal *j;
    struct consensus_found_file *files; /* by number; mu_free() */
    size_t files_count;
    size_t used_count; /* files[0 .. used_count) are in use, the others were never begun */
};
MU_MUST_CHECK enum mu_code consensus__journal_scan(struct consensus_journal_scan *s,
                                                   struct mu_err *err);

/* MU_CORRUPT: file, offset, what is wrong there, and what to do. */
enum mu_code consensus__journal_damage(const struct consensus_journal *j, uint64_t number,
                                       uint64_t offset, const char *what, struct mu_err *err);
/* Put the file's name in front of an error. */
enum mu_code consensus__journal_in_file(const struct consensus_journal *j, uint64_t number,
                                        enum mu_code rc, struct mu_err *err);

/* Payloads of the log's own records. */
bool consensus__hard_read(struct mu_span payload, struct consensus_standing *out);
void consensus__standing_write(struct mu_wr *w, const struct consensus_standing *s);
void consensus__standing_read(struct mu_rd *r, struct consensus_standing *out);
struct consensus_base { /* of BASE and RESET */
    struct consensus_position at;
    uint64_t config_index, config_term; /* 0: none */
    struct mu_span config;
};
bool consensus__base_read(struct mu_span payload, struct consensus_base *out);
bool consensus__floor_read(struct mu_span payload, struct consensus_position *out, bool *restarts);

#endif
