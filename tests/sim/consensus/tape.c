/* tape.c - what a run is made of, as one line of text, and the streams of chance it gives. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "drive.h"

static const char *const classes[] = {
#define CLASS_TEXT(name, ...) [DRIVE_##name] = #name,
    DRIVE_ACTS(CLASS_TEXT) DRIVE_COLOURS(CLASS_TEXT)
#undef CLASS_TEXT
};

const char *tape_class_text(size_t class)
{
    return class < MU_LEN(classes) ? classes[class] : "?";
}

uint64_t tape_class_stream(size_t class)
{
    enum { LATER = 1000 };

    if (class >= DRIVE_ACTS_COUNT) {
        return class - (DRIVE_ACTS_COUNT - DRIVE_FIRST_LATER);
    }
    return class < DRIVE_FIRST_LATER ? class : LATER + class;
}

/* -- streams ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x, uint64_t v)
{
    x = (x ^ v) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct mu_rand drive_stream(const struct drive *d, enum drive_domain domain, uint64_t a, uint64_t b)
{
    struct mu_rand r;

    mu_rand_seed(&r, mix(mix(mix(d->tape->seed, domain + 1), a), b));
    return r;
}

uint64_t drive_below(struct drive *d, uint64_t bound)
{
    return mu_rand_below(&d->rand, bound);
}

uint64_t drive_shrunk(struct drive *d, uint64_t bound)
{
    return drive_below(d, bound) >> d->shrink;
}

/* -- tapes --------------------------------------------------------------------------------- */

struct tape *tape_new(uint64_t seed)
{
    struct tape *t = mu_new(sizeof *t);

    t->seed = seed;
    t->events = mu_new_array(TAPE_EVENTS_MAX, sizeof *t->events);
    return t;
}

struct tape *tape_copy(const struct tape *t)
{
    struct tape *copy = tape_new(t->seed);
    struct tape_event *events = copy->events;

    *copy = *t;
    copy->events = events;
    memcpy(events, t->events, t->count * sizeof *events);
    return copy;
}

void tape_free(struct tape *t)
{
    if (t != NULL) {
        mu_free(t->events);
        mu_free(t);
    }
}

static bool class_find(const char *text, size_t bytes, size_t *class)
{
    for (size_t i = 0; i < MU_LEN(classes); i++) {
        if (strlen(classes[i]) == bytes && memcmp(classes[i], text, bytes) == 0) {
            *class = i;
            return true;
        }
    }
    return false;
}

static bool off_read(struct tape *t, const char *text)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, ",");
        size_t class = 0;

        if (!class_find(text, bytes, &class)) {
            return false;
        }
        t->off |= UINT64_C(1) << class;
        text += bytes + (text[bytes] == ',');
    }
    return true;
}

static bool events_read(struct tape *t, const char *text)
{
    t->is_listed = true;
    while (*text != '\0' && *text != '-') { /* "-": none at all */
        size_t bytes = strcspn(text, ".");
        size_t class = 0;
        char *end = NULL;

        if (text[bytes] != '.' || !class_find(text, bytes, &class) || class >= DRIVE_ACTS_COUNT ||
            t->count == TAPE_EVENTS_MAX) {
            return false;
        }
        struct tape_event *e = &t->events[t->count++];

        e->act = (uint8_t) class;
        e->tick = (uint32_t)strtoul(text + bytes + 1, &end, 10);
        e->shrink = *end == '/' ? (uint8_t)strtoul(end + 1, &end, 10) : 0;
        if (e->shrink > SHRINK_MAX || (*end != ',' && *end != '\0')) {
            return false;
        }
        text = end + (*end == ',');
    }
    return true;
}

static bool word_read(struct tape *t, const char *name, const char *value)
{
    if (strcmp(name, "off") == 0) {
        return off_read(t, value);
    }
    if (strcmp(name, "only") == 0) {
        return events_read(t, value);
    }
    if (strcmp(name, "nodes") == 0) {
        t->nodes = (uint32_t)strtoul(value, NULL, 10);
        return t->nodes >= 1 && t->nodes <= 5;
    }
    if (strcmp(name, "until") == 0) {
        t->duration_ms = strtoull(value, NULL, 10);
        return t->duration_ms > 0;
    }
    return false;
}

bool tape_read(struct tape *t, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mu_new(size);
    char *rest = NULL;
    bool ok = true;

    memcpy(copy, text, size);
    char *word = strtok_r(copy, " \n", &rest);

    ok = word != NULL && strspn(word, "0123456789") == strlen(word);
    t->seed = ok ? strtoull(word, NULL, 10) : 0;
    while (ok && (word = strtok_r(NULL, " \n", &rest)) != NULL) {
        char *value = strtok_r(NULL, " \n", &rest);

        ok = value != NULL && word_read(t, word, value);
    }
    mu_free(copy);
    return ok;
}

void tape_print(const struct tape *t, FILE *to)
{
    const char *before = " off ";

    (void)fprintf(to, "%llu", U(t->seed));
    for (size_t i = 0; i < DRIVE_CLASSES_COUNT; i++) {
        if ((t->off >> i) & 1U) {
            (void)fprintf(to, "%s%s", before, classes[i]);
            before = ",";
        }
    }
    if (t->nodes > 0) {
        (void)fprintf(to, " nodes %u", t->nodes);
    }
    if (t->duration_ms > 0) {
        (void)fprintf(to, " until %llu", U(t->duration_ms));
    }
    if (t->is_listed) {
        (void)fprintf(to, " only %s", t->count == 0 ? "-" : "");
    }
    for (size_t i = 0; t->is_listed && i < t->count; i++) {
        (void)fprintf(to, "%s%s.%u", i > 0 ? "," : "", classes[t->events[i].act],
                      t->events[i].tick);
        if (t->events[i].shrink > 0) {
            (void)fprintf(to, "/%u", t->events[i].shrink);
        }
    }
}
