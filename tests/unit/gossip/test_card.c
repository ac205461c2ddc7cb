#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core.h"

static const uint8_t meta[] = { 4, 'r', 'o', 'l', 'e', 0, 3, 'w', 'e', 'b' };

static struct gossip__alive alive(void)
{
    return (struct gossip__alive){ .node = "a",
                                   .incarnation = 3,
                                   .boot_id = 7,
                                   .at = { { 10, 0, 0, 1 }, 4, 8301 },
                                   .meta = mu_span_of(meta, sizeof meta),
                                   .versions = { 1, 2, 1, 2, 5, 4 },
                                   .node_id = { { 9 } } };
}

/* Everything that is on it, one change at a time; the incarnation is not. */
#define CHANGES 8
static struct gossip__alive changed(unsigned what)
{
    struct gossip__alive a = alive();

    switch (what) {
    case 0: a.node = "b"; break;
    case 1: a.boot_id = 8; break;
    case 2: a.at.ip[3] = 2; break;
    case 3: a.at.port = 8302; break;
    case 4: a.meta.bytes = 0; break;
    case 5: a.versions[2] = 2; break;
    case 6: a.node_id.b[15] = 1; break;
    default: a.node = ""; break;
    }
    return a;
}

static void holds_what_was_said(void **state)
{
    struct gossip__alive a = alive();
    const struct gossip__card *c = gossip__card_of(NULL, &a);

    (void)state;
    a.incarnation = 99;
    assert_true(gossip__card_says(c, &a));
    assert_ptr_not_equal(c->name, a.node); /* copies */
    assert_ptr_not_equal(c->meta.data, meta);
    assert_string_equal(c->name, "a");
    assert_int_equal(c->tags.count, 1);
    assert_true(mu_span_eq_text(c->tags.items[0].key, "role"));
    assert_true(mu_span_eq_text(c->tags.items[0].value, "web"));
    assert_true(c->tags.items[0].key.data > c->meta.data); /* views into its own copy */
    for (unsigned i = 0; i < CHANGES; i++) {
        struct gossip__alive other = changed(i);

        if (gossip__card_says(c, &other)) {
            fail_msg("change %u is not seen", i);
        }
    }
    gossip__card_leave(c);
    gossip__card_leave(NULL);
}

static void tags_that_cannot_be_read_are_none(void **state)
{
    struct gossip__alive a = alive();

    (void)state;
    a.meta = mu_span_of(meta, sizeof meta - 1);
    const struct gossip__card *c = gossip__card_of(NULL, &a);

    assert_int_equal(c->tags.count, 0);
    assert_int_equal(c->meta.bytes, sizeof meta - 1);
    gossip__card_leave(c);
}

static void a_pool_has_one_for_each_content(void **state)
{
    struct gossip_cards *pool = gossip_cards_new();
    const struct gossip__card *held[CHANGES];
    struct gossip__alive a = alive();
    const struct gossip__card *first = gossip__card_of(pool, &a);

    (void)state;
    a.incarnation = 4;
    assert_ptr_equal(gossip__card_of(pool, &a), first);
    for (unsigned i = 0; i < CHANGES; i++) {
        struct gossip__alive other = changed(i);

        held[i] = gossip__card_of(pool, &other);
        assert_int_equal(gossip_cards_count(pool), i + 2);
        assert_true(gossip__card_says(held[i], &other));
    }
    assert_ptr_equal(gossip__card_join(first), first);
    gossip__card_leave(first);
    gossip__card_leave(first);
    assert_ptr_equal(gossip__card_of(pool, &a), first); /* still held once */
    gossip__card_leave(first);
    gossip__card_leave(first);
    assert_int_equal(gossip_cards_count(pool), CHANGES);
    for (unsigned i = 0; i < CHANGES; i++) {
        gossip__card_leave(held[i]);
    }
    assert_int_equal(gossip_cards_count(pool), 0);
    gossip_cards_free(pool);
    gossip_cards_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_was_said),
        cmocka_unit_test(tags_that_cannot_be_read_are_none),
        cmocka_unit_test(a_pool_has_one_for_each_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
