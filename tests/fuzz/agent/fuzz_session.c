/* fuzz_session.c - any bytes from a client of Serf's control port, in two pieces: answered or hung
 * up on, within bounds. The first byte says where they are cut and whether a key is asked for. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* -- a host that knows nobody, and lets everything wait -----------------------------------------
 */

static void each(void *data, gossip_member_fn *each_member, void *each_data)
{
    (void)data;
    (void)each_member;
    (void)each_data;
}

struct waiting {
    gossip_joined_fn *joined;
    ipc_left_fn *left;
    gossip_told_fn *told;
    ipc_tagged_fn *tagged;
    agent_keys_fn *keyed;
    void *data;
};

static enum mu_code join(void *data, const char *const *addresses, size_t count, bool replays,
                         gossip_joined_fn *done, void *done_data, struct mu_err *err)
{
    struct waiting *w = data;

    (void)addresses;
    (void)replays;
    MU_ASSERT(count > 0);
    w->joined = done;
    w->data = done_data;
    (void)err;
    return MU_OK;
}

static enum mu_code leave(void *data, ipc_left_fn *done, void *done_data, struct mu_err *err)
{
    struct waiting *w = data;

    w->left = done;
    w->data = done_data;
    (void)err;
    return MU_OK;
}

static enum mu_code force_leave(void *data, const char *name, bool prune, struct mu_err *err)
{
    (void)data;
    (void)prune;
    return mu_fail(err, MU_NOT_FOUND, "%s", name);
}

static enum mu_code event(void *data, const char *name, struct mu_span payload, bool coalesce,
                          struct mu_err *err)
{
    (void)data;
    (void)payload;
    (void)coalesce;
    return mu_fail(err, MU_TOO_BIG, "%s", name);
}

static enum mu_code tags(void *data, const struct mu_pairs *set, const struct ipc_texts *remove,
                         ipc_tagged_fn *done, void *done_data, struct mu_err *err)
{
    struct waiting *w = data;

    if (set->count == 0) {
        return mu_fail(err, MU_TOO_BIG, "%zu", remove->count);
    }
    w->tagged = done;
    w->data = done_data;
    return MU_OK;
}

static void spread(void *data, gossip_told_fn *told, void *told_data)
{
    struct waiting *w = data;

    w->told = told;
    w->data = told_data;
}

static void pause_for(void *data, uint64_t ms, ipc_left_fn *over, void *over_data)
{
    struct waiting *w = data;

    MU_ASSERT(ms > 0);
    w->left = over;
    w->data = over_data;
}

static enum mu_code query(void *data, const struct gossip_query_params *params,
                          gossip_replied_fn *replied, void *replied_data, uint64_t *id,
                          struct mu_err *err)
{
    (void)data;
    (void)params;
    (void)replied;
    (void)replied_data;
    (void)err;
    *id = 1;
    return MU_OK;
}

static void query_forget(void *data, uint64_t id)
{
    (void)data;
    MU_ASSERT(id == 1);
}

static enum mu_code respond(void *data, uint64_t ltime, uint32_t id, struct mu_span payload,
                            struct mu_err *err)
{
    (void)data;
    (void)ltime;
    (void)payload;
    return mu_fail(err, MU_TIMEOUT, "%u", id);
}

static void stats(void *data, struct mu_buf *to)
{
    (void)data;
    ipc_put_map(to, 0);
}

static struct agent_log_follower *monitor(void *data, enum mu_log_level level, agent_log_fn *line,
                                          void *line_data)
{
    (void)data;
    (void)line;
    (void)line_data;
    MU_ASSERT(level <= MU_ERROR);
    return NULL;
}

static void keys(void *data, enum agent_key_op op, struct mu_span key, agent_keys_fn *done,
                 void *done_data)
{
    struct waiting *w = data;

    (void)op;
    (void)key;
    w->keyed = done;
    w->data = done_data;
}

static bool coordinate(void *data, const char *node, struct coordinate *out)
{
    (void)data;
    (void)node;
    (void)out;
    return false;
}

static void on_wake(void *data)
{
    (void)data;
}

/* What the session waits for comes, whether it is closed by now or not. */
static void answer(struct waiting *w)
{
    struct waiting was = *w;
    struct agent_keys_report report = { .nodes = 0 };
    struct mu_err err = MU_ERR_NONE;

    *w = (struct waiting){ .data = NULL };
    if (was.joined != NULL) {
        was.joined(was.data, 0, "no");
    } else if (was.left != NULL) {
        was.left(was.data);
    } else if (was.told != NULL) {
        was.told(was.data, false);
    } else if (was.tagged != NULL) {
        was.tagged(was.data, "no");
    } else if (was.keyed != NULL) {
        was.keyed(was.data, MU_OK, &report, &err);
    }
}

static void feed(struct ipc_session *s, struct mu_span bytes)
{
    ipc_session_feed(s, bytes);
    while (ipc_session_is_behind(s)) {
        ipc_session_turn(s);
    }
}

static uint64_t no_time(void)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct ipc_faults faults = { .now_ms = no_time };
    struct waiting waiting = { .data = NULL };
    struct ipc_host host = { .data = &waiting,
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

    if (bytes == 0) {
        return 0;
    }
    size_t cut = data[0] / 2U < bytes - 1 ? data[0] / 2U : bytes - 1;

    host.auth_key = (data[0] & 1) != 0 ? "sesame" : NULL;
    struct ipc_session *s = ipc_session_new(&host, "fuzz", on_wake, &waiting);

    feed(s, mu_span_of(data + 1, cut));
    answer(&waiting);
    feed(s, mu_span_of(data + 1 + cut, bytes - 1 - cut));
    MU_ASSERT(ipc_session_held(s) <= IPC_OUT_BYTES_MAX + 4U * IPC_OBJECT_BYTES_MAX);
    ipc_session_close(s);
    answer(&waiting);
    return 0;
}
