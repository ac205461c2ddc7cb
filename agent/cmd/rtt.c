/* muster rtt */
#include <string.h>

#include "base/assert.h"
#include "commands.h"
#include "proto/coordinate.h"

struct options {
    bool is_wan;
};

static const struct cli_option rows[] = {
    { "wan", CLI_BOOL, offsetof(struct options, is_wan),
      "Names are node.datacenter, of servers; the estimate is for the way between datacenters." },
};

const struct cli_options cmd_rtt_options = CLI_OPTIONS(rows, struct options);

#define NAME_MAX_BYTES 512

/* -- who, and where -----------------------------------------------------------------------------
 */

struct place {
    char name[NAME_MAX_BYTES];
    bool is_known;
    struct coordinate at;
};

static double number_of(const struct mu_json *object, const char *name)
{
    const struct mu_json *v = mu_json_find(object, name);
    enum mu_json_kind kind = v != NULL ? mu_json_kind_of(v) : MU_JSON_NULL;

    return kind == MU_JSON_INT || kind == MU_JSON_REAL ? mu_json_number(v) : 0;
}

static bool read_coordinate(const struct mu_json *entry, struct coordinate *out)
{
    const struct mu_json *coord = mu_json_find(entry, "Coord");

    if (coord == NULL || mu_json_kind_of(coord) != MU_JSON_OBJECT) {
        return false;
    }
    const struct mu_json *vec = mu_json_find(coord, "Vec");

    if (vec == NULL || mu_json_kind_of(vec) != MU_JSON_LIST ||
        mu_json_count(vec) != COORDINATE_DIMS) {
        return false;
    }
    for (size_t i = 0; i < COORDINATE_DIMS; i++) {
        const struct mu_json *v = mu_json_at(vec, i);
        enum mu_json_kind kind = mu_json_kind_of(v);

        out->vec[i] = kind == MU_JSON_INT || kind == MU_JSON_REAL ? mu_json_number(v) : 0;
    }
    out->error = number_of(coord, "Error");
    out->adjustment = number_of(coord, "Adjustment");
    out->height = number_of(coord, "Height");
    return coordinate_is_valid(out);
}

/* Does the entry speak of that place? `datacenter` NULL: names stand alone. */
static bool is_of(const struct mu_json *entry, const char *datacenter, const struct place *p)
{
    const struct mu_json *node = mu_json_find(entry, "Node");
    char name[NAME_MAX_BYTES];

    if (node == NULL || mu_json_kind_of(node) != MU_JSON_STRING) {
        return false;
    }
    (void)snprintf(name, sizeof name, "%.*s%s%s", MU_SPAN_FMT(mu_json_string(node)),
                   datacenter != NULL ? "." : "", datacenter != NULL ? datacenter : "");
    return strcmp(name, p->name) == 0;
}

static void read_entries(const struct mu_json *list, const char *datacenter, struct place *places)
{
    bool is_list = list != NULL && mu_json_kind_of(list) == MU_JSON_LIST;

    for (size_t i = 0; is_list && i < mu_json_count(list); i++) {
        const struct mu_json *entry = mu_json_at(list, i);

        for (size_t p = 0; p < 2 && mu_json_kind_of(entry) == MU_JSON_OBJECT; p++) {
            if (is_of(entry, datacenter, &places[p])) {
                places[p].is_known = read_coordinate(entry, &places[p].at);
            }
        }
    }
}

static void read_datacenters(const struct mu_json *list, struct place *places)
{
    for (size_t i = 0; i < mu_json_count(list); i++) {
        const struct mu_json *dc = mu_json_at(list, i);
        bool is_object = mu_json_kind_of(dc) == MU_JSON_OBJECT;
        const struct mu_json *name = is_object ? mu_json_find(dc, "Datacenter") : NULL;
        char text[NAME_MAX_BYTES];

        if (name != NULL && mu_json_kind_of(name) == MU_JSON_STRING) {
            (void)snprintf(text, sizeof text, "%.*s", MU_SPAN_FMT(mu_json_string(name)));
            read_entries(mu_json_find(dc, "Coordinates"), text, places);
        }
    }
}

/* False: said why. */
static bool ask_places(struct cli *cli, bool is_wan, struct place *places)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct cli_call c;
    bool is_ok;

    cli_call_init(&c, "GET", is_wan ? "/v1/coordinate/datacenters" : "/v1/coordinate/nodes");
    is_ok = cli_send(cli, &c);
    if (!is_ok) {
        (void)cli_fail(cli, "Error getting coordinates: %s", c.error);
    } else if (mu_json_parse(&root, mu_buf_span(&c.answer), true, &err) != MU_OK ||
               mu_json_kind_of(root) != MU_JSON_LIST) {
        is_ok = false;
        (void)cli_fail(cli, "Error getting coordinates: the answer is no list");
    } else if (is_wan) {
        read_datacenters(root, places);
    } else {
        read_entries(root, NULL, places);
    }
    mu_json_free(root);
    cli_call_deinit(&c);
    return is_ok;
}

/* -- the agent's own name -----------------------------------------------------------------------
 */

static bool read_own(const struct mu_json *root, bool is_wan, char name[NAME_MAX_BYTES])
{
    bool is_object = mu_json_kind_of(root) == MU_JSON_OBJECT;
    const struct mu_json *config = is_object ? mu_json_find(root, "Config") : NULL;

    if (config == NULL || mu_json_kind_of(config) != MU_JSON_OBJECT) {
        return false;
    }
    const struct mu_json *node = mu_json_find(config, "NodeName");
    const struct mu_json *dc = mu_json_find(config, "Datacenter");

    if (node == NULL || mu_json_kind_of(node) != MU_JSON_STRING || dc == NULL ||
        mu_json_kind_of(dc) != MU_JSON_STRING) {
        return false;
    }
    if (is_wan) {
        (void)snprintf(name, NAME_MAX_BYTES, "%.*s.%.*s", MU_SPAN_FMT(mu_json_string(node)),
                       MU_SPAN_FMT(mu_json_string(dc)));
    } else {
        (void)snprintf(name, NAME_MAX_BYTES, "%.*s", MU_SPAN_FMT(mu_json_string(node)));
    }
    return true;
}

static bool ask_own_name(struct cli *cli, bool is_wan, char name[NAME_MAX_BYTES])
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct cli_call c;

    cli_call_init(&c, "GET", "/v1/agent/self");
    bool is_ok = cli_send(cli, &c);

    if (!is_ok) {
        (void)cli_fail(cli, "Unable to look up local node name: %s", c.error);
    } else {
        is_ok = mu_json_parse(&root, mu_buf_span(&c.answer), true, &err) == MU_OK &&
                read_own(root, is_wan, name);
        if (!is_ok) {
            (void)cli_fail(cli, "Unable to look up local node name: it is not in the answer");
        }
    }
    mu_json_free(root);
    cli_call_deinit(&c);
    return is_ok;
}

/* -- the command ---------------------------------------------------------------------------------
 */

static int wrong_count(struct cli *cli)
{
    struct mu_buf help = MU_BUF_NONE;

    cli_help(cli->command, &help);
    (void)cli_fail(cli, "One or two node names must be specified\n\n%s", mu_buf_text(&help));
    mu_buf_deinit(&help);
    return 1;
}

int cmd_rtt(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    bool is_wan = ((const struct options *)options)->is_wan;
    struct place places[2] = { { .is_known = false } };

    if (argc < 1 || argc > 2) {
        return wrong_count(cli);
    }
    for (int i = 0; i < argc; i++) {
        (void)snprintf(places[i].name, sizeof places[i].name, "%s", argv[i]);
        if (is_wan && strchr(argv[i], '.') == NULL) {
            return cli_fail(cli,
                            "Node names must be specified as <node name>.<datacenter> with -wan");
        }
    }
    if ((argc < 2 && !ask_own_name(cli, is_wan, places[1].name)) ||
        !ask_places(cli, is_wan, places)) {
        return 1;
    }
    for (size_t i = 0; i < MU_LEN(places); i++) {
        if (!places[i].is_known) {
            return cli_fail(cli, "Could not find a coordinate for node \"%s\"", places[i].name);
        }
    }
    (void)fprintf(cli->out, "Estimated %s <-> %s rtt: %.3f ms (using %s coordinates)\n",
                  places[0].name, places[1].name,
                  coordinate_distance(&places[0].at, &places[1].at) * 1000, is_wan ? "WAN" : "LAN");
    return 0;
}
