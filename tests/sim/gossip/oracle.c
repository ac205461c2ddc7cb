/* oracle.c - the rules of 18.2 that only an outsider can check, after every step. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "network.h"

struct sim_record {    /* what a node has been seen to hold about a name */
    uint64_t stored;   /* incarnation: never falls */
    uint64_t dead_max; /* highest one at which it was held dead or left */
    unsigned last;     /* notice + 1; 0: none */
};

/* What may follow what (18.2, rule 6). Rows: last notice; bits: the next one. */
#define BIT(kind) (1U << (kind))
static const unsigned next_notices[] = {
    // clang-format off
    [0]                  = BIT(GOSSIP_JOINED),
    [GOSSIP_JOINED + 1]  = BIT(GOSSIP_UPDATED) | BIT(GOSSIP_FAILED) | BIT(GOSSIP_LEFT),
    [GOSSIP_UPDATED + 1] = BIT(GOSSIP_UPDATED) | BIT(GOSSIP_FAILED) | BIT(GOSSIP_LEFT),
    [GOSSIP_FAILED + 1]  = BIT(GOSSIP_JOINED) | BIT(GOSSIP_LEFT) | BIT(GOSSIP_REAPED),
    [GOSSIP_LEFT + 1]    = BIT(GOSSIP_JOINED) | BIT(GOSSIP_REAPED),
    [GOSSIP_REAPED + 1]  = BIT(GOSSIP_JOINED),
}; // clang-format on

static _Noreturn void broken(const struct world *w, const struct sim_node *n, const char *name,
                             const char *what)
{
    (void)fprintf(stderr, "seed %llu, at %llu ms: %s about %s: %s\n",
                  (unsigned long long)w->options.seed, (unsigned long long)world_now_ms(w), n->name,
                  name, what);
    abort();
}

static struct sim_record *record_of(struct sim_node *n, const char *name)
{
    struct sim_record *r = mu_table_find(n->records, mu_span_text(name));

    if (r == NULL) {
        r = mu_new(sizeof *r);
        (void)mu_table_put(n->records, mu_span_text(name), r);
    }
    return r;
}

void sim_records_free(struct sim_node *n)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(n->records, &at)) {
        mu_free(at.value);
    }
    mu_table_free(n->records);
    n->records = NULL;
}

void sim_check_notice(struct world *w, struct sim_node *n, const struct gossip_notice *notice)
{
    struct sim_record *r = record_of(n, notice->member.name);

    if (notice->kind == GOSSIP_REFUTED || notice->kind == GOSSIP_CONFLICT ||
        notice->kind == GOSSIP_UNREACHABLE || notice->kind == GOSSIP_USELESS) {
        return;
    }
    if ((next_notices[r->last] & BIT(notice->kind)) == 0) {
        broken(w, n, notice->member.name, "this notice must not follow the last");
    }
    *r = notice->kind == GOSSIP_REAPED ? (struct sim_record){ .stored = 0 } : *r;
    r->last = (unsigned)notice->kind + 1;
}

static void check_member(struct world *w, struct sim_node *n, const struct gossip__member *m)
{
    struct sim_record *r = record_of(n, m->card->name);
    const struct sim_node *owner = mu_table_find(w->names, mu_span_text(m->card->name));

    if (m->incarnation < r->stored) {
        broken(w, n, m->card->name, "the stored incarnation fell");
    }
    if (owner != NULL && !owner->is_double && m->incarnation > owner->issued_max) {
        broken(w, n, m->card->name, "nobody but the member itself may raise its incarnation");
    }
    if (gossip__member_is_live(m) && m->incarnation <= r->dead_max) {
        broken(w, n, m->card->name, "it was dead at this incarnation");
    }
    r->stored = m->incarnation;
    if (!gossip__member_is_live(m)) {
        r->dead_max = m->incarnation;
    }
}

void sim_check(struct world *w, struct sim_node *n)
{
    const struct gossip__members *all = &n->core->members;

    gossip__check(n->core);
    for (size_t i = 0; i < all->count; i++) {
        check_member(w, n, all->items[i]);
    }
}
