/* tls.c - OpenSSL between two memory BIOs.
 *
 *    mu_tls_feed  -> in  BIO -> SSL_read  -> plain
 *    mu_tls_send  -> SSL_write -> out BIO -> mu_tls_pull
 *
 * OpenSSL keeps a queue of errors per thread: it is emptied before each call whose result is looked
 * at, or the words of one connection would be told of another.
 */
#include "proto/tls.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/assert.h"
#include "base/mem.h"

#define SUITE      "TLS_CHACHA20_POLY1305_SHA256"
#define READ_BYTES (16U * 1024) /* one record */

static const unsigned char suite_id[] = { 0x13, 0x03 };

struct mu_tls_context {
    SSL_CTX *ctx;
    struct mu_tls_key keys[MU_TLS_KEYS_MAX];
    size_t keys_count;
};

struct mu_tls {
    SSL *ssl;
    BIO *in, *out; /* the session's */
    bool is_up, has_failed;
};

/* -- keys ------------------------------------------------------------------------------------- */

/* OpenSSL wants an external key dressed as a session. */
static SSL_SESSION *session_of(SSL *ssl, const struct mu_tls_key *key)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite_id);
    SSL_SESSION *session = SSL_SESSION_new();

    MU_ASSERT(cipher != NULL && session != NULL);
    MU_ASSERT(SSL_SESSION_set1_master_key(session, key->bytes, sizeof key->bytes) == 1);
    MU_ASSERT(SSL_SESSION_set_cipher(session, cipher) == 1);
    MU_ASSERT(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1);
    return session;
}

static const struct mu_tls_context *context_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_bytes,
                   SSL_SESSION **session)
{
    const struct mu_tls_context *c = context_of(ssl);

    (void)md; /* the one suite has one hash */
    *session = NULL;
    if (c->keys_count > 0) {
        *id = (const unsigned char *)c->keys[0].identity;
        *id_bytes = strlen(c->keys[0].identity);
        *session = session_of(ssl, &c->keys[0]);
    }
    return 1;
}

static int find_key(SSL *ssl, const unsigned char *identity, size_t bytes, SSL_SESSION **session)
{
    const struct mu_tls_context *c = context_of(ssl);

    *session = NULL; /* an unknown one is no error here: the handshake fails for want of a key */
    for (size_t i = 0; i < c->keys_count; i++) {
        if (strlen(c->keys[i].identity) == bytes &&
            memcmp(c->keys[i].identity, identity, bytes) == 0) {
            *session = session_of(ssl, &c->keys[i]);
            break;
        }
    }
    return 1;
}

void mu_tls_context_keys(struct mu_tls_context *c, const struct mu_tls_key *keys, size_t count)
{
    MU_ASSERT(count >= 1 && count <= MU_TLS_KEYS_MAX);
    OPENSSL_cleanse(c->keys, sizeof c->keys);
    memcpy(c->keys, keys, count * sizeof *keys);
    c->keys_count = count;
}

/* -- contexts --------------------------------------------------------------------------------- */

enum mu_code mu_tls_context_new(struct mu_tls_context **out, struct mu_err *err)
{
    struct mu_tls_context *c = mu_new(sizeof *c);

    c->ctx = SSL_CTX_new(TLS_method());
    if (c->ctx == NULL || SSL_CTX_set_min_proto_version(c->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(c->ctx, SUITE) != 1) {
        mu_tls_context_free(c);
        return mu_fail(err, MU_UNSUPPORTED, "this system's OpenSSL has no TLS 1.3 with %s", SUITE);
    }
    SSL_CTX_set_app_data(c->ctx, c);
    (void)SSL_CTX_set_num_tickets(c->ctx, 0);
    (void)SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_max_early_data(c->ctx, 0);
    (void)SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_psk_use_session_callback(c->ctx, use_key);
    SSL_CTX_set_psk_find_session_callback(c->ctx, find_key);
    *out = c;
    return MU_OK;
}

void mu_tls_context_free(struct mu_tls_context *c)
{
    if (c != NULL) {
        SSL_CTX_free(c->ctx);
        OPENSSL_cleanse(c->keys, sizeof c->keys);
        mu_free(c);
    }
}

/* -- sessions --------------------------------------------------------------------------------- */

struct mu_tls *mu_tls_new(struct mu_tls_context *c, enum mu_tls_role role)
{
    struct mu_tls *t = mu_new(sizeof *t);

    t->ssl = SSL_new(c->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    MU_ASSERT(t->ssl != NULL && t->in != NULL && t->out != NULL); /* nothing but memory to lack */
    SSL_set_bio(t->ssl, t->in, t->out);
    if (role == MU_TLS_CLIENT) {
        SSL_set_connect_state(t->ssl);
        (void)SSL_do_handshake(t->ssl); /* the hello */
    } else {
        SSL_set_accept_state(t->ssl);
    }
    return t;
}

void mu_tls_free(struct mu_tls *t)
{
    if (t != NULL) {
        SSL_free(t->ssl); /* and its BIOs */
        mu_free(t);
    }
}

bool mu_tls_is_up(const struct mu_tls *t)
{
    return t->is_up && !t->has_failed;
}

/* In words for whoever set the two sides up. */
static enum mu_code failed(struct mu_tls *t, struct mu_err *err)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    t->has_failed = true;
    return t->is_up ? mu_fail(err, MU_CORRUPT, "TLS: %s", reason != NULL ? reason : "bad record")
                    : mu_fail(err, MU_DENIED,
                              "TLS handshake failed, is the encryption key the same on both sides? "
                              "(%s)",
                              reason != NULL ? reason : "no reason given");
}

enum mu_code mu_tls_send(struct mu_tls *t, struct mu_span plain, struct mu_err *err)
{
    MU_ASSERT(mu_tls_is_up(t));
    while (plain.bytes > 0) {
        size_t put = 0;

        ERR_clear_error();
        if (SSL_write_ex(t->ssl, plain.data, plain.bytes, &put) != 1) {
            return failed(t, err); /* a BIO in memory always takes it */
        }
        plain = mu_span_sub(plain, put, plain.bytes - put);
    }
    return MU_OK;
}

static enum mu_code read_all(struct mu_tls *t, struct mu_buf *plain, struct mu_err *err)
{
    for (;;) {
        size_t got = 0;
        uint8_t *room = mu_buf_reserve(plain, READ_BYTES);

        ERR_clear_error();
        if (SSL_read_ex(t->ssl, room, READ_BYTES, &got) == 1) {
            plain->bytes += got;
            continue;
        }
        switch (SSL_get_error(t->ssl, 0)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_ZERO_RETURN: return MU_OK; /* the latter: the peer says goodbye */
        default: return failed(t, err);
        }
    }
}

enum mu_code mu_tls_feed(struct mu_tls *t, struct mu_span closed, struct mu_buf *plain,
                         struct mu_err *err)
{
    size_t put = 0;

    if (t->has_failed) {
        return mu_fail(err, MU_CORRUPT, "TLS: the session has failed before");
    }
    if (closed.bytes > 0) {
        MU_ASSERT(BIO_write_ex(t->in, closed.data, closed.bytes, &put) == 1 && put == closed.bytes);
    }
    enum mu_code rc = read_all(t, plain, err);

    t->is_up = t->is_up || (rc == MU_OK && SSL_is_init_finished(t->ssl) == 1);
    return rc;
}

size_t mu_tls_pull(struct mu_tls *t, struct mu_buf *closed)
{
    size_t bytes = BIO_ctrl_pending(t->out);
    size_t got = 0;

    if (bytes > 0) {
        MU_ASSERT(BIO_read_ex(t->out, mu_buf_reserve(closed, bytes), bytes, &got) == 1);
        closed->bytes += got;
    }
    return got;
}
