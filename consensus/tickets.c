#include "tickets.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define ROOM_FIRST 64U
#define ROOM_KEPT  1024U

void consensus__tickets_init(struct consensus_tickets *t)
{
    *t = (struct consensus_tickets){ .oldest = 1, .next = 1 };
}

void consensus__tickets_deinit(struct consensus_tickets *t)
{
    mu_free(t->ring);
    consensus__tickets_init(t);
}

static struct consensus_waiter *slot(const struct consensus_tickets *t, uint64_t ticket)
{
    return &t->ring[ticket & (t->room - 1)];
}

static bool is_waiting(const struct consensus_waiter *w)
{
    return w->proposed != NULL || w->read != NULL || w->wished != NULL;
}

static void grow(struct consensus_tickets *t)
{
    struct consensus_tickets bigger = *t;

    bigger.room = t->room == 0 ? ROOM_FIRST : t->room * 2;
    bigger.ring = mu_new_array(bigger.room, sizeof *bigger.ring);
    for (uint64_t i = t->oldest; i < t->next; i++) {
        *slot(&bigger, i) = *slot(t, i);
    }
    mu_free(t->ring);
    *t = bigger;
}

uint64_t consensus__tickets_add(struct consensus_tickets *t, const struct consensus_waiter *w)
{
    MU_ASSERT(is_waiting(w));
    if (t->next - t->oldest >= t->room) {
        grow(t);
    }
    *slot(t, t->next) = *w;
    return t->next++;
}

struct consensus_waiter *consensus__tickets_find(struct consensus_tickets *t, uint64_t ticket)
{
    if (ticket < t->oldest || ticket >= t->next || !is_waiting(slot(t, ticket))) {
        return NULL;
    }
    return slot(t, ticket);
}

bool consensus__tickets_take(struct consensus_tickets *t, uint64_t ticket,
                             struct consensus_waiter *out)
{
    struct consensus_waiter *w = consensus__tickets_find(t, ticket);

    if (w == NULL) {
        return false;
    }
    *out = *w;
    memset(w, 0, sizeof *w);
    while (t->oldest < t->next && !is_waiting(slot(t, t->oldest))) {
        t->oldest++;
    }
    if (t->oldest == t->next && t->room > ROOM_KEPT) {
        mu_free(t->ring);
        t->ring = NULL;
        t->room = 0;
    }
    return true;
}
