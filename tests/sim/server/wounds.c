/* wounds.c - what befalls the files of a log, aimed at what lies where in them.
 *
 *   wound    batches, heads and meta rot, are overwritten by what belongs elsewhere, or were never
 *            what they should be, since memory had rotted before their checksum was made
 *   fumble   somebody's hand among the files of a server that is down: one is gone, cut short, of
 *            another server or of a newer muster; or something lies there that is of no concern
 *   call     a certain request of the log's disk fails
 *   frozen   the file system of the log is read-only for a while
 *   sizes    segments, spares and ballast of other sizes than in the life before, and few entries
 *            in memory; a first start is cut short, or finds a disk that is too small
 *
 * What is damaged was proven: an intact batch behind it, or meta, says that it was durable. So it
 * must be noticed, and nobody may have forgotten what he said (spec/consensus.md 2.16). In some
 * runs nobody is spared; then stopping is right, and wrong answers are not.
 *
 * All that is drawn here comes from a stream of its own.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/wire.h"
#include "consensus/journal.h"
#include "consensus/meta.h"
#include "wounds.h"

#define META_SUMMED (CONSENSUS_META_SLOT - 16)
#define FILE_BYTES  48

struct wound_file {
    char name[FILE_BYTES];
    struct mu_buf bytes;
};

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_rand_below(&w->wound_rand, bound);
}

static struct server *any(struct world *w)
{
    return &w->servers[below(w, w->servers_count)];
}

/* -- somebody's hand ----------------------------------------------------------------------------
 */

static void file_copy(const struct server *s, const char *name, struct mu_buf *to)
{
    struct mu_span bytes;

    if (disk_look(s->disk, DISK_LOG, name, &bytes)) {
        mu_buf_add_span(to, bytes);
    }
}

static bool hand_takes(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    const struct spot *spot = map_proven(w, m);

    if (spot == NULL || strcmp(spot->file, m->last.file) == 0) {
        return false; /* that there was a newer one nobody could know */
    }
    spot_say(s, m, spot, "gone, or cut short, with");
    if (below(w, 2) == 0) {
        disk_drop(s->disk, DISK_LOG, spot->file);
    } else {
        struct mu_buf b = MU_BUF_NONE;
        size_t most = below(w, 4) == 0 ? 2 * CONSENSUS_PAGE : CONSENSUS_SEGMENT_BYTES_MIN;
        size_t bytes =
            below(w, 6) == 0 ? CONSENSUS_PAGE + below(w, CONSENSUS_BATCH_HEAD) : below(w, most);

        file_copy(s, spot->file, &b);
        disk_put(s->disk, DISK_LOG, spot->file, mu_span_sub(mu_buf_span(&b), 0, bytes));
        mu_buf_deinit(&b);
    }
    return true;
}

/* Of another server: the same file, or any. */
static bool hand_mixes(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    const struct server *other = any(w);
    struct map theirs = map_of(other);
    bool of_meta = below(w, 4) == 0 && theirs.has_meta && m->has_meta;
    bool does = other != s && (of_meta || (theirs.count > 0 && m->count > 0));

    if (does) {
        const char *from =
            of_meta ? CONSENSUS_META_NAME : theirs.spots[below(w, theirs.count)].file;
        struct mu_span bytes = MU_SPAN_NONE;

        world_say(w, "%s: %s of %s lies here", s->name, from, other->name);
        (void)disk_look(other->disk, DISK_LOG, from, &bytes);
        disk_put(s->disk, DISK_LOG, of_meta ? from : m->spots[below(w, m->count)].file, bytes);
    }
    mu_free(theirs.spots);
    return does;
}

static void u32_put(struct mu_buf *b, size_t at, uint32_t value)
{
    struct mu_wr w = mu_wr_of(b->data + at, 4);

    mu_wr_u32le(&w, value);
}

/* A newer muster has been here. */
static bool hand_renews(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    bool of_meta = below(w, 2) == 0;
    struct mu_buf b = MU_BUF_NONE;

    if (m->count == 0 || !m->has_meta) {
        return false;
    }
    const char *file = of_meta ? CONSENSUS_META_NAME : m->spots[below(w, m->count)].file;

    world_say(w, "%s: a newer muster has written %s", s->name, file);
    file_copy(s, file, &b);
    if (of_meta) {
        for (size_t at = 0; at + CONSENSUS_META_SLOT <= b.bytes; at += CONSENSUS_META_SLOT) {
            u32_put(&b, at + 8, CONSENSUS_META_VERSION + 1);
            (void)crypto_generichash(b.data + at + META_SUMMED, 16, b.data + at, META_SUMMED, NULL,
                                     0);
        }
    } else {
        u32_put(&b, 8, CONSENSUS_SEGMENT_VERSION + 1);
        u32_put(&b, 12, 0);
        u32_put(&b, 12, mu_crc32c(0, b.data, CONSENSUS_PAGE));
    }
    disk_put(s->disk, DISK_LOG, file, mu_buf_span(&b));
    mu_buf_deinit(&b);
    return true;
}

/* Meta is gone, or nothing is in it. */
static bool hand_clears(struct server *s, const struct map *m)
{
    struct mu_buf b = MU_BUF_NONE;

    if (!m->has_meta) {
        return false;
    }
    world_say(s->world, "%s: meta is gone, or blank", s->name);
    if (below(s->world, 2) == 0) {
        disk_drop(s->disk, DISK_LOG, CONSENSUS_META_NAME);
    } else {
        memset(mu_buf_reserve(&b, CONSENSUS_META_BYTES), 0, CONSENSUS_META_BYTES);
        b.bytes = CONSENSUS_META_BYTES;
        disk_put(s->disk, DISK_LOG, CONSENSUS_META_NAME, mu_buf_span(&b));
        mu_buf_deinit(&b);
    }
    return true;
}

/* Things that nobody has to mind: no server may be hurt by them. */
static bool hand_litters(struct server *s)
{
    static const char *const names[] = {
        "log-000000000000000g.seg",   "log-0000000000000001.sav",  "log-1.seg",
        "spare-0000000000ffffff.seg", "spare-00000000000ffff.seg", "lost+found",
    };
    static const uint8_t zeros[CONSENSUS_PAGE];
    const char *name = names[below(s->world, MU_LEN(names))];

    disk_put(s->disk, DISK_LOG, name, mu_span_of(zeros, (size_t)below(s->world, sizeof zeros)));
    world_say(s->world, "%s: somebody leaves %s there", s->name, name);
    return true;
}

/* -- when, and whom -----------------------------------------------------------------------------
 */

static bool wound_kind(struct server *s, const struct map *m)
{
    switch (below(s->world, 12)) {
    case 0: return scar_head(s, m);
    case 1: return scar_meta(s, m);
    case 2:
    case 3:
    case 4: return scar_forged(s, m);
    default: return scar_batches(s, m);
    }
}

static bool hand_kind(struct server *s, const struct map *m)
{
    switch (below(s->world, 6)) {
    case 0: return hand_renews(s, m);
    case 1: return hand_clears(s, m);
    case 2:
    case 3: return hand_mixes(s, m);
    default: return hand_takes(s, m);
    }
}

static void wound_now(struct server *s, enum world_fault fault)
{
    struct world *w = s->world;
    struct map m = map_of(s);
    bool did = fault == FAULT_wound ? wound_kind(s, &m) : hand_kind(s, &m);

    mu_free(m.spots);
    if (did) {
        s->is_hurt = true;
        w->bad[fault]++;
        world_say(w, "%s: its log is damaged", s->name);
    }
}

/* -- what was done, undone ----------------------------------------------------------------------
 */

static void kept_free(struct server *s)
{
    for (size_t i = 0; i < s->wound.files_count; i++) {
        mu_buf_deinit(&s->wound.files[i].bytes);
    }
    mu_free(s->wound.files);
    s->wound.files = NULL;
    s->wound.files_count = 0;
}

static void keep(struct server *s)
{
    const char *name;

    kept_free(s);
    s->wound.life = s->life;
    s->wound.was_hurt = s->is_hurt;
    for (size_t i = 0; (name = disk_name(s->disk, DISK_LOG, i)) != NULL; i++) {
        s->wound.files = mu_grow(s->wound.files, (i + 1) * sizeof *s->wound.files);
        struct wound_file *f = &s->wound.files[s->wound.files_count++];

        *f = (struct wound_file){ .bytes = MU_BUF_NONE };
        (void)snprintf(f->name, sizeof f->name, "%s", name);
        file_copy(s, name, &f->bytes);
    }
}

/* The server was right to wait: nothing that it said has to be forgotten, nothing is missing. */
static void on_undone(void *data)
{
    struct server *s = data;
    const char *name;

    if (s->state != SERVER_DOWN || !s->is_refused || !event_is_set(&s->world->wound)) {
        return;
    }
    world_say(s->world, "%s: its files are as they were", s->name);
    while ((name = disk_name(s->disk, DISK_LOG, 0)) != NULL) {
        disk_drop(s->disk, DISK_LOG, name);
    }
    for (size_t i = 0; i < s->wound.files_count; i++) {
        disk_put(s->disk, DISK_LOG, s->wound.files[i].name, mu_buf_span(&s->wound.files[i].bytes));
    }
    kept_free(s);
    s->is_hurt = s->wound.was_hurt;
    s->is_refused = false;
    server_start(s);
}

void wounds_refused(struct server *s)
{
    struct world *w = s->world;

    if (s->wound.files_count > 0 && s->wound.life + 1 == s->life && event_is_set(&w->wound) &&
        below(w, 8) != 0) {
        event_set(w, &s->wound.undone, w->now + below(w, SECOND), on_undone, s);
    }
}

/* It is down now. */
void wounds_down(struct server *s)
{
    enum world_fault fault = s->wound.waits;

    s->wound.waits = FAULTS_COUNT;
    if (fault == FAULTS_COUNT || !event_is_set(&s->world->wound)) {
        return;
    }
    if (fault == FAULT_fumble && below(s->world, 4) == 0) {
        s->world->bad[fault] += hand_litters(s);
    } else if (torture_can_spare(s->world, s)) {
        keep(s);
        wound_now(s, fault);
    }
}

/* Found by who reads it: the scrubber, or a leader for somebody who needs old entries. */
static void wound_running(struct server *s)
{
    struct world *w = s->world;
    struct server *late = any(w);

    wound_now(s, FAULT_wound);
    if (s->node.is_leader && late != s && server_is_up(late)) {
        server_crash(late, false, below(w, 2 * SECOND));
    }
}

static struct server *to_wound(struct world *w)
{
    struct server *s = any(w);

    for (size_t i = 0; i < w->servers_count && below(w, 2) == 0; i++) {
        struct server *one = &w->servers[i];

        s = one->is_hurt || one->node.is_leader ? one : s; /* once more, or where it hurts most */
    }
    return s;
}

static void act_wound(struct world *w, enum world_fault fault)
{
    struct server *s = to_wound(w);

    if (!world_is_formed(w) || !torture_can_spare(w, s) || s->is_refused) {
        return;
    }
    if (server_is_up(s) && fault == FAULT_wound && below(w, 3) == 0) {
        wound_running(s);
        return;
    }
    uint64_t away = below(w, below(w, 3) == 0 ? 4 * SECOND : SECOND);

    s->wound.waits = fault;
    if (s->state == SERVER_DOWN) {
        wounds_down(s);
    } else if (server_is_up(s) && below(w, 2) == 0) {
        server_stop(s, away);
    } else {
        server_crash(s, below(w, 3) != 0, away); /* a power cut takes more of the state */
    }
}

/* -- requests that fail -------------------------------------------------------------------------
 */

static void trip(struct server *s)
{
    struct world *w = s->world;
    enum disk_call call = (enum disk_call)(1 + below(w, DISK_CALLS - 1));
    bool may_lack = call == DISK_CALL_CREATE || call == DISK_CALL_RESERVE ||
                    call == DISK_CALL_RENAME || call == DISK_CALL_SYNC_DIR ||
                    call == DISK_CALL_WRITE || call == DISK_CALL_REMOVE;
    bool is_full = may_lack && below(w, 4) == 0;
    uint64_t most = call == DISK_CALL_READ || call == DISK_CALL_OPEN ? 30 : 6;

    w->bad[FAULT_call]++;
    s->is_excused = true;
    s->is_told_full = s->is_told_full || is_full;
    most = below(w, 2) == 0 ? most : 1 + below(w, most);
    disk_trip(s->disk, call, 1 + below(w, most), is_full ? MU_FULL : MU_IO);
}

static void act_call(struct world *w)
{
    struct server *s = any(w);

    if (s->state != SERVER_DOWN) {
        trip(s);
        world_say(w, "%s: a certain request of the log's disk will fail", s->name);
    }
}

/* The owner mounts it again and starts the server anew. */
static void on_thawed(void *data)
{
    struct server *s = data;

    disk_freeze(s->disk, false);
    world_say(s->world, "%s: the file system can be written again", s->name);
    server_crash(s, false, below(s->world, SECOND));
}

static void act_frozen(struct world *w)
{
    struct server *s = any(w);

    if (s->state == SERVER_DOWN || event_is_set(&s->wound.thawed)) {
        return;
    }
    w->bad[FAULT_frozen]++;
    s->is_excused = s->stays_excused = true;
    disk_freeze(s->disk, true);
    world_say(w, "%s: the file system of its log is read-only", s->name);
    event_set(w, &s->wound.thawed, w->now + below(w, 3 * SECOND), on_thawed, s);
}

/* -- sizes --------------------------------------------------------------------------------------
 */

void wounds_sizes(struct server *s, struct consensus_store_options *o)
{
    struct world *w = s->world;

    if (!world_has(w, FAULT_sizes) || below(w, 2) == 0) {
        return;
    }
    w->bad[FAULT_sizes]++;
    o->segment_bytes = CONSENSUS_SEGMENT_BYTES_MIN << below(w, 3);
    o->spares_count = 1 + (uint32_t)below(w, 3);
    o->ballast_bytes = below(w, 3) == 0 ? 0 : 64 * 1024 + below(w, 256 * 1024);
    if (disk_room(s->disk) < 64U * 1024 * 1024 && below(w, 2) == 0) { /* by those of the disk */
        o->segment_bytes = o->spares_count = 0;
        o->ballast_bytes = CONSENSUS_BALLAST_BY_SPACE;
    }
}

static void on_room(void *data)
{
    struct server *s = data;

    disk_quota(s->disk, 0);
}

static void on_early(void *data)
{
    struct server *s = data;

    uint64_t away = below(s->world, SECOND);

    server_crash(s, below(s->world, 3) != 0, away);
}

/* A first start is cut short, or finds too little room. */
static void first_start(struct server *s)
{
    struct world *w = s->world;

    if (below(w, 6) == 0) {
        s->is_excused = true;
        disk_quota(s->disk, 32 * 1024 + below(w, 2 * 1024 * 1024));
        event_set(w, &s->wound.first, w->now + SECOND + below(w, 2 * SECOND), on_room, s);
    } else if (below(w, 3) == 0) {
        event_set(w, &s->wound.first, w->now + below(w, 60 * MS), on_early, s);
    }
}

void wounds_start(struct server *s)
{
    struct world *w = s->world;

    if (!event_is_set(&w->wound)) {
        return;
    }
    if (world_has(w, FAULT_call) && below(w, 2) == 0) {
        trip(s);
    }
    if (world_has(w, FAULT_sizes) && s->life == 1) {
        first_start(s);
    }
}

/* -- life ---------------------------------------------------------------------------------------
 */

static void on_wound(void *data)
{
    struct world *w = data;
    static const enum world_fault faults[] = { FAULT_wound, FAULT_wound, FAULT_fumble, FAULT_call,
                                               FAULT_frozen };
    enum world_fault fault = faults[below(w, MU_LEN(faults))];

    event_set(w, &w->wound, w->now + below(w, 400 * MS), on_wound, w);
    if (!world_has(w, fault)) {
        return;
    }
    if (fault == FAULT_wound || fault == FAULT_fumble) {
        act_wound(w, fault);
    } else if (fault == FAULT_call) {
        act_call(w);
    } else if (below(w, 4) == 0) {
        act_frozen(w);
    }
}

/* Who is hurt may need all others, as may a server on a blank disk: not both in one run. What rots
 * elsewhere was not proven: where nobody is spared, that would be too much. */
void wounds_begin(struct world *w)
{
    /* A run is of one kind or of the other. */
    bool has_calls = below(w, 2) == 0;

    if (!world_has(w, FAULT_wound) && !world_has(w, FAULT_sizes)) {
        has_calls = true; /* as it was before there were these */
    }

    for (size_t i = has_calls ? FAULT_wound : FAULT_ask;
         i <= (has_calls ? FAULT_sizes : FAULT_halves); i++) {
        w->options.off |= UINT64_C(1) << i;
    }
    for (size_t i = FAULT_wound; i <= FAULT_sizes; i++) {
        if (below(w, i <= FAULT_fumble ? 4 : 2) == 0) {
            w->options.off |= UINT64_C(1) << i;
        }
    }
    w->cache_bytes = world_has(w, FAULT_sizes) ? 1 + (uint32_t)below(w, 64 * 1024) : 0;
    uint64_t luck = below(w, w->servers_count == 1 ? 2 : 12);

    bool is_hurting = world_has(w, FAULT_wound) || world_has(w, FAULT_fumble);
    bool keeps = below(w, 2) == 0;

    if (world_has(w, FAULT_churn) && is_hurting) {
        w->options.off |= keeps ? UINT64_C(1) << FAULT_wound | UINT64_C(1) << FAULT_fumble
                                : UINT64_C(1) << FAULT_churn;
    }
    if (luck == 0 && world_has(w, FAULT_wound)) {
        w->options.is_beyond = true;
        w->options.off |= UINT64_C(1) << FAULT_rot | UINT64_C(1) << FAULT_aim;
        w->hurt_max = w->servers_count;
    }
    event_set(w, &w->wound, w->now + 2 * SECOND, on_wound, w);
}

void wounds_end(struct world *w)
{
    event_cancel(w, &w->wound);
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        event_cancel(w, &s->wound.undone);
        event_cancel(w, &s->wound.first);
        s->wound.waits = FAULTS_COUNT;
        if (event_is_set(&s->wound.thawed)) {
            event_cancel(w, &s->wound.thawed);
            on_thawed(s);
        }
    }
}

void wounds_init(struct server *s)
{
    s->wound.waits = FAULTS_COUNT;
}

void wounds_deinit(struct server *s)
{
    event_cancel(s->world, &s->wound.undone);
    event_cancel(s->world, &s->wound.thawed);
    event_cancel(s->world, &s->wound.first);
    kept_free(s);
}
