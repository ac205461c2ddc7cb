/* register.c - REGISTER and DEREGISTER: judge everything, then write everything.
 *
 * A registration holds a node, maybe a service, maybe checks, and is carried out whole or refused
 * whole, in the words of spec/http-api.md 4. It updates only what it contains, and what is already
 * so stays untouched: identical data moves no index.
 *
 * Names and ids of nodes (spec/agent-behaviour.md 8). An id is the machine, a name is what people
 * call it. A machine may take another name once its old one is known to be dead (serfHealth is
 * critical, or it never had one): the old record goes with all that was on it. And it may take a
 * name that another machine holds under the same condition. Otherwise two living machines would
 * overwrite each other's record in turns.
 */
#include "core.h"

#include <ctype.h>
#include <stdarg.h>

#include "base/addr.h"
#include "base/id.h"
#include "base/mem.h"

#define SERF_HEALTH "serfhealth" /* the id of gossip's check, folded */

/* What a registration is going to do with the node's record. */
struct plan {
    const struct command_register *reg;
    const char *doing; /* what it is that a refusal stops, in front of its words */
    struct row row;    /* the record as it will be; its key is the node's */
    bool writes_node;
    bool has_stored;
    struct row stored; /* what lies under the node's name now */
    bool is_rename;
    struct row renamed; /* the record of the same id under another name: it goes */
};

/* -- judging words ----------------------------------------------------------------------------- */

/* Go's texts for a UUID that is none, as clients know them. */
static void refuse_uuid(struct catalog_result *result, struct mu_span id)
{
    static const size_t dashes[] = { 8, 13, 18, 23 };
    const char *text = (const char *)id.data;

    if (id.bytes != MU_ID_TEXT_BYTES) {
        catalog__refuse(result, MU_INVALID, "Bad node ID: uuid string is wrong length");
        return;
    }
    for (size_t i = 0; i < MU_LEN(dashes); i++) {
        if (text[dashes[i]] != '-') {
            catalog__refuse(result, MU_INVALID, "Bad node ID: uuid is improperly formatted");
            return;
        }
    }
    for (size_t i = 0; i < id.bytes; i++) {
        if (!isxdigit(id.data[i]) && text[i] != '-') {
            catalog__refuse(result, MU_INVALID,
                            "Bad node ID: encoding/hex: invalid byte: U+%04X '%c'", id.data[i],
                            isprint(id.data[i]) ? text[i] : '?');
            return;
        }
    }
    catalog__refuse(result, MU_INVALID, "Bad node ID: uuid is improperly formatted");
}

void catalog__judge_service(const struct command_service *s, struct catalog_result *result)
{
    struct mu_addr address;

    if (s->name.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Must provide service name with ID");
    } else if (mu_addr_parse_ip(s->address, &address) && mu_addr_is_any(&address)) {
        catalog__refuse(result, MU_INVALID, "Invalid service address");
    }
}

void catalog__judge_node_words(const struct command_node *node, struct catalog_result *result)
{
    struct mu_id id;

    if (node->name.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Must provide node");
    } else if (node->id.bytes > 0 && !mu_id_parse(node->id, &id)) {
        refuse_uuid(result, node->id);
    }
}

static void judge_words(const struct command_register *reg, struct catalog_result *result)
{
    catalog__judge_node_words(&reg->node, result);
    if (result->code != MU_OK) {
        return;
    }
    if (reg->node.address.bytes == 0 && !reg->skip_node_update) {
        catalog__refuse(result, MU_INVALID, "Must provide address if SkipNodeUpdate is not set");
    } else if (reg->has_service) {
        catalog__judge_service(&reg->service, result);
    }
    for (size_t i = 0; result->code == MU_OK && i < reg->checks_count; i++) {
        if (reg->checks[i].id.bytes == 0 && reg->checks[i].name.bytes == 0) {
            catalog__refuse(result, MU_INVALID, "Must provide a check ID or name");
        }
    }
}

/* -- judging the node against the rows --------------------------------------------------------- */

static void refuse_holder(struct catalog_result *result, const struct plan *p,
                          const struct row *holder)
{
    const struct command_node *node = &p->reg->node;
    const struct row_value *v = holder->v;

    catalog__refuse(result, MU_CONFLICT,
                    "%sError while renaming Node ID: \"%.*s\": Node name %.*s "
                    "is reserved by node %.*s with name %.*s (%.*s)",
                    p->doing, MU_SPAN_FMT(node->id), MU_SPAN_FMT(node->name),
                    MU_SPAN_FMT(v[NODE_ID].bytes), MU_SPAN_FMT(v[NODE_NAME].bytes),
                    MU_SPAN_FMT(v[NODE_ADDRESS].bytes));
}

/* Refuse unless the holder is known to be dead, or gossip never knew it. */
static enum mu_code judge_holder(struct catalog *c, const struct plan *p, const struct row *holder,
                                 struct catalog_result *result, struct mu_err *err)
{
    struct row check;
    bool found = false;
    enum mu_code rc = catalog__check_find(c, holder->v[NODE_KEY].bytes, MU_SPAN_LIT(SERF_HEALTH),
                                          &check, &found, err);

    if (rc == MU_OK && found && !mu_span_eq_text(check.v[CHECK_STATUS].bytes, "critical")) {
        refuse_holder(result, p, holder);
    }
    return rc;
}

/* The node has an id: whose record is it, and who else is in the way? */
static enum mu_code judge_id(struct catalog *c, struct plan *p, struct catalog_result *result,
                             struct mu_err *err)
{
    struct mu_span uuid = p->row.v[NODE_UUID].bytes;
    bool name_is_of_another = p->has_stored && !mu_span_eq(p->stored.v[NODE_UUID].bytes, uuid);
    struct row same_id;
    bool found = false;
    enum mu_code rc = catalog__node_find_uuid(c, uuid, &same_id, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (found && !mu_span_eq(same_id.v[NODE_KEY].bytes, p->row.v[NODE_KEY].bytes)) {
        p->is_rename = true;
        p->renamed = same_id;
        rc = judge_holder(c, p, &same_id, result, err);
    }
    /* A record without an id may be completed by the first machine of that name. */
    bool may_complete = !p->is_rename && p->stored.v[NODE_UUID].kind == ROW_NULL;

    if (rc == MU_OK && result->code == MU_OK && name_is_of_another && !may_complete) {
        rc = judge_holder(c, p, &p->stored, result, err);
    }
    return rc;
}

static enum mu_code judge_node(struct catalog *c, struct plan *p, struct catalog_result *result,
                               struct mu_err *err)
{
    catalog__node_row(c, &p->reg->node, &p->row);
    enum mu_code rc =
        catalog__node_find(c, p->row.v[NODE_KEY].bytes, &p->stored, &p->has_stored, err);

    if (rc != MU_OK) {
        return rc;
    }
    p->writes_node = !p->has_stored || (!p->reg->skip_node_update &&
                                        !catalog__row_same(&p->stored, &p->row, NODE_CREATED));
    return p->writes_node && p->reg->node.id.bytes > 0 ? judge_id(c, p, result, err) : MU_OK;
}

/* -- judging checks ---------------------------------------------------------------------------- */

static bool is_own_service(const struct command_register *reg, struct mu_span service_id)
{
    return reg->has_service && mu_span_eq_fold(catalog__service_id(&reg->service), service_id);
}

/* Each check's service is registered, or comes with this registration. */
static enum mu_code judge_checks(struct catalog *c, const struct plan *p,
                                 struct catalog_result *result, struct mu_err *err)
{
    const struct command_register *reg = p->reg;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && result->code == MU_OK && i < reg->checks_count; i++) {
        struct mu_span id = reg->checks[i].service_id;
        bool found = id.bytes == 0 || is_own_service(reg, id);
        struct row service;

        if (!found) {
            rc = catalog__service_find(c, p->row.v[NODE_KEY].bytes, catalog__fold(&c->arena, id),
                                       &service, &found, err);
        }
        if (rc == MU_OK && !found) {
            catalog__refuse(result, MU_NOT_FOUND,
                            "failed inserting check: Missing service registration on node \"%.*s\"",
                            MU_SPAN_FMT(reg->node.name));
        }
    }
    return rc;
}

/* -- writing ----------------------------------------------------------------------------------- */

static enum mu_code write_node(struct catalog *c, struct plan *p, struct mu_err *err)
{
    const struct row *before = p->is_rename ? &p->renamed : p->has_stored ? &p->stored : NULL;
    enum mu_code rc = MU_OK;

    p->row.v[NODE_CREATED] =
        before != NULL ? before->v[NODE_CREATED] : row_number(catalog__index(c));
    p->row.v[NODE_MODIFIED] = row_number(catalog__index(c));
    if (p->is_rename) {
        rc = catalog__node_remove(c, &p->renamed, err);
    }
    return rc == MU_OK ? catalog__node_put(c, p->has_stored ? &p->stored : NULL, &p->row, err) : rc;
}

static enum mu_code write_check(struct catalog *c, const struct plan *p,
                                const struct command_check *check, struct mu_err *err)
{
    struct mu_span node_key = p->row.v[NODE_KEY].bytes;
    struct row service;
    bool found = false;
    enum mu_code rc = MU_OK;

    if (check->service_id.bytes > 0) {
        rc = catalog__service_find(c, node_key, catalog__fold(&c->arena, check->service_id),
                                   &service, &found, err);
        MU_ASSERT(rc != MU_OK || found); /* judge_checks saw it */
    }
    return rc == MU_OK ? catalog__check_put(c, node_key, found ? &service : NULL, check, err) : rc;
}

static enum mu_code write_all(struct catalog *c, struct plan *p, struct mu_err *err)
{
    enum mu_code rc = p->writes_node ? write_node(c, p, err) : MU_OK;

    if (rc == MU_OK && p->reg->has_service) {
        rc = catalog__service_put(c, p->row.v[NODE_KEY].bytes, &p->reg->service, err);
    }
    for (size_t i = 0; rc == MU_OK && i < p->reg->checks_count; i++) {
        rc = write_check(c, p, &p->reg->checks[i], err);
    }
    return rc;
}

enum mu_code catalog__node_set(struct catalog *c, const struct command_node *node,
                               struct catalog_result *result, struct mu_err *err)
{
    const struct command_register reg = { .node = *node };
    struct plan p = { .reg = &reg, .doing = "" };
    enum mu_code rc = judge_node(c, &p, result, err);

    return rc == MU_OK && result->code == MU_OK && p.writes_node ? write_node(c, &p, err) : rc;
}

enum mu_code catalog__register(CATALOG_APPLY_ARGS)
{
    struct plan p = { .reg = &command->reg, .doing = "failed inserting node: " };

    judge_words(p.reg, result);
    if (result->code != MU_OK) {
        return MU_OK;
    }
    enum mu_code rc = judge_node(c, &p, result, err);

    if (rc == MU_OK && result->code == MU_OK) {
        rc = judge_checks(c, &p, result, err);
    }
    if (rc != MU_OK || result->code != MU_OK) {
        return rc;
    }
    result->did_apply = true;
    return write_all(c, &p, err);
}

/* -- DEREGISTER -------------------------------------------------------------------------------- */

static enum mu_code deregister_service(struct catalog *c, struct mu_span node_key,
                                       struct mu_span id, struct mu_err *err)
{
    struct row service;
    bool found = false;
    enum mu_code rc =
        catalog__service_find(c, node_key, catalog__fold(&c->arena, id), &service, &found, err);

    return rc == MU_OK && found ? catalog__service_remove(c, &service, err) : rc;
}

static enum mu_code deregister_check(struct catalog *c, struct mu_span node_key, struct mu_span id,
                                     struct mu_err *err)
{
    struct row check;
    bool found = false;
    enum mu_code rc =
        catalog__check_find(c, node_key, catalog__fold(&c->arena, id), &check, &found, err);

    return rc == MU_OK && found ? catalog__check_remove(c, &check, err) : rc;
}

static enum mu_code deregister_node(struct catalog *c, struct mu_span node_key, struct mu_err *err)
{
    struct row node;
    bool found = false;
    enum mu_code rc = catalog__node_find(c, node_key, &node, &found, err);

    return rc == MU_OK && found ? catalog__node_remove(c, &node, err) : rc;
}

/* What is not there is as good as removed. */
enum mu_code catalog__deregister(CATALOG_APPLY_ARGS)
{
    const struct command_deregister *dereg = &command->dereg;

    if (dereg->node.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Must provide node");
        return MU_OK;
    }
    struct mu_span node_key = catalog__fold(&c->arena, dereg->node);

    result->did_apply = true;
    if (dereg->service_id.bytes > 0) {
        return deregister_service(c, node_key, dereg->service_id, err);
    }
    return dereg->check_id.bytes > 0 ? deregister_check(c, node_key, dereg->check_id, err)
                                     : deregister_node(c, node_key, err);
}
