/* A server that forms a cluster with others, or is added to one, as the bytes on its connections
 * have it: what it promises, and what it says of it to people. */
#include "node_fixture.h"

#include "base/assert.h"

static const struct mu_id own = { { 1 } };

/* Smaller than this server's, which makes it the one that decides; and larger. */
static struct mu_id smaller(void)
{
    struct mu_id id = MU_ID_NONE;

    id.b[15] = 5;
    return id;
}

static struct mu_id larger(void)
{
    return (struct mu_id){ { 2 } };
}

static struct mu_id disk_of(const struct mu_id *server)
{
    struct mu_id id = *server;

    id.b[7] = 0xd;
    return id;
}

/* The newest message of each kind that the server has sent, and how many. */
struct heard {
    struct consensus_bootstrap_msg last[BOOTSTRAP_ASK + 1];
    unsigned count[BOOTSTRAP_ASK + 1];
};

static void net_hear(struct rig *r, const struct mu_id *peer, const struct consensus_frame *frame)
{
    struct heard *h = r->net_data;

    if (frame->is_bootstrap) {
        assert_true(mu_id_eq(&frame->bootstrap.to, peer));
        h->last[frame->bootstrap.kind] = frame->bootstrap;
        h->count[frame->bootstrap.kind]++;
    }
}

static struct rig *server_new(struct memory_disk *d, struct heard *h, const struct mu_id *other,
                              unsigned expect)
{
    struct rig *r = mu_new(sizeof *r);
    struct consensus_driver_options options = options_of(r);
    struct consensus_candidate seen[3] = {
        { .server = *other, .disk = disk_of(other), .expect = 2, .is_alive = true },
        { .server = { { 8 } }, .disk = { { 9 } }, .expect = 2, .is_alive = false },
        { .server = own, .disk = { { 77 } }, .expect = 2, .is_alive = true }, /* its echo */
    };

    r->net = net_hear;
    r->net_data = h;
    options.expect = expect;
    rig_start(r, d, &options);
    consensus__node_candidates(&r->node, seen, MU_LEN(seen));
    step(r);
    assert_int_equal(r->node.peers_count, 1); /* the one that lives and is another */
    return r;
}

/* What the other server says, over its connection. */
static void say(struct rig *r, const struct mu_id *from, enum consensus_bootstrap_msg_kind kind,
                const struct mu_id *cluster, const struct consensus_bootstrap_set *set)
{
    struct consensus_bootstrap_msg m = { .kind = kind,
                                         .from = *from,
                                         .from_disk = disk_of(from),
                                         .to = own,
                                         .cluster = *cluster,
                                         .expect = 2,
                                         .why = BOOTSTRAP_EXISTS };
    struct mu_buf bytes = MU_BUF_NONE;

    if (set != NULL) {
        m.set = *set;
    }
    consensus__wire_encode_bootstrap(&m, &bytes);
    consensus__node_receive(&r->node, r->now_ms, from, &m.from_disk, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
}

static bool says(const struct rig *r, const char *text)
{
    return strstr(r->node.waits, text) != NULL;
}

static void run_until_heard(struct rig *r, const struct heard *h,
                            enum consensus_bootstrap_msg_kind kind)
{
    unsigned before = h->count[kind];

    STEP_UNTIL(r, h->count[kind] != before);
}

static void a_refusal_ends_an_attempt_and_another_follows(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct heard h = { .count = { 0 } };
    const struct mu_id other = larger();
    struct rig *r = server_new(d, &h, &other, 2);

    (void)state;
    for (unsigned round = 1; round <= 2; round++) {
        run_until_heard(r, &h, BOOTSTRAP_PING);
        say(r, &other, BOOTSTRAP_PONG, &MU_ID_NONE, NULL);
        run_until_heard(r, &h, BOOTSTRAP_PROMISE);
        struct mu_id cluster = h.last[BOOTSTRAP_PROMISE].cluster;

        say(r, &other, BOOTSTRAP_REFUSED, &cluster, NULL);
        run_until_heard(r, &h, BOOTSTRAP_ABORT);
        assert_true(mu_id_eq(&h.last[BOOTSTRAP_ABORT].cluster, &cluster));
        assert_int_equal(h.count[BOOTSTRAP_ABORT], round);
    }
    assert_int_equal(r->node.phase, CONSENSUS_NODE_FRESH);
    rig_free(r);
}

static void two_form_a_cluster(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct heard h = { .count = { 0 } };
    const struct mu_id other = larger();
    struct rig *r = server_new(d, &h, &other, 2);
    struct consensus_config config;

    (void)state;
    run_until_heard(r, &h, BOOTSTRAP_PING);
    say(r, &other, BOOTSTRAP_PONG, &MU_ID_NONE, NULL);
    run_until_heard(r, &h, BOOTSTRAP_PROMISE);
    struct mu_id cluster = h.last[BOOTSTRAP_PROMISE].cluster;

    say(r, &other, BOOTSTRAP_PROMISED, &cluster, NULL);
    run_until_heard(r, &h, BOOTSTRAP_ADOPT);
    assert_int_equal(r->node.phase, CONSENSUS_NODE_RUNS);
    assert_true(mu_id_eq(&r->node.identity.cluster, &cluster));
    consensus__node_config(&r->node, &config);
    assert_int_equal(config.servers_count, 2);
    assert_true(consensus__node_is_voter(&r->node, &other));
    rig_free(r);
}

/* Promised, and the one that decides is silent: people are told whom it waits for. Then its word.
 */
static void a_promise_waits_for_who_decides(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct heard h = { .count = { 0 } };
    const struct mu_id other = smaller();
    const struct mu_id cluster = { { 99 } };
    struct rig *r = server_new(d, &h, &other, 2);
    struct consensus_bootstrap_set set = { .count = 2 };

    (void)state;
    set.members[0] = (struct consensus_bootstrap_member){ other, disk_of(&other) };
    set.members[1] = (struct consensus_bootstrap_member){ own, r->node.identity.disk };
    assert_true(says(r, "waits for the one with the smallest id"));
    say(r, &other, BOOTSTRAP_PROMISE, &cluster, &set);
    run_until_heard(r, &h, BOOTSTRAP_PROMISED);
    assert_true(says(r, "decides"));
    STEP_UNTIL(r, says(r, "does not answer"));
    assert_true(h.count[BOOTSTRAP_ASK] > 0);
    say(r, &other, BOOTSTRAP_ABORT, &cluster, NULL);
    assert_false(says(r, "promised"));
    rig_free(r);
}

/* -- being added ----------------------------------------------------------------------------- */

static void invite(struct rig *r, enum consensus_msg_kind kind, const struct mu_id *to,
                   const struct mu_id *disk)
{
    const struct mu_id leader = smaller();
    struct consensus_msg m = { .kind = kind,
                               .from = leader,
                               .from_disk = disk_of(&leader),
                               .to = *to,
                               .cluster = { { 99 } },
                               .epoch = 3,
                               .term = 4 };
    struct mu_buf bytes = MU_BUF_NONE;

    m.invite.disk = *disk;
    consensus__wire_encode(&m, NULL, &bytes);
    consensus__node_receive(&r->node, r->now_ms, &m.from, &m.from_disk, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
}

static bool runs(const struct rig *r)
{
    return r->node.phase == CONSENSUS_NODE_RUNS;
}

/* Only this very disk of this very server is added. */
static void an_invitation_is_for_one_disk(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct heard h = { .count = { 0 } };
    const struct mu_id other = larger(), disk = { { 66 } };
    struct rig *r = server_new(d, &h, &other, 0);

    (void)state;
    invite(r, CONSENSUS_INVITE, &own, &disk);
    invite(r, CONSENSUS_INVITE, &other, &r->node.identity.disk);
    assert_false(r->node.is_joining);
    invite(r, CONSENSUS_INVITE, &own, &r->node.identity.disk);
    assert_true(r->node.is_joining);
    invite(r, CONSENSUS_INVITE, &own, &r->node.identity.disk); /* repeated */
    run_until(r, runs);
    assert_int_equal(r->node.identity.epoch, 3);
    assert_int_equal(r->node.identity.cluster.b[0], 99);
    assert_string_equal(r->node.waits, "");
    rig_free(r);
}

/* The name of the cluster is durable when the stop was asked for already: the next start has it. */
static void a_stop_while_it_is_added_or_forms_one_is_no_loss(void **state)
{
    (void)state;
    for (int forms = 0; forms < 2; forms++) {
        struct memory_disk *d = memory_disk_new();
        struct heard h = { .count = { 0 } };
        const struct mu_id other = larger();
        struct rig *r = mu_new(sizeof *r);
        struct consensus_driver_options options = options_of(r);

        r->net = net_hear;
        r->net_data = &h;
        options.expect = forms == 1 ? 1 : 0;
        rig_start(r, d, &options);
        if (forms == 0) {
            consensus__node_candidates(
                &r->node, &(struct consensus_candidate){ .server = other, .disk = disk_of(&other) },
                1);
            consensus__node_turn(&r->node, r->now_ms);
            invite(r, CONSENSUS_INVITE, &own, &r->node.identity.disk);
        }
        STEP_UNTIL(r, r->node.is_joining || r->node.adopting.count > 0);
        rig_close(r);
        memory_crash(d);
        memset(r, 0, sizeof *r);
        r->net = net_hear;
        r->net_data = &h;
        options = options_of(r);
        options.expect = 0;
        rig_start(r, d, &options);
        assert_int_equal(r->node.phase, CONSENSUS_NODE_RUNS);
        assert_int_equal(r->node.identity.epoch, forms == 0 ? 3 : 0);
        rig_free(r);
    }
}

/* The log fails before there is a cluster: the server ends all the same, with the reason. */
static void a_failed_flush_ends_who_has_no_cluster_yet(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct heard h = { .count = { 0 } };
    const struct mu_id other = larger();
    struct rig *r = server_new(d, &h, &other, 2);

    (void)state;
    run_until_heard(r, &h, BOOTSTRAP_PING);
    d->fail_sync_at = d->syncs + 1;
    say(r, &other, BOOTSTRAP_PONG, &MU_ID_NONE, NULL);
    for (int i = 0; r->dead_count == 0; i++) {
        assert_true(i < TURNS_MAX);
        step(r);
        consensus__node_collect(&r->node, r->now_ms);
    }
    assert_non_null(strstr(r->dead, "flush: input/output error"));
    invite(r, CONSENSUS_INVITE, &own, &r->node.identity.disk); /* of no effect any more */
    assert_false(r->node.is_joining);
    assert_int_equal(h.count[BOOTSTRAP_PROMISE], 0);
    rig_free(r);
}

/* -- who says it ----------------------------------------------------------------------------- */

/* A connection belongs to one server with one disk, and nobody else speaks on it. */
static void nobody_speaks_for_another(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct heard h = { .count = { 0 } };
    const struct mu_id other = larger(), third = { { 3 } };
    struct rig *r = server_new(d, &h, &other, 2);
    struct consensus_bootstrap_msg m = {
        .kind = BOOTSTRAP_PING, .from = other, .from_disk = disk_of(&other), .to = own, .expect = 2
    };
    struct mu_buf bytes = MU_BUF_NONE;

    (void)state;
    consensus__wire_encode_bootstrap(&m, &bytes);
    assert_int_equal(r->node.malformed_count, 0);
    consensus__node_receive(&r->node, r->now_ms, &third, &m.from_disk, mu_buf_span(&bytes));
    consensus__node_receive(&r->node, r->now_ms, &other, &third, mu_buf_span(&bytes));
    consensus__node_receive(&r->node, r->now_ms, &other, &m.from_disk,
                            mu_span_of(bytes.data, bytes.bytes - 1));
    assert_int_equal(r->node.malformed_count, 3);
    mu_buf_deinit(&bytes);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_refusal_ends_an_attempt_and_another_follows),
        BOTH(two_form_a_cluster),
        BOTH(a_promise_waits_for_who_decides),
        BOTH(an_invitation_is_for_one_disk),
        BOTH(a_stop_while_it_is_added_or_forms_one_is_no_loss),
        BOTH(a_failed_flush_ends_who_has_no_cluster_yet),
        BOTH(nobody_speaks_for_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
