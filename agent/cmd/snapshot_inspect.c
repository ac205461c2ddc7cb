/* muster snapshot inspect */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/archive.h"
#include "base/assert.h"
#include "commands.h"
#include "snapshot_file.h"

#define GAP 6 /* between columns, as in the reference */

static enum mu_code file_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    FILE *file = data;

    *got = fread(to, 1, room, file);
    return ferror(file) ? mu_fail(err, MU_IO, "%s", strerror(errno)) : MU_OK;
}

/* "253B", "1.7KB", "5MB": one digit behind the point, none if it is 0. */
static void add_size(struct cli_table *t, uint64_t bytes)
{
    static const char *const units[] = { "B", "KB", "MB", "GB" };
    double value = (double)bytes;
    size_t unit = 0;
    char text[32];

    for (; value >= 1024 && unit + 1 < MU_LEN(units); unit++) {
        value /= 1024;
    }
    int digits = snprintf(text, sizeof text, "%.1f", value);

    if (digits > 2 && strcmp(text + digits - 2, ".0") == 0) {
        digits -= 2;
    }
    (void)snprintf(text + digits, sizeof text - (size_t)digits, "%s", units[unit]);
    cli_table_cell(t, text);
}

static void add_number(struct cli_table *t, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    if (name != NULL) {
        cli_table_cell(t, name);
    }
    cli_table_cell(t, text);
}

static void print_meta(struct cli *cli, const struct archive_contents *c)
{
    struct cli_table t;

    cli_table_init(&t, 2, GAP);
    cli_table_cell(&t, " ID");
    cli_table_cell(&t, c->id);
    add_number(&t, " Size", c->bytes);
    add_number(&t, " Index", c->index);
    add_number(&t, " Term", c->term);
    add_number(&t, " Version", c->version);
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

struct sorted {
    uint64_t bytes;
    size_t at; /* in the list of tables */
};

/* The largest first; equal ones in the order of their numbers. */
static int by_size(const void *a, const void *b)
{
    const struct sorted *x = a;
    const struct sorted *y = b;

    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

static void print_tables(struct cli *cli, const struct catalog_snapshot *s)
{
    struct sorted order[CATALOG_SNAPSHOT_TABLES];
    size_t count = 0;
    struct cli_table t;

    for (size_t i = 0; i < CATALOG_SNAPSHOT_TABLES; i++) {
        if (s->tables[i].name != NULL && s->tables[i].rows > 0) {
            order[count++] = (struct sorted){ s->tables[i].bytes, i };
        }
    }
    qsort(order, count, sizeof *order, by_size);
    cli_table_init(&t, 3, GAP);
    for (size_t i = 0; i < 2; i++) {
        cli_table_cell(&t, i == 0 ? " Type" : " ----");
        cli_table_cell(&t, i == 0 ? "Count" : "----");
        cli_table_cell(&t, i == 0 ? "Size" : "----");
    }
    for (size_t i = 0; i < count; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, " %s", s->tables[order[i].at].name);
        cli_table_cell(&t, name);
        add_number(&t, NULL, s->tables[order[i].at].rows);
        add_size(&t, order[i].bytes);
    }
    cli_table_cell(&t, " ----");
    cli_table_cell(&t, "----");
    cli_table_cell(&t, "----");
    cli_table_cell(&t, " Total");
    cli_table_cell(&t, "");
    add_size(&t, s->bytes);
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

int cmd_snapshot_inspect(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct archive_contents contents;
    struct mu_err err = MU_ERR_NONE;

    (void)options;
    if (argc == 0) {
        return cli_fail(cli, "Missing FILE argument");
    }
    if (argc > 1) {
        return cli_too_many(cli, 1, argc, argv);
    }
    FILE *file = snapshot_file_open(cli, argv[0]);

    if (file == NULL) {
        return 1;
    }
    enum mu_code rc = archive_read(file_source, file, &contents, &err);

    (void)fclose(file);
    if (rc != MU_OK) {
        return cli_fail(cli, "Error reading snapshot: %s: %s", argv[0], err.text);
    }
    print_meta(cli, &contents);
    (void)fputs("\n\n", cli->out);
    print_tables(cli, &contents.state);
    return 0;
}
