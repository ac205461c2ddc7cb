/* keyring.h - the keys that seal gossip, and what is derived from them (spec/gossip.md 12).
 *
 * A key as people install it has 16, 24 or 32 bytes, in base64 as text. It is never used itself:
 * it gives a master of 32 bytes (itself, or BLAKE2b of a shorter one), and each use gets a subkey
 * of the master by crypto_kdf. A keyring is an ordered list: the first key, the primary, seals;
 * all of them open.
 *
 * Thread:  any; nothing is shared.
 * Memory:  plain values. gossip_keyring_wipe() before they are let go.
 * Errors:  the sentences are those that operators of Serf know.
 */
#ifndef GOSSIP_KEYRING_H
#define GOSSIP_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define GOSSIP_KEYS_MAX         16
#define GOSSIP_KEY_BYTES_MAX    32
#define GOSSIP_KEY_TEXT_MAX     45 /* base64 of 32 bytes, NUL included */
#define GOSSIP_SUBKEY_BYTES     32
#define GOSSIP_KEYRING_TEXT_MAX (64U * 1024) /* bytes of a keyring file; more is refused */

struct gossip_key {
    uint8_t bytes[GOSSIP_KEY_BYTES_MAX];
    uint8_t count; /* 16, 24 or 32 */
};

struct gossip_keyring {
    struct gossip_key keys[GOSSIP_KEYS_MAX]; /* the first is the primary */
    size_t count;                            /* 0: no encryption */
};

enum gossip_key_use { /* subkey ids: they never change */
                      GOSSIP_KEY_DATAGRAMS = 1,
                      GOSSIP_KEY_STREAMS = 2,
                      GOSSIP_KEY_ID = 3, /* names the key: gossip_key_id(), gossip_key_name() */
                      GOSSIP_KEY_RPC = 4,
};

/* MU_INVALID: "illegal base64 data at input byte N"; MU_UNSUPPORTED: "key size must be 16, 24 or 32
 * bytes". */
MU_MUST_CHECK enum mu_code gossip_key_parse(const char *text, struct gossip_key *out,
                                            struct mu_err *err);
MU_MUST_CHECK enum mu_code gossip_key_of(struct mu_span bytes, struct gossip_key *out,
                                         struct mu_err *err);
void gossip_key_text(const struct gossip_key *key, char out[GOSSIP_KEY_TEXT_MAX]);
bool gossip_key_eq(const struct gossip_key *a, const struct gossip_key *b);
void gossip_key_derive(const struct gossip_key *key, enum gossip_key_use use,
                       uint8_t out[GOSSIP_SUBKEY_BYTES]);
uint32_t gossip_key_id(const struct gossip_key *key);   /* on every packet: 4 bytes of its name */
uint64_t gossip_key_name(const struct gossip_key *key); /* tells keys apart, and nothing of them */

bool gossip_keyring_has(const struct gossip_keyring *ring, const struct gossip_key *key);
/* Appended; one that is there already is fine. MU_NOT_FOUND: "No keyring to modify (encryption not
 * enabled)"; MU_FULL: too many. */
MU_MUST_CHECK enum mu_code gossip_keyring_install(struct gossip_keyring *ring,
                                                  const struct gossip_key *key, struct mu_err *err);
/* It becomes the primary. MU_NOT_FOUND: "Requested key is not in the keyring". */
MU_MUST_CHECK enum mu_code gossip_keyring_use(struct gossip_keyring *ring,
                                              const struct gossip_key *key, struct mu_err *err);
/* One that is not there is fine. MU_DENIED: "Removing the primary key is not allowed". */
MU_MUST_CHECK enum mu_code gossip_keyring_remove(struct gossip_keyring *ring,
                                                 const struct gossip_key *key, struct mu_err *err);
void gossip_keyring_wipe(struct gossip_keyring *ring);

/* The file as Serf and Consul write it: a JSON array of base64, primary first. Decoding refuses
 * what is no such array, no key, and more keys than fit: MU_INVALID, MU_TOO_BIG. */
void gossip_keyring_encode(const struct gossip_keyring *ring, struct mu_buf *to);
MU_MUST_CHECK enum mu_code gossip_keyring_decode(struct mu_span text, struct gossip_keyring *out,
                                                 struct mu_err *err);

#endif
