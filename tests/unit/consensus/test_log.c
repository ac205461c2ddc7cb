/* Term runs against a plain array of terms, hints against a linear scan, the tail against a list,
 * and the stable index against a replay of the queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core.h"

enum { ENTRIES_MAX = 4000, TAIL = 64 };

/* The slow twin: one term for each entry, one slot for each handle. */
struct twin {
    uint64_t terms[ENTRIES_MAX + 1]; /* [index] */
    uint64_t base, last;
    uint32_t handles_out;
};

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = { { 0 } };

    id.b[0] = n;
    return id;
}

static struct consensus *core_new(uint32_t runs_max)
{
    struct consensus_options options;
    struct consensus_loaded loaded = { .seed = 1, .hard = { .cluster = id_of(77) } };

    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.server = id_of(1);
    options.disk = id_of(101);
    options.tail_entries = TAIL;
    options.cache_bytes = 50;
    options.runs_max = runs_max;
    struct consensus *c = mu_new(consensus_arena_bytes(&options));

    consensus_init(c, &options, &loaded, 1);
    return c;
}

static uint64_t twin_term(const struct twin *t, uint64_t index)
{
    return index < t->base || index > t->last ? 0 : t->terms[index];
}

static uint64_t twin_hint(const struct twin *t, uint64_t index, uint64_t term)
{
    uint64_t i = index < t->last ? index : t->last;

    while (i > t->base && t->terms[i] > term) {
        i--;
    }
    return i > t->base ? i : t->base;
}

static void compare(struct consensus *c, const struct twin *t, struct mu_rand *r)
{
    assert_int_equal(c->log.last_index, t->last);
    assert_int_equal(c->log.base_index, t->base);
    for (int i = 0; i < 20; i++) {
        uint64_t index = mu_rand_below(r, t->last + 3);
        uint64_t term = mu_rand_below(r, t->terms[t->last] + 2);

        assert_int_equal(consensus_term_at(c, index), twin_term(t, index));
        assert_int_equal(consensus__log_has(c, index, term),
                         index >= t->base && index <= t->last && t->terms[index] == term);
        assert_int_equal(consensus__log_hint(c, index, term), twin_hint(t, index, term));
    }
}

static void push(struct consensus *c, struct twin *t, uint64_t term)
{
    t->terms[++t->last] = term;
    t->handles_out++;
    consensus__log_push(c, &(struct consensus_entry){
                               .index = t->last,
                               .term = term,
                               .bytes = 10,
                               .handle = (uint32_t)t->last,
                               .kind = CONSENSUS_COMMAND,
                           });
}

/* What a step would do before an event: forget what the last one produced. */
static void settle(struct consensus *c, struct twin *t)
{
    t->handles_out -= c->drops_count;
    c->drops_count = 0;
    c->notices_count = 0;
    c->writes.stable = c->log.last_index;
}

static void one_change(struct consensus *c, struct twin *t, struct mu_rand *r, uint64_t *term)
{
    switch (mu_rand_below(r, 6)) {
    case 0: *term += mu_rand_below(r, 3); break;
    case 1:
        if (t->last > c->commit) {
            uint64_t first = c->commit + 1 + mu_rand_below(r, t->last - c->commit);

            consensus__log_truncate(c, first);
            t->last = first - 1;
            *term = t->terms[t->last] > *term ? t->terms[t->last] : *term;
        }
        break;
    case 2:
        c->commit += mu_rand_below(r, t->last - c->commit + 1);
        c->log.uncommitted_bytes = 0;
        for (uint64_t i = c->log.tail_first; i <= t->last; i++) {
            c->log.uncommitted_bytes += i > c->commit ? 10 : 0;
        }
        c->applied = c->durable_applied = c->answered = c->commit;
        break;
    case 3:
        if (c->commit > t->base) {
            uint64_t base = t->base + 1 + mu_rand_below(r, c->commit - t->base);

            consensus__log_compact(c, base);
            t->base = base;
        }
        break;
    case 4: consensus__log_trim(c); break;
    default:
        for (int i = 0; i < 5; i++) {
            if (t->last < ENTRIES_MAX && consensus__log_has_room(c, 1, 0, 0)) {
                push(c, t, *term);
            }
        }
    }
}

static void runs_equal_an_array_of_terms(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct consensus *c = core_new(1024);
        struct twin *t = mu_new(sizeof *t);
        struct mu_rand r;
        uint64_t term = 1;

        mu_rand_seed(&r, seed);
        for (int i = 0; i < 400; i++) {
            one_change(c, t, &r, &term);
            compare(c, t, &r);
            settle(c, t);
            assert_int_equal(c->log.tail_bytes, 10 * t->handles_out); /* each given back once */
        }
        mu_free(t);
        mu_free(c);
    }
}

/* Too many terms for the list: the oldest are forgotten, as if the log began behind them. */
static void the_oldest_runs_are_forgotten(void **state)
{
    struct consensus *c = core_new(4);
    struct twin *t = mu_new(sizeof *t);

    (void)state;
    for (uint64_t term = 1; term <= 10; term++) {
        push(c, t, term);
        push(c, t, term);
        c->commit = t->last;
        settle(c, t);
    }
    assert_int_equal(c->log.base_index, 12);
    assert_int_equal(c->log.base_term, 6);
    assert_int_equal(consensus_term_at(c, 12), 6);
    assert_int_equal(consensus_term_at(c, 11), 0);
    assert_int_equal(consensus_term_at(c, 13), 7);
    assert_int_equal(consensus_term_at(c, 20), 10);
    assert_int_equal(consensus__log_hint(c, 20, 3), 12);
    assert_int_equal(c->death, CONSENSUS_ALIVE);
    mu_free(t);
    mu_free(c);
}

static void too_many_uncommitted_terms_are_fatal(void **state)
{
    struct consensus *c = core_new(4);
    struct twin *t = mu_new(sizeof *t);

    (void)state;
    for (uint64_t term = 1; term <= 5; term++) {
        push(c, t, term);
    }
    assert_int_equal(c->death, CONSENSUS_DEATH_RUNS);
    mu_free(t);
    mu_free(c);
}

static void a_loaded_log_with_too_many_terms_keeps_the_newest(void **state)
{
    struct consensus_options options;
    struct consensus_run runs[10];
    struct consensus_loaded loaded = {
        .runs = runs,
        .runs_count = 10,
        .last_index = 20,
        .applied = 20,
        .seed = 1,
        .hard = { .term = 10, .cluster = id_of(77) },
    };

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        runs[i] = (struct consensus_run){ 1 + 2 * i, 1 + i };
    }
    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.server = id_of(1);
    options.disk = id_of(101);
    options.runs_max = 4;
    struct consensus *c = mu_new(consensus_arena_bytes(&options));

    consensus_init(c, &options, &loaded, 1);
    assert_int_equal(c->log.base_index, 12);
    assert_int_equal(c->log.base_term, 6);
    assert_int_equal(consensus_term_at(c, 14), 7);
    consensus__check(c);
    mu_free(c);
}

/* -- the stable index ---------------------------------------------------------------------- */

struct queued {
    uint64_t first, last; /* first > last: hard state only */
    bool is_done;
};

/* The largest m so that every write that touches an index <= m is done, by definition. */
static uint64_t twin_stable(const struct queued *q, size_t count, uint64_t last)
{
    for (uint64_t m = last;; m--) {
        bool ok = true;

        for (size_t i = 0; i < count; i++) {
            ok = ok && (q[i].is_done || q[i].first > q[i].last || q[i].first > m);
        }
        if (ok) {
            return m;
        }
    }
}

static void stable_equals_a_replay_of_the_queue(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct consensus *c = core_new(1024);
        struct twin *t = mu_new(sizeof *t);
        struct queued q[128] = { 0 };
        size_t count = 0;
        size_t done = 0;
        struct mu_rand r;

        mu_rand_seed(&r, seed);
        for (uint64_t i = 1; i <= 100; i++) {
            if (mu_rand_below(&r, 3) == 0 && done < count) {
                size_t upto = done + 1 + mu_rand_below(&r, count - done);

                while (done < upto) {
                    q[done++].is_done = true;
                }
                consensus__on_persisted(c, done, 0);
            } else {
                uint64_t first = 1 + mu_rand_below(&r, t->last + 1);
                uint64_t last = first + mu_rand_below(&r, 4);
                bool is_hard = mu_rand_below(&r, 5) == 0;

                if (is_hard || last > TAIL - 1) {
                    consensus__write_hard(c);
                    q[count] = (struct queued){ 1, 0, false };
                } else {
                    consensus__log_truncate(c, first);
                    t->last = first - 1;
                    while (t->last < last) {
                        push(c, t, i);
                    }
                    consensus__write_entries(c, first, 10 * (last - first + 1));
                    q[count] = (struct queued){ first, last, false };
                }
                consensus__write_flush(c);
                assert_true(c->has_write);
                assert_int_equal(c->write.seq, ++count);
                c->has_write = false;
            }
            c->drops_count = 0;
            assert_int_equal(c->writes.stable, twin_stable(q, count, t->last));
        }
        mu_free(t);
        mu_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_equal_an_array_of_terms),
        cmocka_unit_test(the_oldest_runs_are_forgotten),
        cmocka_unit_test(too_many_uncommitted_terms_are_fatal),
        cmocka_unit_test(a_loaded_log_with_too_many_terms_keeps_the_newest),
        cmocka_unit_test(stable_equals_a_replay_of_the_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
