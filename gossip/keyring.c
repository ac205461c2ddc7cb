/* keyring.c - keys: their text, their subkeys, and the rules of the ring (spec/gossip.md 12.5). */
#include "gossip/keyring.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/wire.h"

_Static_assert(crypto_kdf_KEYBYTES == GOSSIP_KEY_BYTES_MAX, "a key of 32 bytes is its own master");
_Static_assert(crypto_kdf_CONTEXTBYTES == 8, "the length of the context below");

#define KDF_CONTEXT    "mu-keys1"
#define PERSONAL       "muster-gossip-k" /* of the hash that stretches shorter keys; with its NUL */
#define TEXT_MAX       128
#define BASE64_VARIANT sodium_base64_VARIANT_ORIGINAL

_Static_assert(sizeof PERSONAL == crypto_generichash_blake2b_PERSONALBYTES, "exactly 16 bytes");

/* -- one key ------------------------------------------------------------------------------- */

enum mu_code gossip_key_of(struct mu_span bytes, struct gossip_key *out, struct mu_err *err)
{
    if (bytes.bytes != 16 && bytes.bytes != 24 && bytes.bytes != 32) {
        return mu_fail(err, MU_UNSUPPORTED, "key size must be 16, 24 or 32 bytes");
    }
    memset(out, 0, sizeof *out);
    memcpy(out->bytes, bytes.data, bytes.bytes);
    out->count = (uint8_t)bytes.bytes;
    return MU_OK;
}

enum mu_code gossip_key_parse(const char *text, struct gossip_key *out, struct mu_err *err)
{
    uint8_t
        bytes[TEXT_MAX]; /* more than a key has, to tell what is too long from what is no text */
    const char *end = text;
    size_t count = 0;
    int rc = sodium_base642bin(bytes, sizeof bytes, text, strlen(text), NULL, &count, &end,
                               BASE64_VARIANT);
    enum mu_code code;

    if (strlen(text) <= TEXT_MAX && (rc != 0 || *end != '\0')) {
        size_t at = (size_t)(end - text);

        at -= *end == '\0' ? at % 4 : 0; /* too short: where the last four should begin, as in Go */
        code = mu_fail(err, MU_INVALID, "illegal base64 data at input byte %zu", at);
    } else {
        code = gossip_key_of(mu_span_of(bytes, count), out, err);
    }
    sodium_memzero(bytes, sizeof bytes);
    return code;
}

void gossip_key_text(const struct gossip_key *key, char out[GOSSIP_KEY_TEXT_MAX])
{
    (void)sodium_bin2base64(out, GOSSIP_KEY_TEXT_MAX, key->bytes, key->count, BASE64_VARIANT);
}

bool gossip_key_eq(const struct gossip_key *a, const struct gossip_key *b)
{
    return a->count == b->count && sodium_memcmp(a->bytes, b->bytes, a->count) == 0;
}

void gossip_key_derive(const struct gossip_key *key, enum gossip_key_use use,
                       uint8_t out[GOSSIP_SUBKEY_BYTES])
{
    uint8_t master[crypto_kdf_KEYBYTES];

    if (key->count == sizeof master) {
        memcpy(master, key->bytes, sizeof master);
    } else {
        (void)crypto_generichash_blake2b_salt_personal(master, sizeof master, key->bytes,
                                                       key->count, NULL, 0, NULL,
                                                       (const unsigned char *)PERSONAL);
    }
    (void)crypto_kdf_derive_from_key(out, GOSSIP_SUBKEY_BYTES, (uint64_t)use, KDF_CONTEXT, master);
    sodium_memzero(master, sizeof master);
}

uint64_t gossip_key_name(const struct gossip_key *key)
{
    uint8_t subkey[GOSSIP_SUBKEY_BYTES];

    gossip_key_derive(key, GOSSIP_KEY_ID, subkey);
    struct mu_rd r = mu_rd_of(mu_span_of(subkey, sizeof subkey));

    return mu_rd_u64be(&r);
}

uint32_t gossip_key_id(const struct gossip_key *key)
{
    return (uint32_t)(gossip_key_name(key) >> 32);
}

/* -- the ring ------------------------------------------------------------------------------ */

static size_t place_of(const struct gossip_keyring *ring, const struct gossip_key *key)
{
    size_t i = 0;

    while (i < ring->count && !gossip_key_eq(&ring->keys[i], key)) {
        i++;
    }
    return i;
}

bool gossip_keyring_has(const struct gossip_keyring *ring, const struct gossip_key *key)
{
    return place_of(ring, key) < ring->count;
}

static enum mu_code need_ring(const struct gossip_keyring *ring, struct mu_err *err)
{
    return ring->count > 0
               ? MU_OK
               : mu_fail(err, MU_NOT_FOUND, "No keyring to modify (encryption not enabled)");
}

enum mu_code gossip_keyring_install(struct gossip_keyring *ring, const struct gossip_key *key,
                                    struct mu_err *err)
{
    enum mu_code rc = need_ring(ring, err);

    if (rc != MU_OK || gossip_keyring_has(ring, key)) {
        return rc;
    }
    if (ring->count == GOSSIP_KEYS_MAX) {
        return mu_fail(err, MU_FULL, "the keyring holds %d keys already: remove one first",
                       GOSSIP_KEYS_MAX);
    }
    ring->keys[ring->count++] = *key;
    return MU_OK;
}

enum mu_code gossip_keyring_use(struct gossip_keyring *ring, const struct gossip_key *key,
                                struct mu_err *err)
{
    enum mu_code rc = need_ring(ring, err);

    if (rc != MU_OK) {
        return rc;
    }
    size_t place = place_of(ring, key);

    if (place == ring->count) {
        return mu_fail(err, MU_NOT_FOUND, "Requested key is not in the keyring");
    }
    struct gossip_key primary = ring->keys[place];

    memmove(ring->keys + 1, ring->keys, place * sizeof *ring->keys);
    ring->keys[0] = primary;
    return MU_OK;
}

enum mu_code gossip_keyring_remove(struct gossip_keyring *ring, const struct gossip_key *key,
                                   struct mu_err *err)
{
    enum mu_code rc = need_ring(ring, err);

    if (rc != MU_OK) {
        return rc;
    }
    size_t place = place_of(ring, key);

    if (place == 0) {
        return mu_fail(err, MU_DENIED, "Removing the primary key is not allowed");
    }
    if (place < ring->count) {
        ring->count--;
        memmove(ring->keys + place, ring->keys + place + 1,
                (ring->count - place) * sizeof *ring->keys);
        sodium_memzero(&ring->keys[ring->count], sizeof *ring->keys);
    }
    return MU_OK;
}

void gossip_keyring_wipe(struct gossip_keyring *ring)
{
    sodium_memzero(ring, sizeof *ring);
}

/* -- the file ------------------------------------------------------------------------------ */

void gossip_keyring_encode(const struct gossip_keyring *ring, struct mu_buf *to)
{
    char text[GOSSIP_KEY_TEXT_MAX];

    mu_buf_add_text(to, "[");
    for (size_t i = 0; i < ring->count; i++) {
        gossip_key_text(&ring->keys[i], text);
        mu_buf_addf(to, "%s\n  \"%s\"", i > 0 ? "," : "", text);
    }
    mu_buf_add_text(to, ring->count > 0 ? "\n]\n" : "]\n");
    sodium_memzero(text, sizeof text);
}

static enum mu_code add_item(struct gossip_keyring *ring, const struct mu_json *item, size_t i,
                             struct mu_err *err)
{
    char text[GOSSIP_KEY_TEXT_MAX + 1];
    struct gossip_key key;

    if (mu_json_kind_of(item) != MU_JSON_STRING) {
        return mu_fail(err, MU_INVALID, "item %zu is a %s, not a key in base64", i,
                       mu_json_kind_text(mu_json_kind_of(item)));
    }
    struct mu_span given = mu_json_string(item);

    if (given.bytes >= sizeof text || memchr(given.data, 0, given.bytes) != NULL) {
        return mu_fail(err, MU_INVALID, "item %zu: key size must be 16, 24 or 32 bytes", i);
    }
    memcpy(text, given.data, given.bytes);
    text[given.bytes] = '\0';
    enum mu_code rc = gossip_key_parse(text, &key, err);

    sodium_memzero(text, sizeof text);
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "item %zu", i);
    }
    if (!gossip_keyring_has(ring, &key)) {
        if (ring->count == GOSSIP_KEYS_MAX) {
            return mu_fail(err, MU_TOO_BIG, "more than %d keys", GOSSIP_KEYS_MAX);
        }
        ring->keys[ring->count++] = key;
    }
    return MU_OK;
}

enum mu_code gossip_keyring_decode(struct mu_span text, struct gossip_keyring *out,
                                   struct mu_err *err)
{
    struct mu_json *root = NULL;
    enum mu_code rc;

    memset(out, 0, sizeof *out);
    if (text.bytes > GOSSIP_KEYRING_TEXT_MAX) {
        return mu_fail(err, MU_TOO_BIG, "%zu bytes, a keyring has at most %u", text.bytes,
                       GOSSIP_KEYRING_TEXT_MAX);
    }
    rc = mu_json_parse(&root, text, true, err);
    if (rc != MU_OK) {
        return rc;
    }
    if (mu_json_kind_of(root) != MU_JSON_LIST) {
        rc = mu_fail(err, MU_INVALID, "a %s, not an array of keys in base64",
                     mu_json_kind_text(mu_json_kind_of(root)));
    }
    for (size_t i = 0; rc == MU_OK && i < mu_json_count(root); i++) {
        rc = add_item(out, mu_json_at(root, i), i, err);
    }
    if (rc != MU_OK) {
        gossip_keyring_wipe(out);
    }
    mu_json_free(root);
    return rc;
}
