#include "hash_wait.h"

#include "base/assert.h"
#include "base/limits.h"
#include "blocking.h"

static void cancel(struct request *r)
{
    mu_list_remove(&r->link);
    r->front->parked_count--;
    r->is_held = false;
    r->pending = NULL;
    deadline_clear(&r->front->deadlines, &r->deadline);
}

static const struct request_pending pending_hash = { "hash", cancel };

void hash_wait(struct request *r, void (*look)(struct request *r))
{
    r->look = look;
    look(r);
}

static void on_deadline(void *data)
{
    struct request *r = data;

    r->is_last_look = true;
    cancel(r);
    r->look(r);
}

static bool hold(struct request *r, struct mu_link *list)
{
    struct front *f = r->front;

    if (r->is_last_look || r->is_half_closed || f->is_stopping ||
        f->parked_count >= MU_BLOCKING_MAX) {
        return false;
    }
    f->parked_count++;
    r->is_held = true;
    r->pending = &pending_hash;
    mu_list_push_back(list, &r->link);
    if (r->until_ms == 0) {
        r->until_ms = agent_now_ms(f->agent) + blocking_wait_ms(r);
    }
    deadline_set(&f->deadlines, &r->deadline, r->until_ms, on_deadline, r);
    return true;
}

bool hash_wait_holds(struct request *r, const char *hash)
{
    return mu_span_eq_text(params_text(&r->params, "hash"), hash) && hold(r, &r->front->hashed);
}

bool event_wait_holds(struct request *r, uint64_t index)
{
    return r->read.index == index && hold(r, &r->front->listening);
}

static void look_again(struct mu_link *list)
{
    struct mu_link waiting; /* those that are held again go to the list itself */
    struct mu_link *link;

    mu_list_init(&waiting);
    while ((link = mu_list_pop_front(list)) != NULL) {
        mu_list_push_back(&waiting, link);
    }
    while (!mu_list_empty(&waiting)) {
        struct request *r = MU_CONTAINER(waiting.next, struct request, link);

        cancel(r);
        r->look(r);
    }
}

void hash_wait_changed(void *data)
{
    look_again(&((struct front *)data)->hashed);
}

void event_wait_heard(void *data)
{
    look_again(&((struct front *)data)->listening);
}
