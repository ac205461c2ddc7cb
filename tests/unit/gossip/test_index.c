#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "core.h"

#define KINDS 600
#define STEPS 20000

struct model { /* what must be found */
    const struct gossip__card *cards[KINDS];
    struct gossip__member *members[KINDS]; /* of those that are in */
    bool is_in[KINDS], has_id[KINDS];
    size_t order[KINDS], count;
};

static const struct gossip__card *card_make(unsigned number)
{
    char name[16];
    struct gossip__alive a = { .node = name, .node_id = { { 1 } } };

    (void)snprintf(name, sizeof name, "m%u", number);
    memcpy(a.node_id.b + 8, &number, sizeof number);
    return gossip__card_of(NULL, &a);
}

static void agree(const struct gossip__members *all, const struct model *t)
{
    assert_int_equal(all->count, t->count);
    for (size_t i = 0; i < t->count; i++) {
        assert_ptr_equal(all->items[i], t->members[t->order[i]]); /* in the order they came */
    }
    for (size_t i = 0; i < KINDS; i++) {
        const struct gossip__card *c = t->cards[i];

        assert_ptr_equal(gossip__members_named(all, c->name), t->is_in[i] ? t->members[i] : NULL);
        assert_ptr_equal(gossip__members_with_id(all, &c->node_id),
                         t->is_in[i] && t->has_id[i] ? t->members[i] : NULL);
    }
}

static void turn(struct gossip__members *all, struct model *t, size_t who, bool id_only)
{
    if (!t->is_in[who]) {
        t->members[who] = gossip__members_add(all, t->cards[who]);
        assert_int_equal((uintptr_t)t->members[who] % 64, 0);
        assert_int_equal(t->members[who]->incarnation, 0); /* nothing of who lay there before */
        t->members[who]->incarnation = who + 1;
        t->is_in[who] = true;
        t->has_id[who] = false;
        t->order[t->count++] = who;
    } else if (id_only && !t->has_id[who]) {
        gossip__members_id_set(all, t->members[who]);
        t->has_id[who] = true;
    } else if (id_only) {
        gossip__members_id_unset(all, t->members[who]);
        t->has_id[who] = false;
    } else {
        size_t at = 0;

        while (t->order[at] != who) {
            at++;
        }
        gossip__members_remove(all, t->members[who]);
        gossip__members_give_back(all, t->members[who]);
        t->is_in[who] = false;
        t->count--;
        memmove(t->order + at, t->order + at + 1, (t->count - at) * sizeof t->order[0]);
    }
}

static void finds_what_was_added_and_not_removed(void **state)
{
    static struct model t;
    struct gossip__members all = { .items = NULL };
    struct mu_rand rand;

    (void)state;
    mu_rand_seed(&rand, 5);
    for (unsigned i = 0; i < KINDS; i++) {
        t.cards[i] = card_make(i);
    }
    agree(&all, &t); /* empty */
    for (size_t step = 0; step < STEPS; step++) {
        size_t most = step / 4 % 2 == 0 ? KINDS : 1 + step % KINDS; /* full, and nearly empty */

        turn(&all, &t, (size_t)mu_rand_below(&rand, most), mu_rand_below(&rand, 3) > 0);
        if (step % 97 == 0) {
            agree(&all, &t);
        }
        assert_true(all.names.count * 4 <= all.names.room * 3);
    }
    agree(&all, &t);
    assert_in_range(all.blocks_count, 1, 8); /* who comes lies where somebody went */
    for (size_t i = 0; i < KINDS; i++) {
        gossip__card_leave(t.cards[i]);
    }
    gossip__members_free(&all);
}

static void an_id_belongs_to_whom_it_was_given_last(void **state)
{
    struct gossip__members all = { .items = NULL };
    struct gossip__alive say = { .node = "a", .node_id = { { 7 } } };
    const struct gossip__card *a_says = gossip__card_of(NULL, &say);

    (void)state;
    say.node = "b";
    const struct gossip__card *b_says = gossip__card_of(NULL, &say);
    struct gossip__member *a = gossip__members_add(&all, a_says);
    struct gossip__member *b = gossip__members_add(&all, b_says);

    gossip__members_id_set(&all, a);
    gossip__members_id_set(&all, b);
    assert_ptr_equal(gossip__members_with_id(&all, &say.node_id), b);
    gossip__members_id_unset(&all, a); /* is not its own any more */
    assert_ptr_equal(gossip__members_with_id(&all, &say.node_id), b);
    gossip__members_remove(&all, b);
    assert_null(gossip__members_with_id(&all, &say.node_id));
    assert_ptr_equal(gossip__members_named(&all, "a"), a);
    gossip__members_free(&all);
    gossip__card_leave(a_says);
    gossip__card_leave(b_says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_and_not_removed),
        cmocka_unit_test(an_id_belongs_to_whom_it_was_given_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
