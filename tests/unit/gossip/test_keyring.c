/* Keys as text, what is derived from them, and the rules of the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "gossip/keyring.h"

static struct gossip_key key_of(uint8_t fill, size_t count)
{
    struct gossip_key key;
    uint8_t bytes[GOSSIP_KEY_BYTES_MAX];

    memset(bytes, fill, sizeof bytes);
    assert_int_equal(gossip_key_of(mu_span_of(bytes, count), &key, NULL), MU_OK);
    return key;
}

static void keys_are_parsed_or_refused_with_the_known_words(void **unused)
{
    static const struct {
        const char *text;
        const char *error; /* NULL: it is a key */
        size_t count;
    } rows[] = {
        // clang-format off
        { "AAECAwQFBgcICQoLDA0ODw==",                       NULL, 16 },
        { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",               NULL, 24 },
        { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",   NULL, 32 },
        { "",                                               "key size must be 16, 24 or 32 bytes", 0 },
        { "AAEC",                                           "key size must be 16, 24 or 32 bytes", 0 },
        { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",   "key size must be 16, 24 or 32 bytes", 0 },
        { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==", "key size must be 16, 24 or 32 bytes", 0 },
        { "-not base64",                                    "illegal base64 data at input byte 0", 0 },
        { "AAEC!wQFBgcICQoLDA0ODw==",                       "illegal base64 data at input byte 4", 0 },
        { "AAECAwQFBgcICQoLDA0ODw== ",                      "illegal base64 data at input byte 24", 0 },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct mu_err err = MU_ERR_NONE;
        struct gossip_key key;
        char again[GOSSIP_KEY_TEXT_MAX];
        enum mu_code rc = gossip_key_parse(rows[r].text, &key, &err);

        if (rows[r].error != NULL) {
            assert_int_equal(rc, rows[r].error[0] == 'k' ? MU_UNSUPPORTED : MU_INVALID);
            assert_string_equal(err.text, rows[r].error);
            continue;
        }
        assert_int_equal(rc, MU_OK);
        assert_int_equal(key.count, rows[r].count);
        gossip_key_text(&key, again);
        assert_string_equal(again, rows[r].text);
    }
}

/* The figures are the wire: a version that changed them could not talk to an older one. They were
 * computed by another implementation of BLAKE2b. */
static void what_is_derived_never_changes(void **unused)
{
    struct gossip_key key = key_of(1, 32);
    struct gossip_key shorter = key_of(1, 16);
    uint8_t all[4][GOSSIP_SUBKEY_BYTES];

    (void)unused;
    assert_int_equal(gossip_key_id(&key), 0xa663e876);
    assert_int_equal(gossip_key_id(&shorter), 0x901fb2b0);
    for (unsigned use = 0; use < MU_LEN(all); use++) {
        gossip_key_derive(&key, (enum gossip_key_use)(use + 1), all[use]);
        assert_memory_not_equal(all[use], key.bytes, sizeof key.bytes);
        for (unsigned other = 0; other < use; other++) {
            assert_memory_not_equal(all[use], all[other], sizeof all[use]);
        }
    }
}

static void the_ring_obeys_its_rules(void **unused)
{
    struct gossip_keyring ring = { .count = 0 };
    struct gossip_key a = key_of(1, 32);
    struct gossip_key b = key_of(2, 16);
    struct gossip_key c = key_of(3, 24);
    struct mu_err err = MU_ERR_NONE;

    (void)unused;
    assert_int_equal(gossip_keyring_install(&ring, &a, &err), MU_NOT_FOUND);
    assert_string_equal(err.text, "No keyring to modify (encryption not enabled)");
    ring.keys[0] = a;
    ring.count = 1;
    assert_int_equal(gossip_keyring_install(&ring, &b, &err), MU_OK);
    assert_int_equal(gossip_keyring_install(&ring, &c, &err), MU_OK);
    assert_int_equal(gossip_keyring_install(&ring, &b, &err), MU_OK); /* again */
    assert_int_equal(ring.count, 3);
    assert_int_equal(gossip_keyring_use(&ring, &c, &err), MU_OK);
    assert_true(gossip_key_eq(&ring.keys[0], &c));
    assert_true(gossip_key_eq(&ring.keys[1], &a)); /* the others keep their order */
    assert_true(gossip_key_eq(&ring.keys[2], &b));
    assert_int_equal(gossip_keyring_remove(&ring, &c, &err), MU_DENIED);
    assert_string_equal(err.text, "Removing the primary key is not allowed");
    assert_int_equal(gossip_keyring_remove(&ring, &a, &err), MU_OK);
    assert_int_equal(gossip_keyring_remove(&ring, &a, &err), MU_OK); /* gone is gone */
    assert_int_equal(ring.count, 2);
    assert_int_equal(gossip_keyring_use(&ring, &a, &err), MU_NOT_FOUND);
    assert_string_equal(err.text, "Requested key is not in the keyring");
    assert_true(gossip_keyring_has(&ring, &b));
    assert_false(gossip_keyring_has(&ring, &a));
}

static void the_ring_is_bounded(void **unused)
{
    struct gossip_keyring ring = { .count = 1 };
    struct mu_err err = MU_ERR_NONE;

    (void)unused;
    ring.keys[0] = key_of(0, 32);
    for (uint8_t i = 1; i < GOSSIP_KEYS_MAX; i++) {
        struct gossip_key key = key_of(i, 32);

        assert_int_equal(gossip_keyring_install(&ring, &key, NULL), MU_OK);
    }
    struct gossip_key more = key_of(99, 32);

    assert_int_equal(gossip_keyring_install(&ring, &more, &err), MU_FULL);
    assert_int_equal(ring.count, GOSSIP_KEYS_MAX);
}

static void the_file_is_read_as_it_was_written(void **unused)
{
    struct gossip_keyring ring = { .count = 2 };
    struct gossip_keyring again;
    struct mu_buf text = MU_BUF_NONE;

    (void)unused;
    ring.keys[0] = key_of(5, 32);
    ring.keys[1] = key_of(6, 16);
    gossip_keyring_encode(&ring, &text);
    assert_string_equal(mu_buf_text(&text),
                        "[\n  \"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\",\n"
                        "  \"BgYGBgYGBgYGBgYGBgYGBg==\"\n]\n");
    assert_int_equal(gossip_keyring_decode(mu_buf_span(&text), &again, NULL), MU_OK);
    assert_memory_equal(&again, &ring, sizeof ring);
    for (size_t bytes = 0; bytes + 2 < text.bytes; bytes++) { /* each truncation is refused */
        assert_int_not_equal(gossip_keyring_decode(mu_span_of(text.data, bytes), &again, NULL),
                             MU_OK);
        assert_int_equal(again.count, 0);
    }
    mu_buf_deinit(&text);
}

static void what_is_no_keyring_is_refused(void **unused)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "{}", "a object, not an array of keys in base64" },
        { "[1]", "item 0 is a number, not a key in base64" },
        { "[\"AAEC\"]", "item 0: key size must be 16, 24 or 32 bytes" },
        { "[\"AAECAwQFBgcICQoLDA0ODw==\", \"?\"]", "item 1: illegal base64 data at input byte 0" },
    };

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip_keyring ring;
        struct mu_err err = MU_ERR_NONE;

        assert_int_not_equal(gossip_keyring_decode(mu_span_text(rows[r].text), &ring, &err), MU_OK);
        assert_string_equal(err.text, rows[r].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_parsed_or_refused_with_the_known_words),
        cmocka_unit_test(what_is_derived_never_changes),
        cmocka_unit_test(the_ring_obeys_its_rules),
        cmocka_unit_test(the_ring_is_bounded),
        cmocka_unit_test(the_file_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_keyring_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
