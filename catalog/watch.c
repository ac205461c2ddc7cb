/* watch.c - topics that somebody waits for, and who.
 *
 * A subject is a topic with at least one waiter; a hook ties one waiter to one subject. Waking goes
 * in two steps. First every waiter whom the changes concern is put on a list, and nothing else is
 * touched. Then the list is worked off: the waiter's hooks are undone, it is freed, and its
 * function called, which may add waits (they are on no list), cancel others (they leave the list)
 * or wake (what is on a list already is left to whoever put it there).
 *
 *   wait -- hook ---- subject "service web"
 *       `-- hook --.
 *   wait -- hook ---- subject "prefix a/"   also found by the order of its name
 *
 * A key that changed concerns the waiters for it, and those for each prefix of it that somebody
 * waits for: one lookup for each length in use, not for each waiter. A prefix that was deleted as
 * a whole concerns all keys and prefixes below it, which lie together in the order of names, and
 * again the prefixes of it.
 */
#include "catalog/watch.h"

#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"
#include "ordered.h"
#include "topic.h"

struct subject {
    enum catalog_topic_kind kind;
    struct ordered_link order; /* keys and prefixes only */
    struct mu_link hooks;
    size_t topic_bytes;
    uint8_t topic[]; /* as topic.h writes it; the name of `order` points behind its first byte */
};

struct hook {
    struct mu_link link;
    struct subject *subject;
    struct catalog_wait *wait;
};

struct catalog_wait {
    struct catalog_watch *watch;
    struct mu_link all;    /* in watch->all */
    struct mu_link firing; /* in the list of a catalog_watch_fire() that runs, or in none */
    catalog_watch_fn *fire;
    void *data;
    bool is_patient;
    size_t hooks_count;
    struct hook hooks[];
};

/* How many prefixes of one length are waited for. */
struct length {
    size_t bytes, count;
};

struct catalog_watch {
    struct mu_table *subjects; /* by topic */
    struct mu_link all;
    size_t count, patient_count;
    struct ordered keys, prefixes;
    struct length *lengths; /* of prefixes, ascending */
    size_t lengths_count, lengths_room;
    struct mu_rand rand; /* shapes trees, decides nothing */
    struct mu_buf topic; /* room to put a topic together */
};

struct catalog_watch *catalog_watch_new(void)
{
    struct catalog_watch *w = mu_new(sizeof *w);

    w->subjects = mu_table_new();
    mu_list_init(&w->all);
    mu_rand_seed(&w->rand, mu_rand_system());
    return w;
}

void catalog_watch_free(struct catalog_watch *w)
{
    if (w == NULL) {
        return;
    }
    MU_ASSERT(w->count == 0);
    MU_ASSERT(mu_table_count(w->subjects) == 0 && w->lengths_count == 0);
    mu_table_free(w->subjects);
    mu_free(w->lengths);
    mu_buf_deinit(&w->topic);
    mu_free(w);
}

size_t catalog_watch_eager(const struct catalog_watch *w)
{
    return w->count - w->patient_count;
}

size_t catalog_watch_count(const struct catalog_watch *w)
{
    return w->count;
}

/* -- lengths of prefixes ----------------------------------------------------------------------- */

static void length_added(struct catalog_watch *w, size_t bytes)
{
    size_t at = 0;

    while (at < w->lengths_count && w->lengths[at].bytes < bytes) {
        at++;
    }
    if (at < w->lengths_count && w->lengths[at].bytes == bytes) {
        w->lengths[at].count++;
        return;
    }
    if (w->lengths_count == w->lengths_room) {
        w->lengths_room = w->lengths_room * 2 + 8;
        w->lengths = mu_grow(w->lengths, w->lengths_room * sizeof *w->lengths);
    }
    memmove(&w->lengths[at + 1], &w->lengths[at], (w->lengths_count - at) * sizeof *w->lengths);
    w->lengths[at] = (struct length){ bytes, 1 };
    w->lengths_count++;
}

static void length_removed(struct catalog_watch *w, size_t bytes)
{
    size_t at = 0;

    while (w->lengths[at].bytes != bytes) {
        at++;
        MU_ASSERT(at < w->lengths_count);
    }
    if (--w->lengths[at].count == 0) {
        w->lengths_count--;
        memmove(&w->lengths[at], &w->lengths[at + 1], (w->lengths_count - at) * sizeof *w->lengths);
    }
}

/* -- subjects ---------------------------------------------------------------------------------- */

/* The topic as bytes, valid until the next call. */
static struct mu_span topic_bytes(struct catalog_watch *w, enum catalog_topic_kind kind,
                                  struct mu_span name)
{
    mu_buf_clear(&w->topic);
    catalog__topic_write(&w->topic, kind, name);
    return mu_buf_span(&w->topic);
}

static struct ordered *order_of(struct catalog_watch *w, enum catalog_topic_kind kind)
{
    return kind == CATALOG_KEY ? &w->keys : kind == CATALOG_PREFIX ? &w->prefixes : NULL;
}

static struct subject *subject_new(struct catalog_watch *w, enum catalog_topic_kind kind,
                                   struct mu_span topic)
{
    struct subject *s = mu_new(sizeof *s + topic.bytes);

    s->kind = kind;
    s->topic_bytes = topic.bytes;
    memcpy(s->topic, topic.data, topic.bytes);
    mu_list_init(&s->hooks);
    s->order.name = mu_span_of(s->topic + 1, topic.bytes - 1);
    (void)mu_table_put(w->subjects, topic, s);
    if (order_of(w, kind) != NULL) {
        catalog__ordered_add(order_of(w, kind), &w->rand, &s->order);
    }
    if (kind == CATALOG_PREFIX) {
        length_added(w, s->order.name.bytes);
    }
    return s;
}

static void subject_free(struct catalog_watch *w, struct subject *s)
{
    MU_ASSERT(mu_list_empty(&s->hooks));
    if (order_of(w, s->kind) != NULL) {
        catalog__ordered_remove(order_of(w, s->kind), &s->order);
    }
    if (s->kind == CATALOG_PREFIX) {
        length_removed(w, s->order.name.bytes);
    }
    (void)mu_table_remove(w->subjects, mu_span_of(s->topic, s->topic_bytes));
    mu_free(s);
}

/* -- waits ------------------------------------------------------------------------------------- */

static void hook_init(struct hook *h, struct catalog_wait *wait, const struct catalog_topic *topic)
{
    struct catalog_watch *w = wait->watch;
    struct mu_span bytes = topic_bytes(w, topic->kind, topic->name);
    struct subject *s = mu_table_find(w->subjects, bytes);

    MU_ASSERT(topic->kind != CATALOG_EVERYTHING);
    h->wait = wait;
    h->subject = s != NULL ? s : subject_new(w, topic->kind, bytes);
    mu_list_push_back(&h->subject->hooks, &h->link);
}

struct catalog_wait *catalog_watch_add(struct catalog_watch *w, const struct catalog_topic *topics,
                                       size_t count, catalog_watch_fn *fire, void *data)
{
    MU_ASSERT(count >= 1 && count <= CATALOG_WAIT_TOPICS_MAX);
    struct catalog_wait *wait = mu_new(sizeof *wait + count * sizeof wait->hooks[0]);

    wait->watch = w;
    wait->fire = fire;
    wait->data = data;
    wait->hooks_count = count;
    for (size_t i = 0; i < count; i++) {
        hook_init(&wait->hooks[i], wait, &topics[i]);
    }
    mu_list_push_back(&w->all, &wait->all);
    w->count++;
    return wait;
}

void catalog_watch_patient(struct catalog_wait *wait)
{
    MU_ASSERT(!wait->is_patient);
    wait->is_patient = true;
    wait->watch->patient_count++;
}

void catalog_watch_cancel(struct catalog_wait *wait)
{
    if (wait == NULL) {
        return;
    }
    for (size_t i = 0; i < wait->hooks_count; i++) {
        struct subject *s = wait->hooks[i].subject;

        mu_list_remove(&wait->hooks[i].link);
        if (mu_list_empty(&s->hooks)) {
            subject_free(wait->watch, s);
        }
    }
    mu_list_remove(&wait->all);
    mu_list_remove(&wait->firing);
    wait->watch->count--;
    wait->watch->patient_count -= wait->is_patient;
    mu_free(wait);
}

/* -- waking ------------------------------------------------------------------------------------ */

/* Put a waiter on the list, unless it is on one. */
static void take(struct catalog_wait *wait, struct mu_link *list)
{
    if (!mu_list_linked(&wait->firing)) {
        mu_list_push_back(list, &wait->firing);
    }
}

static void take_subject(const struct subject *s, struct mu_link *list)
{
    if (s != NULL) {
        MU_LIST_EACH (link, &s->hooks) {
            take(MU_CONTAINER(link, struct hook, link)->wait, list);
        }
    }
}

static void take_exact(struct catalog_watch *w, enum catalog_topic_kind kind, struct mu_span name,
                       struct mu_link *list)
{
    take_subject(mu_table_find(w->subjects, topic_bytes(w, kind, name)), list);
}

/* Waiters for prefixes of this name, itself included. */
static void take_prefixes_of(struct catalog_watch *w, struct mu_span name, struct mu_link *list)
{
    struct mu_span topic = topic_bytes(w, CATALOG_PREFIX, name);

    for (size_t i = 0; i < w->lengths_count && w->lengths[i].bytes <= name.bytes; i++) {
        take_subject(mu_table_find(w->subjects, mu_span_sub(topic, 0, 1 + w->lengths[i].bytes)),
                     list);
    }
}

/* All that lie below a prefix, itself included. */
static void take_below(const struct ordered *o, struct mu_span prefix, struct mu_link *list)
{
    struct ordered_link *at = catalog__ordered_from(o, prefix);

    while (at != NULL && mu_span_starts(at->name, prefix)) {
        take_subject(MU_CONTAINER(at, struct subject, order), list);
        at = catalog__ordered_after(o, at->name);
    }
}

static void take_all(struct catalog_watch *w, struct mu_link *list)
{
    MU_LIST_EACH (link, &w->all) {
        take(MU_CONTAINER(link, struct catalog_wait, all), list);
    }
}

static void take_concerned(struct catalog_watch *w, const struct catalog_topic *change,
                           struct mu_link *list)
{
    switch (change->kind) {
    case CATALOG_NODES:
    case CATALOG_NODE:
    case CATALOG_SERVICES:
    case CATALOG_SERVICE:
    case CATALOG_CHECKS:
    case CATALOG_COORDINATES:
    case CATALOG_SESSIONS:
    case CATALOG_SESSION: take_exact(w, change->kind, change->name, list); break;
    case CATALOG_KEY:
        take_exact(w, CATALOG_KEY, change->name, list);
        take_prefixes_of(w, change->name, list);
        break;
    case CATALOG_PREFIX:
        take_below(&w->keys, change->name, list);
        take_below(&w->prefixes, change->name, list);
        take_prefixes_of(w, change->name, list);
        break;
    case CATALOG_EVERYTHING: take_all(w, list); break;
    }
}

void catalog_watch_fire(struct catalog_watch *w, const struct catalog_changes *changes)
{
    struct mu_link list;

    mu_list_init(&list);
    for (size_t i = 0; w->count > 0 && i < catalog_changes_count(changes); i++) {
        struct catalog_topic change = catalog_changes_at(changes, i);

        take_concerned(w, &change, &list);
    }
    while (!mu_list_empty(&list)) {
        struct catalog_wait *wait = MU_CONTAINER(list.next, struct catalog_wait, firing);
        catalog_watch_fn *fire = wait->fire;
        void *data = wait->data;

        catalog_watch_cancel(wait); /* gone before its function runs */
        fire(data);
    }
}
