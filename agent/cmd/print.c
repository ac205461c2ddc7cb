/* Results as people read them. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void cli_table_init(struct cli_table *t, size_t columns, size_t gap)
{
    *t = (struct cli_table){ .columns = columns, .gap = gap };
}

void cli_table_deinit(struct cli_table *t)
{
    mu_buf_deinit(&t->cells);
}

void cli_table_cell_span(struct cli_table *t, struct mu_span text)
{
    mu_buf_add_span(&t->cells, text);
    mu_buf_add_byte(&t->cells, '\0');
    t->cells_count++;
}

void cli_table_cell(struct cli_table *t, const char *text)
{
    cli_table_cell_span(t, mu_span_text(text));
}

/* Characters, not bytes: what does not begin one is a part of it (UTF-8). */
static size_t width(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return count;
}

void cli_table_print(const struct cli_table *t, FILE *to)
{
    size_t *widths = mu_new_array(t->columns, sizeof *widths);
    const char *cell = (const char *)t->cells.data;
    size_t last = 0; /* that says something */

    MU_ASSERT(t->cells_count % t->columns == 0);
    for (size_t i = 0; i < t->cells_count; i++, cell += strlen(cell) + 1) {
        size_t column = i % t->columns;

        widths[column] = width(cell) > widths[column] ? width(cell) : widths[column];
        last = cell[0] != '\0' ? i : last;
    }
    cell = (const char *)t->cells.data;
    for (size_t i = 0; i < t->cells_count; i++, cell += strlen(cell) + 1) {
        size_t column = i % t->columns;
        bool is_last = column + 1 == t->columns;
        bool is_end = is_last || (t->is_trimmed && i >= last);
        size_t pad = is_end ? 0 : widths[column] - width(cell) + t->gap;

        (void)fprintf(to, "%s%*s%s", cell, (int)pad, "", is_last ? "\n" : "");
    }
    mu_free(widths);
}

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

void cli_pairs_text(struct mu_pairs *pairs, const char *separator, struct mu_buf *to)
{
    if (pairs->count > 0) {
        qsort(pairs->items, pairs->count, sizeof *pairs->items, by_key);
    }
    for (size_t i = 0; i < pairs->count; i++) {
        mu_buf_addf(to, "%s%.*s=%.*s", i > 0 ? separator : "", MU_SPAN_FMT(pairs->items[i].key),
                    MU_SPAN_FMT(pairs->items[i].value));
    }
}

void cli_print_span(FILE *to, struct mu_span text)
{
    if (text.bytes > 0) {
        (void)fwrite(text.data, 1, text.bytes, to);
    }
    (void)fputc('\n', to);
}
