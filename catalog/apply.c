/* apply.c - one log entry: its command, and the function that carries it out.
 *
 * The same entry must do the same on every server, for ever: nothing here or below reads a clock,
 * draws a number, looks at configuration or depends on the order in which SQLite happens to find
 * rows. A kind never changes its meaning; new behaviour is a new row of the table.
 */
#include <stdarg.h>
#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "core.h"
#include "schema.h"

static catalog_apply_fn *const functions[] = {
    [COMMAND_REGISTER] = catalog__register,
    [COMMAND_DEREGISTER] = catalog__deregister,
    [COMMAND_KV_SET] = catalog__kv_set,
    [COMMAND_KV_DELETE] = catalog__kv_delete,
    [COMMAND_AUTOPILOT] = catalog__autopilot,
    [COMMAND_COORDINATES] = catalog__coordinates,
    [COMMAND_KV_LOCK] = catalog__kv_lock,
    [COMMAND_KV_COMPACT] = catalog__kv_compact,
    [COMMAND_TXN] = catalog__txn,
    [COMMAND_TXN_CATALOG] = catalog__txn,
    [COMMAND_SESSION_CREATE] = catalog__session_create,
    [COMMAND_SESSION_DESTROY] = catalog__session_destroy,
    [COMMAND_STAGE] = catalog__stage,
    [COMMAND_RESTORE] = catalog__restore,
};

/* -- what the functions share ------------------------------------------------------------------ */

void catalog__refuse(struct catalog_result *result, enum mu_code code, const char *fmt, ...)
{
    struct mu_buf text = MU_BUF_NONE;
    va_list args;

    MU_ASSERT(code != MU_OK && result->code == MU_OK);
    va_start(args, fmt);
    mu_buf_vaddf(&text, fmt, args);
    va_end(args);
    result->code = code;
    result->text = mu_buf_take(&text, NULL);
}

void catalog_result_free(struct catalog_result *result)
{
    mu_free(result->text);
    mu_buf_deinit(&result->data);
    *result = (struct catalog_result){ .code = MU_OK };
}

struct mu_span catalog__fold(struct mu_arena *arena, struct mu_span name)
{
    uint8_t *key = mu_arena_new(arena, name.bytes);

    mu_span_fold(name, key);
    return mu_span_of(key, name.bytes);
}

struct row_value catalog__ip_value(struct mu_arena *arena, struct mu_span address)
{
    struct mu_addr a;

    if (!mu_addr_parse_ip(address, &a)) {
        return row_nothing();
    }
    return row_bytes(mu_arena_span(arena, mu_span_of(a.ip, a.ip_bytes)));
}

void catalog__touch(struct catalog *c, enum counter counter)
{
    c->now.counters.now[counter] = catalog__index(c);
}

void catalog__changed(struct catalog *c, enum catalog_topic_kind kind, struct mu_span name)
{
    catalog_changes_add(c->changes, kind, name);
}

/* -- one entry --------------------------------------------------------------------------------- */

/* What a client asked for under this id, unless that was done already. */
static enum mu_code apply_request(struct catalog *c, const struct command *command,
                                  struct catalog_result *result, struct mu_err *err)
{
    bool is_known = false;
    enum mu_code rc = catalog__request_recall(c, command, result, &is_known, err);

    if (rc != MU_OK || is_known) {
        return rc;
    }
    rc = functions[command->kind](c, command, result, err);
    return rc == MU_OK ? catalog__request_note(c, command, result, err) : rc;
}

/* Unless the server that sent it has sent it before. */
static enum mu_code apply_once(struct catalog *c, const struct command *command,
                               struct catalog_result *result, struct mu_err *err)
{
    bool has_origin = !mu_id_is_none(&command->origin.server) && command->origin.seq > 0;
    bool is_known = false;
    enum mu_code rc = MU_OK;

    if (has_origin) {
        rc = catalog__origin_recall(c, &command->origin, result, &is_known, err);
    }
    if (rc != MU_OK || is_known) {
        return rc;
    }
    rc = mu_id_is_none(&command->request) ? functions[command->kind](c, command, result, err)
                                          : apply_request(c, command, result, err);
    return rc == MU_OK && has_origin ? catalog__origin_note(c, &command->origin, result, err) : rc;
}

/* The configuration that allows this kind has brought the tables that came with it. If not, this is
 * no state of that log. */
static enum mu_code schema_check(const struct catalog *c, struct mu_span bytes, struct mu_err *err)
{
    uint32_t level = command_level(bytes);

    if (level <= c->now.schema->level ||
        catalog__schema_at(level)->version <= c->now.schema->version) {
        return MU_OK;
    }
    return mu_fail(err, MU_CORRUPT,
                   "command '%s' needs level %u, the state has schema version %lld, of level %u",
                   command_kind_text(command_kind_of(bytes)), level,
                   (long long)c->now.schema->version, c->now.schema->level);
}

static enum mu_code apply_command(struct catalog *c, struct mu_span bytes,
                                  struct catalog_result *result, struct mu_err *err)
{
    struct mu_err why = MU_ERR_NONE;
    struct command command;
    enum mu_code rc = command_decode(bytes, &c->arena, &command, &why);

    if (rc == MU_INVALID) { /* a bad body: every server refuses it alike */
        catalog__refuse(result, MU_INVALID, "%s", why.text);
        return MU_OK;
    }
    if (rc != MU_OK) {
        return mu_fail(err, rc, "%s", why.text);
    }
    if (command.stamp_ms > c->now.stamp_ms) {
        c->now.stamp_ms = command.stamp_ms;
    }
    MU_ASSERT((size_t)command.kind < MU_LEN(functions) && functions[command.kind] != NULL);
    rc = catalog__staged_expire(c, err);
    rc = rc == MU_OK ? apply_once(c, &command, result, err) : rc;
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", command_kind_text(command.kind));
}

enum mu_code catalog_apply(struct catalog *c, uint64_t index, uint64_t term, struct mu_span command,
                           struct catalog_result *result, struct mu_err *err)
{
    MU_ASSERT(c->in_transaction);
    MU_ASSERT(index > c->now.index && index <= INT64_MAX);
    MU_ASSERT(term >= c->now.term);

    *result = (struct catalog_result){ .code = MU_OK };
    c->now.index = index;
    c->now.term = term;
    if (command.bytes == 0) {
        c->has_applied = true;
        return MU_OK;
    }
    mu_arena_reset(&c->arena);
    enum mu_code rc = schema_check(c, command, err);

    rc = rc == MU_OK ? apply_command(c, command, result, err) : rc;

    c->has_applied = true;
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "entry %llu", (unsigned long long)index);
}
