#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/list.h"

struct item {
    char name;
    struct mu_link place;
};

static const char *names(struct mu_link *head, struct mu_buf *b)
{
    mu_buf_clear(b);
    MU_LIST_EACH(link, head)
    {
        mu_buf_add_byte(b, (uint8_t)MU_CONTAINER(link, struct item, place)->name);
    }
    return mu_buf_text(b);
}

static void order_is_kept(void **state)
{
    struct item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' }, d = { .name = 'd' };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_link head;

    (void)state;
    mu_list_init(&head);
    assert_true(mu_list_empty(&head));
    assert_null(mu_list_pop_front(&head));
    mu_list_push_back(&head, &b.place);
    mu_list_push_back(&head, &d.place);
    mu_list_push_front(&head, &a.place);
    mu_list_insert(&d.place, &c.place);
    assert_string_equal(names(&head, &text), "abcd");
    assert_false(mu_list_empty(&head));
    mu_list_remove(&b.place);
    assert_false(mu_list_linked(&b.place));
    mu_list_remove(&b.place); /* in no list: nothing happens */
    assert_string_equal(names(&head, &text), "acd");
    assert_ptr_equal(mu_list_pop_front(&head), &a.place);
    mu_list_push_back(&head, &a.place); /* a removed one may go in again */
    assert_string_equal(names(&head, &text), "cda");
    mu_buf_deinit(&text);
}

static void the_body_may_remove_its_element(void **state)
{
    struct item items[5] = {
        { .name = 'a' }, { .name = 'b' }, { .name = 'c' }, { .name = 'd' }, { .name = 'e' }
    };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_link head;

    (void)state;
    mu_list_init(&head);
    for (size_t i = 0; i < MU_LEN(items); i++) {
        mu_list_push_back(&head, &items[i].place);
    }
    MU_LIST_EACH_SAFE(link, &head)
    {
        if (MU_CONTAINER(link, struct item, place)->name % 2 == 1) {
            mu_list_remove(link);
        }
    }
    assert_string_equal(names(&head, &text), "bd");
    mu_buf_deinit(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(the_body_may_remove_its_element),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
