/* A session of Serf's control port against the captured bytes of spec/serf-surface.md section 12.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/log.h"
#include "ipc.h"

#define HANDSHAKE "82a7436f6d6d616e64a968616e647368616b65a35365710181a756657273696f6e01"
#define GREETED   "82a54572726f72a0a353657101"
#define OK2       "82a54572726f72a0a353657102"

struct world {
    struct ipc_session *s;
    struct ipc_host host;
    char did[256]; /* the last call to the host, in words */
    gossip_joined_fn *joined;
    ipc_left_fn *left, *over;
    gossip_told_fn *told;
    ipc_tagged_fn *tagged;
    uint64_t pause_ms;
    gossip_replied_fn *replied;
    agent_keys_fn *keyed;
    agent_log_fn *line;
    void *waiting, *asked;
    unsigned wakes, forgotten;
};

/* -- a host that notes what it is asked ---------------------------------------------------------
 */

static void each(void *data, gossip_member_fn *each_member, void *each_data)
{
    static struct mu_pair tag; /* a view that outlives the walk, as the driver's */

    tag = (struct mu_pair){ MU_SPAN_LIT("role"), MU_SPAN_LIT("web") };
    struct gossip_view m = {
        .name = "n1",
        .addr = { { 127, 7, 1, 81 }, 4, 7946 },
        .tags = { &tag, 1 },
        .status = GOSSIP_STATUS_ALIVE,
    };

    (void)data;
    each_member(each_data, &m);
}

static enum mu_code join(void *data, const char *const *addresses, size_t count, bool replays,
                         gossip_joined_fn *done, void *done_data, struct mu_err *err)
{
    struct world *w = data;

    (void)err;
    (void)snprintf(w->did, sizeof w->did, "join %zu %s %d", count, addresses[0], replays);
    w->joined = done;
    w->waiting = done_data;
    return MU_OK;
}

static enum mu_code leave(void *data, ipc_left_fn *done, void *done_data, struct mu_err *err)
{
    struct world *w = data;

    (void)err;
    w->left = done;
    w->waiting = done_data;
    return MU_OK;
}

static enum mu_code force_leave(void *data, const char *name, bool prune, struct mu_err *err)
{
    struct world *w = data;

    (void)snprintf(w->did, sizeof w->did, "force-leave %s %d", name, prune);
    return strcmp(name, "zz") == 0 ? mu_fail(err, MU_NOT_FOUND, "nobody") : MU_OK;
}

static enum mu_code event(void *data, const char *name, struct mu_span payload, bool coalesce,
                          struct mu_err *err)
{
    struct world *w = data;

    (void)snprintf(w->did, sizeof w->did, "event %s %.*s %d", name, MU_SPAN_FMT(payload), coalesce);
    return strcmp(name, "bad") == 0 ? mu_fail(err, MU_TOO_BIG, "too big") : MU_OK;
}

static enum mu_code tags(void *data, const struct mu_pairs *set, const struct ipc_texts *remove,
                         ipc_tagged_fn *done, void *done_data, struct mu_err *err)
{
    struct world *w = data;

    (void)err;
    (void)snprintf(w->did, sizeof w->did, "tags %.*s=%.*s -%s", MU_SPAN_FMT(set->items[0].key),
                   MU_SPAN_FMT(set->items[0].value), remove->items[0]);
    w->tagged = done;
    w->waiting = done_data;
    return MU_OK;
}

static void spread(void *data, gossip_told_fn *told, void *told_data)
{
    struct world *w = data;

    w->told = told;
    w->waiting = told_data;
}

static void pause_for(void *data, uint64_t ms, ipc_left_fn *over, void *over_data)
{
    struct world *w = data;

    w->over = over;
    w->pause_ms = ms;
    w->waiting = over_data;
}

static enum mu_code query(void *data, const struct gossip_query_params *p,
                          gossip_replied_fn *replied, void *replied_data, uint64_t *id,
                          struct mu_err *err)
{
    struct world *w = data;

    (void)err;
    (void)snprintf(w->did, sizeof w->did, "query %s %.*s %llu ms acks=%d large=%d filters=%zu",
                   p->name, MU_SPAN_FMT(p->payload), (unsigned long long)p->timeout_ms,
                   p->wants_acks, p->takes_large, p->filters_count);
    w->replied = replied;
    w->asked = replied_data;
    *id = 7;
    return MU_OK;
}

static void query_forget(void *data, uint64_t id)
{
    struct world *w = data;

    assert_int_equal(id, 7);
    w->forgotten++;
}

static enum mu_code respond(void *data, uint64_t ltime, uint32_t id, struct mu_span payload,
                            struct mu_err *err)
{
    struct world *w = data;

    (void)err;
    (void)snprintf(w->did, sizeof w->did, "respond %llu/%u %.*s", (unsigned long long)ltime, id,
                   MU_SPAN_FMT(payload));
    return MU_OK;
}

/* n1 is known, and where it is. */
static bool coordinate(void *data, const char *node, struct coordinate *out)
{
    (void)data;
    if (strcmp(node, "n1") != 0) {
        return false;
    }
    *out =
        (struct coordinate){ .vec = { 1, [7] = -2 }, .error = 0.5, .height = 2, .adjustment = 4 };
    return true;
}

static void stats(void *data, struct mu_buf *to)
{
    (void)data;
    ipc_put_map(to, 0);
}

static void keys(void *data, enum agent_key_op op, struct mu_span key, agent_keys_fn *done,
                 void *done_data)
{
    struct world *w = data;

    (void)snprintf(w->did, sizeof w->did, "keys %d %.*s", (int)op, MU_SPAN_FMT(key));
    w->keyed = done;
    w->waiting = done_data;
}

static struct agent_log_follower *monitor(void *data, enum mu_log_level level, agent_log_fn *line,
                                          void *line_data)
{
    struct world *w = data;

    (void)snprintf(w->did, sizeof w->did, "monitor %d", (int)level);
    w->line = line;
    w->waiting = line_data;
    return NULL;
}

static void on_wake(void *data)
{
    ((struct world *)data)->wakes++;
}

/* -- words --------------------------------------------------------------------------------------
 */

static struct mu_buf bytes_of(const char *hex)
{
    struct mu_buf b = MU_BUF_NONE;
    unsigned byte;

    for (; hex[0] != '\0'; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        mu_buf_add_byte(&b, (uint8_t)byte);
    }
    return b;
}

static void send(struct world *w, const char *hex)
{
    struct mu_buf b = bytes_of(hex);

    ipc_session_feed(w->s, mu_buf_span(&b));
    mu_buf_deinit(&b);
}

/* The session has said this, and nothing else. */
static void hear(struct world *w, const char *hex)
{
    struct mu_buf *out = ipc_session_out(w->s);
    struct mu_buf said = MU_BUF_NONE;

    for (size_t i = 0; i < out->bytes; i++) {
        mu_buf_addf(&said, "%02x", out->data[i]);
    }
    assert_string_equal(mu_buf_text(&said), hex);
    mu_buf_deinit(&said);
    mu_buf_clear(out);
}

static void tell(struct world *w, struct handler_event *event)
{
    ipc_session_event(w->s, event);
    handler_event_release(event);
}

static uint64_t now_ms = 1000;

static uint64_t the_time(void)
{
    return now_ms;
}

static struct ipc_faults faults = { .now_ms = the_time };

static void begin_new(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->host = (struct ipc_host){ .data = w,
                                 .each = each,
                                 .join = join,
                                 .leave = leave,
                                 .force_leave = force_leave,
                                 .event = event,
                                 .tags = tags,
                                 .spread = spread,
                                 .pause = pause_for,
                                 .query = query,
                                 .query_forget = query_forget,
                                 .respond = respond,
                                 .stats = stats,
                                 .monitor = monitor,
                                 .keys = keys,
                                 .coordinate = coordinate,
                                 .faults = &faults };
    w->s = ipc_session_new(&w->host, "127.0.0.1:1", on_wake, w);
}

static void begin(struct world *w)
{
    begin_new(w);
    send(w, HANDSHAKE);
    hear(w, GREETED);
}

#define FILTERED                                                                             \
    "82a7436f6d6d616e64b06d656d626572732d66696c7465726564a35365710283a44e616d65a0a653746174" \
    "7573a0a45461677380"
#define MEMBERS                                                                              \
    OK2 "81a74d656d62657273918ba441646472c4047f070151ab44656c656761746543757205ab44656c65"   \
        "676174654d617805ab44656c65676174654d696e02a44e616d65a26e31a4506f7274cd1f0aab50726f" \
        "746f636f6c43757202ab50726f746f636f6c4d617805ab50726f746f636f6c4d696e01a653746174"   \
        "7573a5616c697665a45461677381a4726f6c65a3776562"
#define EVENT                                                                                \
    "82a7436f6d6d616e64a56576656e74a35365710283a8436f616c65736365c3a44e616d65a66465706c6f79" \
    "a75061796c6f6164c4027631"
#define STREAM "82a7436f6d6d616e64a673747265616da353657102"

/* -- tests --------------------------------------------------------------------------------------
 */

static void test_members(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    send(&w, FILTERED);
    hear(&w, MEMBERS);
    ipc_session_close(w.s);
}

/* Of the three, only a tag's expression counts when it is empty: who does not have the tag. */
static void test_filters(void **state)
{
    static const struct {
        const char *why, *body;
        bool is_found;
    } rows[] = {
        { "all", "80", true },
        { "no name, no status", "82a44e616d65a0a6537461747573a0", true },
        { "part of a tag", "81a45461677381a4726f6c65a27765", false },
        { "the whole tag", "81a45461677381a4726f6c65a3772e62", true },
        { "an empty tag", "81a45461677381a4726f6c65a0", false },
        { "an empty tag as nil", "81a45461677381a4726f6c65c0", false },
        { "a tag that it does not have", "81a45461677381a26463a0", true },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct world w;
        char request[512];

        begin(&w);
        (void)snprintf(request, sizeof request,
                       "82a7436f6d6d616e64b06d656d626572732d66696c7465726564a353657102%s",
                       rows[i].body);
        send(&w, request);
        if ((ipc_session_out(w.s)->bytes == sizeof MEMBERS / 2) != rows[i].is_found) {
            fail_msg("%s: %zu bytes", rows[i].why, ipc_session_out(w.s)->bytes);
        }
        ipc_session_close(w.s);
    }
}

/* A request may come in pieces of any size, and several in one. */
static void test_split_at_any_byte(void **state)
{
    struct mu_buf all = bytes_of(HANDSHAKE FILTERED EVENT);

    (void)state;
    for (size_t i = 0; i <= all.bytes; i++) {
        struct world w;

        begin_new(&w);
        ipc_session_feed(w.s, mu_span_of(all.data, i));
        ipc_session_feed(w.s, mu_span_of(all.data + i, all.bytes - i));
        hear(&w, GREETED MEMBERS OK2);
        assert_string_equal(w.did, "event deploy v1 1");
        ipc_session_close(w.s);
    }
    mu_buf_deinit(&all);
}

static void test_commands(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    send(&w, "82a7436f6d6d616e64ab666f7263652d6c65617665a353657102"
             "82a44e6f6465a27a7aa55072756e65c3");
    hear(&w, OK2); /* a name nobody has is no error */
    assert_string_equal(w.did, "force-leave zz 1");
    send(&w, "82a7436f6d6d616e64a474616773a353657102"
             "82aa44656c6574655461677391a163a45461677381a161a162");
    hear(&w, ""); /* not before it was told to others */
    w.tagged(w.waiting, NULL);
    hear(&w, OK2);
    assert_int_equal(w.wakes, 1);
    assert_string_equal(w.did, "tags a=b -c");
    send(&w, "82a7436f6d6d616e64ab666f7263652d6c65617665a353657102"
             "82a44e6f6465a27979a55072756e65c2");
    hear(&w, "");
    assert_string_equal(w.did, "force-leave yy 0");
    w.told(w.waiting, false);
    hear(&w, "82a54572726f72d92374696d6564206f75742062726f616463617374696e67206e6f64652072656d6f766"
             "16ca353657102"); /* timed out broadcasting node removal */
    send(&w, "82a7436f6d6d616e64ae6765742d636f6f7264696e617465a35365710381a44e6f6465a27a7a");
    hear(&w, "82a54572726f72a0a35365710382a5436f6f726484aa41646a7573746d656e74cb00000000000000"
             "00a54572726f72cb0000000000000000a6486569676874cb0000000000000000a3566563c0a24f6bc2");
    send(&w, "82a7436f6d6d616e64ae6765742d636f6f7264696e617465a35365710381a44e6f6465a26e31");
    hear(&w, "82a54572726f72a0a35365710382a5436f6f726484aa41646a7573746d656e74cb40100000000000"
             "00a54572726f72cb3fe0000000000000a6486569676874cb4000000000000000a356656398"
             "cb3ff0000000000000cb0000000000000000cb0000000000000000cb0000000000000000"
             "cb0000000000000000cb0000000000000000cb0000000000000000cbc000000000000000a24f6bc3");
    ipc_session_close(w.s);
}

/* However many requests come at once, one turn of the loop has a few of them. */
static void test_many_at_once(void **state)
{
    struct mu_buf one = bytes_of("82a7436f6d6d616e64a57374617473a353657102"); /* stats */
    struct mu_buf many = MU_BUF_NONE;
    struct world w;

    (void)state;
    begin(&w);
    for (size_t i = 0; i < 2 * IPC_TURN_REQUESTS + 1; i++) {
        mu_buf_add_span(&many, mu_buf_span(&one));
    }
    ipc_session_feed(w.s, mu_buf_span(&many));
    for (size_t left = 2 * IPC_TURN_REQUESTS + 1; left > 0; ipc_session_turn(w.s)) {
        size_t now = left < IPC_TURN_REQUESTS ? left : IPC_TURN_REQUESTS;

        left -= now;
        assert_int_equal(ipc_session_out(w.s)->bytes, now * (sizeof OK2 "80" / 2));
        mu_buf_clear(ipc_session_out(w.s));
        assert_int_equal(ipc_session_is_behind(w.s), left > 0);
    }
    hear(&w, "");
    ipc_session_close(w.s);
    mu_buf_deinit(&one);
    mu_buf_deinit(&many);
}

/* What comes behind a join waits for it. */
static void test_join_blocks(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    send(&w, "82a7436f6d6d616e64a46a6f696ea353657102"
             "82a84578697374696e6791aa3132372e372e312e3831a65265706c6179c2" EVENT);
    hear(&w, "");
    assert_string_equal(w.did, "join 1 127.7.1.81 0");
    w.joined(w.waiting, 1, "");
    hear(&w, OK2 "81a34e756d01" OK2);
    assert_string_equal(w.did, "event deploy v1 1");
    assert_int_equal(w.wakes, 1);
    ipc_session_close(w.s);
}

static void test_client_gone_during_join(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    send(&w, "82a7436f6d6d616e64a46a6f696ea353657102"
             "82a84578697374696e6791aa3132372e372e312e3831a65265706c6179c2");
    ipc_session_close(w.s);
    w.joined(w.waiting, 1, "");
    assert_int_equal(w.wakes, 0); /* and the leak checker sees that it was freed */
}

#define QUERY       "82a7436f6d6d616e64a57175657279a35365710287" FIELDS
#define LARGE_QUERY /* a field more, which is ours */        \
    "82a7436f6d6d616e64a57175657279a35365710388" FIELDS "ae" \
    "4c61726765526573706f6e736573c3"
#define FIELDS                                                                               \
    "ab46696c7465724e6f646573c0aa46696c746572"                                               \
    "5461677380a44e616d65a46c6f6164a75061796c6f6164c40178ab52656c6179466163746f7200aa526571" \
    "7565737441636bc3a754696d656f7574ce29b92700"

static void test_query(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    send(&w, QUERY);
    assert_string_equal(w.did, "query load x 700 ms acks=1 large=0 filters=0");
    struct gossip_reply reply = { 7, GOSSIP_REPLY_ACK, "n1", MU_SPAN_NONE };

    w.replied(w.asked, &reply);
    reply.kind = GOSSIP_REPLY_RESPONSE;
    reply.payload = MU_SPAN_LIT("ok");
    w.replied(w.asked, &reply);
    reply.kind = GOSSIP_REPLY_DONE;
    w.replied(w.asked, &reply);
    hear(&w, OK2 OK2 "83a446726f6da26e31a75061796c6f6164c0a454797065a361636b" OK2
                     "83a446726f6da26e31a75061796c6f6164c4026f6ba454797065a8726573706f6e7365" OK2
                     "83a446726f6da0a75061796c6f6164c0a454797065a4646f6e65");
    send(&w, LARGE_QUERY);
    assert_string_equal(w.did, "query load x 700 ms acks=1 large=1 filters=0");
    ipc_session_close(w.s);
    assert_int_equal(w.forgotten, 1); /* the second; the first is over */
}

static void test_stream_and_respond(void **state)
{
    struct gossip_user_event e = { 2, "ev", MU_SPAN_LIT("pl"), false };
    struct gossip_user_event other = { 3, "other", MU_SPAN_LIT("pl"), false };
    struct gossip_query q = { .ltime = 3, .id = 99, .name = "qq", .payload = MU_SPAN_LIT("pp") };
    struct world w;

    (void)state;
    begin(&w);
    send(&w, STREAM "81a454797065ad757365723a65762c7175657279"); /* user:ev,query */
    hear(&w, OK2);
    tell(&w, handler_event_of_user(&other));
    hear(&w, "");
    tell(&w, handler_event_of_user(&e));
    hear(&w, OK2 "85a8436f616c65736365c2a54576656e74a475736572a54c54696d6502a44e616d65a26576"
                 "a75061796c6f6164c402706c");
    tell(&w, handler_event_of_query(&q));
    hear(&w, OK2 "85a54576656e74a57175657279a2494401a54c54696d6503a44e616d65a27171a75061796c"
                 "6f6164c4027070");
    send(&w, "82a7436f6d6d616e64a7726573706f6e64a353657103" /* twice; the second has no query */
             "82a2494401a75061796c6f6164c4026f6b"
             "82a7436f6d6d616e64a7726573706f6e64a353657103"
             "82a2494401a75061796c6f6164c4026f6b");
    assert_string_equal(w.did, "respond 3/99 ok");
    hear(&w,
         "82a54572726f72a0a353657103"
         "82a54572726f72be4e6f2070656e64696e672071756572696573206d61746368696e67204944a353657103");
    ipc_session_close(w.s);
}

/* Events of the HTTP API travel under a name of their own: only who asks for it hears them. */
static void test_stream_reserved(void **state)
{
    struct gossip_user_event e = { 2, "consul:event:x", MU_SPAN_LIT("pl"), false };
    struct world w;

    (void)state;
    begin(&w);
    send(&w, STREAM "80"); /* no type: everything */
    send(&w, "82a7436f6d6d616e64a673747265616da35365710381a454797065a475736572"); /* user */
    mu_buf_clear(ipc_session_out(w.s));
    tell(&w, handler_event_of_user(&e));
    hear(&w, "");
    send(&w, "82a7436f6d6d616e64a673747265616da35365710481a454797065" /* user:consul:event:x */
             "b3757365723a636f6e73756c3a6576656e743a78");
    mu_buf_clear(ipc_session_out(w.s));
    tell(&w, handler_event_of_user(&e));
    assert_true(ipc_session_out(w.s)->bytes > 0);
    ipc_session_close(w.s);
}

/* A client that does not read loses events, not memory. */
static void test_stream_overflow(void **state)
{
    struct gossip_user_event e = { 2, "ev", MU_SPAN_LIT("pl"), false };
    struct world w;
    size_t bytes;

    (void)state;
    begin(&w);
    send(&w, STREAM "80");
    for (unsigned i = 0; i < IPC_STREAM_MAX; i++) {
        tell(&w, handler_event_of_user(&e));
    }
    bytes = ipc_session_out(w.s)->bytes;
    tell(&w, handler_event_of_user(&e));
    assert_int_equal(ipc_session_out(w.s)->bytes, bytes);
    mu_buf_clear(ipc_session_out(w.s));
    ipc_session_drained(w.s);
    tell(&w, handler_event_of_user(&e));
    assert_true(ipc_session_out(w.s)->bytes > 0);
    ipc_session_close(w.s);
}

static void test_refused(void **state)
{
    static const struct {
        const char *why, *sent, *heard;
    } rows[] = {
        { "before the handshake", FILTERED,
          "82a54572726f72b248616e647368616b65207265717569726564a353657102" },
        { "unknown", HANDSHAKE "82a7436f6d6d616e64a36e6f70a353657102",
          GREETED "82a54572726f72b3556e737570706f7274656420636f6d6d616e64a353657102" },
        { "no map", HANDSHAKE "01", GREETED },
        { "an extension type", HANDSHAKE "c7", GREETED },
        { "too deep", HANDSHAKE "919191919191919191919191919191919191", GREETED },
        { "a huge list", HANDSHAKE "ddffffffff", GREETED },
        { "a huge text", HANDSHAKE "dbffffffff", GREETED },
        { "Seq below zero", HANDSHAKE "82a7436f6d6d616e64a57374617473a3536571ff", GREETED },
        { "a number for a name", HANDSHAKE "82a7436f6d6d616e64a56576656e74a35365710281a44e616d6501",
          GREETED },
        { "a filter that is no expression",
          HANDSHAKE "82a7436f6d6d616e64b06d656d626572732d66696c7465726564a35365710281a44e616d65"
                    "a128",
          GREETED },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct world w;

        begin_new(&w);
        send(&w, rows[i].sent);
        hear(&w, rows[i].heard);
        if (!ipc_session_is_over(w.s)) {
            fail_msg("%s: still open", rows[i].why);
        }
        ipc_session_close(w.s);
    }
}

/* Golden, but for the time in the line. */
static void test_monitor(void **state)
{
    static const struct {
        enum mu_log_level level;
        const char *line, *heard;
    } rows[] = {
        { MU_ERROR, "2026-11-20T08:38:03.000Z [ERROR] agent: it broke: why=x",
          " [ERR] agent: it broke: why=x" },
        { MU_INFO, "2026-11-20T08:38:03.000Z [INFO]  agent: [x] y", " [INFO] agent: [x] y" },
        { MU_INFO,
          "2026-11-20T08:38:03.000Z [INFO]  agent.serf.serf: serf: EventMemberJoin: n2 ::1",
          " [INFO] serf: EventMemberJoin: n2 ::1" },
        { MU_INFO, "2026-11-20T08:38:03.000Z [INFO]  agent: no agent.serf.serf: here",
          " [INFO] agent: no agent.serf.serf: here" },
        { MU_WARN, "{\"@level\":\"warn\"}", " [WARN] {\"@level\":\"warn\"}" },
    };
    struct world w;

    (void)state;
    begin(&w);
    send(&w, "82a7436f6d6d616e64a76d6f6e69746f72a353657103"
             "81a84c6f674c6576656ca46e6f7065"); /* nope */
    hear(&w, "82a54572726f72b7556e6b6e6f776e206c6f67206c6576656c3a204e4f5045a353657103");
    send(&w, "82a7436f6d6d616e64a76d6f6e69746f72a35365710381a84c6f674c6576656ca47761726e");
    hear(&w, "82a54572726f72a0a353657103");
    assert_string_equal(w.did, "monitor 3");
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct agent_log_line line = { .level = rows[i].level,
                                       .wall_ns = 1700000000000000000,
                                       .text = mu_span_text(rows[i].line) };
        const struct mu_buf *out = ipc_session_out(w.s);
        size_t bytes = strlen(rows[i].heard);

        w.line(w.waiting, &line);
        assert_true(out->bytes > bytes + 19);
        assert_memory_equal(out->data + out->bytes - bytes, rows[i].heard, bytes);
        mu_buf_clear(ipc_session_out(w.s));
    }
    ipc_session_close(w.s);
}

#define AUTH "82a7436f6d6d616e64a461757468a35365710281a7417574684b6579"

/* One answer to one request, and the session goes on, until it guessed too often. */
static void test_auth(void **state)
{
    struct world w;

    (void)state;
    begin_new(&w);
    ipc_session_close(w.s);
    w.host.auth_key = "sesame";
    w.s = ipc_session_new(&w.host, "127.0.0.1:1", on_wake, &w);
    send(&w, HANDSHAKE FILTERED);
    hear(&w, GREETED "82a54572726f72b741757468656e7469636174696f6e207265717569726564a353657102");
    send(&w, AUTH "a3666f6f" FILTERED);
    hear(&w, "");
    assert_int_equal(w.pause_ms, 500);
    w.over(w.waiting);
    hear(&w, "82a54572726f72bc496e76616c69642061757468656e7469636174696f6e20746f6b656ea353657102"
             "82a54572726f72b741757468656e7469636174696f6e207265717569726564a353657102");
    send(&w, AUTH "a3666f6f");
    w.over(w.waiting);
    hear(&w, "82a54572726f72bc496e76616c69642061757468656e7469636174696f6e20746f6b656ea353657102");
    send(&w, "82a7436f6d6d616e64a46e6f7065a353657102"); /* nope: not even whether there is such a
                                                           thing */
    hear(&w, "82a54572726f72b741757468656e7469636174696f6e207265717569726564a353657102");
    send(&w, AUTH "a6736573616d65" FILTERED);
    hear(&w, OK2 MEMBERS);
    send(&w, AUTH "a3666f6f" FILTERED); /* what was proven stays so */
    w.over(w.waiting);
    hear(&w, "82a54572726f72bc496e76616c69642061757468656e7469636174696f6e20746f6b656ea35365710"
             "2" MEMBERS);
    for (unsigned i = 3; i < 5; i++) {
        assert_false(ipc_session_is_over(w.s));
        send(&w, AUTH "a0");
        w.over(w.waiting);
    }
    assert_true(ipc_session_is_over(w.s));
    ipc_session_close(w.s);
}

static void test_addr16(void **state)
{
    struct world w;

    (void)state;
    begin_new(&w);
    ipc_session_close(w.s);
    w.host.addr16 = true;
    w.s = ipc_session_new(&w.host, "127.0.0.1:1", on_wake, &w);
    send(&w, HANDSHAKE);
    mu_buf_clear(ipc_session_out(w.s));
    send(&w, FILTERED);
    assert_memory_equal(ipc_session_out(w.s)->data + 13 + 10 + 6,
                        "\xc4\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\x07\x01\x51", 18);
    ipc_session_close(w.s);
}

static void test_leave_ends(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    send(&w, "82a7436f6d6d616e64a56c65617665a353657102");
    hear(&w, "");
    assert_false(ipc_session_is_parting(w.s));
    w.left(w.waiting);
    hear(&w, OK2);
    assert_true(ipc_session_is_over(w.s) && ipc_session_is_parting(w.s));
    ipc_session_close(w.s);
}

static void on_said(void *data, enum mu_log_level level, struct mu_span line)
{
    struct mu_buf *said = data;

    if (level == MU_WARN) {
        mu_buf_add_span(said, line);
        mu_buf_add_byte(said, '\n');
    }
}

/* Each kind of fault, first and then once a minute with how many there were. */
static void test_faults_are_said_once(void **state)
{
    struct mu_buf said = MU_BUF_NONE;
    struct world w;

    (void)state;
    mu_log_set_tap(on_said, &said, MU_WARN);
    faults = (struct ipc_faults){ .now_ms = the_time };
    for (unsigned i = 0; i < 1000; i++) {
        begin_new(&w);
        send(&w, i % 2 == 0 ? "c1" : "82a7436f6d6d616e64a76d656d62657273a353657102");
        assert_true(ipc_session_is_over(w.s));
        ipc_session_close(w.s);
        now_ms += i == 998 ? 60000 : 1;
    }
    mu_log_set_tap(NULL, NULL, MU_ERROR);
    assert_int_equal(ipc_faults_total(&faults), 1000);
    assert_non_null(strstr(mu_buf_text(&said), "reason=\"it sent no request\" times=1\n"));
    assert_non_null(strstr(mu_buf_text(&said), "before the handshake\" times=1\n"));
    assert_non_null(strstr(mu_buf_text(&said), "before the handshake\" times=499\n"));
    size_t lines = 0;

    for (size_t i = 0; i < said.bytes; i++) {
        lines += said.data[i] == '\n';
    }
    assert_int_equal(lines, 3);
    mu_buf_deinit(&said);
}

/* Clients write numbers in any form, and text as bytes. */
static void test_liberal(void **state)
{
    struct world w;

    (void)state;
    begin_new(&w);
    send(&w, "82a3536571d30000000000000001a7436f6d6d616e64c40968616e647368616b65" /* bin, i64 */
             "81a756657273696f6ecb3ff0000000000000");                             /* 1.0 */
    hear(&w, GREETED);
    send(&w, "82a7436f6d6d616e64a76d656d62657273a35365710280" /* an empty body nobody wants */
             "82a7436f6d6d616e64a56576656e74a353657102c0");
    assert_string_equal(w.did, "event   0");
    hear(&w, MEMBERS OK2);
    send(&w, "82a7436f6d6d616e64a56576656e74a353657102" /* 1 for true */
             "82a44e616d65a161a8436f616c6573636501");
    assert_string_equal(w.did, "event a  1");
    hear(&w, OK2);
    send(&w, "83a7436f6d6d616e64a3666f6fa7436f6d6d616e64a76d656d62657273a353657102"); /* the last */
    hear(&w, MEMBERS);
    ipc_session_close(w.s);
}

/* Golden: what an agent without encryption says of its keys, and of a change. */
static void test_keys(void **state)
{
    static const struct mu_pair message = {
        MU_SPAN_LIT("n1"), MU_SPAN_LIT("Keyring is empty (encryption not enabled)")
    };
    struct agent_keys_report report = {
        .nodes = 1, .responses = 1, .errors = 1, .messages = &message, .messages_count = 1
    };
    struct agent_key key = { .text = "a2V5", .holders = 2 };
    struct mu_err err = MU_ERR_NONE;
    struct world w;

    (void)state;
    begin(&w);
    send(&w, "82a7436f6d6d616e64a96c6973742d6b657973a353657102" EVENT);
    assert_string_equal(w.did, "keys 3 ");
    w.keyed(w.waiting, mu_fail(&err, MU_CONFLICT, "1/1 nodes reported failure"), &report, &err);
    hear(&w, "82a54572726f72ba312f31206e6f646573207265706f72746564206661696c757265a353657102"
             "85a44b65797380a84d6573736167657381a26e31d9294b657972696e6720697320656d7074792028656e"
             "6372797074696f6e206e6f7420656e61626c656429a64e756d45727201a84e756d4e6f64657301a74e75"
             "6d5265737001" OK2);
    assert_string_equal(w.did, "event deploy v1 1"); /* it waited its turn */
    send(&w, "82a7436f6d6d616e64ab696e7374616c6c2d6b6579a35365710281a34b6579a461326b35");
    assert_string_equal(w.did, "keys 0 a2k5");
    report = (struct agent_keys_report){ .nodes = 2, .responses = 2 };
    w.keyed(w.waiting, MU_OK, &report, &err);
    hear(&w, OK2 "85a44b657973c0a84d6573736167657380a64e756d45727200a84e756d4e6f64657302a74e756d52"
                 "65737002");
    send(&w, "82a7436f6d6d616e64a96c6973742d6b657973a353657102");
    report.keys = &key;
    report.keys_count = 1;
    w.keyed(w.waiting, MU_OK, &report, &err);
    hear(&w, OK2 "85a44b65797381a46132563502a84d6573736167657380a64e756d45727200a84e756d4e6f646573"
                 "02a74e756d5265737002");
    ipc_session_close(w.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_split_at_any_byte),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_join_blocks),
        cmocka_unit_test(test_client_gone_during_join),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_stream_and_respond),
        cmocka_unit_test(test_stream_reserved),
        cmocka_unit_test(test_stream_overflow),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_monitor),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_addr16),
        cmocka_unit_test(test_leave_ends),
        cmocka_unit_test(test_liberal),
        cmocka_unit_test(test_faults_are_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
