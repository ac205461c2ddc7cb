/* tls.h - TLS 1.3 with pre-shared keys, without sockets: closed bytes in and out, plain bytes out
 * and in.
 *
 * External PSK with an ephemeral exchange (RFC 8446 section 2.2, psk_dhe_ke), so that a key which
 * leaks later opens no connection of the past; TLS_CHACHA20_POLY1305_SHA256 is the only suite (a
 * PSK is bound to a hash); no tickets, no resumption, no early data, no certificates. Whoever dials
 * offers the first key of its list, whoever listens takes any key of its own.
 *
 * Thread:  a context and its sessions belong to one thread.
 * Memory:  a context must outlive its sessions. Buffers grow with what was fed or sent, bounded by
 *          the caller's writes; about 20 kB a session while it is quiet.
 * Errors:  a session that failed stays failed: MU_DENIED (no key in common, or a forged hello),
 *          MU_CORRUPT (not TLS, or forged records).
 */
#ifndef PROTO_TLS_H
#define PROTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define MU_TLS_KEY_BYTES    32
#define MU_TLS_IDENTITY_MAX 16 /* bytes with NUL */
#define MU_TLS_KEYS_MAX     16
#define MU_TLS_FIRST_BYTE   0x16 /* of a client's hello: a handshake record */

struct mu_tls_key {
    char identity[MU_TLS_IDENTITY_MAX]; /* travels in clear; not empty */
    uint8_t bytes[MU_TLS_KEY_BYTES];
};

enum mu_tls_role { MU_TLS_CLIENT, MU_TLS_SERVER };

struct mu_tls_context; /* opaque: what sessions share */
struct mu_tls;         /* opaque: one connection */

/* Wakes OpenSSL: some 3 MB of memory in the process. Errors: MU_UNSUPPORTED. */
MU_MUST_CHECK enum mu_code mu_tls_context_new(struct mu_tls_context **out, struct mu_err *err);
void mu_tls_context_free(struct mu_tls_context *c); /* NULL is fine */
/* Replace the keys; sessions that are up keep theirs. count 1..MU_TLS_KEYS_MAX. */
void mu_tls_context_keys(struct mu_tls_context *c, const struct mu_tls_key *keys, size_t count);

struct mu_tls *mu_tls_new(struct mu_tls_context *c, enum mu_tls_role role);
void mu_tls_free(struct mu_tls *t); /* NULL is fine */

/* Bytes from the peer; what they hold in plain is appended. After an error mu_tls_pull() still has
 * the alert that tells the peer. */
MU_MUST_CHECK enum mu_code mu_tls_feed(struct mu_tls *t, struct mu_span closed,
                                       struct mu_buf *plain, struct mu_err *err);
/* Bytes for the peer, once the handshake is done (asserted). */
MU_MUST_CHECK enum mu_code mu_tls_send(struct mu_tls *t, struct mu_span plain, struct mu_err *err);
/* Append what is to be written to the peer; how many bytes. */
size_t mu_tls_pull(struct mu_tls *t, struct mu_buf *closed);
bool mu_tls_is_up(const struct mu_tls *t); /* the handshake is done: the peer has the key */

#endif
