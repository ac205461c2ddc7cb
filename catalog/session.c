/* session.c - sessions, and what their end does to the locks that hang on them
 * (spec/http-api.md 7, spec/agent-behaviour.md 9).
 *
 * A session lives on a node and hangs on checks of it. It ends when it is destroyed, when its time
 * is over (the leader's timers say so, with the same command), and in the very entry in which its
 * node goes, or one of its checks goes or becomes critical. Its keys are then given back or
 * deleted, whichever it was made for, and nobody may lock them again for its lock delay.
 */
#include "base/id.h"
#include "mvcc.h"
#include "packed.h"

#define NS_PER_MS         1000000U
#define LOCK_DELAY_MS_MAX 60000U /* what a longer one counts for */
#define HELD_CHUNK        256    /* held keys in memory at a time */

static struct row_value id_value(const struct mu_id *id)
{
    return row_bytes(mu_span_of(id->b, sizeof id->b));
}

enum mu_code catalog__session_find(struct catalog *c, const struct mu_id *id, struct row *out,
                                   bool *found, struct mu_err *err)
{
    struct row_value key = id_value(id);

    return catalog__row_find(&c->rows, ROW_SESSIONS, &key, &c->arena, out, found, err);
}

/* -- the end ----------------------------------------------------------------------------------- */

static uint64_t delay_ms(const struct row *session)
{
    uint64_t ns = (uint64_t)session->v[SESSION_LOCK_DELAY].number;
    uint64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS > 0);

    return ms < LOCK_DELAY_MS_MAX ? ms : LOCK_DELAY_MS_MAX;
}

/* Whatever it holds, a chunk at a time: what was given back is not found again. */
static enum mu_code give_back_all(struct catalog *c, const struct row *session, struct mu_err *err)
{
    bool deletes = mu_span_eq_text(session->v[SESSION_BEHAVIOR].bytes, "delete");
    struct mvcc_keys held = { NULL, HELD_CHUNK };
    struct mu_arena arena;
    enum mu_code rc = MU_OK;

    mu_arena_init(&arena, 0);
    while (rc == MU_OK && held.count == HELD_CHUNK) {
        mu_arena_reset(&arena);
        rc = catalog__mvcc_held(c, session->v[SESSION_ID].bytes, HELD_CHUNK, &arena, &held, err);
        for (size_t i = 0; rc == MU_OK && i < held.count; i++) {
            rc = catalog__kv_give_back(c, &held.items[i], deletes, err);
            if (rc == MU_OK && delay_ms(session) > 0) {
                rc = catalog__lock_delay_set(c, held.items[i].row.v[CUR_KEY].bytes,
                                             delay_ms(session), err);
            }
        }
    }
    mu_arena_deinit(&arena);
    return rc;
}

static void session_changed(struct catalog *c, const struct row *session)
{
    catalog__touch(c, COUNTER_SESSIONS);
    catalog__changed(c, CATALOG_SESSIONS, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_SESSION, session->v[SESSION_ID].bytes);
}

static enum mu_code session_end(struct catalog *c, const struct row *session, struct mu_err *err)
{
    enum mu_code rc = give_back_all(c, session, err);

    session_changed(c, session);
    return rc == MU_OK ? catalog__row_remove(&c->rows, ROW_SESSIONS, session, err) : rc;
}

static bool lists(struct mu_arena *arena, struct mu_span id, struct mu_span check_key)
{
    return mu_span_eq(catalog__fold(arena, id), check_key);
}

static bool hangs_on(struct catalog *c, const struct row *session, struct mu_span check_key)
{
    struct mu_texts nodes = catalog__unpack_texts(&c->arena, session->v[SESSION_NODE_CHECKS].bytes);
    struct mu_pairs services =
        catalog__unpack_pairs(&c->arena, session->v[SESSION_SERVICE_CHECKS].bytes);

    for (size_t i = 0; i < nodes.count; i++) {
        if (lists(&c->arena, nodes.items[i], check_key)) {
            return true;
        }
    }
    for (size_t i = 0; i < services.count; i++) {
        if (lists(&c->arena, services.items[i].key, check_key)) {
            return true;
        }
    }
    return false;
}

/* Those of a node, in the order of their ids; with a check key only those that hang on it. */
static enum mu_code end_some(struct catalog *c, struct mu_span node_key,
                             const struct mu_span *check_key, struct mu_err *err)
{
    sqlite3_stmt *s = c->sessions_of_node;
    struct row_list list = { NULL, 0 };
    size_t room = 0;
    bool has_row = false;
    enum mu_code rc;

    bind_bytes(s, 1, node_key);
    while ((rc = catalog__step(&c->db, s, &has_row, err)) == MU_OK && has_row) {
        struct row row;

        catalog__row_read(s, ROW_SESSIONS, &c->arena, &row);
        if (check_key == NULL || hangs_on(c, &row, *check_key)) {
            catalog__row_list_add(&list, &room, &row, &c->arena);
        }
    }
    for (size_t i = 0; rc == MU_OK && i < list.count; i++) {
        rc = session_end(c, &list.items[i], err);
    }
    return rc;
}

enum mu_code catalog__sessions_end_of_node(struct catalog *c, struct mu_span node_key,
                                           struct mu_err *err)
{
    return end_some(c, node_key, NULL, err);
}

enum mu_code catalog__sessions_end_of_check(struct catalog *c, struct mu_span node_key,
                                            struct mu_span check_key, struct mu_err *err)
{
    return end_some(c, node_key, &check_key, err);
}

enum mu_code catalog__session_destroy(CATALOG_APPLY_ARGS)
{
    struct row session;
    bool found = false;
    enum mu_code rc = catalog__session_find(c, &command->session_destroy.id, &session, &found, err);

    result->did_apply = true; /* one that is not there is as good as destroyed */
    return rc == MU_OK && found ? session_end(c, &session, err) : rc;
}

/* -- the beginning ----------------------------------------------------------------------------- */

static enum mu_code judge_check(struct catalog *c, struct mu_span node_key, struct mu_span id,
                                struct catalog_result *result, struct mu_err *err)
{
    struct row check;
    bool found = false;
    enum mu_code rc =
        catalog__check_find(c, node_key, catalog__fold(&c->arena, id), &check, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (!found) {
        catalog__refuse(result, MU_NOT_FOUND, "Missing check '%.*s' registration", MU_SPAN_FMT(id));
    } else if (mu_span_eq_text(check.v[CHECK_STATUS].bytes, "critical")) {
        catalog__refuse(result, MU_CONFLICT, "Check '%.*s' is in critical state", MU_SPAN_FMT(id));
    }
    return MU_OK;
}

static enum mu_code judge_checks(struct catalog *c, struct mu_span node_key,
                                 const struct command_session *s, struct catalog_result *result,
                                 struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && result->code == MU_OK && i < s->node_checks.count; i++) {
        rc = judge_check(c, node_key, s->node_checks.items[i], result, err);
    }
    for (size_t i = 0; rc == MU_OK && result->code == MU_OK && i < s->service_checks.count; i++) {
        rc = judge_check(c, node_key, s->service_checks.items[i].key, result, err);
    }
    return rc;
}

static void judge_words(const struct command_session *s, struct catalog_result *result)
{
    if (mu_id_is_none(&s->id)) {
        catalog__refuse(result, MU_INVALID, "Must provide ID");
    } else if (s->node.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Must provide Node");
    } else if (!mu_span_eq_text(s->behavior, "release") &&
               !mu_span_eq_text(s->behavior, "delete")) {
        catalog__refuse(result, MU_INVALID, "Invalid Behavior setting '%.*s'",
                        MU_SPAN_FMT(s->behavior));
    }
}

/* The node is there, the id is new, the checks are there and not critical. */
static enum mu_code judge(struct catalog *c, const struct command_session *s, struct row *node,
                          struct catalog_result *result, struct mu_err *err)
{
    struct row same;
    bool found = false;
    enum mu_code rc = catalog__node_find(c, catalog__fold(&c->arena, s->node), node, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (!found) {
        catalog__refuse(result, MU_NOT_FOUND, "Missing node registration");
        return MU_OK;
    }
    rc = catalog__session_find(c, &s->id, &same, &found, err);
    if (rc == MU_OK && found) {
        catalog__refuse(result, MU_CONFLICT, "a session with this id exists");
        return MU_OK;
    }
    return rc == MU_OK ? judge_checks(c, node->v[NODE_KEY].bytes, s, result, err) : rc;
}

/* Pairs keep their order here: they are a list. */
static struct row_value pack_service_checks(struct mu_arena *arena, const struct command_session *s)
{
    struct mu_texts texts = { NULL, 2 * s->service_checks.count };

    if (!s->has_service_checks) {
        return row_nothing();
    }
    texts.items = mu_arena_array(arena, texts.count, sizeof *texts.items);
    for (size_t i = 0; i < s->service_checks.count; i++) {
        texts.items[2 * i] = s->service_checks.items[i].key;
        texts.items[2 * i + 1] = s->service_checks.items[i].value;
    }
    return row_bytes(catalog__pack_texts(arena, &texts));
}

enum mu_code catalog__session_create(CATALOG_APPLY_ARGS)
{
    const struct command_session *s = &command->session;
    struct row node;
    struct row row;

    judge_words(s, result);
    enum mu_code rc = result->code == MU_OK ? judge(c, s, &node, result, err) : MU_OK;

    if (rc != MU_OK || result->code != MU_OK) {
        return rc;
    }
    row.v[SESSION_ID] = id_value(&s->id);
    row.v[SESSION_NODE] = node.v[NODE_KEY];
    row.v[SESSION_NAME] = row_bytes(s->name);
    row.v[SESSION_NODE_NAME] = row_bytes(s->node);
    row.v[SESSION_LOCK_DELAY] = row_number(s->lock_delay_ns);
    row.v[SESSION_BEHAVIOR] = row_bytes(s->behavior);
    row.v[SESSION_TTL] = row_bytes(s->ttl);
    row.v[SESSION_NODE_CHECKS] = row_bytes(catalog__pack_texts(&c->arena, &s->node_checks));
    row.v[SESSION_SERVICE_CHECKS] = pack_service_checks(&c->arena, s);
    row.v[SESSION_CREATED] = row.v[SESSION_MODIFIED] = row_number(catalog__index(c));
    result->did_apply = true;
    session_changed(c, &row);
    return catalog__row_put(&c->rows, ROW_SESSIONS, NULL, &row, err);
}
