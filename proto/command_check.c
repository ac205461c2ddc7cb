/* command_check.c - what a command may hold: lengths, counts, and text that is text.
 *
 * Only what every user of a command relies on is judged here (a name fits a buffer, a list fits an
 * arena, text can be written as JSON). What may be empty, and what belongs together, is the
 * catalog's to say, in the API's words.
 */
#include "command_check.h"

#include "base/assert.h"
#include "base/limits.h"

#define REVISION_MAX (UINT64_C(1) << 43) /* what an id of the history has room for */

struct text_rule {
    const char *what;
    struct mu_span text;
    size_t bytes_max;
};

static enum mu_code check_texts(const struct text_rule *rules, size_t count, struct mu_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct text_rule *r = &rules[i];

        if (r->text.bytes > r->bytes_max) {
            return mu_fail(err, MU_INVALID, "%s has %zu bytes, at most %zu are allowed", r->what,
                           r->text.bytes, r->bytes_max);
        }
        if (!mu_span_is_utf8(r->text)) {
            return mu_fail(err, MU_INVALID, "%s is not valid UTF-8", r->what);
        }
    }
    return MU_OK;
}

static enum mu_code check_count(const char *what, size_t count, struct mu_err *err)
{
    if (count > MU_COMMAND_LIST_MAX) {
        return mu_fail(err, MU_INVALID, "%zu %s, at most %d are allowed", count, what,
                       MU_COMMAND_LIST_MAX);
    }
    return MU_OK;
}

static enum mu_code check_pairs(const char *what, const struct mu_pairs *pairs, struct mu_err *err)
{
    enum mu_code rc = check_count(what, pairs->count, err);

    for (size_t i = 0; rc == MU_OK && i < pairs->count; i++) {
        const struct text_rule rules[] = {
            { what, pairs->items[i].key, MU_NAME_MAX },
            { what, pairs->items[i].value, MU_COMMAND_BYTES_MAX },
        };

        rc = check_texts(rules, MU_LEN(rules), err);
    }
    return rc;
}

static enum mu_code check_node(const struct command_node *n, struct mu_err *err)
{
    const struct text_rule rules[] = {
        { "the node name", n->name, MU_NODE_NAME_MAX },
        { "the node id", n->id, MU_NAME_MAX },
        { "the node address", n->address, MU_NAME_MAX },
    };
    enum mu_code rc = check_texts(rules, MU_LEN(rules), err);

    if (rc == MU_OK) {
        rc = check_pairs("tagged addresses of the node", &n->tagged_addresses, err);
    }
    if (rc == MU_OK) {
        rc = check_pairs("metadata of the node", &n->meta, err);
    }
    return rc;
}

static enum mu_code check_addresses(const struct command_service *s, struct mu_err *err)
{
    static const char what[] = "tagged addresses of the service";
    enum mu_code rc = check_count(what, s->tagged_addresses_count, err);

    for (size_t i = 0; rc == MU_OK && i < s->tagged_addresses_count; i++) {
        const struct text_rule rules[] = {
            { what, s->tagged_addresses[i].name, MU_NAME_MAX },
            { what, s->tagged_addresses[i].address, MU_NAME_MAX },
        };

        rc = check_texts(rules, MU_LEN(rules), err);
    }
    return rc;
}

static enum mu_code check_service(const struct command_service *s, struct mu_err *err)
{
    const struct text_rule rules[] = {
        { "the service id", s->id, MU_NAME_MAX },
        { "the service name", s->name, MU_NAME_MAX },
        { "the service kind", s->kind, MU_NAME_MAX },
        { "the service address", s->address, MU_NAME_MAX },
        { "the service proxy", s->proxy, MU_COMMAND_BYTES_MAX },
        { "the service connect", s->connect, MU_COMMAND_BYTES_MAX },
    };
    enum mu_code rc = check_texts(rules, MU_LEN(rules), err);

    if (rc == MU_OK) {
        rc = check_count("tags of the service", s->tags.count, err);
    }
    for (size_t i = 0; rc == MU_OK && i < s->tags.count; i++) {
        /* Long ones are in use: some proxies keep whole rules in tags. */
        rc = check_texts(
            &(struct text_rule){ "a service tag", s->tags.items[i], MU_COMMAND_BYTES_MAX }, 1, err);
    }
    if (rc == MU_OK) {
        rc = check_addresses(s, err);
    }
    if (rc == MU_OK) {
        rc = check_pairs("metadata of the service", &s->meta, err);
    }
    return rc;
}

static enum mu_code check_check(const struct command_check *c, struct mu_err *err)
{
    const struct text_rule rules[] = {
        { "the check id", c->id, MU_NAME_MAX },
        { "the check name", c->name, MU_NAME_MAX },
        { "the check status", c->status, MU_NAME_MAX },
        { "the check type", c->type, MU_NAME_MAX },
        { "the service id of the check", c->service_id, MU_NAME_MAX },
        { "the check notes", c->notes, MU_COMMAND_BYTES_MAX },
        { "the check definition", c->definition, MU_COMMAND_BYTES_MAX },
    };

    return check_texts(rules, MU_LEN(rules), err); /* output: any bytes a program printed */
}

enum mu_code command__check_register(const struct command *c, struct mu_err *err)
{
    const struct command_register *reg = &c->reg;
    enum mu_code rc = check_node(&reg->node, err);

    if (rc == MU_OK && reg->has_service) {
        rc = check_service(&reg->service, err);
    }
    if (rc == MU_OK) {
        rc = check_count("checks", reg->checks_count, err);
    }
    for (size_t i = 0; rc == MU_OK && i < reg->checks_count; i++) {
        rc = check_check(&reg->checks[i], err);
    }
    return rc;
}

enum mu_code command__check_deregister(const struct command *c, struct mu_err *err)
{
    const struct text_rule rules[] = {
        { "the node name", c->dereg.node, MU_NODE_NAME_MAX },
        { "the service id", c->dereg.service_id, MU_NAME_MAX },
        { "the check id", c->dereg.check_id, MU_NAME_MAX },
    };

    return check_texts(rules, MU_LEN(rules), err);
}

static enum mu_code check_key(struct mu_span key, struct mu_err *err)
{
    if (key.bytes > MU_KV_KEY_MAX) {
        return mu_fail(err, MU_INVALID, "the key has %zu bytes, at most %d are allowed", key.bytes,
                       MU_KV_KEY_MAX);
    }
    return MU_OK;
}

enum mu_code command__check_kv_set(const struct command *c, struct mu_err *err)
{
    return check_key(c->kv_set.key, err);
}

enum mu_code command__check_kv_delete(const struct command *c, struct mu_err *err)
{
    return check_key(c->kv_delete.key, err);
}

enum mu_code command__check_autopilot(const struct command *c, struct mu_err *err)
{
    const struct command_autopilot *a = &c->autopilot;
    const struct text_rule rules[] = {
        { "the tag of redundancy zones", a->redundancy_zone_tag, MU_NAME_MAX },
        { "the tag of upgrade versions", a->upgrade_version_tag, MU_NAME_MAX },
    };
    const uint64_t numbers[] = { a->last_contact_ns, a->stabilization_ns, a->max_trailing_logs,
                                 a->min_quorum };

    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        if (numbers[i] > INT64_MAX) {
            return mu_fail(err, MU_INVALID, "%llu is too large for autopilot",
                           (unsigned long long)numbers[i]);
        }
    }
    return check_texts(rules, MU_LEN(rules), err);
}

enum mu_code command__check_coordinates(const struct command *c, struct mu_err *err)
{
    const struct command_coordinates *all = &c->coordinates;

    if (all->count > MU_COORDINATES_MAX) {
        return mu_fail(err, MU_INVALID, "%zu coordinates, at most %d are allowed", all->count,
                       MU_COORDINATES_MAX);
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct text_rule rule = { "the node name", all->items[i].node, MU_NODE_NAME_MAX };

        if (!coordinate_is_valid(&all->items[i].at)) {
            return mu_fail(err, MU_INVALID, "invalid coordinate");
        }
        if (check_texts(&rule, 1, err) != MU_OK) {
            return MU_INVALID;
        }
    }
    return MU_OK;
}

enum mu_code command__check_kv_lock(const struct command *c, struct mu_err *err)
{
    return check_key(c->kv_lock.key, err);
}

enum mu_code command__check_kv_compact(const struct command *c, struct mu_err *err)
{
    const struct command_kv_compact *compact = &c->kv_compact;

    if (compact->rows == 0 || compact->rows > MU_COMPACT_ROWS_MAX) {
        return mu_fail(err, MU_INVALID, "%u rows in one step, 1..%d are allowed", compact->rows,
                       MU_COMPACT_ROWS_MAX);
    }
    if (compact->versions_rev >= REVISION_MAX || compact->markers_rev >= REVISION_MAX) {
        return mu_fail(err, MU_INVALID, "a revision is outside of 43 bits");
    }
    return MU_OK;
}

static enum mu_code check_on_key(const struct command_txn_op *op, struct mu_err *err)
{
    const struct text_rule session = { "the session of an operation", op->session, MU_NAME_MAX };
    enum mu_code rc = check_key(op->key, err);

    return rc == MU_OK ? check_texts(&session, 1, err) : rc;
}

/* What is given is what the verb is about: unpacking and the door see to that. */
static enum mu_code check_on_catalog(const struct command_txn_op *op, size_t *items,
                                     struct mu_err *err)
{
    const struct text_rule node = { "the node name", op->key, MU_NODE_NAME_MAX };
    enum mu_code rc = check_texts(&node, 1, err);

    if (rc == MU_OK && op->node != NULL) {
        rc = check_node(op->node, err);
        *items += op->node->tagged_addresses.count + op->node->meta.count;
    }
    if (rc == MU_OK && op->service != NULL) {
        rc = check_service(op->service, err);
        *items +=
            op->service->tags.count + op->service->meta.count + op->service->tagged_addresses_count;
    }
    return rc == MU_OK && op->check != NULL ? check_check(op->check, err) : rc;
}

static enum mu_code check_txn(const struct command_txn *txn, enum command_txn_verb verb_max,
                              struct mu_err *err)
{
    enum mu_code rc = MU_OK;
    size_t items = 0;

    if (txn->ops_count > MU_TXN_OPS_MAX) {
        return mu_fail(err, MU_INVALID, "%zu operations, at most %d are allowed", txn->ops_count,
                       MU_TXN_OPS_MAX);
    }
    for (size_t i = 0; rc == MU_OK && i < txn->ops_count; i++) {
        const struct command_txn_op *op = &txn->ops[i];

        MU_ASSERT(op->verb <= verb_max);
        rc = command_txn_on(op->verb) == COMMAND_TXN_ON_KEY ? check_on_key(op, err)
                                                            : check_on_catalog(op, &items, err);
    }
    if (rc == MU_OK && items > MU_TXN_ITEMS_MAX) {
        rc =
            mu_fail(err, MU_INVALID, "%zu items in lists of its operations, at most %d are allowed",
                    items, MU_TXN_ITEMS_MAX);
    }
    return rc;
}

enum mu_code command__check_txn(const struct command *c, struct mu_err *err)
{
    return check_txn(&c->txn, COMMAND_TXN_DELETE_CAS, err);
}

enum mu_code command__check_txn_catalog(const struct command *c, struct mu_err *err)
{
    return check_txn(&c->txn, COMMAND_TXN_CHECK_DELETE_CAS, err);
}

enum mu_code command__check_session_create(const struct command *c, struct mu_err *err)
{
    const struct command_session *s = &c->session;
    const struct text_rule rules[] = {
        { "the session name", s->name, MU_NAME_MAX },
        { "the node name", s->node, MU_NODE_NAME_MAX },
        { "the session behavior", s->behavior, MU_NAME_MAX },
        { "the session TTL", s->ttl, MU_NAME_MAX },
    };
    enum mu_code rc = check_texts(rules, MU_LEN(rules), err);

    if (rc == MU_OK && s->lock_delay_ns > INT64_MAX) {
        rc = mu_fail(err, MU_INVALID, "the lock delay does not fit into 63 bits");
    }
    if (rc == MU_OK) {
        rc = check_count("checks of the session", s->node_checks.count, err);
    }
    for (size_t i = 0; rc == MU_OK && i < s->node_checks.count; i++) {
        rc = check_texts(
            &(struct text_rule){ "a check of the session", s->node_checks.items[i], MU_NAME_MAX },
            1, err);
    }
    if (rc == MU_OK) {
        rc = check_pairs("service checks of the session", &s->service_checks, err);
    }
    return rc;
}

enum mu_code command__check_session_destroy(const struct command *c, struct mu_err *err)
{
    (void)c;
    (void)err;
    return MU_OK; /* an id of any 16 bytes */
}

enum mu_code command__check_stage(const struct command *c, struct mu_err *err)
{
    const struct command_stage *s = &c->stage;

    if (s->data.bytes > MU_STAGE_BYTES_MAX) {
        return mu_fail(err, MU_INVALID, "a part of %zu bytes, at most %u are allowed",
                       s->data.bytes, MU_STAGE_BYTES_MAX);
    }
    if (s->data.bytes == 0 && s->offset > 0) {
        return mu_fail(err, MU_INVALID, "a part without data");
    }
    return s->offset <= MU_RESTORE_BYTES_MAX - s->data.bytes
               ? MU_OK
               : mu_fail(err, MU_INVALID, "a part beyond the largest size of a state");
}

enum mu_code command__check_restore(const struct command *c, struct mu_err *err)
{
    return c->restore.bytes > 0 && c->restore.bytes <= MU_RESTORE_BYTES_MAX
               ? MU_OK
               : mu_fail(err, MU_INVALID, "no size that a state can have: %llu bytes",
                         (unsigned long long)c->restore.bytes);
}
