/* recovery.c - the data directory of a stopped server: opened, looked at, continued, set aside. */
#include "agent/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aside.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "consensus/recover.h"
#include "core.h"
#include "proto/command.h"
#include "rebuild.h"
#include "snapshot_files.h"

_Static_assert(RECOVERY_SERVERS_MAX == CONSENSUS_PEERS_MAX, "every configuration fits");
_Static_assert(RECOVERY_ADDRESS_MAX == CONSENSUS_ADDRESS_MAX, "every address fits");

struct recovery {
    char *dir;
    int lock_fd; /* -1: the caller's */
    struct mu_id node;
    struct consensus_inspection seen;
    struct recovery_position position;
};

static char *path_of(const char *dir, const char *name)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    return mu_buf_take(&path, NULL);
}

/* -- looking ----------------------------------------------------------------------------------- */

/* An error of the disk below tells nothing about what is on it. */
static void damage_add(struct recovery_position *p, enum mu_code code, const char *text)
{
    size_t at = strlen(p->damage);

    p->is_unread = (at == 0 || p->is_unread) && (code == MU_IO || code == MU_FULL);
    (void)snprintf(p->damage + at, sizeof p->damage - at, "%s%s", at > 0 ? "; " : "", text);
}

void agent__recovery_servers(const struct consensus_config *config, struct recovery_position *to)
{
    for (uint32_t i = 0; i < config->servers_count; i++) {
        const struct consensus_server *s = &config->servers[i];
        struct recovery_server *r = &to->servers[to->servers_count++];

        r->id = s->id;
        r->disk = s->disk;
        r->is_voter = consensus_server_votes(s);
        (void)snprintf(r->address, sizeof r->address, "%s", s->address);
    }
}

static void position_of_log(const struct consensus_inspection *seen, struct recovery_position *p)
{
    p->disk = seen->disk;
    p->cluster = seen->cluster;
    p->epoch = seen->epoch;
    p->term = seen->term;
    p->last_index = seen->last_index;
    p->last_term = seen->last_term;
    p->chain = seen->chain;
    p->config_index = seen->config.servers_count > 0 ? seen->config.index : 0;
    p->coordinator = seen->coordinator;
    agent__recovery_servers(&seen->config, p);
    (void)snprintf(p->harmless, sizeof p->harmless, "%s", seen->harmless);
    if (seen->damage[0] != '\0') {
        damage_add(p, seen->damage_code, seen->damage);
    }
}

/* Opening the state does no more to it than the next start of the server would. */
static enum mu_code state_look(const char *dir, struct catalog_applied *applied,
                               struct consensus_contained *contained, struct mu_err *err)
{
    uint64_t generation = 0;
    bool is_of_no_use = false;
    struct mu_err why = MU_ERR_NONE;
    enum mu_code rc = snapshot_generation(dir, &generation, err);

    *applied = (struct catalog_applied){ .index = 0 };
    rc = rc == MU_OK ? snapshot_state_applied(dir, generation, applied, err) : rc;
    rc = rc == MU_OK ? rebuild_wanted(dir, generation, &is_of_no_use, &why, err) : rc;
    *contained = (struct consensus_contained){ .index = 0 };
    if (rc == MU_OK && !is_of_no_use) {
        *contained = (struct consensus_contained){ applied->index, applied->term };
    }
    return rc;
}

static void position_of_state(const struct catalog_applied *applied, struct recovery_position *p,
                              uint64_t base_index)
{
    p->applied_index = applied->index;
    memcpy(p->state_hash, applied->hash, sizeof p->state_hash);
    if (p->damage[0] != '\0') {
        return;
    }
    if (applied->index > p->last_index) {
        damage_add(p, MU_CORRUPT, "the state has entries that the log does not have");
    } else if (applied->index < base_index) {
        damage_add(p, MU_CORRUPT,
                   "a snapshot was being installed: start the server once, it finishes that");
    }
}

/* The last folder that something was set aside in; 0: none. */
static unsigned aside_last(const char *dir)
{
    for (unsigned i = 0;; i++) {
        struct mu_buf path = MU_BUF_NONE;

        mu_buf_addf(&path, "%s/aside-%u", dir, i + 1);
        bool is_there = access(mu_buf_text(&path), F_OK) == 0;

        mu_buf_deinit(&path);
        if (!is_there) {
            return i;
        }
    }
}

static enum mu_code nothing_here(const struct recovery *r, struct mu_err *err)
{
    unsigned aside = aside_last(r->dir);

    if (aside == 0) {
        return mu_fail(err, MU_NOT_FOUND, "%s holds nothing of a server", r->dir);
    }
    return mu_fail(err, MU_NOT_FOUND,
                   "%s holds nothing of a server; what it held is in aside-%u: start it, and it "
                   "joins as a new one",
                   r->dir, aside);
}

static enum mu_code look(struct recovery *r, struct mu_err *err)
{
    char *log = path_of(r->dir, "consensus");
    struct mu_err why = MU_ERR_NONE, state_why = MU_ERR_NONE;
    struct catalog_applied applied;
    struct consensus_contained state;
    enum mu_code state_rc = state_look(r->dir, &applied, &state, &state_why);
    enum mu_code rc = consensus_inspect(log, &r->node, &state, &r->seen, &why);

    mu_free(log);
    r->position = (struct recovery_position){ .server = r->node };
    if (rc == MU_NOT_FOUND) {
        return nothing_here(r, err);
    }
    if (rc == MU_CORRUPT) { /* nobody can go on from it; but it can be set aside */
        damage_add(&r->position, rc, why.text);
    } else if (rc != MU_OK) {
        return mu_fail(err, rc, "%s", why.text);
    } else {
        position_of_log(&r->seen, &r->position);
    }
    if (state_rc == MU_UNSUPPORTED) { /* nothing is wrong with it: a newer version can go on */
        return mu_fail(err, state_rc, "%s", state_why.text);
    }
    if (state_rc != MU_OK) {
        damage_add(&r->position, state_rc, state_why.text);
    } else {
        position_of_state(&applied, &r->position, r->seen.base_index);
    }
    return MU_OK;
}

/* -- opening ----------------------------------------------------------------------------------- */

static enum mu_code node_read(struct recovery *r, struct mu_err *err)
{
    char *path = path_of(r->dir, "node-id");
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(path, 128, &text, err);
    struct mu_span id = mu_buf_span(&text);

    while (id.bytes > 0 && id.data[id.bytes - 1] == '\n') {
        id.bytes--;
    }
    if (rc == MU_OK && !mu_id_parse(id, &r->node)) {
        rc = mu_fail(err, MU_INVALID, "%s holds no node id", path);
    }
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

static enum mu_code dir_check(const char *dir, struct mu_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return mu_fail(err, mu_file_code(errno), "%s: %s", dir, strerror(errno));
    }
    (void)close(fd);
    enum mu_code rc = agent__format_check(dir, err);

    return rc == MU_NOT_FOUND ? mu_fail(err, MU_FOREIGN, "%s is no data directory of muster", dir)
                              : rc;
}

static enum mu_code lock(struct recovery *r, struct mu_err *err)
{
    char *file = path_of(r->dir, "lock");
    enum mu_code rc = dir_check(r->dir, err);

    if (rc == MU_OK) {
        rc = mu_file_lock(file, &r->lock_fd, err);
        if (rc == MU_FOREIGN) {
            rc = mu_fail(err, rc, "%s is in use by a running agent: stop it first", r->dir);
        }
    }
    mu_free(file);
    return rc;
}

enum mu_code recovery_open(struct recovery **out, const char *data_dir, struct mu_err *err)
{
    struct recovery *r = mu_new(sizeof *r);
    bool moved = false;

    r->dir = mu_strdup(data_dir);
    r->lock_fd = -1;
    enum mu_code rc = lock(r, err);

    if (rc == MU_OK) {
        rc = aside_finish(r->dir, &moved, err); /* what a crash has left half done */
    }
    rc = rc == MU_OK ? node_read(r, err) : rc;
    rc = rc == MU_OK ? look(r, err) : rc;
    if (rc != MU_OK) {
        recovery_close(r);
        return rc;
    }
    *out = r;
    return MU_OK;
}

void recovery_close(struct recovery *r)
{
    if (r == NULL) {
        return;
    }
    if (r->lock_fd >= 0) {
        (void)close(r->lock_fd);
    }
    mu_free(r->dir);
    mu_free(r);
}

const struct recovery_position *recovery_position(const struct recovery *r)
{
    return &r->position;
}

/* -- going on ---------------------------------------------------------------------------------- */

/* The id is what peers.json says, all else comes from the logs, which are equal: so several voters
 * write the same entry, whatever addresses each one's file names. */
static void server_of(const struct recovery *r, const struct recovery_server *peer,
                      const struct recovery_position *others, size_t others_count,
                      struct consensus_server *out)
{
    const struct consensus_server *was = consensus_config_find(&r->seen.config, &peer->id);

    *out = (struct consensus_server){ .id = peer->id,
                                      .disk = r->position.disk,
                                      .is_voter = peer->is_voter,
                                      .is_learner = !peer->is_voter };
    if (was != NULL) {
        out->priority = was->priority;
        memcpy(out->address, was->address, sizeof out->address);
    }
    for (size_t i = 0; i < others_count; i++) {
        if (mu_id_eq(&others[i].server, &peer->id) && !mu_id_eq(&peer->id, &r->node)) {
            out->disk = others[i].disk;
        }
    }
}

/* One term above what any of those that go on has seen: so all write the same. */
static uint64_t term_above(const struct recovery *r, const struct recovery_peers *peers,
                           const struct recovery_position *others, size_t others_count)
{
    uint64_t term = r->position.term;

    for (size_t i = 0; i < others_count; i++) {
        for (size_t k = 0; k < peers->count; k++) {
            if (mu_id_eq(&others[i].server, &peers->items[k].id) && others[i].term > term) {
                term = others[i].term;
            }
        }
    }
    return term + 1;
}

uint64_t recovery_epoch_now(uint64_t before)
{
    uint64_t now_us = (uint64_t)(mu_clock_wall_ns() / 1000);

    return now_us > before ? now_us : before + 1;
}

/* Several servers that go on must come to the same one, each by itself: the next. */
static uint64_t epoch_of(const struct recovery *r, const struct recovery_peers *peers)
{
    return peers->count > 1 ? r->position.epoch + 1 : recovery_epoch_now(r->position.epoch);
}

static enum mu_code go_on_in(struct recovery *r, uint64_t epoch, const struct recovery_peers *peers,
                             const struct recovery_position *others, size_t others_count,
                             struct mu_err *err)
{
    struct consensus_server servers[RECOVERY_SERVERS_MAX];
    struct consensus_config config;

    if (r->seen.config.level > command_level_max()) { /* it could not be started afterwards */
        return mu_fail(err, MU_UNSUPPORTED,
                       "%s: the log has commands of level %u, this version of muster understands "
                       "up to level %u",
                       r->dir, r->seen.config.level, command_level_max());
    }
    char *log = path_of(r->dir, "consensus");

    for (size_t i = 0; i < peers->count; i++) {
        server_of(r, &peers->items[i], others, others_count, &servers[i]);
    }
    consensus_recovery_config(&r->seen, servers, peers->count, &config);
    enum mu_code rc = consensus_recover(log, &r->node, &r->seen, &config,
                                        term_above(r, peers, others, others_count), epoch, err);

    mu_free(log);
    return rc == MU_OK ? look(r, err) : rc;
}

enum mu_code recovery_carry_out(struct recovery *r, const struct recovery_peers *peers,
                                const struct recovery_position *others, size_t others_count,
                                struct mu_err *err)
{
    return go_on_in(r, epoch_of(r, peers), peers, others, others_count, err);
}

/* -- agreed upon while the server ran ---------------------------------------------------------- */

static enum mu_code is_as_agreed(const struct recovery_position *is,
                                 const struct recovery_position *agreed, struct mu_err *err)
{
    if (is->last_index == agreed->last_index && is->last_term == agreed->last_term &&
        is->epoch == agreed->epoch && mu_id_eq(&is->disk, &agreed->disk)) {
        return MU_OK;
    }
    return mu_fail(err, MU_CONFLICT,
                   "the log ends with entry %llu of term %llu, agreed was to go on from entry %llu "
                   "of term %llu",
                   (unsigned long long)is->last_index, (unsigned long long)is->last_term,
                   (unsigned long long)agreed->last_index, (unsigned long long)agreed->last_term);
}

/* Stopped by whatever for so long that others may have gone on without us: then what is there was
 * agreed upon, and is not what it was agreed for. */
static enum mu_code is_in_time(const struct recovery_order *order, struct mu_err *err)
{
    if (mu_clock_ms() < order->until_ms) {
        return MU_OK;
    }
    return mu_fail(err, MU_CONFLICT,
                   "it took so long that the others take part as before: look again");
}

enum mu_code recovery_go_on(const char *data_dir, const struct recovery_order *order,
                            struct mu_err *err)
{
    struct recovery r = { .lock_fd = -1, .node = order->own.server };
    struct recovery_peers *peers = mu_new(sizeof *peers);

    r.dir = mu_strdup(data_dir);
    peers->count = 1;
    peers->items[0] = (struct recovery_server){ .id = r.node, .is_voter = true };
    enum mu_code rc = is_in_time(order, err);

    rc = rc == MU_OK ? look(&r, err) : rc;
    rc = rc == MU_OK ? is_as_agreed(&r.position, &order->own, err) : rc;
    rc = rc == MU_OK ? recovery_judge(&r.position, peers, order->others, order->others_count,
                                      order->is_forced, err)
                     : rc;
    rc = rc == MU_OK ? is_in_time(order, err) : rc; /* disks are slow */
    rc = rc == MU_OK ? go_on_in(&r, order->epoch, peers, order->others, order->others_count, err)
                     : rc;
    mu_free(peers);
    mu_free(r.dir);
    return rc;
}

void recovery_aside_name(const char *data_dir, char folder[RECOVERY_FOLDER_MAX])
{
    (void)snprintf(folder, RECOVERY_FOLDER_MAX, "aside-%u", aside_last(data_dir) + 1);
}

enum mu_code recovery_rejoin(struct recovery *r, char folder[RECOVERY_FOLDER_MAX],
                             struct mu_err *err)
{
    bool moved = false;

    recovery_aside_name(r->dir, folder);
    enum mu_code rc = aside_begin(r->dir, folder, err);

    return rc == MU_OK ? aside_finish(r->dir, &moved, err) : rc;
}

enum mu_code recovery_promise_reset(struct recovery *r, struct mu_err *err)
{
    char *log = path_of(r->dir, "consensus");
    enum mu_code rc = consensus_promise_reset(log, &r->node, err);

    mu_free(log);
    return rc == MU_OK ? look(r, err) : rc;
}

/* -- raft/peers.json at the start of a server -------------------------------------------------- */

#define PEERS_FOLDER "raft"
#define PEERS_FILE   "raft/peers.json"
#define PEERS_USED   "raft/peers.json.used"

struct bundles {
    const char *dir; /* of the files */
    const struct mu_id *own;
    struct recovery_position items[RECOVERY_SERVERS_MAX];
    size_t count;
};

static bool is_bundle(const char *name)
{
    size_t bytes = strlen(name);

    return bytes > 7 && strcmp(name + bytes - 7, ".bundle") == 0;
}

static enum mu_code take_bundle(void *data, const char *name, struct mu_err *err)
{
    struct bundles *b = data;
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = MU_OK;

    if (!is_bundle(name) || b->count == RECOVERY_SERVERS_MAX) {
        return MU_OK;
    }
    char *path = path_of(b->dir, name);

    rc = mu_file_read(path, RECOVERY_FILE_MAX, &text, err);
    if (rc == MU_OK) {
        rc = recovery_position_read(mu_buf_span(&text), &b->items[b->count], err);
    }
    if (rc == MU_OK && !mu_id_eq(&b->items[b->count].server, b->own)) {
        b->count++;
    }
    rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", path);
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

static enum mu_code consume(struct recovery *r, struct mu_span text, struct mu_err *err)
{
    char *folder = path_of(r->dir, PEERS_FOLDER);
    struct bundles *b = mu_new(sizeof *b);
    struct recovery_peers *peers = mu_new(sizeof *peers);

    b->dir = folder;
    b->own = &r->node;
    enum mu_code rc = recovery_peers_read(text, peers, err);

    rc = rc == MU_OK ? look(r, err) : rc;
    rc = rc == MU_OK ? mu_dir_each(folder, take_bundle, b, err) : rc;
    rc = rc == MU_OK ? recovery_judge(&r->position, peers, b->items, b->count, false, err) : rc;
    rc = rc == MU_OK ? recovery_carry_out(r, peers, b->items, b->count, err) : rc;
    mu_free(peers);
    mu_free(b);
    mu_free(folder);
    return rc;
}

static enum mu_code rename_used(const char *dir, struct mu_err *err)
{
    char *from = path_of(dir, PEERS_FILE), *to = path_of(dir, PEERS_USED);
    char *folder = path_of(dir, PEERS_FOLDER);
    enum mu_code rc = MU_OK;

    if (rename(from, to) != 0) {
        rc = mu_fail(err, MU_IO, "cannot rename %s to %s", from, to);
    }
    rc = rc == MU_OK ? mu_dir_sync(folder, err) : rc;
    mu_free(folder);
    mu_free(to);
    mu_free(from);
    return rc;
}

enum mu_code recovery_consume(const char *data_dir, const struct mu_id *node, bool *did,
                              struct mu_err *err)
{
    char *path = path_of(data_dir, PEERS_FILE);
    struct mu_buf text = MU_BUF_NONE;
    struct recovery r = { .lock_fd = -1, .node = *node };
    enum mu_code rc = mu_file_read(path, RECOVERY_FILE_MAX, &text, err);

    *did = rc != MU_NOT_FOUND;
    r.dir = mu_strdup(data_dir);
    if (rc == MU_OK) {
        rc = consume(&r, mu_buf_span(&text), err);
        rc = rc == MU_OK ? rename_used(data_dir, err) : rc;
    } else if (rc == MU_NOT_FOUND) {
        rc = MU_OK;
    }
    rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", path);
    mu_free(r.dir);
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}
