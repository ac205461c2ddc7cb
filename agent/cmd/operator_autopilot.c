/* muster operator autopilot get-config, set-config */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "commands.h"

struct settings {
    bool cleanup_dead_servers, disable_upgrade_migration;
    int64_t last_contact_ns, stabilization_ns;
    uint64_t max_trailing_logs, min_quorum, modify_index;
    struct mu_span redundancy_zone_tag, upgrade_version_tag;
};

#define AT(member) offsetof(struct settings, member)

static const struct mu_json_field fields[] = {
    // clang-format off
    { .name = "CleanupDeadServers",      .as = MU_JSON_AS_BOOL,     .offset = AT(cleanup_dead_servers) },
    { .name = "LastContactThreshold",    .as = MU_JSON_AS_DURATION, .offset = AT(last_contact_ns) },
    { .name = "MaxTrailingLogs",         .as = MU_JSON_AS_UINT,     .offset = AT(max_trailing_logs) },
    { .name = "MinQuorum",               .as = MU_JSON_AS_UINT,     .offset = AT(min_quorum) },
    { .name = "ServerStabilizationTime", .as = MU_JSON_AS_DURATION, .offset = AT(stabilization_ns) },
    { .name = "RedundancyZoneTag",       .as = MU_JSON_AS_TEXT,     .offset = AT(redundancy_zone_tag) },
    { .name = "DisableUpgradeMigration", .as = MU_JSON_AS_BOOL,     .offset = AT(disable_upgrade_migration) },
    { .name = "UpgradeVersionTag",       .as = MU_JSON_AS_TEXT,     .offset = AT(upgrade_version_tag) },
    { .name = "ModifyIndex",             .as = MU_JSON_AS_UINT,     .offset = AT(modify_index) },
}; // clang-format on

#undef AT

static const struct mu_json_shape shape = CLI_SHAPE(fields, struct settings);

/* False: said why. */
static bool read_settings(struct cli *cli, struct mu_arena *arena, struct settings *out)
{
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    bool is_there = false;

    cli_call_init(&c, "GET", "/v1/operator/autopilot/configuration");
    if (!cli_send(cli, &c)) {
        (void)cli_fail(cli, "Error querying Autopilot configuration: %s", c.error);
    } else if (mu_json_read(mu_buf_span(&c.answer), &shape, out, arena, &err) != MU_OK) {
        (void)cli_fail(cli, "Error querying Autopilot configuration: %s", err.text);
    } else {
        is_there = true;
    }
    cli_call_deinit(&c);
    return is_there;
}

/* -- get-config -------------------------------------------------------------------------------- */

static void print_settings(struct cli *cli, const struct settings *s)
{
    char contact[MU_DURATION_TEXT_MAX];
    char stable[MU_DURATION_TEXT_MAX];

    mu_duration_text(s->last_contact_ns, contact);
    mu_duration_text(s->stabilization_ns, stable);
    (void)fprintf(cli->out,
                  "CleanupDeadServers = %s\n"
                  "LastContactThreshold = %s\n"
                  "MaxTrailingLogs = %llu\n"
                  "MinQuorum = %llu\n"
                  "ServerStabilizationTime = %s\n"
                  "RedundancyZoneTag = \"%.*s\"\n"
                  "DisableUpgradeMigration = %s\n"
                  "UpgradeVersionTag = \"%.*s\"\n",
                  s->cleanup_dead_servers ? "true" : "false", contact,
                  (unsigned long long)s->max_trailing_logs, (unsigned long long)s->min_quorum,
                  stable, MU_SPAN_FMT(s->redundancy_zone_tag),
                  s->disable_upgrade_migration ? "true" : "false",
                  MU_SPAN_FMT(s->upgrade_version_tag));
}

int cmd_operator_autopilot_get_config(struct cli *cli, const void *options, int argc,
                                      const char *const *argv)
{
    struct settings settings = { .min_quorum = 0 };
    struct mu_arena arena;
    int status = 1;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    mu_arena_init(&arena, 0);
    if (read_settings(cli, &arena, &settings)) {
        print_settings(cli, &settings);
        status = 0;
    }
    mu_arena_deinit(&arena);
    return status;
}

/* -- set-config -------------------------------------------------------------------------------- */

struct changes { /* NULL: left as it is */
    enum cli_switch cleanup_dead_servers, disable_upgrade_migration;
    const char *last_contact, *stabilization, *max_trailing_logs, *min_quorum;
    const char *redundancy_zone_tag, *upgrade_version_tag;
};

#define AT(member) offsetof(struct changes, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "cleanup-dead-servers",      CLI_SWITCH, AT(cleanup_dead_servers),      "Remove failed servers from consensus." },
    { "last-contact-threshold",    CLI_TEXT,   AT(last_contact),              "A server is healthy while the leader heard it within this time." },
    { "max-trailing-logs",         CLI_TEXT,   AT(max_trailing_logs),         "And while it is at most this many entries behind." },
    { "min-quorum",                CLI_TEXT,   AT(min_quorum),                "Clean up no dead server when fewer voters than this would stay." },
    { "server-stabilization-time", CLI_TEXT,   AT(stabilization),             "How long a new server must be healthy before it votes." },
    { "redundancy-zone-tag",       CLI_TEXT,   AT(redundancy_zone_tag),       "Kept for other tools; has no effect." },
    { "disable-upgrade-migration", CLI_SWITCH, AT(disable_upgrade_migration), "Kept for other tools; has no effect." },
    { "upgrade-version-tag",       CLI_TEXT,   AT(upgrade_version_tag),       "Kept for other tools; has no effect." },
}; // clang-format on

#undef AT

const struct cli_options cmd_operator_autopilot_set_config_options =
    CLI_OPTIONS(rows, struct changes);

static enum mu_code change_duration(const char *text, const char *name, int64_t *to,
                                    struct mu_err *err)
{
    if (text != NULL && !mu_duration_parse(mu_span_text(text), to, NULL, 0)) {
        return mu_fail(
            err, MU_INVALID,
            "invalid value \"%s\" for flag -%s: parse error, expected a duration like 10s", text,
            name);
    }
    return MU_OK;
}

static enum mu_code change_number(const char *text, const char *name, uint64_t *to,
                                  struct mu_err *err)
{
    if (text != NULL && !mu_span_u64(mu_span_text(text), to)) {
        return mu_fail(err, MU_INVALID,
                       "invalid value \"%s\" for flag -%s: parse error, expected a whole number",
                       text, name);
    }
    return MU_OK;
}

static enum mu_code change(const struct changes *c, struct settings *s, struct mu_err *err)
{
    enum mu_code rc =
        change_duration(c->last_contact, "last-contact-threshold", &s->last_contact_ns, err);

    if (rc == MU_OK) {
        rc = change_duration(c->stabilization, "server-stabilization-time", &s->stabilization_ns,
                             err);
    }
    if (rc == MU_OK) {
        rc = change_number(c->max_trailing_logs, "max-trailing-logs", &s->max_trailing_logs, err);
    }
    if (rc == MU_OK) {
        rc = change_number(c->min_quorum, "min-quorum", &s->min_quorum, err);
    }
    if (c->cleanup_dead_servers != CLI_UNSET) {
        s->cleanup_dead_servers = c->cleanup_dead_servers == CLI_ON;
    }
    if (c->disable_upgrade_migration != CLI_UNSET) {
        s->disable_upgrade_migration = c->disable_upgrade_migration == CLI_ON;
    }
    if (c->redundancy_zone_tag != NULL) {
        s->redundancy_zone_tag = mu_span_text(c->redundancy_zone_tag);
    }
    if (c->upgrade_version_tag != NULL) {
        s->upgrade_version_tag = mu_span_text(c->upgrade_version_tag);
    }
    return rc;
}

static void put_duration(struct mu_json_out *o, const char *name, int64_t ns)
{
    char text[MU_DURATION_TEXT_MAX];

    mu_duration_text(ns, text);
    mu_json_text(o, name, text);
}

static void settings_json(const struct settings *s, struct mu_buf *to)
{
    struct mu_json_out o;

    mu_json_out_init(&o, to, false);
    mu_json_open(&o, '{');
    mu_json_boolean(&o, "CleanupDeadServers", s->cleanup_dead_servers);
    put_duration(&o, "LastContactThreshold", s->last_contact_ns);
    mu_json_u64(&o, "MaxTrailingLogs", s->max_trailing_logs);
    mu_json_u64(&o, "MinQuorum", s->min_quorum);
    put_duration(&o, "ServerStabilizationTime", s->stabilization_ns);
    mu_json_span(&o, "RedundancyZoneTag", s->redundancy_zone_tag);
    mu_json_boolean(&o, "DisableUpgradeMigration", s->disable_upgrade_migration);
    mu_json_span(&o, "UpgradeVersionTag", s->upgrade_version_tag);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
}

static int write_settings(struct cli *cli, const struct settings *s)
{
    struct mu_buf body = MU_BUF_NONE;
    struct cli_call c;
    char cas[24];
    int status = 0;

    settings_json(s, &body);
    (void)snprintf(cas, sizeof cas, "%llu", (unsigned long long)s->modify_index);
    cli_call_init(&c, "PUT", "/v1/operator/autopilot/configuration");
    cli_call_param(&c, "cas", cas);
    c.body = mu_buf_span(&body);
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error setting Autopilot configuration: %s", c.error);
    } else if (!mu_span_starts(mu_buf_span(&c.answer), MU_SPAN_LIT("true"))) {
        (void)fputs("Configuration could not be atomically updated, please try again\n", cli->out);
        status = 1;
    } else {
        (void)fputs("Configuration updated!\n", cli->out);
    }
    cli_call_deinit(&c);
    mu_buf_deinit(&body);
    return status;
}

int cmd_operator_autopilot_set_config(struct cli *cli, const void *options, int argc,
                                      const char *const *argv)
{
    struct settings settings = { .min_quorum = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    int status = 1;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    mu_arena_init(&arena, 0);
    if (read_settings(cli, &arena, &settings)) {
        status = change(options, &settings, &err) == MU_OK ? write_settings(cli, &settings)
                                                           : cli_fail(cli, "%s", err.text);
    }
    mu_arena_deinit(&arena);
    return status;
}
