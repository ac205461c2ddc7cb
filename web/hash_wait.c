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

bool hash_wait_holds(struct request *r, const char *hash)
{
    struct front *f = r->front;
    bool is_same = mu_span_eq_text(params_text(&r->params, "hash"), hash);

    if (!is_same || r->is_last_look || r->is_half_closed || f->is_stopping ||
        f->parked_count >= MU_BLOCKING_MAX) {
        return false;
    }
    f->parked_count++;
    r->is_held = true;
    r->pending = &pending_hash;
    mu_list_push_back(&f->hashed, &r->link);
    if (r->until_ms == 0) {
        r->until_ms = agent_now_ms(f->agent) + blocking_wait_ms(r);
    }
    deadline_set(&f->deadlines, &r->deadline, r->until_ms, on_deadline, r);
    return true;
}

void hash_wait_changed(void *data)
{
    struct front *f = data;
    struct mu_link waiting; /* those that are held again go to the front's list */
    struct mu_link *link;

    mu_list_init(&waiting);
    while ((link = mu_list_pop_front(&f->hashed)) != NULL) {
        mu_list_push_back(&waiting, link);
    }
    while (!mu_list_empty(&waiting)) {
        struct request *r = MU_CONTAINER(waiting.next, struct request, link);

        cancel(r);
        r->look(r);
    }
}
