#include "held.h"

#include "base/assert.h"
#include "base/limits.h"

void held_init(struct held *h)
{
    *h = (struct held){ .bytes = 0 };
    mu_list_init(&h->small);
    mu_list_init(&h->large);
}

static struct held_by *first_of(const struct mu_link *list)
{
    return mu_list_empty(list) ? NULL : MU_CONTAINER(list->next, struct held_by, place);
}

static void enter(struct held *h, struct held_by *by, uint64_t now_ms)
{
    mu_list_push_back(by->is_large ? &h->large : &h->small, &by->place);
    by->since_ms = now_ms;
    by->taken = 0;
}

void held_set(struct held *h, struct held_by *by, size_t bytes, uint64_t now_ms)
{
    bool is_large = bytes > HELD_FAIR;

    MU_ASSERT(h->bytes >= by->bytes);
    h->bytes += bytes;
    h->bytes -= by->bytes;
    h->most = h->bytes > h->most ? h->bytes : h->most;
    by->bytes = bytes;
    if (bytes == 0 || is_large != by->is_large) {
        mu_list_remove(&by->place);
    }
    by->is_large = is_large;
    if (bytes > 0 && !mu_list_linked(&by->place)) {
        enter(h, by, now_ms);
    }
}

void held_taken(struct held *h, struct held_by *by, size_t bytes, uint64_t now_ms)
{
    by->taken += bytes;
    if (by->taken >= HELD_PACE && mu_list_linked(&by->place)) {
        mu_list_remove(&by->place);
        enter(h, by, now_ms);
    }
}

/* A large one goes first: those who hold little are many, and none of them is the trouble. */
struct held_by *held_over(const struct held *h)
{
    if (h->bytes <= MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE) {
        return NULL;
    }
    struct held_by *large = first_of(&h->large);
    bool is_alone = large != NULL && large->place.next == &h->large;

    if (large != NULL && !(is_alone && h->bytes - large->bytes <= MU_HTTP_HELD_RESERVE)) {
        return large;
    }
    return is_alone ? NULL : first_of(&h->small);
}

enum held_room held_room(const struct held *h, const struct held_by *by, size_t bytes,
                         uint64_t now_ms, struct held_by **victim)
{
    struct held_by *large = first_of(&h->large);

    if (by->bytes + bytes <= HELD_FAIR || h->bytes + bytes <= MU_HTTP_HELD_MAX || large == NULL) {
        return HELD_FITS;
    }
    if (large == by || now_ms - large->since_ms < HELD_PATIENCE_MS) {
        return HELD_REFUSED;
    }
    *victim = large;
    return HELD_EVICT;
}
