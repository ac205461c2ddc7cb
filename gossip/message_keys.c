/* message_keys.c - keys on the wire: what is asked and answered in queries (13.8), and what a
 * member that was away is told on a stream. */
#include <string.h>

#include "base/assert.h"
#include "gossip/gossip.h"
#include "gossip/keys.h"
#include "message_pb.h"
#include "proto/pb.h"

#define ANSWER_BYTES_MAX (GOSSIP_RESPONSE_BYTES - 256) /* name, times and id stand beside it */

#define DECODE_BYTES_MAX (64U * 1024) /* made of one answer */

/* 16 keys and the primary, each with tag and length, and no text beside them: they fit. */
_Static_assert((GOSSIP_KEYS_MAX + 1) * (GOSSIP_KEY_BYTES_MAX + 2) + 8 <= ANSWER_BYTES_MAX,
               "a list of keys is never cut");
_Static_assert(GOSSIP_KEY_TEXT_BYTES + 8 <= ANSWER_BYTES_MAX, "nor is what a member says");

static void pack(const ProtobufCMessage *m, struct mu_buf *to)
{
    size_t bytes = protobuf_c_message_get_packed_size(m);

    (void)protobuf_c_message_pack(m, mu_buf_reserve(to, bytes));
    to->bytes += bytes;
}

static void keys_out(const struct gossip_keyring *ring, ProtobufCBinaryData out[GOSSIP_KEYS_MAX])
{
    for (size_t i = 0; i < ring->count; i++) {
        out[i] = gossip__pb_bytes(ring->keys[i].bytes, ring->keys[i].count);
    }
}

static bool keys_in(const ProtobufCBinaryData *keys, size_t count, struct gossip_keyring *out)
{
    *out = (struct gossip_keyring){ .count = 0 };
    if (count > GOSSIP_KEYS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (gossip_key_of(gossip__pb_span(keys[i]), &out->keys[i], NULL) != MU_OK) {
            return false;
        }
    }
    out->count = count;
    return true;
}

/* -- queries ------------------------------------------------------------------------------------
 */

void gossip_key_request_encode(const struct gossip_key *key, struct mu_buf *to)
{
    Mu__Gossip__KeyRequest m = MU__GOSSIP__KEY_REQUEST__INIT;

    if (key != NULL) {
        m.key = gossip__pb_bytes(key->bytes, key->count);
    }
    pack(&m.base, to);
}

bool gossip_key_request_decode(struct mu_span payload, struct mu_arena *arena, struct mu_span *key)
{
    const Mu__Gossip__KeyRequest *m =
        mu_pb_unpack(&mu__gossip__key_request__descriptor, payload, arena);

    *key = m != NULL ? gossip__pb_span(m->key) : MU_SPAN_NONE;
    return m != NULL;
}

void gossip_key_answer_encode(const struct gossip_key_answer *a, struct mu_buf *to)
{
    Mu__Gossip__KeyResponse m = MU__GOSSIP__KEY_RESPONSE__INIT;
    ProtobufCBinaryData keys[GOSSIP_KEYS_MAX];
    size_t before = to->bytes;

    m.result = a->is_ok;
    m.message = gossip__pb_text(a->text);
    keys_out(&a->ring, keys);
    m.keys = keys;
    m.n_keys = a->ring.count;
    if (m.n_keys > 0) {
        m.primary = keys[0];
    }
    pack(&m.base, to);
    MU_ASSERT(to->bytes - before <= ANSWER_BYTES_MAX);
}

bool gossip_key_answer_decode(struct mu_span payload, struct gossip_key_answer *out)
{
    struct mu_arena arena;
    bool ok = false;

    memset(out, 0, sizeof *out);
    mu_arena_init(&arena, DECODE_BYTES_MAX);
    const Mu__Gossip__KeyResponse *m =
        payload.bytes <= GOSSIP_RESPONSE_BYTES
            ? mu_pb_unpack(&mu__gossip__key_response__descriptor, payload, &arena)
            : NULL;

    if (m != NULL && gossip__text_ok(m->message, sizeof out->text - 1) &&
        keys_in(m->keys, m->n_keys, &out->ring)) {
        out->is_ok = m->result;
        memcpy(out->text, m->message, strlen(m->message) + 1);
        ok = true;
    }
    mu_arena_deinit(&arena);
    if (!ok) {
        memset(out, 0, sizeof *out);
    }
    return ok;
}

/* -- streams ------------------------------------------------------------------------------------
 */

void gossip__keys_out(Mu__Gossip__Frame *f, const struct gossip_keys *keys, struct mu_arena *arena)
{
    Mu__Gossip__Keys *m = mu_arena_new(arena, sizeof *m);

    mu__gossip__keys__init(m);
    m->used = keys->used;
    m->forgotten = keys->forgotten;
    m->n_marks = keys->marks_count;
    m->marks = mu_arena_array(arena, GOSSIP_KEY_MARKS_MAX, sizeof *m->marks);
    for (size_t i = 0; i < keys->marks_count; i++) {
        m->marks[i] = mu_arena_new(arena, sizeof **m->marks);
        mu__gossip__key_mark__init(m->marks[i]);
        m->marks[i]->name = keys->marks[i].name;
        m->marks[i]->ltime = keys->marks[i].ltime;
        m->marks[i]->is_removed = keys->marks[i].is_removed;
    }
    m->keys = mu_arena_array(arena, GOSSIP_KEYS_MAX, sizeof *m->keys);
    m->retired = mu_arena_array(arena, GOSSIP_KEYS_MAX, sizeof *m->retired);
    m->retired_s = mu_arena_array(arena, GOSSIP_KEYS_MAX, sizeof *m->retired_s);
    keys_out(&keys->ring, m->keys);
    keys_out(&keys->retired, m->retired);
    m->n_keys = keys->ring.count;
    m->n_retired = m->n_retired_s = keys->retired.count;
    memcpy(m->retired_s, keys->retired_s, m->n_retired * sizeof *m->retired_s);
    f->m_case = MU__GOSSIP__FRAME__M_KEYS;
    f->keys = m;
}

bool gossip__keys_in(const Mu__Gossip__Keys *m, struct mu_arena *arena,
                     const struct gossip_keys **out)
{
    struct gossip_keys *keys = mu_arena_try(arena, sizeof *keys);

    if (keys == NULL) {
        return false;
    }
    memset(keys, 0, sizeof *keys);
    if (m->n_keys == 0 || m->n_retired != m->n_retired_s || m->n_marks > GOSSIP_KEY_MARKS_MAX ||
        !keys_in(m->keys, m->n_keys, &keys->ring) ||
        !keys_in(m->retired, m->n_retired, &keys->retired)) {
        return false;
    }
    for (size_t i = 0; i < m->n_retired; i++) {
        keys->retired_s[i] = m->retired_s[i];
    }
    for (size_t i = 0; i < m->n_marks; i++) {
        keys->marks[i] = (struct gossip_key_mark){ m->marks[i]->name, m->marks[i]->ltime,
                                                   m->marks[i]->is_removed };
    }
    keys->marks_count = m->n_marks;
    keys->used = m->used;
    keys->forgotten = m->forgotten;
    *out = keys;
    return true;
}
