/* The table as text: flags for help, the reference page, and an example that loads. */
#include <string.h>

#include "agent/config.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "config_table.h"

/* Flags that name sources or choose defaults; they are no options. */
static const struct {
    const char *flag, *help;
} source_flags[] = {
    { "config-file=<path>", "A file to read, JSON or HCL; repeatable." },
    { "config-dir=<path>", "A directory whose *.json and *.hcl are read in order; repeatable." },
    { "config-format=<json|hcl>", "Read files as this, whatever their names end in." },
    { "hcl=<text>", "A fragment of configuration in HCL; repeatable." },
    { "dev", "A server on its own for trying things; keeps nothing." },
};

static bool takes_list(const struct config_item *item)
{
    return item->type == CONFIG_TEXTS || item->type == CONFIG_TEXT_OR_TEXTS ||
           item->type == CONFIG_PAIRS;
}

static const char *type_text(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT: return "string";
    case CONFIG_BOOL: return "bool";
    case CONFIG_INT:
    case CONFIG_U32: return "number";
    case CONFIG_PORT: return "port";
    case CONFIG_MS:
    case CONFIG_SECONDS: return "duration";
    case CONFIG_TEXTS: return "list of strings";
    case CONFIG_TEXT_OR_TEXTS: return "string or list";
    case CONFIG_PAIRS: return "map of strings";
    case CONFIG_SERVICES: return "services";
    case CONFIG_CHECKS: return "checks";
    case CONFIG_WATCHES: return "watches";
    case CONFIG_ANY: return "any";
    }
    MU_UNREACHABLE_CODE();
}

static const char *effect_text(enum config_effect effect)
{
    switch (effect) {
    case CONFIG_WORKS: return "";
    case CONFIG_LATER: return "no effect yet (warns)";
    case CONFIG_SILENT: return "accepted, changes nothing";
    case CONFIG_ENTERPRISE: return "Enterprise (warns)";
    case CONFIG_UNSAFE: return "refused when set";
    }
    MU_UNREACHABLE_CODE();
}

/* What holds when nobody says anything; empty where that is nothing, or told by the help. */
static void add_fallback(struct mu_buf *to, const struct config_item *item)
{
    char text[MU_DURATION_TEXT_MAX];

    switch (item->type) {
    case CONFIG_BOOL: mu_buf_add_text(to, item->fallback != 0 ? "`true`" : "`false`"); return;
    case CONFIG_INT:
    case CONFIG_U32:
    case CONFIG_PORT: mu_buf_addf(to, "`%lld`", (long long)item->fallback); return;
    case CONFIG_MS:
    case CONFIG_SECONDS:
        mu_duration_text(item->fallback * MU_NS_PER_MS, text);
        mu_buf_addf(to, "`%s`", text);
        return;
    case CONFIG_TEXT:
    case CONFIG_TEXT_OR_TEXTS:
        if (item->text != NULL) {
            mu_buf_addf(to, "`%s`", item->text);
        }
        return;
    case CONFIG_TEXTS:
    case CONFIG_PAIRS:
    case CONFIG_SERVICES:
    case CONFIG_CHECKS:
    case CONFIG_WATCHES:
    case CONFIG_ANY: return;
    }
    MU_UNREACHABLE_CODE();
}

/* -- flags ------------------------------------------------------------------------------------- */

void config_print_flags(struct mu_buf *to)
{
    for (size_t i = 0; i < MU_LEN(source_flags); i++) {
        mu_buf_addf(to, "  -%s\n     %s\n\n", source_flags[i].flag, source_flags[i].help);
    }
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];

        if (item->flag == NULL) {
            continue;
        }
        mu_buf_addf(to, "  -%s%s\n     %s", item->flag, item->type == CONFIG_BOOL ? "" : "=<value>",
                    item->help);
        if (takes_list(item) && strstr(item->help, "repeatable") == NULL) {
            mu_buf_add_text(to, " Repeatable.");
        }
        if (item->effect != CONFIG_WORKS) {
            mu_buf_addf(to, " (%s)", effect_text(item->effect));
        }
        mu_buf_add_text(to, "\n\n");
    }
}

/* -- the reference page ------------------------------------------------------------------------ */

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "Generated from the table of options (`agent/config_table.c`) by `muster docs reference`.\n"
    "\n"
    "Options come from files (`-config-file`), directories (`-config-dir`: `*.json` and `*.hcl`\n"
    "in the order of their names), fragments (`-hcl`) and flags. A later source wins: files and\n"
    "directories as they stand on the command line, then fragments, then flags. Lists append, "
    "maps\n"
    "merge by key, `null` counts as not said, and the case of keys does not matter. A key that is\n"
    "not listed here ends the start with its line and the nearest known one.\n"
    "\n"
    "Durations are strings such as `\"10s\"` or `\"1h30m\"`. Addresses are literals or templates:\n"
    "`{{ GetPrivateIP }}`, `{{ GetPublicIP }}`, `{{ GetInterfaceIP \"eth0\" }}`. A port of `-1` "
    "is\n"
    "off.\n"
    "\n"
    "HCL is a subset of HCL 1: `key = value` and blocks without labels, strings, heredocs, "
    "decimal\n"
    "numbers, booleans, lists and objects, and three forms of comments. A block that is repeated "
    "is\n"
    "a list of blocks. Anything else is refused with its line.\n"
    "\n"
    "SIGHUP, `muster reload` and `PUT /v1/agent/reload` read all sources again. What is marked\n"
    "**reloads** holds from then on; of the rest the log and the command name what differs and "
    "needs\n"
    "a restart. When something in the sources is wrong, nothing changes.\n"
    "\n";

static struct mu_span group_of(const char *key)
{
    const char *dot = strrchr(key, '.');

    return mu_span_of(key, dot != NULL ? (size_t)(dot - key) : 0);
}

static void add_row(struct mu_buf *to, const struct config_item *item)
{
    mu_buf_addf(to, "| `%s` | %s | ", item->key, type_text(item->type));
    add_fallback(to, item);
    mu_buf_addf(to, " | %s%s%s | %s", item->flag != NULL ? "`-" : "",
                item->flag != NULL ? item->flag : "", item->flag != NULL ? "`" : "", item->help);
    if (item->effect != CONFIG_WORKS) {
        mu_buf_addf(to, " **%s**", effect_text(item->effect));
    }
    mu_buf_add_text(to, item->reloads ? " **reloads** |\n" : " |\n");
}

static void add_group(struct mu_buf *to, struct mu_span group)
{
    if (group.bytes == 0) {
        mu_buf_add_text(to, "## General\n\n");
    } else {
        mu_buf_addf(to, "\n## %.*s\n\n", MU_SPAN_FMT(group));
    }
    mu_buf_add_text(to, "| key | type | default | flag | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < config_items_count; i++) {
        if (mu_span_eq(group_of(config_items[i].key), group)) {
            add_row(to, &config_items[i]);
        }
    }
}

static bool is_first_of_group(size_t row)
{
    struct mu_span group = group_of(config_items[row].key);

    for (size_t i = 0; i < row; i++) {
        if (mu_span_eq(group_of(config_items[i].key), group)) {
            return false;
        }
    }
    return true;
}

void config_print_reference(struct mu_buf *to)
{
    mu_buf_add_text(to, introduction);
    for (size_t i = 0; i < config_items_count; i++) {
        if (is_first_of_group(i)) {
            add_group(to, group_of(config_items[i].key));
        }
    }
}

/* -- the example ------------------------------------------------------------------------------- */

static const char *last_name(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot != NULL ? dot + 1 : key;
}

/* Rows of one group stand together, so a group is opened at its first example and closed when the
 * group changes; no example lies deeper than one group. */
void config_print_example(struct mu_buf *to)
{
    struct mu_span open = MU_SPAN_NONE;
    struct mu_json_out o;

    mu_json_out_init(&o, to, true);
    mu_json_open(&o, '{');
    for (size_t i = 0; i < config_items_count; i++) {
        struct mu_span group = group_of(config_items[i].key);

        if (config_items[i].example == NULL) {
            continue;
        }
        if (!mu_span_eq(group, open)) {
            if (open.bytes > 0) {
                mu_json_close(&o, '}');
            }
            if (group.bytes > 0) {
                mu_json_key_span(&o, group);
                mu_json_open(&o, '{');
            }
            open = group;
        }
        mu_json_key(&o, last_name(config_items[i].key));
        mu_json_put_raw(&o, mu_span_text(config_items[i].example));
    }
    if (open.bytes > 0) {
        mu_json_close(&o, '}');
    }
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
}
