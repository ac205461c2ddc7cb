/* Two sessions fed with each other's bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto/tls.h"

struct end {
    struct mu_tls_context *context;
    struct mu_tls *tls;
    struct mu_buf plain; /* what it has read */
    enum mu_code code;   /* of the first feed that failed */
    struct mu_err err;
};

static struct mu_tls_key key_of(const char *identity, uint8_t fill)
{
    struct mu_tls_key key;

    (void)snprintf(key.identity, sizeof key.identity, "%s", identity);
    memset(key.bytes, fill, sizeof key.bytes);
    return key;
}

static void end_open(struct end *e, enum mu_tls_role role, const struct mu_tls_key *keys,
                     size_t count)
{
    memset(e, 0, sizeof *e);
    assert_int_equal(mu_tls_context_new(&e->context, NULL), MU_OK);
    mu_tls_context_keys(e->context, keys, count);
    e->tls = mu_tls_new(e->context, role);
}

static void end_close(struct end *e)
{
    mu_tls_free(e->tls);
    mu_tls_context_free(e->context);
    mu_buf_deinit(&e->plain);
}

/* Carry what one has for the other, `step` bytes at a time. */
static bool carry(struct end *from, struct end *to, size_t step)
{
    struct mu_buf closed = MU_BUF_NONE;
    bool moved = mu_tls_pull(from->tls, &closed) > 0;

    for (size_t at = 0; at < closed.bytes && to->code == MU_OK; at += step) {
        to->code =
            mu_tls_feed(to->tls, mu_span_sub(mu_buf_span(&closed), at, step), &to->plain, &to->err);
    }
    mu_buf_deinit(&closed);
    return moved;
}

static void settle(struct end *a, struct end *b, size_t step)
{
    bool moves = true;

    while (moves) {
        moves = carry(a, b, step);
        moves |= carry(b, a, step);
    }
}

static void send_text(struct end *e, const char *text)
{
    assert_int_equal(mu_tls_send(e->tls, mu_span_text(text), &e->err), MU_OK);
}

static void both_sides_with_the_key_hear_each_other(void **unused)
{
    static const size_t steps[] = { 1, 7, 100000 };
    struct mu_tls_key key = key_of("0badcafe", 1);

    (void)unused;
    for (size_t i = 0; i < MU_LEN(steps); i++) {
        struct end client;
        struct end server;

        end_open(&client, MU_TLS_CLIENT, &key, 1);
        end_open(&server, MU_TLS_SERVER, &key, 1);
        assert_false(mu_tls_is_up(client.tls));
        settle(&client, &server, steps[i]);
        assert_true(mu_tls_is_up(client.tls) && mu_tls_is_up(server.tls));
        send_text(&client, "from the client");
        send_text(&server, "from the server");
        settle(&client, &server, steps[i]);
        assert_true(mu_span_eq_text(mu_buf_span(&server.plain), "from the client"));
        assert_true(mu_span_eq_text(mu_buf_span(&client.plain), "from the server"));
        end_close(&client);
        end_close(&server);
    }
}

static void a_hello_begins_with_the_byte_that_tells_it(void **unused)
{
    struct mu_tls_key key = key_of("0badcafe", 1);
    struct mu_buf closed = MU_BUF_NONE;
    struct end client;

    (void)unused;
    end_open(&client, MU_TLS_CLIENT, &key, 1);
    assert_true(mu_tls_pull(client.tls, &closed) > 0);
    assert_int_equal(closed.data[0], MU_TLS_FIRST_BYTE);
    mu_buf_deinit(&closed);
    end_close(&client);
}

static void other_keys_open_nothing(void **unused)
{
    static const struct {
        const char *identity;
        uint8_t fill;
    } rows[] = { { "0badcafe", 2 }, { "00000000", 1 }, { "00000000", 2 } };
    struct mu_tls_key key = key_of("0badcafe", 1);

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_tls_key other = key_of(rows[i].identity, rows[i].fill);
        struct end client;
        struct end server;

        end_open(&client, MU_TLS_CLIENT, &other, 1);
        end_open(&server, MU_TLS_SERVER, &key, 1);
        settle(&client, &server, 1000);
        assert_false(mu_tls_is_up(client.tls) || mu_tls_is_up(server.tls));
        assert_int_equal(server.code, MU_DENIED);
        assert_int_equal(client.code, MU_DENIED); /* it was told */
        assert_non_null(strstr(client.err.text, "is the encryption key the same on both sides?"));
        assert_int_equal(server.plain.bytes + client.plain.bytes, 0);
        end_close(&client);
        end_close(&server);
    }
}

/* As in a rotation: whoever listens takes any of its keys. */
static void any_key_of_the_listener_will_do(void **unused)
{
    struct mu_tls_key keys[2] = { key_of("00000001", 1), key_of("00000002", 2) };
    struct end client;
    struct end server;

    (void)unused;
    end_open(&client, MU_TLS_CLIENT, &keys[1], 1);
    end_open(&server, MU_TLS_SERVER, keys, 2);
    settle(&client, &server, 1000);
    assert_true(mu_tls_is_up(client.tls) && mu_tls_is_up(server.tls));
    mu_tls_context_keys(server.context, keys, 1); /* what is up stays up */
    send_text(&client, "still here");
    settle(&client, &server, 1000);
    assert_true(mu_span_eq_text(mu_buf_span(&server.plain), "still here"));
    end_close(&client);
    end_close(&server);
}

static void much_passes_whole(void **unused)
{
    struct mu_tls_key key = key_of("0badcafe", 1);
    struct mu_buf sent = MU_BUF_NONE;
    struct end client;
    struct end server;

    (void)unused;
    end_open(&client, MU_TLS_CLIENT, &key, 1);
    end_open(&server, MU_TLS_SERVER, &key, 1);
    settle(&client, &server, 100000);
    for (uint32_t i = 0; i < 500000; i++) {
        mu_buf_add_byte(&sent, (uint8_t)(i * 2654435761U >> 24));
    }
    assert_int_equal(mu_tls_send(client.tls, mu_buf_span(&sent), NULL), MU_OK);
    settle(&client, &server, 4096);
    assert_true(mu_span_eq(mu_buf_span(&server.plain), mu_buf_span(&sent)));
    mu_buf_deinit(&sent);
    end_close(&client);
    end_close(&server);
}

static void a_forged_record_ends_the_session(void **unused)
{
    struct mu_tls_key key = key_of("0badcafe", 1);
    struct mu_buf closed = MU_BUF_NONE;
    struct end client;
    struct end server;

    (void)unused;
    end_open(&client, MU_TLS_CLIENT, &key, 1);
    end_open(&server, MU_TLS_SERVER, &key, 1);
    settle(&client, &server, 100000);
    send_text(&client, "an order");
    assert_true(mu_tls_pull(client.tls, &closed) > 0);
    closed.data[closed.bytes - 1] ^= 1;
    assert_int_equal(mu_tls_feed(server.tls, mu_buf_span(&closed), &server.plain, &server.err),
                     MU_CORRUPT);
    assert_int_equal(server.plain.bytes, 0);
    assert_int_equal(mu_tls_feed(server.tls, MU_SPAN_NONE, &server.plain, NULL), MU_CORRUPT);
    assert_false(mu_tls_is_up(server.tls));
    mu_buf_deinit(&closed);
    end_close(&client);
    end_close(&server);
}

static void what_is_no_tls_is_refused(void **unused)
{
    struct mu_tls_key key = key_of("0badcafe", 1);
    struct end server;

    (void)unused;
    end_open(&server, MU_TLS_SERVER, &key, 1);
    assert_int_equal(mu_tls_feed(server.tls, MU_SPAN_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                                 &server.plain, &server.err),
                     MU_DENIED);
    end_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_with_the_key_hear_each_other),
        cmocka_unit_test(a_hello_begins_with_the_byte_that_tells_it),
        cmocka_unit_test(other_keys_open_nothing),
        cmocka_unit_test(any_key_of_the_listener_will_do),
        cmocka_unit_test(much_passes_whole),
        cmocka_unit_test(a_forged_record_ends_the_session),
        cmocka_unit_test(what_is_no_tls_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
