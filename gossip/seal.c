/* seal.c - what crosses the wire closed: XChaCha20-Poly1305 for datagrams and streams (12.2).
 *
 *   datagram   header 24 | nonce 24 | body, sealed | tag 16        AAD: the header
 *   stream     header 24 | salt 24  | frames of: u32 length, payload sealed, tag 16
 *
 * A nonce is 16 random bytes of this boot and a counter: no two are ever equal under one key. The
 * salts of both sides go into the keys of a stream, one for each direction, so what was recorded
 * cannot be played to anybody; its nonces count the frames, and each frame is bound to the header.
 *
 * Whoever holds a key can be any member. What keeps old packets of an honest one from being played
 * again is the window below: each sender counts its packets, and a number passes once.
 */
#include <sodium.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire.h"
#include "core.h"

_Static_assert(GOSSIP__NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the nonce");
_Static_assert(GOSSIP__TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag");
_Static_assert(GOSSIP_SUBKEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the key");

/* -- keys ---------------------------------------------------------------------------------- */

static void keys_free(struct gossip *g)
{
    if (g->seal.keys != NULL) {
        sodium_memzero(g->seal.keys,
                       (g->seal.keys_count + g->seal.retired_count) * sizeof *g->seal.keys);
    }
    if (g->seal.told != NULL) {
        gossip_keys_wipe(g->seal.told);
    }
    mu_free(g->seal.keys);
    mu_free(g->seal.told);
    g->seal.keys = NULL;
    g->seal.told = NULL;
    g->seal.told_digest = 0;
    g->seal.keys_count = g->seal.retired_count = 0;
}

static void key_set(struct gossip__key *to, const struct gossip_key *key)
{
    to->id = gossip_key_id(key);
    gossip_key_derive(key, GOSSIP_KEY_DATAGRAMS, to->datagrams);
    gossip_key_derive(key, GOSSIP_KEY_STREAMS, to->streams);
}

void gossip__seal_set(struct gossip *g, const struct gossip_sealing *sealing)
{
    const struct gossip_keyring *ring = sealing->keyring;
    bool was_on = gossip__seal_is_on(g);

    keys_free(g);
    g->seal.takes_clear = sealing->takes_clear;
    g->seal.sends_clear = sealing->sends_clear;
    if (ring == NULL || ring->count == 0) {
        return;
    }
    size_t retired = sealing->keys != NULL ? sealing->keys->retired.count : 0;

    g->seal.keys = mu_new_array(ring->count + retired, sizeof *g->seal.keys);
    g->seal.keys_count = ring->count;
    g->seal.retired_count = retired;
    g->seal.since_ms = was_on ? g->seal.since_ms : g->now_ms;
    for (size_t i = 0; i < ring->count; i++) {
        key_set(&g->seal.keys[i], &ring->keys[i]);
    }
    for (size_t i = 0; i < retired; i++) {
        key_set(&g->seal.keys[ring->count + i], &sealing->keys->retired.keys[i]);
    }
    if (sealing->keys != NULL) {
        g->seal.told = mu_new(sizeof *g->seal.told);
        *g->seal.told = *sealing->keys;
        g->seal.told_digest = gossip_keys_digest(sealing->keys);
    }
}

void gossip__seal_free(struct gossip *g)
{
    keys_free(g);
}

bool gossip__seal_is_on(const struct gossip *g)
{
    return g->seal.keys_count > 0;
}

bool gossip__seal_sends(const struct gossip *g)
{
    return gossip__seal_is_on(g) && !g->seal.sends_clear;
}

bool gossip__seal_takes_clear(const struct gossip *g)
{
    return !gossip__seal_is_on(g) || g->seal.takes_clear;
}

/* The first of `count` with that id; those that were removed are the last. */
static const struct gossip__key *key_among(const struct gossip *g, uint32_t id, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (g->seal.keys[i].id == id) {
            return &g->seal.keys[i];
        }
    }
    return NULL;
}

static const struct gossip__key *key_find(const struct gossip *g, uint32_t id)
{
    return key_among(g, id, g->seal.keys_count);
}

static const struct gossip__key *key_find_any(const struct gossip *g, uint32_t id)
{
    return key_among(g, id, g->seal.keys_count + g->seal.retired_count);
}

/* Never the same twice under one key: the first part is this boot's alone. */
static void nonce_next(struct gossip *g, uint8_t out[GOSSIP__NONCE_BYTES])
{
    struct mu_wr w = mu_wr_of(out, GOSSIP__NONCE_BYTES);

    mu_wr_bytes(&w, g->seal.nonce_prefix, sizeof g->seal.nonce_prefix);
    mu_wr_u64be(&w, ++g->seal.nonces);
    MU_ASSERT(mu_wr_ok(&w) && w.used == GOSSIP__NONCE_BYTES);
}

/* -- datagrams ----------------------------------------------------------------------------- */

size_t gossip__seal_overhead(const struct gossip *g)
{
    return gossip__seal_sends(g) ? GOSSIP__NONCE_BYTES + GOSSIP__TAG_BYTES : 0;
}

struct mu_span gossip__seal_datagram(struct gossip *g, struct mu_span body)
{
    const struct gossip__key *key = &g->seal.keys[0];
    size_t bytes = GOSSIP__HEADER_BYTES + GOSSIP__NONCE_BYTES + body.bytes + GOSSIP__TAG_BYTES;
    uint8_t *out = mu_arena_new(&g->step, bytes);
    uint8_t *nonce = out + GOSSIP__HEADER_BYTES;

    gossip__header_sealed(g, 0, key->id, out);
    nonce_next(g, nonce);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + GOSSIP__NONCE_BYTES, NULL, body.data,
                                                     body.bytes, out, GOSSIP__HEADER_BYTES, NULL,
                                                     nonce, key->datagrams);
    return mu_span_of(out, bytes);
}

bool gossip__open_datagram(struct gossip *g, uint32_t key_id, struct mu_span data,
                           struct mu_span *body, enum gossip_counter *reason)
{
    const struct gossip__key *key = key_find(g, key_id);
    const size_t closed_at = GOSSIP__HEADER_BYTES + GOSSIP__NONCE_BYTES;

    if (key == NULL) {
        *reason = GOSSIP_COUNT_UNKNOWN_KEY;
        return false;
    }
    if (data.bytes < closed_at + GOSSIP__TAG_BYTES) {
        *reason = GOSSIP_COUNT_MALFORMED;
        return false;
    }
    size_t bytes = data.bytes - closed_at - GOSSIP__TAG_BYTES;
    uint8_t *plain = mu_arena_new(&g->in, bytes + 1);

    *reason = GOSSIP_COUNT_FORGED;
    *body = mu_span_of(plain, bytes);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(
               plain, NULL, NULL, data.data + closed_at, data.bytes - closed_at, data.data,
               GOSSIP__HEADER_BYTES, data.data + GOSSIP__HEADER_BYTES, key->datagrams) == 0;
}

/* -- replays ------------------------------------------------------------------------------- */

#define WINDOW GOSSIP__REPLAY_BITS

static bool bit_take(struct gossip__replay *w, uint64_t counter)
{
    uint64_t *word = &w->seen[counter / 64 % MU_LEN(w->seen)];
    uint64_t bit = UINT64_C(1) << (counter % 64);

    if ((*word & bit) != 0) {
        return false;
    }
    *word |= bit;
    return true;
}

/* The words between the old top and the new one belong to numbers not seen yet. */
static void window_move(struct gossip__replay *w, uint64_t top)
{
    uint64_t first = w->top / 64 + 1;
    uint64_t last = top / 64;

    if (last - w->top / 64 >= MU_LEN(w->seen)) {
        memset(w->seen, 0, sizeof w->seen);
    } else {
        for (uint64_t i = first; i <= last; i++) {
            w->seen[i % MU_LEN(w->seen)] = 0;
        }
    }
    w->top = top;
}

/* A number passes once, and not when it is older than the window. The words are reused whole, so
 * what counts as old is rounded to one of them. */
static bool window_take(struct gossip__replay *w, uint64_t counter)
{
    if (counter > w->top) {
        window_move(w, counter);
    } else if (w->top / 64 - counter / 64 >= MU_LEN(w->seen)) {
        return false;
    }
    return bit_take(w, counter);
}

static void window_begin(struct gossip__replay *w, uint64_t boot_id, uint64_t incarnation)
{
    *w = (struct gossip__replay){ .boot_id = boot_id, .incarnation = incarnation };
}

/* The window of this life of the sender: the one its record tells of, or one that claims to be
 * newer, which the record will tell of soon (a restart) or never (a twin). NULL: an old life. */
static struct gossip__replay *window_of(struct gossip__member *m, const struct gossip__packet *p)
{
    struct gossip__replay *known = &m->dealings->replay[0];
    struct gossip__replay *claim = &m->dealings->replay[1];

    if (p->boot_id == m->card->boot_id) {
        if (known->boot_id != p->boot_id && claim->boot_id == p->boot_id) {
            *known = *claim; /* its claim was believed */
        } else if (known->boot_id != p->boot_id) {
            window_begin(known, p->boot_id, p->incarnation);
        }
        return known;
    }
    if (claim->boot_id == p->boot_id) {
        return claim;
    }
    if (p->incarnation <= m->incarnation || p->incarnation <= claim->incarnation) {
        return NULL;
    }
    window_begin(claim, p->boot_id, p->incarnation);
    return claim;
}

bool gossip__replay_take(struct gossip__member *m, const struct gossip__packet *p)
{
    struct gossip__dealings *d = gossip__deal(m);

    if (d->replay == NULL) {
        d->replay = mu_new_array(2, sizeof *d->replay);
    }
    struct gossip__replay *w = window_of(m, p);

    return w != NULL && window_take(w, p->counter);
}

/* -- streams ------------------------------------------------------------------------------- */

struct gossip__stream_seal *gossip__stream_seal_new(struct gossip *g, uint32_t key_id)
{
    struct gossip__stream_seal *x = mu_new(sizeof *x);

    x->key_id = key_id;
    nonce_next(g, x->salt);
    gossip__header_sealed(g, GOSSIP__FLAG_STREAM, key_id, x->head_out);
    return x;
}

void gossip__stream_seal_free(struct gossip__stream_seal *x)
{
    if (x != NULL) {
        mu_buf_deinit(&x->waiting);
        sodium_memzero(x, sizeof *x);
        mu_free(x);
    }
}

uint32_t gossip__seal_primary(const struct gossip *g)
{
    return gossip__seal_is_on(g) ? g->seal.keys[0].id : 0;
}

bool gossip__seal_knows(const struct gossip *g, uint32_t key_id)
{
    return key_find_any(g, key_id) != NULL;
}

bool gossip__seal_is_retired(const struct gossip *g, uint32_t key_id)
{
    return key_find(g, key_id) == NULL && key_find_any(g, key_id) != NULL;
}

static void direction_key(const struct gossip__key *key, const uint8_t *initiator,
                          const uint8_t *responder, uint8_t direction,
                          uint8_t out[GOSSIP_SUBKEY_BYTES])
{
    uint8_t text[2 * GOSSIP__NONCE_BYTES + 1];

    memcpy(text, initiator, GOSSIP__NONCE_BYTES);
    memcpy(text + GOSSIP__NONCE_BYTES, responder, GOSSIP__NONCE_BYTES);
    text[2 * GOSSIP__NONCE_BYTES] = direction;
    (void)crypto_generichash(out, GOSSIP_SUBKEY_BYTES, text, sizeof text, key->streams,
                             sizeof key->streams);
}

bool gossip__stream_seal_ready(struct gossip *g, struct gossip__stream_seal *x, bool is_ours,
                               struct mu_span head, struct mu_span salt)
{
    const struct gossip__key *key = key_find_any(g, x->key_id);

    if (key == NULL) {
        return false; /* removed meanwhile */
    }
    const uint8_t *initiator = is_ours ? x->salt : salt.data;
    const uint8_t *responder = is_ours ? salt.data : x->salt;

    MU_ASSERT(head.bytes == GOSSIP__HEADER_BYTES && salt.bytes == GOSSIP__NONCE_BYTES);
    memcpy(x->head_in, head.data, head.bytes);
    direction_key(key, initiator, responder, 0, is_ours ? x->key_out : x->key_in);
    direction_key(key, initiator, responder, 1, is_ours ? x->key_in : x->key_out);
    x->is_ready = true;
    return true;
}

static void frame_nonce(uint64_t count, uint8_t out[GOSSIP__NONCE_BYTES])
{
    struct mu_wr w = mu_wr_of(out, GOSSIP__NONCE_BYTES);

    mu_wr_u64be(&w, 0);
    mu_wr_u64be(&w, 0);
    mu_wr_u64be(&w, count);
}

struct mu_span gossip__stream_seal_frame(struct gossip *g, struct gossip__stream_seal *x,
                                         struct mu_span payload)
{
    size_t bytes = payload.bytes + GOSSIP__TAG_BYTES;
    uint8_t *out = mu_arena_new(&g->step, 4 + bytes);
    struct mu_wr w = mu_wr_of(out, 4);
    uint8_t nonce[GOSSIP__NONCE_BYTES];

    mu_wr_u32be(&w, (uint32_t)bytes);
    frame_nonce(x->sent++, nonce);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + 4, NULL, payload.data, payload.bytes,
                                                     x->head_out, sizeof x->head_out, NULL, nonce,
                                                     x->key_out);
    return mu_span_of(out, 4 + bytes);
}

bool gossip__stream_open_frame(struct gossip *g, struct gossip__stream_seal *x,
                               struct mu_span closed, struct mu_span *payload)
{
    uint8_t nonce[GOSSIP__NONCE_BYTES];

    if (closed.bytes < GOSSIP__TAG_BYTES) {
        return false;
    }
    size_t bytes = closed.bytes - GOSSIP__TAG_BYTES;
    uint8_t *plain = mu_arena_new(&g->in, bytes + 1);

    frame_nonce(x->received++, nonce);
    *payload = mu_span_of(plain, bytes);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, closed.data, closed.bytes,
                                                      x->head_in, sizeof x->head_in, nonce,
                                                      x->key_in) == 0;
}
