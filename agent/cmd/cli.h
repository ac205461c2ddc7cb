/* cli.h - what a command of the command line is: a row, its options, and a function.
 *
 * A command gets its options filled in and the words behind them. It prints results on `out` and
 * errors on `err`, and returns the exit status: 0, 1, or 2 for "nothing matched".
 *
 * To add one: a row in commands.c and a file with its options and its function.
 */
#ifndef AGENT_CMD_CLI_H
#define AGENT_CMD_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

/* -- options ----------------------------------------------------------------------------------- */

enum cli_as {
    CLI_BOOL,   /* bool */
    CLI_SWITCH, /* enum cli_switch: a bool that may be left alone */
    CLI_TEXT,   /* const char *; NULL: not given */
    CLI_TEXTS,  /* struct cli_texts: repeatable */
    CLI_PAIRS,  /* the same, each must be key=value */
    CLI_U64,    /* uint64_t */
};

enum cli_switch { CLI_UNSET, CLI_ON, CLI_OFF };

struct cli_texts {
    const char **items;
    size_t count;
};

struct cli_option {
    const char *name; /* without its dash */
    enum cli_as as;
    size_t offset;
    const char *help; /* a sentence */
};

/* The options of one command: a struct of `bytes`, filled by its rows. */
struct cli_options {
    const struct cli_option *rows;
    size_t count, bytes;
};

#define CLI_OPTIONS(table, type)                                       \
    {                                                                  \
        .rows = (table), .count = MU_LEN(table), .bytes = sizeof(type) \
    }

/* What every command that asks an agent takes too; what is not given comes from the environment. */
struct cli_client {
    const char *http_addr, *token, *token_file, *datacenter;
    const char *ca_file, *ca_path, *client_cert, *client_key, *tls_server_name;
    bool is_stale;
};
extern const struct cli_options cli_client_options;

/* -- commands ---------------------------------------------------------------------------------- */

struct cli;

struct cli_command {
    const char *name; /* "kv get" */
    /* NULL: a group */
    int (*run)(struct cli *cli, const void *options, int argc, const char *const *argv);
    const char *arguments;             /* behind the options: "KEY" */
    const char *summary;               /* for the list, without a period */
    const struct cli_options *options; /* NULL: none */
    bool asks_agent;                   /* takes cli_client_options */
    bool reads_flags;                  /* gets its flags unread, as `agent` does */
    bool is_hidden;                    /* not in the list */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_commands_count;

struct cli {
    FILE *in, *out, *err;
    const char *(*env)(const char *name); /* getenv, or a test's */
    const struct cli_command *command;    /* the one that runs */
    const char *serf_words;               /* typed before a command of Serf's; NULL: muster serf */
    struct cli_client client;
};

/* The whole of a command line, without the program's name. Returns the exit status. */
int cli_main(struct cli *cli, int argc, const char *const *argv);

/* An error on `err`, with a newline; returns 1, so that `return cli_fail(...)` reads well. */
int cli_fail(struct cli *cli, const char *fmt, ...) MU_PRINTF(2, 3);
void cli_pause(uint64_t ms); /* between two questions about what nothing tells of */
/* As cli_fail, about arguments behind the expected ones; options among them come too late. */
int cli_too_many(struct cli *cli, int expected, int argc, const char *const *argv);

/* Read the flags of a command into `options` (zeroed, of the table's size) and cli->client. *at is
 * where its words begin. MU_NOT_FOUND: help was asked for. */
MU_MUST_CHECK enum mu_code cli_read(struct cli *cli, const struct cli_command *command, int argc,
                                    const char *const *argv, void *options, int *at,
                                    struct mu_err *err);
void cli_options_free(const struct cli_options *table, void *options);
void cli_help(const struct cli_command *command, struct mu_buf *to);
/* An option that is a duration, "90s", into milliseconds; NULL: the fallback. False: said why. */
bool cli_duration(struct cli *cli, const char *name, const char *text, uint64_t fallback_ms,
                  uint64_t *out);

/* -- asking an agent (call_uv.c) --------------------------------------------------------------- */

struct cli_call {
    const char *method;   /* "GET" */
    struct mu_buf target; /* "/v1/kv/a?raw" */
    bool has_query;
    const char *key;     /* in the target; borrowed, NULL: none */
    struct mu_span body; /* borrowed */
    FILE *from;          /* instead of `body`: all of the file; NULL: none */
    FILE *to;            /* takes the answer of status 200, `answer` stays empty; NULL: none */
    /* the answer */
    enum mu_code code; /* of the transport */
    unsigned status;
    uint64_t index; /* X-Consul-Index; 0: none */
    struct mu_buf answer;
    struct mu_buf needs_restart; /* X-Muster-Needs-Restart: settings, empty for none */
    char error[MU_ERR_TEXT_MAX]; /* when it failed: what stands behind "Error ...: " */
};

void cli_call_init(struct cli_call *c, const char *method, const char *path);
void cli_call_deinit(struct cli_call *c);
/* Append to the path, escaped. '/' stays as it is in a key, and a redirect is an error then: it
 * would lead to another key. */
void cli_call_add(struct cli_call *c, const char *segment, bool keeps_slashes);
void cli_call_param(struct cli_call *c, const char *name, const char *value); /* NULL: no value */
/* ?node-meta=key:value of each key=value. */
void cli_call_node_meta(struct cli_call *c, const struct cli_texts *pairs);
/* Ask. True: status 200. Else c->error says why, and c->status what was answered (0: nothing). */
bool cli_send(struct cli *cli, struct cli_call *c);

/* What is read of an object: the rows of `table` into a struct `type`; an agent may say more. */
#define CLI_SHAPE(table, type)                                                                    \
    {                                                                                             \
        .fields = (table), .fields_count = MU_LEN(table), .bytes = sizeof(type), .is_loose = true \
    }

/* The answer as a list of objects. */
MU_MUST_CHECK enum mu_code cli_read_list(const struct cli_call *c,
                                         const struct mu_json_shape *shape, struct mu_objects *out,
                                         struct mu_arena *arena, struct mu_err *err);
/* The same for a shape with values that are views of the tree: the caller frees *root, which may be
 * NULL, behind them. */
MU_MUST_CHECK enum mu_code cli_read_tree(const struct cli_call *c,
                                         const struct mu_json_shape *shape, struct mu_objects *out,
                                         struct mu_json **root, struct mu_arena *arena,
                                         struct mu_err *err);
/* The answer as a list of strings, one a line; `what` stands before an error. Returns the status.
 */
int cli_print_texts(struct cli *cli, const struct cli_call *c, const char *what);

/* -- printing ---------------------------------------------------------------------------------- */

/* Columns, left-aligned, `gap` blanks apart, nothing behind the last. */
struct cli_table {
    struct mu_buf cells; /* NUL-terminated, one behind the other */
    size_t columns, cells_count, gap;
    bool is_trimmed; /* no blanks behind the last cell that says something, as Serf prints it */
};

void cli_table_init(struct cli_table *t, size_t columns, size_t gap);
void cli_table_deinit(struct cli_table *t);
void cli_table_cell(struct cli_table *t, const char *text);
void cli_table_cell_span(struct cli_table *t, struct mu_span text);
void cli_table_print(const struct cli_table *t, FILE *to);

/* "k=v, k=v" of pairs, in the order of their keys. */
void cli_pairs_text(struct mu_pairs *pairs, const char *separator, struct mu_buf *to);
void cli_print_span(FILE *to, struct mu_span text); /* with a newline */

#endif
