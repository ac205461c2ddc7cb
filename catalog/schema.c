/* schema.c - the versions of the layout, and the way from one to the next. */
#include "schema.h"

#include <stdio.h>

#include "address.h"
#include "base/buf.h"
#include "core.h"

#define APPLICATION_ID 0x6d757374 /* "must" */

/* -- the versions ------------------------------------------------------------------------------ */

/* Keys are explicit everywhere: no rowid of SQLite's choosing, so no reuse of one can differ
 * between servers. Only the history is a rowid table, under an id that we count: a put appends at
 * its right edge, and its rows may be large. Secondary indexes of tables WITHOUT ROWID end in the
 * table's key, so reads by them come in the order of nodes and ids.
 *
 * Columns of bytes have no type: what is bound comes back, nothing is converted. */
static const char first[] =
    "CREATE TABLE applied(one INTEGER PRIMARY KEY CHECK (one = 1), idx INTEGER NOT NULL,"
    " term INTEGER NOT NULL, stamp INTEGER NOT NULL, hash NOT NULL);"
    "CREATE TABLE idx(name PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE nodes(key PRIMARY KEY, name NOT NULL, id, uuid, address NOT NULL, ip, tagged,"
    " meta, created INTEGER NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX nodes_uuid ON nodes(uuid) WHERE uuid IS NOT NULL;"
    "CREATE INDEX nodes_ip ON nodes(ip) WHERE ip IS NOT NULL;"
    "CREATE TABLE services(node, key, name_key NOT NULL, id NOT NULL, name NOT NULL,"
    " kind NOT NULL, tags NOT NULL, address NOT NULL, ip, port INTEGER NOT NULL, tagged NOT NULL,"
    " meta, weight_passing INTEGER NOT NULL, weight_warning INTEGER NOT NULL,"
    " tag_override INTEGER NOT NULL, proxy NOT NULL, connect NOT NULL, created INTEGER NOT NULL,"
    " modified INTEGER NOT NULL, PRIMARY KEY(node, key)) WITHOUT ROWID;"
    "CREATE INDEX services_name ON services(name_key);"
    "CREATE INDEX services_ip ON services(ip) WHERE ip IS NOT NULL;"
    "CREATE TABLE checks(node, key, service_name_key NOT NULL, service_key NOT NULL,"
    " status NOT NULL, id NOT NULL, name NOT NULL, notes NOT NULL, output NOT NULL,"
    " service_id NOT NULL, service_name NOT NULL, service_tags NOT NULL, type NOT NULL,"
    " definition NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL,"
    " PRIMARY KEY(node, key)) WITHOUT ROWID;"
    "CREATE INDEX checks_service ON checks(service_name_key, node, service_key);"
    "CREATE INDEX checks_status ON checks(status);"
    "CREATE TABLE kv_hist_1(id INTEGER PRIMARY KEY, prev INTEGER NOT NULL, op INTEGER NOT NULL,"
    " create_rev INTEGER, version INTEGER, lease INTEGER, idx INTEGER NOT NULL, flags INTEGER,"
    " session, lock_idx INTEGER, create_idx INTEGER, key NOT NULL, value);"
    "CREATE TABLE kv_cur_1(key PRIMARY KEY, id INTEGER NOT NULL, op INTEGER NOT NULL,"
    " create_rev INTEGER, version INTEGER, lease INTEGER, idx INTEGER NOT NULL, session,"
    " lock_idx INTEGER, create_idx INTEGER, digest INTEGER) WITHOUT ROWID;"
    "CREATE TABLE kv_locks_1(session, key, PRIMARY KEY(session, key)) WITHOUT ROWID;"
    "CREATE TABLE kv_dead_1(id INTEGER PRIMARY KEY, key NOT NULL);"
    "CREATE TABLE sessions(id PRIMARY KEY, node NOT NULL, name NOT NULL, node_name NOT NULL,"
    " lock_delay INTEGER NOT NULL, behavior NOT NULL, ttl NOT NULL, node_checks NOT NULL,"
    " service_checks, created INTEGER NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX sessions_node ON sessions(node);"
    "CREATE TABLE lock_delays(key PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX lock_delays_until ON lock_delays(until);"
    "CREATE TABLE autopilot(one INTEGER PRIMARY KEY CHECK (one = 1), cleanup INTEGER NOT NULL,"
    " contact_ns INTEGER NOT NULL, trailing INTEGER NOT NULL, quorum INTEGER NOT NULL,"
    " stable_ns INTEGER NOT NULL, zone_tag NOT NULL, no_migration INTEGER NOT NULL,"
    " version_tag NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL);"
    "CREATE TABLE origins(id PRIMARY KEY, boot INTEGER NOT NULL, high INTEGER NOT NULL,"
    " idx INTEGER NOT NULL, seen NOT NULL, effect NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE outcomes(id, seq INTEGER, code INTEGER NOT NULL, applied INTEGER NOT NULL, text,"
    " data, PRIMARY KEY(id, seq)) WITHOUT ROWID;"
    "CREATE TABLE requests(id PRIMARY KEY, idx INTEGER NOT NULL, stamp INTEGER NOT NULL,"
    " digest NOT NULL, code INTEGER NOT NULL, applied INTEGER NOT NULL, text, data) WITHOUT ROWID;"
    "CREATE INDEX requests_idx ON requests(idx);"
    "CREATE TABLE staged(at INTEGER PRIMARY KEY, id NOT NULL, data NOT NULL);"
    "INSERT INTO applied VALUES(1, 0, 0, 0, zeroblob(16));";

static const char coordinates[] =
    "CREATE TABLE coordinates(node PRIMARY KEY, at NOT NULL, created INTEGER NOT NULL,"
    " modified INTEGER NOT NULL) WITHOUT ROWID;";

/* address.c; service is empty in that of a node. */
static const char addresses[] =
    "CREATE TABLE addresses(ip, node, service, PRIMARY KEY(ip, node, service)) WITHOUT ROWID;";

/* The oldest is the first of those that are brought up to date. */
static const struct schema schemas[] = {
    // clang-format off
    { 4, COMMAND_LEVEL_FIRST, ROW_STAGED + 1,      first,       NULL },
    { 5, COMMAND_LEVEL_FIRST, ROW_COORDINATES + 1, coordinates, NULL },
    { 6, COMMAND_LEVEL_FIRST, ROW_COORDINATES + 1, addresses,   catalog__addresses_fill },
}; // clang-format on

#define NEWEST (&schemas[MU_LEN(schemas) - 1])

static const struct schema *find(int64_t version)
{
    for (size_t i = 0; i < MU_LEN(schemas); i++) {
        if (schemas[i].version == version) {
            return &schemas[i];
        }
    }
    return NULL;
}

enum mu_code catalog__schema_of(const struct connection *db, const struct schema **out,
                                struct mu_err *err)
{
    int64_t version = 0;
    enum mu_code rc = catalog__exec_number(db, "PRAGMA user_version", &version, err);

    if (rc != MU_OK) {
        return rc;
    }
    *out = find(version);
    return *out != NULL
               ? MU_OK
               : mu_fail(err, MU_CORRUPT, "state %s: schema version %lld was never written",
                         db->path, (long long)version);
}

const struct schema *catalog__schema_at(uint32_t level)
{
    const struct schema *s = NEWEST;

    while (s > schemas && s->level > level) {
        s--;
    }
    return s;
}

bool catalog__schema_has_level(uint32_t level)
{
    return catalog__schema_at(level)->level == level;
}

/* -- from one to the next ---------------------------------------------------------------------- */

static enum mu_code fill(struct catalog *c, const struct schema *first_new, const struct schema *to,
                         struct mu_err *err)
{
    struct rows rows = { .db = NULL };
    enum mu_code rc = catalog__rows_init(&rows, &c->db, &c->now.sum, to->tables, err);

    for (const struct schema *s = first_new; rc == MU_OK && s <= to; s++) {
        rc = s->fill != NULL ? s->fill(&rows, err) : MU_OK;
    }
    catalog__rows_deinit(&rows);
    return rc;
}

enum mu_code catalog__schema_climb(struct catalog *c, const struct schema *to, struct mu_err *err)
{
    const struct schema *first_new = c->now.schema != NULL ? c->now.schema + 1 : schemas;
    struct mu_buf sql = MU_BUF_NONE;

    for (const struct schema *s = first_new; s <= to; s++) {
        mu_buf_add_text(&sql, s->sql);
    }
    mu_buf_addf(&sql, "PRAGMA user_version=%lld", (long long)to->version);
    enum mu_code rc = catalog__exec(&c->db, mu_buf_text(&sql), err);

    mu_buf_deinit(&sql);
    rc = rc == MU_OK ? fill(c, first_new, to, err) : rc;
    if (rc == MU_OK) {
        c->now.schema = to;
    }
    return rc;
}

/* -- opening ----------------------------------------------------------------------------------- */

static enum mu_code create(struct catalog *c, struct mu_err *err)
{
    char sql[48];

    (void)snprintf(sql, sizeof sql, "PRAGMA application_id=%d; COMMIT", APPLICATION_ID);
    enum mu_code rc = catalog__exec(&c->db, "BEGIN IMMEDIATE", err);

    rc = rc == MU_OK ? catalog__schema_climb(c, catalog__schema_at(COMMAND_LEVEL_FIRST), err) : rc;
    return rc == MU_OK ? catalog__exec(&c->db, sql, err) : rc; /* closing rolls back what is open */
}

/* Its version says which level is in use at least, and what came with that one later is an older
 * binary's no more than the rest. */
static enum mu_code upgrade(struct catalog *c, const struct schema *from, struct mu_err *err)
{
    const struct schema *to = catalog__schema_at(from->level);

    c->now.schema = from;
    if (to == from) {
        return MU_OK;
    }
    enum mu_code rc = catalog__exec(&c->db, "BEGIN IMMEDIATE", err);

    rc = rc == MU_OK ? catalog__schema_climb(c, to, err) : rc;
    return rc == MU_OK ? catalog__exec(&c->db, "COMMIT", err) : rc;
}

static enum mu_code version_check(const struct catalog *c, int64_t version, struct mu_err *err)
{
    if (version > NEWEST->version) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "state %s: schema version %lld is newer than %lld, which this binary knows: "
                       "a newer version of muster wrote it; nothing was changed, start that "
                       "version, or a newer one",
                       c->db.path, (long long)version, (long long)NEWEST->version);
    }
    if (version > 0 && version < schemas[0].version) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "state %s: schema version %lld is older than %lld, which this binary knows",
                       c->db.path, (long long)version, (long long)schemas[0].version);
    }
    return MU_OK;
}

enum mu_code catalog__schema_settle(struct catalog *c, struct mu_err *err)
{
    const struct schema *from = NULL;
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    enum mu_code rc = catalog__exec_number(&c->db, "PRAGMA application_id", &application, err);

    if (rc == MU_OK) {
        rc = catalog__exec_number(&c->db, "PRAGMA user_version", &version, err);
    }
    if (rc == MU_OK) {
        rc = catalog__exec_number(&c->db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    if (application == 0 && version == 0 && tables == 0) {
        return create(c, err);
    }
    if (application != APPLICATION_ID) {
        return mu_fail(err, MU_FOREIGN, "state %s: a database of another program", c->db.path);
    }
    rc = version_check(c, version, err);
    rc = rc == MU_OK ? catalog__schema_of(&c->db, &from, err) : rc;
    return rc == MU_OK ? upgrade(c, from, err) : rc;
}
