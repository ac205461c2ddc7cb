/* address.c - which nodes and instances have which addresses beside the one that they are
 * registered with: those that are tagged. A host has one of each family, and reverse lookups ask
 * for either.
 *
 *   node n1, 10.1.0.1, tagged lan_ipv4 10.1.0.1, lan_ipv6 2001:db8::11, wan 203.0.113.5
 *     -> addresses (2001:db8::11, n1, ""), (203.0.113.5, n1, "")
 *
 * The table follows from the rows of nodes and services and is kept with every write of one, in its
 * transaction. It is no part of the replicated state: neither its hash nor its stream know it, so
 * that servers of which one has it and another does not yet are equal still.
 */
#include "address.h"

#include "base/addr.h"
#include "base/assert.h"

/* Where a row has what counts here, and how many texts a tagged address is packed into. */
struct shape {
    size_t ip, tagged, texts;
    struct row_value node, key;
};

static struct shape shape_of(enum row_table table, const struct row *row)
{
    if (table == ROW_NODES) {
        return (struct shape){ NODE_IP, NODE_TAGGED, 2, row->v[NODE_KEY], row_bytes(MU_SPAN_NONE) };
    }
    MU_ASSERT(table == ROW_SERVICES);
    return (struct shape){ SERVICE_IP, SERVICE_TAGGED, 3, row->v[SERVICE_NODE],
                           row->v[SERVICE_KEY] };
}

static enum mu_code run(struct rows *r, sqlite3_stmt *s, struct mu_span ip,
                        const struct shape *shape, struct mu_err *err)
{
    bind_bytes(s, 1, ip);
    bind_bytes(s, 2, shape->node.bytes);
    bind_bytes(s, 3, shape->key.bytes);
    return catalog__run(r->db, s, err);
}

/* For each tagged address of the row that is not the registered one; several tags may name one. */
static enum mu_code each(struct rows *r, enum row_table table, const struct row *row,
                         sqlite3_stmt *s, struct mu_err *err)
{
    struct shape shape = shape_of(table, row);
    struct mu_span packed = row->v[shape.tagged].bytes;
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && packed.bytes > 0) {
        struct mu_addr a;

        (void)mu_span_split(packed, '\0', &packed, NULL); /* the tag */
        bool is_ip = mu_addr_parse_ip(mu_span_split(packed, '\0', &packed, NULL), &a);

        if (shape.texts == 3) {
            (void)mu_span_split(packed, '\0', &packed, NULL); /* the port */
        }
        if (is_ip && !mu_addr_is_any(&a) &&
            !mu_span_eq(row->v[shape.ip].bytes, mu_span_of(a.ip, a.ip_bytes))) {
            rc = run(r, s, mu_span_of(a.ip, a.ip_bytes), &shape, err);
        }
    }
    return rc;
}

static bool is_same(enum row_table table, const struct row *a, const struct row *b)
{
    struct shape s = shape_of(table, a);

    return mu_span_eq(a->v[s.tagged].bytes, b->v[s.tagged].bytes) &&
           mu_span_eq(a->v[s.ip].bytes, b->v[s.ip].bytes);
}

enum mu_code catalog__addresses_follow(struct rows *r, enum row_table table, const struct row *old,
                                       const struct row *new_row, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if ((table != ROW_NODES && table != ROW_SERVICES) ||
        (old != NULL && new_row != NULL && is_same(table, old, new_row))) {
        return MU_OK;
    }
    if (old != NULL) {
        rc = each(r, table, old, r->address_remove, err);
    }
    return rc == MU_OK && new_row != NULL ? each(r, table, new_row, r->address_add, err) : rc;
}

enum mu_code catalog__addresses_init(struct rows *r, struct mu_err *err)
{
    enum mu_code rc = catalog__prepare(
        r->db, "INSERT OR IGNORE INTO addresses(ip, node, service) VALUES(?, ?, ?)",
        &r->address_add, err);

    return rc == MU_OK
               ? catalog__prepare(r->db,
                                  "DELETE FROM addresses WHERE ip = ? AND node = ? AND service = ?",
                                  &r->address_remove, err)
               : rc;
}

void catalog__addresses_deinit(struct rows *r)
{
    (void)sqlite3_finalize(r->address_add);
    (void)sqlite3_finalize(r->address_remove);
}

enum mu_code catalog__addresses_clear(const struct connection *db, enum row_table table,
                                      struct mu_err *err)
{
    return table == ROW_NODES ? catalog__exec(db, "DELETE FROM addresses WHERE service = x''", err)
           : table == ROW_SERVICES
               ? catalog__exec(db, "DELETE FROM addresses WHERE service <> x''", err)
               : MU_OK;
}

static enum mu_code fill_from(struct rows *r, enum row_table table, struct mu_arena *arena,
                              struct mu_err *err)
{
    struct row row = { .v = { { 0 } } };
    sqlite3_stmt *s = NULL;
    bool has_row = false;
    enum mu_code rc = catalog__rows_all(r->db, table, &s, err);

    while (rc == MU_OK && (rc = catalog__step(r->db, s, &has_row, err)) == MU_OK && has_row) {
        catalog__row_read(s, table, arena, &row);
        rc = catalog__addresses_follow(r, table, NULL, &row, err);
        mu_arena_reset(arena);
    }
    (void)sqlite3_finalize(s);
    return rc;
}

enum mu_code catalog__addresses_fill(struct rows *r, struct mu_err *err)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = fill_from(r, ROW_NODES, &arena, err);

    rc = rc == MU_OK ? fill_from(r, ROW_SERVICES, &arena, err) : rc;
    mu_arena_deinit(&arena);
    return rc;
}
