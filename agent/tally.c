#include "tally.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct row {
    char name[TALLY_NAME_BYTES];
    struct mu_sample sample;
};

struct tally {
    struct row rows[TALLY_MAX];
    size_t count;
};

static struct row *row_of(struct tally *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->rows[i].name, name) == 0) {
            return &t->rows[i];
        }
    }
    if (t->count == TALLY_MAX) {
        return NULL;
    }
    (void)snprintf(t->rows[t->count].name, TALLY_NAME_BYTES, "%s", name);
    return &t->rows[t->count++];
}

void tally_add(struct tally **t, const char *prefix, const char *name, double value)
{
    char whole[TALLY_NAME_BYTES];

    if (*t == NULL) {
        *t = mu_new(sizeof **t);
    }
    (void)snprintf(whole, sizeof whole, "%s%s", prefix, name);
    struct row *row = row_of(*t, whole);

    if (row != NULL) {
        mu_sample_add(&row->sample, value);
    }
}

void tally_free(struct tally *t)
{
    mu_free(t);
}

bool tally_row(const struct tally *t, size_t at, const char **name, struct mu_sample *sample)
{
    if (t == NULL || at >= t->count) {
        return false;
    }
    *name = t->rows[at].name;
    *sample = t->rows[at].sample;
    return true;
}
