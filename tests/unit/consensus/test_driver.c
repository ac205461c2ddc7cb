/* test_driver.c - three real drivers on one loop, with real logs in temporary directories and a
 * network in memory: form a cluster, lose the leader, come back, and hold the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "consensus/driver.h"
#include "scratch.h"

#define SERVERS     3
#define TIMEOUT_MS  60000 /* of a whole test: only a hang gets there */
#define PIPELINE    40
#define HISTORY_MAX 20000

/* -- one server, its application and its place in the network ------------------------------ */

struct history_entry {
    uint64_t index;
    uint32_t number; /* the command's; 0: none */
};

struct cluster;

struct server {
    struct cluster *cluster;
    unsigned number;
    struct mu_id id;
    char *dir;
    struct consensus_driver *driver; /* NULL: down */
    bool is_stopping;

    /* What its state holds; survives a restart up to `durable`. */
    struct history_entry *history;
    size_t history_count;
    uint64_t applied, applied_term, durable;
    uint64_t given, given_term; /* handed to apply, reported a turn later */

    bool is_leader, is_ready, is_formed;
    unsigned formed_count;
    char dead[256];
    uint64_t hold_applied; /* do not report beyond this; 0: all */
    uint64_t ahead_max;    /* most entries that were given and not applied */
    bool is_receiving;     /* its driver takes a message in */
    unsigned unflushed;    /* messages since the last flush */
    unsigned flushes;
};

struct message {
    struct mu_link link;
    unsigned from, to;
    struct mu_id from_disk;
    struct mu_buf bytes;
};

struct cluster {
    uv_loop_t loop;
    uv_idle_t deliver; /* active while messages are under way */
    uv_timer_t watchdog;
    const char *dir;
    unsigned count;
    struct server servers[SERVERS];
    struct mu_link wire;
    bool cut[SERVERS][SERVERS];
    bool bulk_refused[SERVERS]; /* send() to it says no */
    bool is_direct;             /* messages arrive, and entries are applied, inside the call */

    /* The client. */
    uint32_t next_number, acked_count, lost_count, outstanding;
    uint64_t acked_index[HISTORY_MAX]; /* by number */
    bool is_calling;                   /* a call into a driver is on the stack */
};

static struct mu_id id_of(unsigned n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = (uint8_t)(0x10 + n);
    id.b[8] = 0x77;
    return id;
}

/* -- the network --------------------------------------------------------------------------- */

static struct server *server_of(struct cluster *c, const struct mu_id *id)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (mu_id_eq(&c->servers[i].id, id)) {
            return &c->servers[i];
        }
    }
    return NULL;
}

static void message_free(struct message *m)
{
    mu_buf_deinit(&m->bytes);
    mu_free(m);
}

static void on_deliver(uv_idle_t *handle)
{
    struct cluster *c = handle->data;
    struct mu_link now;
    struct mu_link *link;

    mu_list_init(&now);
    while ((link = mu_list_pop_front(&c->wire)) != NULL) {
        mu_list_push_back(&now, link);
    }
    while ((link = mu_list_pop_front(&now)) != NULL) {
        struct message *m = MU_CONTAINER(link, struct message, link);
        struct server *to = &c->servers[m->to];

        if (to->driver != NULL && !to->is_stopping && !c->cut[m->from][m->to]) {
            to->is_receiving = true;
            consensus_driver_receive(to->driver, &c->servers[m->from].id, &m->from_disk,
                                     mu_buf_span(&m->bytes));
            to->is_receiving = false;
        }
        message_free(m);
    }
    if (mu_list_empty(&c->wire)) {
        (void)uv_idle_stop(handle);
    }
}

static bool net_send(void *self, const struct mu_id *peer, enum consensus_channel channel,
                     struct mu_span message)
{
    struct server *s = self;
    struct cluster *c = s->cluster;
    struct server *to = server_of(c, peer);
    struct message *m;

    assert_non_null(to);
    if (c->bulk_refused[to->number] && channel == CONSENSUS_BULK) {
        return false;
    }
    if (c->is_direct) {
        struct mu_id disk = consensus_driver_identity(s->driver).disk;

        if (to->driver != NULL && !to->is_stopping) {
            consensus_driver_receive(to->driver, &s->id, &disk, message);
        }
        return true;
    }
    m = mu_new(sizeof *m);
    m->from = s->number;
    m->to = to->number;
    m->from_disk = consensus_driver_identity(s->driver).disk;
    mu_buf_add_span(&m->bytes, message);
    mu_list_push_back(&c->wire, &m->link);
    s->unflushed++;
    (void)uv_idle_start(&c->deliver, on_deliver);
    return true;
}

/* A real one writes sockets here, through buffers that what comes in is read through, too. */
static void net_flush(void *self)
{
    struct server *s = self;

    assert_false(s->is_receiving);
    s->flushes += s->unflushed > 0;
    s->unflushed = 0;
}

static void net_peers(void *self, const struct mu_id *peers, size_t count)
{
    struct server *s = self;

    for (size_t i = 0; i < count; i++) {
        assert_non_null(server_of(s->cluster, &peers[i]));
        assert_false(mu_id_eq(&peers[i], &s->id));
    }
}

static const struct consensus_transport transport = {
    .send = net_send,
    .flush = net_flush,
    .peers = net_peers,
};

/* -- the application ----------------------------------------------------------------------- */

static void app_report(struct server *s);

static void on_apply(void *data, const struct consensus_entry_view *entries, size_t count)
{
    struct server *s = data;

    for (size_t i = 0; i < count; i++) {
        uint32_t number = 0;

        if (entries[i].index != s->given + 1) {
            fail_msg("server %u: entry %llu after %llu", s->number,
                     (unsigned long long)entries[i].index, (unsigned long long)s->given);
        }
        s->given = entries[i].index;
        s->given_term = entries[i].term;
        if (entries[i].is_command) {
            assert_true(entries[i].bytes.bytes >= 4);
            memcpy(&number, entries[i].bytes.data, 4);
        }
        assert_true(s->history_count < HISTORY_MAX);
        s->history[s->history_count++] = (struct history_entry){ entries[i].index, number };
    }
    if (s->given - s->applied > s->ahead_max) {
        s->ahead_max = s->given - s->applied;
    }
    if (s->cluster->is_direct) {
        app_report(s);
    }
}

/* The apply thread reports a turn later, a checkpoint makes some of it durable. */
static void app_report(struct server *s)
{
    uint64_t upto = s->hold_applied != 0 && s->given > s->hold_applied ? s->hold_applied : s->given;

    if (s->driver == NULL || s->is_stopping || upto <= s->applied) {
        return;
    }
    s->applied = upto;
    s->applied_term = s->given_term;
    if (s->applied - s->durable > 70) {
        s->durable = s->applied;
    }
    consensus_driver_applied(s->driver, s->applied, s->durable, NULL, 0);
}

static void on_changed(void *data, const struct mu_id *leader, bool is_leader, bool is_ready)
{
    struct server *s = data;

    assert_true(!is_leader || mu_id_eq(leader, &s->id));
    assert_true(is_leader || !is_ready);
    s->is_leader = is_leader;
    s->is_ready = is_ready;
}

static void on_formed(void *data, const struct mu_id *cluster)
{
    struct server *s = data;

    assert_false(s->cluster->is_calling);
    assert_false(mu_id_is_none(cluster));
    s->is_formed = true;
    s->formed_count++;
}

static void on_dead(void *data, const char *why)
{
    struct server *s = data;

    (void)snprintf(s->dead, sizeof s->dead, "%s", why);
}

/* -- life ---------------------------------------------------------------------------------- */

static enum mu_code server_new(struct server *s, unsigned expect, struct mu_err *err)
{
    struct consensus_driver_options options = {
        .server = s->id,
        .dir = s->dir,
        .timing = CONSENSUS_FAST,
        .multiplier = 1,
        .expect = expect,
        .transport = &transport,
        .transport_self = s,
        .callbacks = { .apply = on_apply,
                       .changed = on_changed,
                       .formed = on_formed,
                       .dead = on_dead },
        .callbacks_data = s,
        .applied = s->applied,
        .applied_term = s->applied_term,
        .durable_applied = s->durable,
        .segment_bytes = 128 * 1024,
    };

    return consensus_driver_new(&s->driver, &s->cluster->loop, &options, err);
}

static void server_start(struct server *s, unsigned expect)
{
    struct mu_err err = MU_ERR_NONE;

    s->is_formed = false;
    s->formed_count = 0;
    s->dead[0] = '\0';
    s->given = s->applied;
    s->given_term = s->applied_term;
    if (server_new(s, expect, &err) != MU_OK) {
        fail_msg("server %u: %s", s->number, err.text);
    }
    consensus_driver_start(s->driver);
}

/* Everybody sees everybody who is up, as gossip would tell. */
static void gossip(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct consensus_candidate list[SERVERS];
        size_t count = 0;

        if (c->servers[i].driver == NULL || c->servers[i].is_stopping) {
            continue;
        }
        for (unsigned k = 0; k < c->count; k++) {
            if (k != i && c->servers[k].driver != NULL) {
                struct consensus_identity id = consensus_driver_identity(c->servers[k].driver);

                list[count++] = (struct consensus_candidate){ .server = id.server,
                                                              .disk = id.disk,
                                                              .cluster = id.cluster,
                                                              .expect = c->count,
                                                              .is_alive = true };
            }
        }
        consensus_driver_candidates(c->servers[i].driver, list, count);
    }
}

static void on_stopped(void *data)
{
    struct server *s = data;

    assert_false(s->cluster->is_calling);
    consensus_driver_free(s->driver);
    s->driver = NULL;
    s->is_stopping = false;
}

static void server_stop(struct server *s)
{
    s->is_stopping = true;
    s->is_leader = s->is_ready = false;
    s->cluster->is_calling = true;
    consensus_driver_stop(s->driver, on_stopped, s);
    s->cluster->is_calling = false;
}

/* The state goes back to its last checkpoint, as after a crash. */
static void server_forget(struct server *s)
{
    while (s->history_count > 0 && s->history[s->history_count - 1].index > s->durable) {
        s->history_count--;
    }
    s->applied = s->durable;
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing came of it within %d s", TIMEOUT_MS / 1000);
}

static struct cluster *cluster_new(unsigned count)
{
    struct cluster *c = mu_new(sizeof *c);

    mu_log_set_fd(-1);
    c->dir = scratch_dir();
    c->count = count;
    mu_list_init(&c->wire);
    assert_int_equal(uv_loop_init(&c->loop), 0);
    (void)uv_idle_init(&c->loop, &c->deliver);
    c->deliver.data = c;
    (void)uv_timer_init(&c->loop, &c->watchdog);
    (void)uv_timer_start(&c->watchdog, on_watchdog, TIMEOUT_MS, 0);
    for (unsigned i = 0; i < count; i++) {
        struct server *s = &c->servers[i];
        struct mu_buf dir = MU_BUF_NONE;

        mu_buf_addf(&dir, "%s/%u", c->dir, i);
        s->cluster = c;
        s->number = i;
        s->id = id_of(i);
        s->dir = mu_buf_take(&dir, NULL);
        s->history = mu_new_array(HISTORY_MAX, sizeof *s->history);
    }
    c->next_number = 1;
    return c;
}

static void turn(struct cluster *c)
{
    (void)uv_run(&c->loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < c->count; i++) {
        app_report(&c->servers[i]);
        if (c->servers[i].dead[0] != '\0') {
            fail_msg("server %u: %s", i, c->servers[i].dead);
        }
    }
}

static void wait_stopped(struct cluster *c, struct server *s)
{
    while (s->driver != NULL) {
        turn(c);
    }
}

static void cluster_free(struct cluster *c)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_link *link;

    for (unsigned i = 0; i < c->count; i++) {
        if (c->servers[i].driver != NULL) {
            if (!c->servers[i].is_stopping) {
                server_stop(&c->servers[i]);
            }
            wait_stopped(c, &c->servers[i]);
        }
        mu_free(c->servers[i].dir);
        mu_free(c->servers[i].history);
    }
    uv_close((uv_handle_t *)&c->deliver, NULL);
    uv_close((uv_handle_t *)&c->watchdog, NULL);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&c->loop), 0); /* no handle was left behind */
    while ((link = mu_list_pop_front(&c->wire)) != NULL) {
        message_free(MU_CONTAINER(link, struct message, link));
    }
    assert_int_equal(mu_dir_remove(c->dir, &err), MU_OK);
    mu_free(c);
}

static struct server *ready_leader(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (c->servers[i].is_ready && !c->servers[i].is_stopping) {
            return &c->servers[i];
        }
    }
    return NULL;
}

static struct server *wait_leader(struct cluster *c)
{
    while (ready_leader(c) == NULL) {
        turn(c);
    }
    return ready_leader(c);
}

static void cluster_start(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        server_start(&c->servers[i], c->count);
    }
    gossip(c);
}

/* -- the client ---------------------------------------------------------------------------- */

struct call {
    struct cluster *cluster;
    uint32_t number;
    size_t answers;
};

static void propose_one(struct cluster *c, struct server *s);

static void on_proposed(void *data, enum mu_code code, uint64_t index)
{
    struct call *call = data;
    struct cluster *c = call->cluster;

    assert_false(c->is_calling); /* never from inside the call */
    c->outstanding--;
    if (code == MU_OK) {
        assert_true(index > 0);
        assert_int_equal(c->acked_index[call->number], 0);
        c->acked_index[call->number] = index;
        c->acked_count++;
    } else if (code == MU_LOST) {
        c->lost_count++;
    } else {
        assert_true(code == MU_NOT_LEADER || code == MU_NO_LEADER || code == MU_BUSY);
    }
    mu_free(call);
    if (c->is_direct && c->acked_count % 3 == 0 && c->outstanding < PIPELINE) {
        struct server *leader = ready_leader(c);

        if (leader != NULL) {
            propose_one(c, leader); /* from inside a callback */
        }
    }
}

/* Numbered commands of several sizes; a new number for each, also when an answer was no. */
static void propose_one(struct cluster *c, struct server *s)
{
    struct call *call = mu_new(sizeof *call);
    struct mu_buf bytes = MU_BUF_NONE;

    call->cluster = c;
    call->number = c->next_number++;
    assert_true(call->number < HISTORY_MAX);
    mu_buf_add(&bytes, &call->number, 4);
    for (uint32_t i = 0; i < call->number % 700; i++) {
        mu_buf_add_byte(&bytes, (uint8_t)i);
    }
    bool was_calling = c->is_calling;

    c->outstanding++;
    c->is_calling = true;
    assert_true(consensus_driver_propose(s->driver, mu_buf_span(&bytes), false, on_proposed, call) >
                0);
    c->is_calling = was_calling;
    mu_buf_deinit(&bytes);
}

/* Until so many were acknowledged. */
static void work(struct cluster *c, uint32_t acked)
{
    while (c->acked_count < acked) {
        struct server *leader = ready_leader(c);

        while (leader != NULL && c->outstanding < PIPELINE &&
               c->acked_count + c->outstanding < acked) {
            propose_one(c, leader);
        }
        turn(c);
    }
}

static uint64_t commit_of(struct cluster *c)
{
    uint64_t commit = 0;

    for (unsigned i = 0; i < c->count; i++) {
        struct consensus_status status;

        if (c->servers[i].driver != NULL) {
            consensus_driver_status(c->servers[i].driver, &status);
            commit = status.commit > commit ? status.commit : commit;
        }
    }
    return commit;
}

static void wait_applied(struct cluster *c)
{
    for (;;) {
        uint64_t commit = commit_of(c);
        bool is_everywhere = true;

        for (unsigned i = 0; i < c->count; i++) {
            is_everywhere =
                is_everywhere && (c->servers[i].driver == NULL || c->servers[i].applied >= commit);
        }
        if (is_everywhere && commit > 0) {
            return;
        }
        turn(c);
    }
}

/* The same entries in the same order everywhere, and each acknowledged command at its index. */
static void check_histories(struct cluster *c)
{
    const struct server *first = &c->servers[0];
    uint32_t found = 0;

    for (unsigned i = 1; i < c->count; i++) {
        assert_int_equal(c->servers[i].history_count, first->history_count);
        assert_memory_equal(c->servers[i].history, first->history,
                            first->history_count * sizeof *first->history);
    }
    for (size_t i = 0; i < first->history_count; i++) {
        const struct history_entry *e = &first->history[i];

        assert_int_equal(e->index, i + 1);
        if (e->number != 0 && c->acked_index[e->number] != 0) {
            assert_int_equal(c->acked_index[e->number], e->index);
            found++;
        }
    }
    assert_int_equal(found, c->acked_count);
}

/* -- the tests ----------------------------------------------------------------------------- */

static void three_servers_form_one_cluster_and_lose_nothing(void **state)
{
    struct cluster *c = cluster_new(SERVERS);

    (void)state;
    cluster_start(c);
    struct server *leader = wait_leader(c);

    leader->flushes = 0;
    work(c, 300);
    assert_true(leader->flushes >
                0);      /* what is proposed leaves before our own disk is waited for */
    server_stop(leader); /* without giving the office away */
    work(c, 600);
    wait_stopped(c, leader);
    server_forget(leader);
    server_start(leader, SERVERS);
    gossip(c);
    work(c, 1000);
    wait_applied(c);
    check_histories(c);
    for (unsigned i = 0; i < SERVERS; i++) {
        assert_int_equal(c->servers[i].formed_count, 1);
        assert_true(consensus_driver_is_voter(c->servers[0].driver, &c->servers[i].id));
    }

    /* All at once, with states that have lost what was not checkpointed. */
    for (unsigned i = 0; i < SERVERS; i++) {
        server_stop(&c->servers[i]);
    }
    for (unsigned i = 0; i < SERVERS; i++) {
        wait_stopped(c, &c->servers[i]);
        server_forget(&c->servers[i]);
    }
    cluster_start(c);
    (void)wait_leader(c);
    work(c, 1100);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

static void one_server_forms_a_cluster_of_its_own(void **state)
{
    struct cluster *c = cluster_new(1);
    struct consensus_identity id;
    struct consensus_status status;
    struct mu_id cluster;

    (void)state;
    cluster_start(c);
    id = consensus_driver_identity(c->servers[0].driver);
    assert_true(id.is_fresh);
    assert_true(mu_id_is_none(&id.cluster));
    assert_int_equal(id.boot_count, 1);
    assert_false(c->servers[0].is_formed);
    (void)wait_leader(c);
    work(c, 20);
    wait_applied(c);
    id = consensus_driver_identity(c->servers[0].driver);
    assert_false(id.is_fresh);
    cluster = id.cluster;
    consensus_driver_status(c->servers[0].driver, &status);
    assert_int_equal(status.role, CONSENSUS_LEADER);
    assert_int_equal(status.voters_count, 1);
    server_stop(&c->servers[0]);
    wait_stopped(c, &c->servers[0]);
    server_start(&c->servers[0], 0); /* what bootstrap_expect says is of no interest any more */
    id = consensus_driver_identity(c->servers[0].driver);
    assert_true(mu_id_eq(&id.cluster, &cluster));
    assert_int_equal(id.boot_count, 2);
    (void)wait_leader(c);
    work(c, 40);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

static void a_server_that_expects_nobody_waits(void **state)
{
    struct cluster *c = cluster_new(1);
    struct consensus_status status;

    (void)state;
    server_start(&c->servers[0], 0);
    gossip(c);
    propose_one(c, &c->servers[0]);
    while (c->outstanding > 0) {
        turn(c);
    }
    assert_int_equal(c->acked_count, 0); /* NOT_LEADER: certainly not accepted */
    assert_int_equal(c->lost_count, 0);
    consensus_driver_status(c->servers[0].driver, &status);
    assert_int_equal(status.role, CONSENSUS_OBSERVER);
    cluster_free(c);
}

/* -- reads */

struct point {
    struct cluster *cluster;
    enum mu_code code;
    uint64_t index;
    unsigned answers;
};

static void on_point(void *data, enum mu_code code, uint64_t index)
{
    struct point *p = data;

    assert_false(p->cluster->is_calling);
    p->code = code;
    p->index = index;
    p->answers++;
}

static void ask_point(struct cluster *c, struct server *s, struct point *p)
{
    *p = (struct point){ .cluster = c };
    c->is_calling = true;
    consensus_driver_read(s->driver, on_point, p);
    c->is_calling = false;
    while (p->answers == 0) {
        turn(c);
    }
}

static void a_read_point_lies_behind_what_was_acknowledged(void **state)
{
    struct cluster *c = cluster_new(SERVERS);
    struct point p;

    (void)state;
    cluster_start(c);
    struct server *leader = wait_leader(c);

    for (uint32_t n = 1; n <= 30; n++) {
        work(c, n);
        leader = wait_leader(c);
        ask_point(c, leader, &p);
        if (p.code == MU_OK) {
            for (uint32_t i = 1; i < c->next_number; i++) {
                assert_true(p.index >= c->acked_index[i]);
            }
        } else {
            assert_true(p.code == MU_NOT_LEADER || p.code == MU_NO_LEADER);
        }
    }
    leader = wait_leader(c);
    struct server *follower = &c->servers[(leader->number + 1) % SERVERS];

    ask_point(c, follower, &p);
    assert_true(p.code == MU_NOT_LEADER || follower->is_leader);

    /* Cut off, it must not answer from what it remembers. */
    for (unsigned i = 0; i < SERVERS; i++) {
        c->cut[leader->number][i] = c->cut[i][leader->number] = true;
    }
    ask_point(c, leader, &p);
    assert_true(p.code == MU_NOT_LEADER || p.code == MU_NO_LEADER);
    cluster_free(c);
}

static void a_leader_that_is_cut_off_is_replaced(void **state)
{
    struct cluster *c = cluster_new(SERVERS);

    (void)state;
    cluster_start(c);
    struct server *old = wait_leader(c);

    work(c, 50);
    for (unsigned i = 0; i < SERVERS; i++) {
        c->cut[old->number][i] = c->cut[i][old->number] = true;
    }
    for (int i = 0; i < 10; i++) {
        propose_one(c, old); /* their outcome is open until it hears of another leader */
    }
    while (ready_leader(c) == NULL || ready_leader(c) == old) {
        turn(c);
    }
    work(c, 150);
    memset(c->cut, 0, sizeof c->cut);
    while (c->outstanding > 0) {
        turn(c);
    }
    work(c, 200);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

static void a_refused_connection_is_tried_again(void **state)
{
    struct cluster *c = cluster_new(SERVERS);

    (void)state;
    cluster_start(c);
    struct server *leader = wait_leader(c);
    unsigned other = (leader->number + 1) % SERVERS;

    c->bulk_refused[other] = true;
    work(c, 100);
    c->bulk_refused[other] = false;
    consensus_driver_peer(leader->driver, &c->servers[other].id, true);
    work(c, 200);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

/* A transport that delivers inside send(), an apply that reports inside apply(), callbacks that ask
 * for more: nothing of it may run inside a step. */
static void everything_may_call_back_at_once(void **state)
{
    struct cluster *c = cluster_new(SERVERS);

    (void)state;
    c->is_direct = true;
    cluster_start(c);
    (void)wait_leader(c);
    work(c, 500);
    c->is_direct = false;
    while (c->outstanding > 0) {
        turn(c);
    }
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

/* -- bounds, stop, refusals */

static void apply_is_never_more_than_its_window_behind(void **state)
{
    struct cluster *c = cluster_new(1);
    uint32_t refused_at = 0;

    (void)state;
    cluster_start(c);
    struct server *s = wait_leader(c);

    s->hold_applied = 10;
    for (uint32_t round = 0; round < 400 && refused_at == 0; round++) {
        uint32_t before = c->acked_count;
        uint32_t asked = 0;

        for (; asked < PIPELINE; asked++) {
            propose_one(c, s);
        }
        while (c->outstanding > 0) {
            turn(c);
        }
        refused_at = c->acked_count - before < asked ? c->acked_count : 0;
    }
    assert_true(refused_at > MU_APPLY_QUEUE_MAX - 100); /* and then it said BUSY */
    assert_true(s->ahead_max <= MU_APPLY_QUEUE_MAX);
    s->hold_applied = 0;
    work(c, refused_at + 100);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

static void whoever_waits_when_it_stops_is_told(void **state)
{
    struct cluster *c = cluster_new(SERVERS);
    struct point p = { .cluster = c };

    (void)state;
    cluster_start(c);
    struct server *leader = wait_leader(c);

    for (unsigned i = 0; i < SERVERS; i++) {
        c->cut[leader->number][i] = true; /* nothing can commit */
    }
    for (int i = 0; i < 5; i++) {
        propose_one(c, leader);
    }
    turn(c);
    turn(c);
    c->is_calling = true;
    consensus_driver_read(leader->driver, on_point, &p);
    c->is_calling = false;
    propose_one(c, leader); /* not even fed yet */
    server_stop(leader);
    wait_stopped(c, leader);
    assert_int_equal(c->outstanding, 0);
    assert_int_equal(p.answers, 1);
    assert_int_equal(p.code, MU_NOT_LEADER);
    cluster_free(c);
}

static void a_driver_that_was_never_started_can_be_freed(void **state)
{
    struct cluster *c = cluster_new(1);
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(server_new(&c->servers[0], 1, &err), MU_OK);
    consensus_driver_free(c->servers[0].driver);
    c->servers[0].driver = NULL;
    consensus_driver_free(NULL);
    cluster_free(c);
}

/* What is not said of sizes follows from the timing: small for who asks for speed. */
static void sizes_follow_the_timing_unless_they_are_given(void **state)
{
    static const struct {
        enum consensus_timing timing;
        uint32_t segment_bytes, spares_count;
        uint64_t ballast_bytes;
    } cases[] = {
        { CONSENSUS_FAST, 0, 0, 0 },
        { CONSENSUS_FAST, 128 * 1024, 2, 256 * 1024 },
        { CONSENSUS_LAN, 0, 0, 0 },
        { CONSENSUS_LAN, 128 * 1024, 2, 256 * 1024 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct cluster *c = cluster_new(1);
        struct server *s = &c->servers[0];
        struct consensus_driver_options options = {
            .server = s->id,
            .dir = s->dir,
            .timing = cases[i].timing,
            .multiplier = 1,
            .transport = &transport,
            .transport_self = s,
            .segment_bytes = cases[i].segment_bytes,
            .spares_count = cases[i].spares_count,
            .ballast_bytes = cases[i].ballast_bytes,
        };
        struct mu_err err = MU_ERR_NONE;
        struct mu_buf path = MU_BUF_NONE;
        struct stat st;

        if (consensus_driver_new(&s->driver, &c->loop, &options, &err) != MU_OK) {
            fail_msg("%s", err.text);
        }
        mu_buf_addf(&path, "%s/ballast", s->dir);
        assert_int_equal(stat(mu_buf_text(&path), &st), 0);
        assert_true(cases[i].ballast_bytes == 0 || (uint64_t)st.st_size == cases[i].ballast_bytes);
        assert_true(cases[i].timing != CONSENSUS_FAST || st.st_size <= 1024 * 1024);
        mu_buf_deinit(&path);
        consensus_driver_free(s->driver);
        s->driver = NULL;
        cluster_free(c);
    }
}

static void a_state_of_another_history_is_refused(void **state)
{
    struct cluster *c = cluster_new(1);
    struct server *s = &c->servers[0];
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    cluster_start(c);
    work(c, 10);
    wait_applied(c);
    server_stop(s);
    wait_stopped(c, s);
    uint64_t applied = s->applied;

    s->applied = applied + 1000; /* the log was thrown away, or is an old copy */
    assert_int_equal(server_new(s, 1, &err), MU_CORRUPT);
    assert_non_null(strstr(err.text, "the state contains entries up to"));
    s->applied = applied;
    s->applied_term += 7;
    assert_int_equal(server_new(s, 1, &err), MU_CORRUPT);
    assert_non_null(strstr(err.text, "two histories"));
    s->applied_term -= 7;
    s->id = id_of(9);
    assert_int_equal(server_new(s, 1, &err), MU_FOREIGN);
    s->id = id_of(0);
    server_start(s, 1);
    server_stop(s);
    wait_stopped(c, s);
    cluster_free(c);
}

struct wished {
    enum mu_code code;
    unsigned answers;
};

static void on_wished(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct wished *w = data;

    (void)index;
    assert_non_null(why);
    w->code = code;
    w->answers++;
}

/* What nobody answers and what changes nothing: of snapshots and segments that are not there. */
static void tell_all(struct server *s)
{
    struct consensus_snap snap = { .index = 1, .term = 1, .bytes = 1 };
    struct consensus_candidate other = { .server = id_of(1), .disk = id_of(9) };
    struct mu_id peer = id_of(1);

    consensus_driver_snapshot(s->driver, CONSENSUS_SNAP_STORED, &snap, 1, CONSENSUS_SNAP_OK);
    consensus_driver_chunk(s->driver, &snap, 0, MU_SPAN_NONE);
    consensus_driver_survey(s->driver);
    consensus_driver_shed(s->driver, 77);
    consensus_driver_peer(s->driver, &peer, true);
    consensus_driver_candidates(s->driver, &other, 1);
    consensus_driver_receive(s->driver, &peer, &peer, MU_SPAN_LIT("hello"));
    consensus_driver_applied(s->driver, s->applied, s->durable, NULL, 0);
}

/* All that an owner can call, while the driver runs and while it ends. */
static void everything_may_be_asked_until_the_end(void **state)
{
    struct cluster *c = cluster_new(2);
    struct server *s = &c->servers[0];
    struct consensus_change change = { .kind = CONSENSUS_PROMOTE, .server = id_of(1) };
    struct mu_id nobody = id_of(2), own = id_of(0);
    struct wished asked[2] = { { MU_OK, 0 }, { MU_OK, 0 } };
    struct consensus_config config;

    (void)state;
    server_start(s, 1);
    assert_false(consensus_driver_lacks_state(s->driver));
    assert_false(consensus_driver_takes_next(s->driver));
    (void)wait_leader(c);
    assert_string_equal(consensus_driver_waits(s->driver), "");
    assert_true(consensus_driver_heartbeat_ms(s->driver) > 0);
    consensus_driver_config(s->driver, &config);
    assert_int_equal(config.servers_count, 1);
    assert_true(consensus_driver_is_voter(s->driver, &own));
    consensus_driver_change(s->driver, &change, on_wished, &asked[0]);
    consensus_driver_transfer(s->driver, &nobody, on_wished, &asked[1]);
    tell_all(s);
    while (asked[0].answers + asked[1].answers < 2) {
        turn(c);
    }
    assert_int_equal(asked[0].code, MU_NOT_FOUND);
    assert_int_equal(asked[1].code, MU_NOT_FOUND);
    server_stop(s);
    while (s->driver != NULL) { /* to the last turn */
        tell_all(s);
        consensus_driver_relieve(s->driver);
        turn(c);
    }
    cluster_free(c);
}

/* A loop that was held up looks at its sockets before it believes that nobody has been heard. */
static void a_loop_that_was_held_up_is_no_silence(void **state)
{
    struct cluster *c = cluster_new(3);
    struct consensus_status before, after;

    (void)state;
    cluster_start(c);
    struct server *leader = wait_leader(c);

    work(c, 20);
    consensus_driver_status(leader->driver, &before);
    for (int round = 0; round < 5; round++) {
        uint64_t until = mu_clock_ms() + 4 * consensus_driver_heartbeat_ms(leader->driver) + 80;

        while (mu_clock_ms() < until) { /* nothing else runs on this thread */
        }
        work(c, 20 * (unsigned)(round + 2));
    }
    consensus_driver_status(leader->driver, &after);
    assert_true(after.pauses_seen > before.pauses_seen || !leader->is_leader);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

/* Before the state can be opened on a full disk, the reserve of the log may go. */
static void the_reserve_may_go_before_the_log_is_open(void **state)
{
    struct cluster *c = cluster_new(1);
    struct server *s = &c->servers[0];
    char dir[4200];

    (void)state;
    server_start(s, 1);
    (void)wait_leader(c);
    server_stop(s);
    wait_stopped(c, s);
    assert_true(consensus_driver_relieve_closed(s->dir));
    assert_false(consensus_driver_relieve_closed(s->dir)); /* it is gone */
    memset(dir, 'a', sizeof dir - 1);
    dir[sizeof dir - 1] = '\0';
    assert_false(consensus_driver_relieve_closed(dir));
    server_start(s, 1); /* which starts without it, and makes it again */
    (void)wait_leader(c);
    cluster_free(c);
}

static void messages_that_are_none_are_dropped(void **state)
{
    struct cluster *c = cluster_new(SERVERS);
    struct mu_id nobody = id_of(77);
    uint8_t noise[300];

    (void)state;
    cluster_start(c);
    (void)wait_leader(c);
    for (unsigned i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)(i * 7);
        consensus_driver_receive(c->servers[0].driver, &c->servers[1].id, &nobody,
                                 mu_span_of(noise, i));
    }
    work(c, 50);
    wait_applied(c);
    check_histories(c);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_servers_form_one_cluster_and_lose_nothing),
        cmocka_unit_test(one_server_forms_a_cluster_of_its_own),
        cmocka_unit_test(a_server_that_expects_nobody_waits),
        cmocka_unit_test(a_read_point_lies_behind_what_was_acknowledged),
        cmocka_unit_test(a_leader_that_is_cut_off_is_replaced),
        cmocka_unit_test(a_refused_connection_is_tried_again),
        cmocka_unit_test(everything_may_call_back_at_once),
        cmocka_unit_test(apply_is_never_more_than_its_window_behind),
        cmocka_unit_test(whoever_waits_when_it_stops_is_told),
        cmocka_unit_test(a_driver_that_was_never_started_can_be_freed),
        cmocka_unit_test(sizes_follow_the_timing_unless_they_are_given),
        cmocka_unit_test(a_state_of_another_history_is_refused),
        cmocka_unit_test(messages_that_are_none_are_dropped),
        cmocka_unit_test(everything_may_be_asked_until_the_end),
        cmocka_unit_test(a_loop_that_was_held_up_is_no_silence),
        cmocka_unit_test(the_reserve_may_go_before_the_log_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
