#include "objects.h"

/* -- parts ------------------------------------------------------------------------------------- */

void objects_texts(struct mu_json_out *o, const char *name, const struct mu_texts *t)
{
    mu_json_key(o, name);
    mu_json_open(o, '[');
    for (size_t i = 0; i < t->count; i++) {
        mu_json_put_span(o, t->items[i]);
    }
    mu_json_close(o, ']');
}

void objects_pairs(struct mu_json_out *o, const char *name, const struct mu_pairs *p)
{
    mu_json_key(o, name);
    mu_json_open(o, '{');
    for (size_t i = 0; i < p->count; i++) {
        mu_json_key_span(o, p->items[i].key);
        mu_json_put_span(o, p->items[i].value);
    }
    mu_json_close(o, '}');
}

static void pairs_or_null(struct mu_json_out *o, const char *name, const struct mu_pairs *p,
                          bool has)
{
    if (has) {
        objects_pairs(o, name, p);
    } else {
        mu_json_nothing(o, name);
    }
}

static void tagged_one(struct mu_json_out *o, struct mu_span name, struct mu_span address,
                       int64_t port)
{
    mu_json_key_span(o, name);
    mu_json_open(o, '{');
    mu_json_span(o, "Address", address);
    mu_json_i64(o, "Port", port);
    mu_json_close(o, '}');
}

/* Left out when there are none. */
static void tagged(struct mu_json_out *o, const char *name, const struct catalog_service *s)
{
    if (s->tagged_addresses_count == 0) {
        return;
    }
    mu_json_key(o, name);
    mu_json_open(o, '{');
    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        const struct catalog_tagged *t = &s->tagged_addresses[i];

        tagged_one(o, t->name, t->address, t->port);
    }
    mu_json_close(o, '}');
}

static void weights(struct mu_json_out *o, const char *name, int64_t passing, int64_t warning)
{
    mu_json_key(o, name);
    mu_json_open(o, '{');
    mu_json_i64(o, "Passing", passing);
    mu_json_i64(o, "Warning", warning);
    mu_json_close(o, '}');
}

/* What a service that is no proxy shows as its proxy. */
static void proxy(struct mu_json_out *o, const char *name, struct mu_span json)
{
    mu_json_key(o, name);
    if (json.bytes > 0) {
        mu_json_put_raw(o, json);
        return;
    }
    mu_json_open(o, '{');
    mu_json_key(o, "MeshGateway");
    mu_json_open(o, '{');
    mu_json_close(o, '}');
    mu_json_key(o, "Expose");
    mu_json_open(o, '{');
    mu_json_close(o, '}');
    mu_json_close(o, '}');
}

static void raw_or_empty(struct mu_json_out *o, const char *name, struct mu_span json)
{
    mu_json_key(o, name);
    if (json.bytes > 0) {
        mu_json_put_raw(o, json);
        return;
    }
    mu_json_open(o, '{');
    mu_json_close(o, '}');
}

static void indexes(struct mu_json_out *o, uint64_t create_index, uint64_t modify_index)
{
    mu_json_u64(o, "CreateIndex", create_index);
    mu_json_u64(o, "ModifyIndex", modify_index);
}

/* -- catalog ----------------------------------------------------------------------------------- */

static void node_head(struct mu_json_out *o, const struct catalog_node *n, const char *datacenter)
{
    mu_json_span(o, "ID", n->id);
    mu_json_span(o, "Node", n->name);
    mu_json_span(o, "Address", n->address);
    mu_json_text(o, "Datacenter", datacenter);
    pairs_or_null(o, "TaggedAddresses", &n->tagged_addresses, n->has_tagged_addresses);
}

void objects_node(struct mu_json_out *o, const struct catalog_node *n, const char *datacenter)
{
    mu_json_open(o, '{');
    node_head(o, n, datacenter);
    pairs_or_null(o, "Meta", &n->meta, n->has_meta);
    indexes(o, n->create_index, n->modify_index);
    mu_json_close(o, '}');
}

void objects_service_node(struct mu_json_out *o, const struct catalog_instance *i,
                          const char *datacenter)
{
    const struct catalog_service *s = &i->service;

    mu_json_open(o, '{');
    node_head(o, i->node, datacenter);
    pairs_or_null(o, "NodeMeta", &i->node->meta, i->node->has_meta);
    mu_json_span(o, "ServiceKind", s->kind);
    mu_json_span(o, "ServiceID", s->id);
    mu_json_span(o, "ServiceName", s->name);
    objects_texts(o, "ServiceTags", &s->tags);
    mu_json_span(o, "ServiceAddress", s->address);
    tagged(o, "ServiceTaggedAddresses", s);
    weights(o, "ServiceWeights", s->weight_passing, s->weight_warning);
    objects_pairs(o, "ServiceMeta", &s->meta);
    mu_json_u64(o, "ServicePort", s->port);
    mu_json_boolean(o, "ServiceEnableTagOverride", s->enable_tag_override);
    proxy(o, "ServiceProxy", s->proxy);
    raw_or_empty(o, "ServiceConnect", s->connect);
    indexes(o, s->create_index, s->modify_index);
    mu_json_close(o, '}');
}

static void node_service(struct mu_json_out *o, const struct catalog_service *s, bool has_tags)
{
    mu_json_open(o, '{');
    if (s->kind.bytes > 0) {
        mu_json_span(o, "Kind", s->kind);
    }
    mu_json_span(o, "ID", s->id);
    mu_json_span(o, "Service", s->name);
    if (has_tags) {
        objects_texts(o, "Tags", &s->tags);
    } else {
        mu_json_nothing(o, "Tags");
    }
    mu_json_span(o, "Address", s->address);
    tagged(o, "TaggedAddresses", s);
    pairs_or_null(o, "Meta", &s->meta, s->has_meta);
    mu_json_u64(o, "Port", s->port);
    weights(o, "Weights", s->weight_passing, s->weight_warning);
    mu_json_boolean(o, "EnableTagOverride", s->enable_tag_override);
    proxy(o, "Proxy", s->proxy);
    raw_or_empty(o, "Connect", s->connect);
    indexes(o, s->create_index, s->modify_index);
    mu_json_close(o, '}');
}

void objects_node_service(struct mu_json_out *o, const struct catalog_service *s)
{
    node_service(o, s, true);
}

void objects_txn_service(struct mu_json_out *o, const struct catalog_service *s)
{
    node_service(o, s, s->tags.count > 0);
}

void objects_check(struct mu_json_out *o, const struct catalog_check *c)
{
    mu_json_open(o, '{');
    mu_json_span(o, "Node", c->node);
    mu_json_span(o, "CheckID", c->id);
    mu_json_span(o, "Name", c->name);
    mu_json_span(o, "Status", c->status);
    mu_json_span(o, "Notes", c->notes);
    mu_json_span(o, "Output", c->output);
    mu_json_span(o, "ServiceID", c->service_id);
    mu_json_span(o, "ServiceName", c->service_name);
    objects_texts(o, "ServiceTags", &c->service_tags);
    mu_json_span(o, "Type", c->type);
    raw_or_empty(o, "Definition", c->definition);
    indexes(o, c->create_index, c->modify_index);
    mu_json_close(o, '}');
}

void objects_health_entry(struct mu_json_out *o, const struct catalog_instance *i,
                          const char *datacenter)
{
    mu_json_open(o, '{');
    mu_json_key(o, "Node");
    objects_node(o, i->node, datacenter);
    mu_json_key(o, "Service");
    objects_node_service(o, &i->service);
    mu_json_key(o, "Checks");
    mu_json_open(o, '[');
    for (size_t k = 0; k < i->checks_count; k++) {
        objects_check(o, &i->checks[k]);
    }
    mu_json_close(o, ']');
    mu_json_close(o, '}');
}

void objects_id(struct mu_json_out *o, const char *name, const struct mu_id *id)
{
    char text[MU_ID_TEXT_BYTES + 1] = "";

    if (!mu_id_is_none(id)) {
        mu_id_text(id, text);
    }
    mu_json_text(o, name, text);
}

void objects_session(struct mu_json_out *o, const struct catalog_session *s)
{
    mu_json_open(o, '{');
    objects_id(o, "ID", &s->id);
    mu_json_span(o, "Name", s->name);
    mu_json_span(o, "Node", s->node);
    mu_json_u64(o, "LockDelay", s->lock_delay_ns);
    mu_json_span(o, "Behavior", s->behavior);
    mu_json_span(o, "TTL", s->ttl);
    objects_texts(o, "NodeChecks", &s->node_checks);
    mu_json_key(o, "ServiceChecks");
    if (s->has_service_checks) {
        mu_json_open(o, '[');
        for (size_t i = 0; i < s->service_checks.count; i++) {
            mu_json_open(o, '{');
            mu_json_span(o, "ID", s->service_checks.items[i].key);
            mu_json_span(o, "Namespace", s->service_checks.items[i].value);
            mu_json_close(o, '}');
        }
        mu_json_close(o, ']');
    } else {
        mu_json_put_null(o);
    }
    indexes(o, s->create_index, s->modify_index);
    mu_json_close(o, '}');
}

void objects_kv(struct mu_json_out *o, const struct catalog_kv *kv)
{
    mu_json_open(o, '{');
    mu_json_u64(o, "LockIndex", kv->lock_index);
    mu_json_span(o, "Key", kv->key);
    mu_json_u64(o, "Flags", kv->flags);
    mu_json_key(o, "Value");
    if (kv->value.bytes > 0) {
        mu_json_put_base64(o, kv->value);
    } else {
        mu_json_put_null(o);
    }
    if (kv->session.bytes > 0) {
        mu_json_span(o, "Session", kv->session);
    }
    indexes(o, kv->create_index, kv->modify_index);
    mu_json_close(o, '}');
}

/* -- the agent --------------------------------------------------------------------------------- */

static void definition_tagged(struct mu_json_out *o, const struct service_definition *d)
{
    if (d->tagged_addresses_count == 0) {
        return;
    }
    mu_json_key(o, "TaggedAddresses");
    mu_json_open(o, '{');
    for (size_t i = 0; i < d->tagged_addresses_count; i++) {
        const struct service_tagged_definition *t = &d->tagged_addresses[i];

        tagged_one(o, t->name, t->address, t->port);
    }
    mu_json_close(o, '}');
}

void objects_agent_service(struct mu_json_out *o, const struct service_definition *d,
                           const char *datacenter, const char *hash)
{
    mu_json_open(o, '{');
    if (d->kind.bytes > 0) {
        mu_json_span(o, "Kind", d->kind);
    }
    mu_json_span(o, "ID", d->id);
    mu_json_span(o, "Service", d->name);
    objects_texts(o, "Tags", &d->tags);
    objects_pairs(o, "Meta", &d->meta);
    mu_json_i64(o, "Port", d->port);
    mu_json_span(o, "Address", d->address);
    definition_tagged(o, d);
    weights(o, "Weights", d->weight_passing, d->weight_warning);
    mu_json_boolean(o, "EnableTagOverride", d->enable_tag_override);
    if (hash != NULL) {
        mu_json_text(o, "ContentHash", hash);
    }
    if (d->kind.bytes > 0 && d->proxy.bytes > 0) {
        mu_json_key(o, "Proxy");
        mu_json_put_raw(o, d->proxy);
    }
    if (d->connect.bytes > 0) {
        mu_json_key(o, "Connect");
        mu_json_put_raw(o, d->connect);
    }
    mu_json_text(o, "Datacenter", datacenter);
    mu_json_close(o, '}');
}

static void agent_check_head(struct mu_json_out *o, const struct local_check *c, const char *node)
{
    mu_json_text(o, "Node", node);
    mu_json_text(o, "CheckID", c->id);
    mu_json_span(o, "Name", c->definition->name);
    mu_json_text(o, "Status", check_status_text(c->status));
    mu_json_span(o, "Notes", c->definition->notes);
    mu_json_span(o, "Output", c->output);
    mu_json_span(o, "ServiceID", c->definition->service_id);
    mu_json_span(o, "ServiceName", c->service_name);
}

void objects_agent_check(struct mu_json_out *o, const struct local_check *c, const char *node)
{
    static const struct mu_texts none = { NULL, 0 };

    mu_json_open(o, '{');
    agent_check_head(o, c, node);
    objects_texts(o, "ServiceTags", c->service_tags != NULL ? c->service_tags : &none);
    mu_json_text(o, "Type", c->type);
    raw_or_empty(o, "Definition", MU_SPAN_NONE);
    indexes(o, 0, 0);
    mu_json_close(o, '}');
}

/* The definition as agent/health shows it: every member spelled out, none filled in. */
static void zero_definition(struct mu_json_out *o)
{
    mu_json_key(o, "Definition");
    mu_json_open(o, '{');
    mu_json_text(o, "Interval", "0s");
    mu_json_text(o, "Timeout", "0s");
    mu_json_text(o, "DeregisterCriticalServiceAfter", "0s");
    mu_json_text(o, "HTTP", "");
    mu_json_nothing(o, "Header");
    mu_json_text(o, "Method", "");
    mu_json_text(o, "Body", "");
    mu_json_boolean(o, "TLSSkipVerify", false);
    mu_json_text(o, "TCP", "");
    mu_json_close(o, '}');
}

void objects_health_check(struct mu_json_out *o, const struct local_check *c, const char *node)
{
    mu_json_open(o, '{');
    agent_check_head(o, c, node);
    if (c->service_tags != NULL && c->service_tags->count > 0) {
        objects_texts(o, "ServiceTags", c->service_tags);
    } else {
        mu_json_nothing(o, "ServiceTags");
    }
    mu_json_text(o, "Type", "");
    zero_definition(o);
    indexes(o, 0, 0);
    mu_json_close(o, '}');
}

void objects_member(struct mu_json_out *o, const struct agent_member *m)
{
    static const char *const versions[] = { "ProtocolMin", "ProtocolMax", "ProtocolCur",
                                            "DelegateMin", "DelegateMax", "DelegateCur" };
    char address[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(&m->addr, address);
    mu_json_open(o, '{');
    mu_json_text(o, "Name", m->name);
    mu_json_text(o, "Addr", address);
    mu_json_u64(o, "Port", m->addr.port);
    objects_pairs(o, "Tags", &m->tags);
    mu_json_i64(o, "Status", m->status);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        mu_json_u64(o, versions[i], m->versions[i]);
    }
    if (m->degraded != NULL) { /* Consul has no such member, and clients pass over it */
        mu_json_text(o, "Degraded", m->degraded);
    }
    mu_json_close(o, '}');
}
