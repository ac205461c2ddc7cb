#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/rand.h"
#include "history.h"
#include "linear.h"

#define TWIN_OPS_MAX 8

/* -- histories written by hand ---------------------------------------------------------------- */

struct given {
    const char *claim;
    enum linear_verdict searched, indexed;
    const char *text;
};

static const struct given histories[] = {
    { "nothing happened", LINEAR_HOLDS, LINEAR_HOLDS, "" },
    { "a value is read back", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 get x\ndone 2 4 value=a modified=7\n" },
    { "an acknowledged write is not lost", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 get x\ndone 2 4\n" },
    { "nor is the older one read behind it", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=5\ncall 2 3 put x value=b\ndone 2 4 index=6\n"
      "call 3 5 get x\ndone 3 6 value=a modified=5\n" },
    { "two that overlap may take either order", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ncall 2 2 put x value=b\ndone 1 3 index=9\ndone 2 4 index=8\n"
      "call 3 5 get x\ndone 3 6 value=a modified=9\n" },
    { "a return at the time of a call overlaps it", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 5\ncall 2 5 get x\ndone 2 6\n" },
    { "readers agree about the order", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ncall 2 1 put x value=b\n"
      "call 3 2 get x\ndone 3 3 value=a modified=5\ncall 4 4 get x\ndone 4 5 value=b modified=6\n"
      "call 5 6 get x\ndone 5 7 value=a modified=5\ndone 1 9\ndone 2 9\n" },
    { "a new value is not unseen again", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 put x value=b\n"
      "call 3 4 get x\ndone 3 5 value=b modified=4\n"
      "call 4 6 get x\ndone 4 7 value=a modified=3\ndone 2 9 index=4\n" },
    { "an open write may take effect late", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\nunknown 1 2\ncall 2 3 get x\ndone 2 4\n"
      "call 3 5 get x\ndone 3 6 value=a modified=9\n" },
    { "or never", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ncall 2 3 get x\ndone 2 4\n" },
    { "but once", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 put x value=a\ncall 2 3 get x\ndone 2 4 value=a\ncall 3 5 put x value=b\n"
      "done 3 6\ncall 4 7 get x\ndone 4 8 value=b\ncall 5 9 get x\ndone 5 10 value=a\n" },
    { "a value comes from somebody", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 get x\ndone 1 2 value=ghost\n" },
    { "and not from the future", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 get x\ndone 1 2 value=a\ncall 2 3 put x value=a\ndone 2 4\n" },
    { "what was dropped had no effect", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndrop 1\ncall 2 3 get x\ndone 2 4 value=a\n" },
    { "a cas sees what it expects", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 cas x value=b expected=a\ndone 2 4\n"
      "call 3 5 cas x value=c expected=a\nrefused 3 6\ncall 4 7 get x\ndone 4 8 value=b\n" },
    { "two cas cannot win one race", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=4\ncall 2 3 cas x value=b expected=a\n"
      "call 3 3 cas x value=c expected=a\ndone 2 9 index=5\ndone 3 9 index=6\n" },
    { "a cas is not refused without reason", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 cas x value=b expected=a\nrefused 2 4\n" },
    { "a cas of nothing creates", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 cas x value=a\ndone 1 2\ncall 2 3 cas x value=b\ndone 2 4\n" },
    { "an open cas can be the reason", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 cas x value=b expected=a\nunknown 2 4\n"
      "call 3 5 cas x value=c expected=a\nrefused 3 6\n" },
    { "deleted is gone", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 delete x\ndone 2 4 index=4\n"
      "call 3 5 get x\ndone 3 6 value=a modified=3\n" },
    { "a delete by index spares what is newer", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 put x value=b\ndone 2 4\n"
      "call 3 5 delete-cas x expected=a\ndone 3 6\n" },
    { "and is content with nothing", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 3 5 delete-cas x expected=a\ndone 3 6\n" },
    { "a lock has one holder", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 acquire x value=a session=s\ndone 1 2\ncall 2 3 acquire x value=b session=t\n"
      "done 2 4\n" },
    { "who may lock again", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 acquire x value=a session=s\ndone 1 2\ncall 2 3 acquire x value=b session=s\n"
      "done 2 4\ncall 3 5 get x\ndone 3 6 value=b session=s\n" },
    { "and alone can release", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 acquire x value=a session=s\ndone 1 2\ncall 2 3 release x value=b session=t\n"
      "done 2 4\n" },
    { "released is free", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 acquire x value=a session=s\ndone 1 2\ncall 2 3 release x value=b session=s\n"
      "done 2 4\ncall 3 5 acquire x value=c session=t\ndone 3 6\n" },
    { "and expired too, once it is", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 acquire x value=a session=s\ndone 1 2\ncall 2 3 expire x session=s\n"
      "call 3 5 acquire x value=c session=t\nrefused 3 6\n"
      "call 4 7 acquire x value=d session=t\ndone 4 8\n" },
    { "not before", LINEAR_BROKEN, LINEAR_HOLDS,
      "call 1 1 acquire x value=a session=s\ndone 1 2\n"
      "call 3 5 acquire x value=c session=t\ndone 3 6\ncall 2 7 expire x session=s\n" },
    { "stale reads may be old", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 put x value=b\ndone 2 4 index=4\n"
      "call 3 5 get x stale\ndone 3 6 value=a modified=3\n" },
    { "but not of another history", LINEAR_HOLDS, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 get x stale\n"
      "done 2 6 value=b modified=3\n" },
    { "nor of two states at once", LINEAR_HOLDS, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 put x value=b\ndone 2 4 index=4\n"
      "call 3 5 get x stale\ndone 3 6 value=a modified=3 index=8\n" },
    { "an open delete may have been done", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 delete x\ncall 3 5 get x\n"
      "done 3 6 index=8\n" },
    { "or one whose index was not told", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 delete x\ndone 2 4\n"
      "call 3 5 get x\ndone 3 6 index=8\n" },
    { "not before it was called", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 get x\ndone 2 4 index=8\n"
      "call 3 5 delete x\n" },
    { "nor before what it would have deleted", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 delete x\ndone 1 2\ncall 2 3 put x value=a\ndone 2 4 index=5\n"
      "call 3 5 get x\ndone 3 6 index=8\n" },
    { "nor does one of another value count", LINEAR_BROKEN, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=3\ncall 2 3 delete-cas x expected=b\n"
      "call 3 5 get x\ndone 3 6 index=8\n" },
    { "the log orders over all keys", LINEAR_HOLDS, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=9\ncall 2 3 put y value=b\ndone 2 4 index=8\n" },
    { "states do not go back", LINEAR_HOLDS, LINEAR_BROKEN,
      "call 1 1 get x\ndone 1 2 index=9\ncall 2 3 get y\ndone 2 4 index=8\n" },
    { "an index is one write", LINEAR_HOLDS, LINEAR_BROKEN,
      "call 1 1 put x value=a\ncall 2 1 put x value=b\ndone 1 2 index=9\ndone 2 2 index=9\n" },
    { "a value has one index", LINEAR_HOLDS, LINEAR_BROKEN,
      "call 1 1 put x value=a\ndone 1 2 index=9\ncall 2 3 get x\n"
      "done 2 4 value=a modified=10\n" },
    { "keys do not mix", LINEAR_HOLDS, LINEAR_HOLDS,
      "call 1 1 put x value=a\ndone 1 2\ncall 2 3 get y\ndone 2 4\n" },
};

static void histories_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(histories); i++) {
        struct linear_history h = LINEAR_HISTORY_NONE;
        struct mu_buf why = MU_BUF_NONE;
        struct mu_err err = MU_ERR_NONE;
        enum linear_verdict searched, indexed;

        if (history_parse(&h, mu_span_text(histories[i].text), &err) != MU_OK) {
            fail_msg("%s: %s", histories[i].claim, err.text);
        }
        searched = linear_check(&h, 0, &why);
        indexed = linear_check_indexes(&h, &why);
        if (searched != histories[i].searched || indexed != histories[i].indexed) {
            fail_msg("%s: search says %d, indexes say %d\n%s", histories[i].claim, searched,
                     indexed, mu_buf_text(&why));
        }
        if (searched == LINEAR_BROKEN || indexed == LINEAR_BROKEN) {
            assert_true(why.bytes > 0);
        }
        linear_history_deinit(&h);
        mu_buf_deinit(&why);
    }
}

static void a_break_is_explained(void **state)
{
    struct linear_history h = LINEAR_HISTORY_NONE;
    struct mu_buf why = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(history_parse(&h,
                                   MU_SPAN_LIT("call 1 1 put color value=red\ndone 1 2\n"
                                               "call 2 3 get color\ndone 2 4 value=blue\n"),
                                   &err),
                     MU_OK);
    assert_int_equal(linear_check(&h, 0, &why), LINEAR_BROKEN);
    assert_string_equal(mu_buf_text(&why),
                        "key color: of 2 operations no more than 1 fit one order; then the value "
                        "is red, held by nothing, and nothing helps to go on among\n"
                        "  get color value=blue from 3 to 4: done\n");
    linear_history_deinit(&h);
    mu_buf_deinit(&why);
}

static void bad_files_are_refused(void **state)
{
    static const char *const bad[] = {
        "cal 1 1 put x value=a\n",
        "call 1 1 put x\n",                                 /* writes nothing */
        "call 1 1 put\n",                                   /* no key */
        "call 1 x put x value=a\n",                         /* no time */
        "call 1 1 putt x value=a\n",                        /* no kind */
        "call 1 1 put x value=a stale\n",                   /* only a get is */
        "call 1 1 put x value=a\ncall 1 2 put x value=b\n", /* number twice */
        "done 1 2\n",                                       /* never called */
        "call 1 1 put x value=a\ndone 1 2\ndone 1 3\n",     /* ended twice */
        "call 1 1 put x value=a\nrefused 1 2\n",            /* cannot be */
        "call 1 5 put x value=a\ndone 1 4\n",               /* ends before it begins */
        "call 1 1 acquire x value=a\n",                     /* for no session */
        "call 1 1 put x value=a index=-1\n",
        "call 1 1 put x value=\n",
        "call 1 1 put x value=a color=b\n",
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(bad); i++) {
        struct linear_history h;
        struct mu_err err = MU_ERR_NONE;

        if (history_parse(&h, mu_span_text(bad[i]), &err) != MU_INVALID || h.ops != NULL) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_non_null(strstr(err.text, "line "));
    }
}

/* Every prefix of a file is read or refused, and what was read is judged without complaint. */
static void truncated_files_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(histories); i++) {
        for (size_t bytes = 0; bytes < strlen(histories[i].text); bytes++) {
            struct linear_history h;
            struct mu_buf why = MU_BUF_NONE;
            struct mu_err err = MU_ERR_NONE;

            if (history_parse(&h, mu_span_of(histories[i].text, bytes), &err) == MU_OK) {
                (void)linear_check(&h, 0, &why);
                (void)linear_check_indexes(&h, &why);
            }
            linear_history_deinit(&h);
            mu_buf_deinit(&why);
        }
    }
}

/* -- against all orders ------------------------------------------------------------------------
 *
 * The twin tries every order of every choice of open operations, remembers nothing and is clever
 * nowhere. Its idea of the operations is written down a second time. */

struct twin {
    const struct linear_op *ops;
    size_t count;
    bool is_placed[TWIN_OPS_MAX];
};

static bool twin_effect(const struct linear_op *op, uint64_t cell[2])
{
    bool granted = true;

    if (op->kind == LINEAR_GET) {
        return cell[0] == op->value && cell[1] == op->session;
    }
    if (op->kind == LINEAR_CAS) {
        granted = cell[0] == op->expected;
    } else if (op->kind == LINEAR_DELETE_CAS) {
        granted = cell[0] == op->expected || cell[0] == 0;
    } else if (op->kind == LINEAR_ACQUIRE) {
        granted = cell[1] == 0 || cell[1] == op->session;
    } else if (op->kind == LINEAR_RELEASE) {
        granted = cell[1] == op->session;
    }
    if (granted && op->kind == LINEAR_EXPIRE) {
        cell[1] = cell[1] == op->session ? 0 : cell[1];
    } else if (granted && (op->kind == LINEAR_DELETE || op->kind == LINEAR_DELETE_CAS)) {
        cell[0] = cell[1] = 0;
    } else if (granted) {
        cell[0] = op->value;
        cell[1] = op->kind == LINEAR_ACQUIRE   ? op->session
                  : op->kind == LINEAR_RELEASE ? 0
                                               : cell[1];
    }
    return op->outcome == LINEAR_UNKNOWN || granted == (op->outcome == LINEAR_DONE);
}

static bool twin_is_free(const struct twin *t, size_t i)
{
    for (size_t k = 0; k < t->count; k++) {
        if (!t->is_placed[k] && t->ops[k].outcome != LINEAR_UNKNOWN &&
            t->ops[k].returned < t->ops[i].called) {
            return false;
        }
    }
    return true;
}

static bool twin_orders(struct twin *t, const uint64_t cell[2])
{
    bool is_complete = true;

    for (size_t i = 0; i < t->count; i++) {
        is_complete = is_complete && (t->is_placed[i] || t->ops[i].outcome == LINEAR_UNKNOWN);
    }
    for (size_t i = 0; i < t->count && !is_complete; i++) {
        uint64_t next[2] = { cell[0], cell[1] };

        if (!t->is_placed[i] && twin_is_free(t, i) && twin_effect(&t->ops[i], next)) {
            t->is_placed[i] = true;
            is_complete = twin_orders(t, next);
            t->is_placed[i] = false;
        }
    }
    return is_complete;
}

/* Operations at random; what they answer comes from a cell that is asked in random order, and is
 * then bent at random. */
static void twin_history(struct mu_rand *r, struct linear_history *h)
{
    uint64_t cell[2] = { 0, 0 };
    size_t count = 2 + mu_rand_below(r, TWIN_OPS_MAX - 1);

    for (size_t i = 0; i < count; i++) {
        struct linear_op *op = linear_add(h);
        uint64_t at = 10 * i + 10; /* the moment of its effect */
        uint64_t before[2];

        op->kind = (enum linear_kind)mu_rand_below(r, LINEAR_KINDS_COUNT);
        op->called = at - 1 - mu_rand_below(r, 10 + at / 2 > at - 1 ? at - 1 : 10 + at / 2);
        op->returned = at + 1 + mu_rand_below(r, 40);
        op->session = op->kind >= LINEAR_ACQUIRE ? 1 + mu_rand_below(r, 2) : 0;
        op->value = op->kind == LINEAR_GET ? 0 : 1 + mu_rand_below(r, 4); /* twins do happen */
        op->expected = mu_rand_below(r, 5);
        memcpy(before, cell, sizeof before);
        if (op->kind == LINEAR_GET) {
            op->value = cell[0];
            op->session = cell[1];
        } else if (!twin_effect(op, cell)) {
            op->outcome = LINEAR_REFUSED;
        }
        if (mu_rand_below(r, 4) == 0 && op->kind != LINEAR_GET) {
            op->outcome = LINEAR_UNKNOWN;
            if (mu_rand_below(r, 2) == 0) {
                memcpy(cell, before, sizeof before); /* it had no effect */
            }
        } else if (mu_rand_below(r, 3) == 0 && op->kind == LINEAR_GET) {
            op->value = mu_rand_below(r, 5);
        } else if (mu_rand_below(r, 8) == 0 && op->kind >= LINEAR_ACQUIRE) {
            op->session = 3 - op->session;
        }
    }
}

static void the_search_agrees_with_all_orders(void **state)
{
    unsigned verdicts[2] = { 0, 0 };
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 20261120);
    for (unsigned round = 0; round < 20000; round++) {
        struct linear_history h = LINEAR_HISTORY_NONE;
        struct mu_buf why = MU_BUF_NONE;
        struct twin twin = { .count = 0 };
        enum linear_verdict wanted, verdict;

        twin_history(&r, &h);
        twin.ops = h.ops;
        twin.count = h.count;
        wanted = twin_orders(&twin, (uint64_t[2]){ 0, 0 }) ? LINEAR_HOLDS : LINEAR_BROKEN;
        verdict = linear_check(&h, 0, &why);
        if (verdict != wanted) {
            for (size_t i = 0; i < h.count; i++) {
                mu_buf_add_text(&why, "\n  ");
                linear_op_text(&h, &h.ops[i], &why);
            }
            fail_msg("round %u: all orders say %d, the search %d: %s", round, wanted, verdict,
                     mu_buf_text(&why));
        }
        verdicts[wanted]++;
        linear_history_deinit(&h);
        mu_buf_deinit(&why);
    }
    assert_true(verdicts[LINEAR_HOLDS] > 4000); /* both are met often enough to mean something */
    assert_true(verdicts[LINEAR_BROKEN] > 2000);
}

/* -- long histories --------------------------------------------------------------------------- */

#define CLIENTS_MAX 16

/* Clients on one key, one operation in fifty open; each takes effect at a moment drawn within its
 * time. */
static void long_history(struct mu_rand *r, struct linear_history *h, size_t clients, uint64_t ops)
{
    uint64_t free_at[CLIENTS_MAX] = { 0 };
    uint64_t value = 0, index = 100, modified = 0;

    for (uint64_t i = 0; i < ops; i++) {
        uint64_t at = i * 10 + 1000;
        uint64_t *free_from = &free_at[i % clients];
        struct linear_op *op = linear_add(h);
        bool is_open = mu_rand_below(r, 50) == 0;

        op->called = *free_from + mu_rand_below(r, at - *free_from);
        op->returned = at + mu_rand_below(r, 10 * clients - 5);
        *free_from = op->returned;
        if (mu_rand_below(r, 2) == 0) {
            op->kind = LINEAR_GET;
            op->value = value;
            op->modified = modified;
            op->index = index;
            continue;
        }
        op->kind = mu_rand_below(r, 3) == 0 ? LINEAR_CAS : LINEAR_PUT;
        op->value = i + 1;
        op->expected = op->kind == LINEAR_CAS && mu_rand_below(r, 4) > 0 ? value : i;
        op->outcome = is_open ? LINEAR_UNKNOWN : LINEAR_DONE;
        index++;
        if (op->kind == LINEAR_CAS && op->expected != value) {
            op->outcome = is_open ? LINEAR_UNKNOWN : LINEAR_REFUSED;
        } else if (!is_open || mu_rand_below(r, 2) == 0) {
            value = op->value;
            op->index = modified = index;
        }
    }
}

static void long_histories_are_decided(void **state)
{
    static const struct {
        size_t clients;
        uint64_t ops;
    } rows[] = { { 16, 200 }, { 4, 1000 }, { 2, 2000 } };
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 7);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct linear_history h = LINEAR_HISTORY_NONE;
        struct mu_buf why = MU_BUF_NONE;
        size_t bent = rows[i].ops / 2;
        size_t old = bent / 2;

        long_history(&r, &h, rows[i].clients, rows[i].ops);
        if (linear_check(&h, 0, &why) != LINEAR_HOLDS ||
            linear_check_indexes(&h, &why) != LINEAR_HOLDS) {
            fail_msg("row %zu: a good one: %s", i, mu_buf_text(&why));
        }
        while (h.ops[bent].kind != LINEAR_GET) {
            bent++;
        }
        while (h.ops[old].kind != LINEAR_PUT || h.ops[old].outcome != LINEAR_DONE) {
            old++;
        }
        h.ops[bent].value = h.ops[old].value; /* long gone */
        h.ops[bent].modified = h.ops[old].index;
        assert_int_equal(linear_check_indexes(&h, &why), LINEAR_BROKEN);
        mu_buf_clear(&why);
        if (linear_check(&h, 0, &why) != LINEAR_BROKEN) {
            fail_msg("row %zu: a bad one: %s", i, mu_buf_text(&why));
        }
        linear_history_deinit(&h);
        mu_buf_deinit(&why);
    }
}

static void the_bound_of_steps_is_kept(void **state)
{
    struct linear_history h = LINEAR_HISTORY_NONE;
    struct mu_buf why = MU_BUF_NONE;
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 8);
    long_history(&r, &h, 16, 1000);
    assert_int_equal(linear_check(&h, 100, &why), LINEAR_UNDECIDED);
    assert_non_null(strstr(mu_buf_text(&why), "undecided after 101 states of "));
    linear_history_deinit(&h);
    mu_buf_deinit(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_by_hand),
        cmocka_unit_test(a_break_is_explained),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(truncated_files_do_no_harm),
        cmocka_unit_test(the_search_agrees_with_all_orders),
        cmocka_unit_test(long_histories_are_decided),
        cmocka_unit_test(the_bound_of_steps_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
