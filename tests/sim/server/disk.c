/* disk.c - pages, platters and names. */
#include "disk.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "fiber.h"

#define NAME_BYTES 48

/* Of a sector in the cache. LOST: clean by mistake, the platter has something else. */
enum sector { CLEAN, DIRTY, LOST };

struct bytes {
    uint8_t *at;
    uint64_t count, room;
};

struct file {
    bool is_used;
    enum disk_dir dir;
    unsigned opens;
    struct bytes cache, platter;
    uint8_t *sectors; /* enum sector, one for each of the cache */
    size_t sectors_room;
    bool is_resized; /* the length is not flushed */
    bool fails_again;
    bool rots;                 /* bits of it flip with the next power cut */
    uint64_t written, started; /* number of the last write to it, and of the last to its head */
};

struct name {
    char text[NAME_BYTES];
    int file;
};

struct names {
    struct name *at;
    size_t count, room;
};

enum change_kind { CHANGE_ADD, CHANGE_RENAME, CHANGE_REMOVE };

struct change {
    enum change_kind kind;
    char text[NAME_BYTES], to[NAME_BYTES];
    int file;
};

struct dir {
    struct names live, durable;
    struct change *changes; /* of live, not flushed, in order */
    size_t changes_count, changes_room;
    bool fails_sync, fails_read, misdirects, lies;
    enum disk_failure failure;
};

enum { SEGMENT_HEAD = 4096 }; /* of a file of the log; behind it are batches */

struct disk {
    struct disk_owner owner;
    struct mu_rand rand;
    struct file *files;
    size_t files_count;
    struct dir dirs[DISK_DIRS];
    bool is_dead, is_locked;
    uint64_t quota;
    uint64_t writes;
    uint64_t trips_in; /* such requests of the log from now; 0: none does */
    enum disk_call trips_call;
    enum mu_code trips_code;
    bool has_tripped;  /* one did, in this life */
    bool is_read_only; /* the directory of the log */
    struct disk_sums sums;
};

/* -- bytes --------------------------------------------------------------------------------------
 */

static void bytes_resize(struct bytes *b, uint64_t count)
{
    if (count > b->room) {
        b->room = count + count / 2 + 4096;
        b->at = mu_grow(b->at, b->room);
    }
    if (count > b->count) {
        memset(b->at + b->count, 0, count - b->count);
    }
    b->count = count;
}

static uint64_t sectors_of(uint64_t bytes)
{
    return (bytes + DISK_SECTOR - 1) / DISK_SECTOR;
}

static void file_resize(struct file *f, uint64_t bytes)
{
    uint64_t former = f->cache.count;
    uint64_t before = sectors_of(former);
    uint64_t after = sectors_of(bytes);

    bytes_resize(&f->cache, bytes);
    if (after > f->sectors_room) {
        f->sectors_room = after + after / 2 + 8;
        f->sectors = mu_grow(f->sectors, f->sectors_room);
    }
    if (after > before) {
        memset(f->sectors + before, CLEAN, after - before);
    }
    /* It was longer once: zeros now stand where the platter has what was cut off. */
    for (uint64_t i = former / DISK_SECTOR; f->platter.count > former && i < after; i++) {
        f->sectors[i] = DIRTY;
    }
    f->is_resized = f->is_resized || bytes != f->platter.count;
}

/* Up to `keep` bytes of a sector go from the cache to the platter. */
static void sector_store(struct file *f, uint64_t sector, uint64_t keep)
{
    uint64_t at = sector * DISK_SECTOR;
    uint64_t end = at + keep;

    if (end > f->platter.count) {
        end = f->platter.count; /* its length was not flushed */
    }
    if (end > f->cache.count) {
        end = f->cache.count;
    }
    if (at < end) {
        memcpy(f->platter.at + at, f->cache.at + at, end - at);
    }
}

static void cache_reload(struct file *f)
{
    file_resize(f, f->platter.count);
    if (f->platter.count > 0) {
        memcpy(f->cache.at, f->platter.at, f->platter.count);
        memset(f->sectors, CLEAN, sectors_of(f->platter.count));
    }
}

/* Sectors first .. end of it, and its length. */
static void file_flush(struct file *f, uint64_t first, uint64_t end)
{
    bytes_resize(&f->platter, f->cache.count);
    f->is_resized = false;
    for (uint64_t i = first; i < end && i < sectors_of(f->cache.count); i++) {
        if (f->sectors[i] == DIRTY) {
            f->sectors[i] = CLEAN;
            sector_store(f, i, DISK_SECTOR);
        }
    }
}

static void file_free(struct file *f)
{
    mu_free(f->cache.at);
    mu_free(f->platter.at);
    mu_free(f->sectors);
    *f = (struct file){ .is_used = false };
}

/* -- names --------------------------------------------------------------------------------------
 */

static struct name *name_find(const struct names *n, const char *text)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->at[i].text, text) == 0) {
            return &n->at[i];
        }
    }
    return NULL;
}

static void name_remove(struct names *n, const char *text)
{
    struct name *at = name_find(n, text);

    if (at != NULL) {
        *at = n->at[--n->count];
    }
}

static void name_put(struct names *n, const char *text, int file)
{
    name_remove(n, text);
    if (n->count == n->room) {
        n->room = n->room * 2 + 16;
        n->at = mu_grow(n->at, n->room * sizeof *n->at);
    }
    struct name *at = &n->at[n->count++];

    memset(at, 0, sizeof *at);
    MU_ASSERT(snprintf(at->text, sizeof at->text, "%s", text) < NAME_BYTES);
    at->file = file;
}

static void change_do(struct names *n, const struct change *c)
{
    if (c->kind != CHANGE_ADD) {
        name_remove(n, c->text);
    }
    if (c->kind != CHANGE_REMOVE) {
        name_put(n, c->kind == CHANGE_ADD ? c->text : c->to, c->file);
    }
}

static void change(struct dir *d, enum change_kind kind, const char *text, const char *to, int file)
{
    struct change c = { .kind = kind, .file = file };

    MU_ASSERT(snprintf(c.text, sizeof c.text, "%s", text) < NAME_BYTES);
    MU_ASSERT(snprintf(c.to, sizeof c.to, "%s", to) < NAME_BYTES);
    if (d->changes_count == d->changes_room) {
        d->changes_room = d->changes_room * 2 + 16;
        d->changes = mu_grow(d->changes, d->changes_room * sizeof *d->changes);
    }
    d->changes[d->changes_count++] = c;
    change_do(&d->live, &c);
}

/* The first `count` changes are flushed. */
static void changes_settle(struct dir *d, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        change_do(&d->durable, &d->changes[i]);
    }
    d->changes_count = 0;
}

static bool is_named(const struct disk *d, int file)
{
    for (size_t i = 0; i < DISK_DIRS; i++) {
        const struct dir *dir = &d->dirs[i];

        for (size_t j = 0; j < dir->live.count; j++) {
            if (dir->live.at[j].file == file) {
                return true;
            }
        }
        for (size_t j = 0; j < dir->durable.count; j++) {
            if (dir->durable.at[j].file == file) {
                return true;
            }
        }
        for (size_t j = 0; j < dir->changes_count; j++) {
            if (dir->changes[j].file == file) {
                return true;
            }
        }
    }
    return false;
}

static void files_collect(struct disk *d)
{
    for (size_t i = 0; i < d->files_count; i++) {
        if (d->files[i].is_used && d->files[i].opens == 0 && !is_named(d, (int)i)) {
            file_free(&d->files[i]);
        }
    }
}

static int file_new(struct disk *d, enum disk_dir dir)
{
    size_t at = 0;

    while (at < d->files_count && d->files[at].is_used) {
        at++;
    }
    if (at == d->files_count) {
        d->files_count++;
        d->files = mu_grow(d->files, d->files_count * sizeof *d->files);
    }
    d->files[at] = (struct file){ .is_used = true, .dir = dir };
    return (int)at;
}

static struct file *file_of(struct disk *d, int file)
{
    MU_ASSERT(file >= 0 && (size_t)file < d->files_count && d->files[file].is_used);
    return &d->files[file];
}

/* -- life ---------------------------------------------------------------------------------------
 */

struct disk *disk_new(const struct disk_owner *owner, uint64_t seed)
{
    struct disk *d = mu_new(sizeof *d);

    d->owner = *owner;
    d->is_dead = true;
    mu_rand_seed(&d->rand, seed);
    return d;
}

static void dirs_clear(struct disk *d)
{
    for (size_t i = 0; i < DISK_DIRS; i++) {
        mu_free(d->dirs[i].live.at);
        mu_free(d->dirs[i].durable.at);
        mu_free(d->dirs[i].changes);
        d->dirs[i] = (struct dir){ .lies = d->dirs[i].lies };
    }
}

void disk_wipe(struct disk *d)
{
    MU_ASSERT(d->is_dead);
    dirs_clear(d);
    for (size_t i = 0; i < d->files_count; i++) {
        MU_ASSERT(d->files[i].opens == 0);
        file_free(&d->files[i]);
    }
}

void disk_free(struct disk *d)
{
    d->is_dead = true;
    disk_wipe(d);
    mu_free(d->files);
    mu_free(d);
}

static void no_sleep(void *data, enum disk_request request, size_t bytes)
{
    (void)data;
    (void)request;
    (void)bytes;
}

static void no_note(void *data, uint64_t what)
{
    (void)data;
    (void)what;
}

/* As a process finds it: in the cache, which nobody else has. */
static void file_copy(struct file *to, const struct file *from)
{
    file_resize(to, from->platter.count);
    if (from->platter.count > 0) {
        memcpy(to->cache.at, from->platter.at, from->platter.count);
    }
}

struct disk *disk_platter(const struct disk *d, enum disk_dir without)
{
    struct disk_owner nobody = { NULL, no_sleep, no_note };
    struct disk *copy = disk_new(&nobody, 1);

    copy->is_dead = false;
    for (size_t i = 0; i < DISK_DIRS; i++) {
        const struct names *names = &d->dirs[i].durable;

        for (size_t j = 0; j < names->count && i != without; j++) {
            int file = file_new(copy, (enum disk_dir)i);

            file_copy(&copy->files[file], &d->files[names->at[j].file]);
            name_put(&copy->dirs[i].durable, names->at[j].text, file);
            name_put(&copy->dirs[i].live, names->at[j].text, file);
        }
    }
    return copy;
}

void disk_die(struct disk *d)
{
    d->is_dead = true;
}

bool disk_is_dead(const struct disk *d)
{
    return d->is_dead;
}

size_t disk_open_count(const struct disk *d)
{
    size_t count = 0;

    for (size_t i = 0; i < d->files_count; i++) {
        count += d->files[i].opens;
    }
    return count;
}

/* New, old, or torn. */
static void file_lose(struct disk *d, struct file *f)
{
    if (f->is_resized && mu_rand_below(&d->rand, 2) == 0) {
        bytes_resize(&f->platter, f->cache.count);
    }
    for (uint64_t i = 0; i < sectors_of(f->cache.count); i++) {
        if (f->sectors[i] == DIRTY) {
            uint64_t luck = mu_rand_below(&d->rand, 16);

            sector_store(f, i,
                         luck < 7    ? 0
                         : luck < 14 ? DISK_SECTOR
                                     : mu_rand_below(&d->rand, DISK_SECTOR));
        }
    }
    cache_reload(f);
    f->fails_again = false;
}

static void wals_rot(struct disk *d);

void disk_revive(struct disk *d, bool lost)
{
    MU_ASSERT(d->is_dead && disk_open_count(d) == 0);
    d->is_dead = false;
    d->is_locked = false;
    d->trips_in = 0;
    d->has_tripped = false;
    for (size_t i = 0; i < DISK_DIRS; i++) {
        struct dir *dir = &d->dirs[i];

        dir->fails_read = dir->fails_sync = dir->misdirects = false;
        if (lost) {
            changes_settle(dir, mu_rand_below(&d->rand, dir->changes_count + 1));
            dir->live.count = 0;
            for (size_t j = 0; j < dir->durable.count; j++) {
                name_put(&dir->live, dir->durable.at[j].text, dir->durable.at[j].file);
            }
        }
    }
    for (size_t i = 0; lost && i < d->files_count; i++) {
        if (d->files[i].is_used) {
            file_lose(d, &d->files[i]);
        }
    }
    files_collect(d);
    if (lost) {
        d->is_read_only = false;
        wals_rot(d);
    }
}

/* -- faults -------------------------------------------------------------------------------------
 */

void disk_fail_sync(struct disk *d, enum disk_dir dir, enum disk_failure how)
{
    d->dirs[dir].fails_sync = true;
    d->dirs[dir].failure = how;
}

void disk_fail_read(struct disk *d, enum disk_dir dir)
{
    d->dirs[dir].fails_read = true;
}

bool disk_fails_again(const struct disk *d)
{
    for (size_t i = 0; i < d->files_count; i++) {
        if (d->files[i].is_used && d->files[i].fails_again) {
            return true;
        }
    }
    return false;
}

void disk_trip(struct disk *d, enum disk_call call, uint64_t in, enum mu_code code)
{
    d->trips_in = in;
    d->trips_call = call;
    d->trips_code = code;
}

void disk_freeze(struct disk *d, bool is_read_only)
{
    d->is_read_only = is_read_only;
}

static bool changes_something(enum disk_call call)
{
    return call != DISK_CALL_LIST && call != DISK_CALL_OPEN && call != DISK_CALL_READ &&
           call != DISK_CALL_SPACE;
}

enum mu_code disk_trips(struct disk *d, enum disk_call call, struct mu_err *err)
{
    bool is_meant = d->trips_call == DISK_CALL_ANY || d->trips_call == call;

    if (d->is_dead) {
        return MU_OK; /* it fails by itself */
    }
    if (d->is_read_only && changes_something(call)) {
        return mu_fail(err, MU_READ_ONLY, "read-only file system");
    }
    if (is_meant && d->trips_in > 0 && --d->trips_in == 0) {
        d->has_tripped = true;
        return mu_fail(err, d->trips_code, "%s",
                       d->trips_code == MU_FULL ? "no space left on device" : "input/output error");
    }
    return MU_OK;
}

void disk_mend(struct disk *d)
{
    d->trips_in = 0;
    d->is_read_only = false;
    for (size_t i = 0; i < DISK_DIRS; i++) {
        d->dirs[i].fails_sync = d->dirs[i].fails_read = d->dirs[i].misdirects = false;
    }
    for (size_t i = 0; i < d->files_count; i++) {
        d->files[i].fails_again = false;
    }
}

void disk_misdirect(struct disk *d, enum disk_dir dir)
{
    d->dirs[dir].misdirects = true;
}

void disk_lie(struct disk *d, enum disk_dir dir, bool lies)
{
    d->dirs[dir].lies = lies;
}

/* SQLite looks at the checksums of a WAL when it opens it; what it reads of it later comes from the
 * cache. So its bits flip with the next power cut. */
static bool is_wal(const char *name)
{
    size_t bytes = strlen(name);

    return bytes > 4 && strcmp(name + bytes - 4, "-wal") == 0;
}

/* A byte of the platter is another one now. */
static void byte_set(struct file *f, uint64_t at, uint8_t to)
{
    f->platter.at[at] = to;
    if (f->sectors[at / DISK_SECTOR] == CLEAN) {
        f->cache.at[at] = to;
    }
}

/* Some bits next to each other; mostly where something is: files begin with it. */
static void file_rot(struct disk *d, struct file *f)
{
    uint64_t bytes = f->platter.count < f->cache.count ? f->platter.count : f->cache.count;

    if (bytes == 0) {
        return;
    }
    uint64_t at =
        mu_rand_below(&d->rand, mu_rand_below(&d->rand, 2) == 0 ? (bytes + 7) / 8 : bytes);
    uint64_t end = at + 1 + mu_rand_below(&d->rand, 64);

    for (; at < end && at < bytes; at++) {
        uint8_t flip = (uint8_t)(1U << mu_rand_below(&d->rand, 8));

        byte_set(f, at, f->platter.at[at] ^ flip);
    }
}

/* Where the last bytes are that are not zero. */
static uint64_t file_end(const struct file *f)
{
    uint64_t end = f->platter.count < f->cache.count ? f->platter.count : f->cache.count;

    while (end > 0 && f->platter.at[end - 1] == 0) {
        end--;
    }
    return end;
}

bool disk_rot_log(struct disk *d, bool is_late)
{
    const struct names *n = &d->dirs[DISK_LOG].live;
    size_t from = n->count > 0 ? mu_rand_below(&d->rand, n->count) : 0;

    for (size_t i = 0; i < n->count; i++) {
        const struct name *name = &n->at[(from + i) % n->count];
        struct file *f = file_of(d, name->file);
        uint64_t end = file_end(f);

        if (strncmp(name->text, "log-", 4) == 0 && end > SEGMENT_HEAD) {
            uint64_t from_byte =
                is_late && end > 2 * SEGMENT_HEAD ? end - SEGMENT_HEAD : SEGMENT_HEAD;
            uint64_t at = from_byte + mu_rand_below(&d->rand, end - from_byte);

            byte_set(f, at, f->platter.at[at] ^ (uint8_t)(1U << mu_rand_below(&d->rand, 8)));
            return true;
        }
    }
    return false;
}

bool disk_rot(struct disk *d, enum disk_dir dir)
{
    const struct names *n = &d->dirs[dir].live;

    if (n->count == 0) {
        return false;
    }
    const struct name *name = &n->at[mu_rand_below(&d->rand, n->count)];
    struct file *f = file_of(d, name->file);

    if (f->platter.count == 0 || f->cache.count == 0) {
        return false;
    }
    if (is_wal(name->text)) {
        f->rots = true;
    } else {
        file_rot(d, f);
    }
    return true;
}

/* Of a WAL whose pages are on their way into the file, or there, SQLite takes for new what is older
 * than the file: two faults at one moment, which no checksum of either tells. Idle states have an
 * empty one (catalog_checkpoint()). */
static void wals_rot(struct disk *d)
{
    const struct names *n = &d->dirs[DISK_STATE].live;

    for (size_t i = 0; i < n->count; i++) {
        struct file *wal = file_of(d, n->at[i].file);
        char text[NAME_BYTES];

        if (!wal->rots) {
            continue;
        }
        (void)snprintf(text, sizeof text, "%.*s", (int)strlen(n->at[i].text) - 4, n->at[i].text);
        const struct name *of = name_find(n, text);

        wal->rots = false;
        if (of != NULL && d->files[of->file].written < wal->started) {
            file_rot(d, wal);
        }
    }
}

bool disk_clobber(struct disk *d, enum disk_dir dir, uint32_t bytes)
{
    const struct names *n = &d->dirs[dir].live;

    if (n->count == 0) {
        return false;
    }
    const struct name *name = &n->at[mu_rand_below(&d->rand, n->count)];
    struct file *f = file_of(d, name->file);
    uint64_t count = f->platter.count < f->cache.count ? f->platter.count : f->cache.count;

    if (is_wal(name->text) || count < 2 * (uint64_t)bytes) {
        return false;
    }
    uint64_t from = mu_rand_below(&d->rand, count / bytes) * bytes;
    uint64_t to = mu_rand_below(&d->rand, count / bytes) * bytes;

    for (uint64_t i = 0; i < bytes; i++) {
        byte_set(f, to + i, f->platter.at[from + i]);
    }
    return true;
}

/* -- from outside -------------------------------------------------------------------------------
 */

const char *disk_name(const struct disk *d, enum disk_dir dir, size_t at)
{
    return at < d->dirs[dir].live.count ? d->dirs[dir].live.at[at].text : NULL;
}

bool disk_look(const struct disk *d, enum disk_dir dir, const char *name, struct mu_span *out)
{
    const struct name *at = name_find(&d->dirs[dir].live, name);

    if (at == NULL) {
        return false;
    }
    const struct bytes *platter = &d->files[at->file].platter;

    *out = mu_span_of(platter->at, (size_t)platter->count);
    return true;
}

void disk_scar(struct disk *d, enum disk_dir dir, const char *name, uint64_t at,
               struct mu_span bytes)
{
    struct file *f = file_of(d, name_find(&d->dirs[dir].live, name)->file);

    for (size_t i = 0; i < bytes.bytes && at + i < f->platter.count && at + i < f->cache.count;
         i++) {
        byte_set(f, at + i, bytes.data[i]);
    }
}

void disk_drop(struct disk *d, enum disk_dir dir, const char *name)
{
    char text[NAME_BYTES]; /* it may be one of ours, which goes */

    MU_ASSERT(d->is_dead);
    MU_ASSERT(snprintf(text, sizeof text, "%s", name) < NAME_BYTES);
    changes_settle(&d->dirs[dir], d->dirs[dir].changes_count);
    name_remove(&d->dirs[dir].live, text);
    name_remove(&d->dirs[dir].durable, text);
    files_collect(d);
}

void disk_put(struct disk *d, enum disk_dir dir, const char *name, struct mu_span bytes)
{
    char text[NAME_BYTES];

    MU_ASSERT(snprintf(text, sizeof text, "%s", name) < NAME_BYTES);
    disk_drop(d, dir, text);
    int at = file_new(d, dir);
    struct file *f = file_of(d, at);

    bytes_resize(&f->platter, bytes.bytes);
    if (bytes.bytes > 0) {
        memcpy(f->platter.at, bytes.data, bytes.bytes);
    }
    cache_reload(f);
    name_put(&d->dirs[dir].live, text, at);
    name_put(&d->dirs[dir].durable, text, at);
}

void disk_quota(struct disk *d, uint64_t bytes)
{
    d->quota = bytes;
}

uint64_t disk_used(const struct disk *d)
{
    uint64_t used = 0;

    for (size_t i = 0; i < d->files_count; i++) {
        used += d->files[i].is_used ? d->files[i].cache.count : 0;
    }
    return used;
}

uint64_t disk_room(const struct disk *d)
{
    uint64_t used = disk_used(d);

    return d->quota == 0 ? UINT64_MAX : d->quota > used ? d->quota - used : 0;
}

struct disk_sums disk_sums(const struct disk *d)
{
    return d->sums;
}

/* -- requests -----------------------------------------------------------------------------------
 */

static enum mu_code dead(struct mu_err *err)
{
    return mu_fail(err, MU_IO, "the power is out");
}

/* False: the server is gone, before or meanwhile. */
static bool request(struct disk *d, enum disk_request kind, uint64_t what, size_t bytes)
{
    if (d->is_dead) {
        return false;
    }
    d->owner.note(d->owner.data, what * 4 + kind);
    if (fiber_self() != NULL) {
        d->owner.sleep(d->owner.data, kind, bytes);
    }
    return !d->is_dead;
}

enum mu_code disk_list(struct disk *d, enum disk_dir dir, mu_dir_fn *each, void *data,
                       struct mu_err *err)
{
    const struct names *live = &d->dirs[dir].live;
    enum mu_code rc = MU_OK;

    if (!request(d, DISK_READ, 1, 0)) {
        return dead(err);
    }
    struct name *copy = mu_new_array(live->count + 1, sizeof *copy);
    size_t count = live->count;

    if (count > 0) {
        memcpy(copy, live->at, count * sizeof *copy);
    }
    for (size_t i = 0; rc == MU_OK && i < count; i++) {
        rc = each(data, copy[i].text, err);
    }
    mu_free(copy);
    return rc;
}

bool disk_has_tripped(const struct disk *d)
{
    return d->has_tripped;
}

bool disk_has(const struct disk *d, enum disk_dir dir, const char *name)
{
    return name_find(&d->dirs[dir].live, name) != NULL;
}

enum mu_code disk_open(struct disk *d, enum disk_dir dir, const char *name, bool may_create,
                       int *file, uint64_t *bytes, struct mu_err *err)
{
    if (!request(d, DISK_NAMES, 2, 0)) {
        return dead(err);
    }
    struct name *at = name_find(&d->dirs[dir].live, name);

    if (at == NULL && !may_create) {
        return mu_fail(err, MU_NOT_FOUND, "%s: not there", name);
    }
    *file = at != NULL ? at->file : file_new(d, dir);
    if (at == NULL) {
        change(&d->dirs[dir], CHANGE_ADD, name, "", *file);
    }
    file_of(d, *file)->opens++;
    *bytes = file_of(d, *file)->cache.count;
    return MU_OK;
}

void disk_close(struct disk *d, int file)
{
    struct file *f = file_of(d, file);

    MU_ASSERT(f->opens > 0);
    f->opens--;
    if (f->opens == 0 && !is_named(d, file)) {
        file_free(f);
    }
}

uint64_t disk_bytes(const struct disk *d, int file)
{
    return d->files[file].cache.count;
}

enum mu_code disk_read(struct disk *d, int file, uint64_t offset, void *to, size_t bytes,
                       size_t *got, struct mu_err *err)
{
    if (!request(d, DISK_READ, offset, bytes)) {
        return dead(err);
    }
    struct file *f = file_of(d, file);

    d->sums.reads++;
    if (d->dirs[f->dir].fails_read) {
        d->dirs[f->dir].fails_read = false;
        return mu_fail(err, MU_IO, "read: Input/output error");
    }
    *got = 0;
    if (offset < f->cache.count) {
        uint64_t left = f->cache.count - offset;

        *got = left < bytes ? (size_t)left : bytes;
        memcpy(to, f->cache.at + offset, *got);
    }
    return MU_OK;
}

static bool may_grow(const struct disk *d, const struct file *f, uint64_t bytes)
{
    return bytes <= f->cache.count || d->quota == 0 ||
           disk_used(d) + (bytes - f->cache.count) <= d->quota;
}

/* A sector that is written again may have reached the platter as it was before. */
static void sectors_touch(struct disk *d, struct file *f, uint64_t offset, uint64_t end)
{
    for (uint64_t i = offset / DISK_SECTOR; i < sectors_of(end); i++) {
        if (f->sectors[i] == DIRTY && mu_rand_below(&d->rand, 4) == 0) {
            sector_store(f, i, DISK_SECTOR);
        }
        f->sectors[i] = DIRTY;
    }
}

static void write_bytes(struct disk *d, struct file *f, uint64_t offset, struct mu_span bytes)
{
    uint64_t end = offset + bytes.bytes;

    if (bytes.bytes == 0) {
        return;
    }
    if (end > f->cache.count) {
        file_resize(f, end);
    }
    f->written = ++d->writes;
    f->started = offset == 0 ? f->written : f->started;
    sectors_touch(d, f, offset, end);
    memcpy(f->cache.at + offset, bytes.data, bytes.bytes);
}

/* The process ends in the middle of the call: some of it is in the cache. */
static void write_torn(struct disk *d, struct file *f, uint64_t offset, struct mu_span bytes)
{
    uint64_t sectors = mu_rand_below(&d->rand, sectors_of(bytes.bytes) + 1);

    if (sectors * DISK_SECTOR < bytes.bytes) {
        bytes.bytes = (size_t)sectors * DISK_SECTOR;
    }
    if (may_grow(d, f, offset + bytes.bytes)) {
        write_bytes(d, f, offset, bytes);
    }
}

enum mu_code disk_write(struct disk *d, int file, uint64_t offset, struct mu_span bytes,
                        struct mu_err *err)
{
    if (d->is_dead) {
        return dead(err);
    }
    bool goes_on = request(d, DISK_WRITE, offset, bytes.bytes);
    struct file *f = file_of(d, file);

    if (!goes_on) {
        write_torn(d, f, offset, bytes);
        return dead(err);
    }
    if (!may_grow(d, f, offset + bytes.bytes)) {
        return mu_fail(err, MU_FULL, "write: No space left on device");
    }
    d->sums.writes++;
    d->sums.bytes_written += bytes.bytes;
    if (d->dirs[f->dir].misdirects && f->cache.count > 0) {
        d->dirs[f->dir].misdirects = false;
        offset = mu_rand_below(&d->rand, sectors_of(f->cache.count)) * DISK_SECTOR;
    }
    write_bytes(d, f, offset, bytes);
    return MU_OK;
}

enum mu_code disk_resize(struct disk *d, int file, uint64_t bytes, struct mu_err *err)
{
    if (!request(d, DISK_WRITE, bytes, 0)) {
        return dead(err);
    }
    struct file *f = file_of(d, file);

    if (!may_grow(d, f, bytes)) {
        return mu_fail(err, MU_FULL, "reserve space: No space left on device");
    }
    file_resize(f, bytes);
    return MU_OK;
}

static enum mu_code sync_fail(struct disk *d, struct file *f, struct mu_err *err)
{
    enum disk_failure how = d->dirs[f->dir].failure;

    d->dirs[f->dir].fails_sync = false;
    f->fails_again = how == DISK_REPEATED;
    for (uint64_t i = 0; i < sectors_of(f->cache.count); i++) {
        if (f->sectors[i] == DIRTY && how != DISK_DIRTY) {
            /* Some of them had made it. */
            sector_store(f, i, mu_rand_below(&d->rand, 3) == 0 ? DISK_SECTOR : 0);
            f->sectors[i] = LOST;
        }
    }
    if (how == DISK_CLEAN_OLD) {
        cache_reload(f);
    }
    return mu_fail(err, MU_IO, "flush: Input/output error");
}

static enum mu_code sync_sectors(struct disk *d, int file, uint64_t first, uint64_t end,
                                 struct mu_err *err)
{
    if (!request(d, DISK_SYNC, (uint64_t)file, 0)) {
        return dead(err);
    }
    struct file *f = file_of(d, file);

    d->sums.syncs++;
    if (d->dirs[f->dir].fails_sync) {
        return sync_fail(d, f, err);
    }
    if (f->fails_again) {
        f->fails_again = false;
        return mu_fail(err, MU_IO, "flush: Input/output error");
    }
    if (!d->dirs[f->dir].lies) {
        file_flush(f, first, end);
    }
    return MU_OK;
}

enum mu_code disk_sync(struct disk *d, int file, struct mu_err *err)
{
    return sync_sectors(d, file, 0, UINT64_MAX, err);
}

enum mu_code disk_sync_part(struct disk *d, int file, uint64_t offset, uint64_t bytes,
                            struct mu_err *err)
{
    return sync_sectors(d, file, offset / DISK_SECTOR, sectors_of(offset + bytes), err);
}

void disk_drop_cache(struct disk *d, int file)
{
    struct file *f = file_of(d, file);

    for (uint64_t i = 0; i < sectors_of(f->cache.count); i++) {
        uint64_t at = i * DISK_SECTOR;

        if (f->sectors[i] == LOST && at < f->platter.count) {
            uint64_t end = at + DISK_SECTOR;

            end = end < f->platter.count ? end : f->platter.count;
            end = end < f->cache.count ? end : f->cache.count;
            memcpy(f->cache.at + at, f->platter.at + at, end - at);
            f->sectors[i] = CLEAN;
        }
    }
}

enum mu_code disk_rename(struct disk *d, enum disk_dir dir, const char *from, const char *to,
                         struct mu_err *err)
{
    if (!request(d, DISK_NAMES, 3, 0)) {
        return dead(err);
    }
    const struct name *at = name_find(&d->dirs[dir].live, from);

    MU_ASSERT(at != NULL);
    change(&d->dirs[dir], CHANGE_RENAME, from, to, at->file);
    return MU_OK;
}

enum mu_code disk_remove(struct disk *d, enum disk_dir dir, const char *name, struct mu_err *err)
{
    if (!request(d, DISK_NAMES, 4, 0)) {
        return dead(err);
    }
    const struct name *at = name_find(&d->dirs[dir].live, name);

    if (at == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "%s: not there", name);
    }
    change(&d->dirs[dir], CHANGE_REMOVE, name, "", at->file);
    return MU_OK;
}

enum mu_code disk_sync_dir(struct disk *d, enum disk_dir dir, struct mu_err *err)
{
    struct dir *at = &d->dirs[dir];

    if (!request(d, DISK_SYNC, 5, 0)) {
        return dead(err);
    }
    if (at->fails_sync) {
        at->fails_sync = false;
        return mu_fail(err, MU_IO, "flush directory: Input/output error");
    }
    if (!at->lies) {
        changes_settle(at, at->changes_count);
        files_collect(d);
    }
    return MU_OK;
}

enum mu_code disk_lock(struct disk *d, enum disk_dir dir, const char *name, struct mu_err *err)
{
    if (!request(d, DISK_NAMES, 6, 0)) {
        return dead(err);
    }
    if (d->is_locked) {
        return mu_fail(err, MU_FOREIGN, "%s is locked by another process", name);
    }
    if (!disk_has(d, dir, name)) {
        change(&d->dirs[dir], CHANGE_ADD, name, "", file_new(d, dir));
    }
    d->is_locked = true;
    return MU_OK;
}
