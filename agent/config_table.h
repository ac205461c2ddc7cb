/* config_table.h - what a row of the table of options says, and where values are gathered.
 *
 * A row is what makes an option exist: reading files and flags, bounds, defaults, help, the
 * reference page and the example come from walking the table. To add one: a member of struct
 * config (or of the draft, if it must be taken apart first) and a row in config_table.c.
 */
#ifndef AGENT_CONFIG_TABLE_H
#define AGENT_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/config.h"

enum config_type {
    CONFIG_TEXT,          /* const char * */
    CONFIG_BOOL,          /* bool */
    CONFIG_INT,           /* int64_t */
    CONFIG_U32,           /* uint32_t */
    CONFIG_PORT,          /* int: 1..65535; 0 and -1: off */
    CONFIG_MS,            /* int64_t: a duration in milliseconds */
    CONFIG_SECONDS,       /* uint32_t: a duration in seconds */
    CONFIG_TEXTS,         /* struct config_texts: lists append */
    CONFIG_TEXT_OR_TEXTS, /* the same, also from one string */
    CONFIG_PAIRS,         /* struct mu_pairs: maps merge */
    CONFIG_SERVICES,      /* definitions: one object or a list of them */
    CONFIG_CHECKS,
    CONFIG_WATCHES, /* one object or a list of them */
    CONFIG_ANY,     /* not looked into */
};

enum config_effect {
    CONFIG_WORKS,      /* does what it says */
    CONFIG_LATER,      /* accepted; set to something else than the default it warns */
    CONFIG_SILENT,     /* accepted; there is nothing it could change */
    CONFIG_ENTERPRISE, /* belongs to the paid edition of the reference: warns */
    CONFIG_UNSAFE,     /* switched on it is refused: going on without would be a false safety */
};

struct config_item {
    const char *key;  /* dotted; a last part "x_*" stands for every name that begins so */
    const char *flag; /* without its dash; NULL: none */
    enum config_type type;
    enum config_effect effect;
    bool reloads;               /* what is said anew holds after a reload, without a restart */
    size_t to;                  /* offset in struct config_draft; 0: kept nowhere */
    int64_t fallback, min, max; /* numbers; durations in ms; both bounds 0: none */
    const char *text;           /* the default of a text */
    const char *instead;        /* a name that gave way: what to write today */
    const char *example;        /* JSON, for deploy/example.json */
    const char *serf_key;       /* what `serf agent` calls it; NULL: the same */
    const char *help;           /* one sentence */
};

extern const struct config_item config_items[];
extern const size_t config_items_count;

#define CONFIG_ITEMS_MAX 400 /* asserted beside the table */

struct config_texts {
    const char **items;
    size_t count;
};

/* Everything the sources said, as they said it: config_check.c turns it into a struct config. */
struct config_draft {
    struct config c;
    const char *bind_addr, *client_addr, *serf_lan;
    const char *advertise_addr, *advertise_v4, *advertise_v6;
    const char *advertise_addr_wan, *advertise_wan_v4, *advertise_wan_v6;
    const char *dns_addr, *http_addr, *serf_rpc_addr;
    const char *domain, *log_level;
    struct config_texts alt_domain, serf_lan_allowed_cidrs, start_join, retry_join, block_endpoints,
        event_handlers;
    struct mu_pairs service_ttl;
    struct {
        bool is_given;
        bool is_on;   /* not false, zero or empty */
        bool differs; /* from the default */
    } seen[CONFIG_ITEMS_MAX];
};

/* -- config_store.c: values to their places ---------------------------------------------------- */

void config__fallbacks(struct config_draft *d);
/* The row of a dotted key, folded; NULL: none. */
const struct config_item *config__find(const char *key);
/* Its key as the sources of `c` have it. */
const char *config__said_key(const struct config *c, const struct config_item *item);
bool config__is_group(const char *key); /* are there rows below it? */
/* Was the option given by any source? */
bool config__is_given(const struct config_draft *d, const char *key);
bool config__is_on(const struct config_draft *d, const char *key);

/* One value of the row's type; a list or a map takes one element a call. Errors name the key. */
MU_MUST_CHECK enum mu_code config__set_number(struct config_draft *d,
                                              const struct config_item *item, int64_t v,
                                              struct mu_err *err);
MU_MUST_CHECK enum mu_code config__set_duration(struct config_draft *d,
                                                const struct config_item *item, struct mu_span text,
                                                struct mu_err *err);
void config__set_text(struct config_draft *d, const struct config_item *item, struct mu_span text);
void config__add_text(struct config_draft *d, const struct config_item *item, struct mu_span text);
void config__add_pair(struct config_draft *d, const struct config_item *item, struct mu_span key,
                      struct mu_span value);
void config__see(struct config_draft *d, const struct config_item *item, bool is_on, bool differs);
/* A flag's value as text; for a boolean one of Go's words (base/flags.h). */
MU_MUST_CHECK enum mu_code config__apply_flag(struct config_draft *d,
                                              const struct config_item *item, const char *value,
                                              struct mu_err *err);

void config__texts_add(struct mu_arena *arena, struct config_texts *list, const char *text);

/* -- config_handlers.c ---------------------------------------------------------------------------
 */

MU_MUST_CHECK enum mu_code config__check_handlers(struct config_draft *d, struct mu_err *err);

/* -- config_apply.c: a tree of values to those ------------------------------------------------- */

struct config_file { /* what is being read, for messages */
    const char *name;
    struct mu_span text;
    bool is_hcl;
};

MU_MUST_CHECK enum mu_code config__apply(struct config_draft *d, const struct config_file *file,
                                         const struct mu_json *root, struct mu_err *err);

/* -- config_check.c: from what was said to what holds ------------------------------------------ */

MU_MUST_CHECK enum mu_code config__finish(struct config_draft *d, struct mu_err *err);
void config__warn(struct config *c, const char *fmt, ...) MU_PRINTF(2, 3);

/* -- config_address.c: addresses and templates ------------------------------------------------- */

/* All addresses of a blank-separated list; templates are expanded. Entries "unix:///path" go to
 * `sockets`, which is NULL where they have no place. Errors name the key. */
MU_MUST_CHECK enum mu_code config__addresses(const char *key, const char *text,
                                             struct mu_arena *arena, struct mu_addr **out,
                                             size_t *count, struct config_texts *sockets,
                                             struct mu_err *err);
/* Exactly one. */
MU_MUST_CHECK enum mu_code config__address(const char *key, const char *text,
                                           struct mu_arena *arena, struct mu_addr *out,
                                           struct mu_err *err);

#endif
