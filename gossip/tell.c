/* tell.c - members tell each other of the changes of keys that they missed (gossip/keys.h).
 *
 *   they                                              we
 *   hello, the digest of the changes they know  -->
 *                                               <--   another than ours: our keys (KEYS), before
 *                                                     anything else
 *   there is something that we do not know: a stream of its own
 *   hello, their keys (KEYS)                    -->
 *                                               <--   done
 *
 * KEYS are taken under a key of our ring alone: whoever holds one of those may as well change our
 * keys by a query. Who comes under a key that we removed is told what the keys are now, and no more
 * than that, if it is a member that was away; whoever still has that key could also hand out his
 * own, so he is told, and not believed.
 */
#include <string.h>

#include "core.h"

/* We remember it, if only from before our last start, and it is not here: to be told a key one has
 * to be one of us. */
static bool may_be_away(const struct gossip *g, const char *name)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    if (m != NULL) {
        return m != g->self &&
               (m->status == GOSSIP_STATUS_FAILED || m->status == GOSSIP_STATUS_LEFT);
    }
    for (size_t i = 0; i < g->known_count; i++) {
        if (strcmp(g->known[i].label, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_other_keys(const struct gossip *g, const struct gossip__stream *s,
                           const struct gossip__hello *hello)
{
    if (g->seal.told == NULL) {
        return false;
    }
    return (hello->keys != 0 && hello->keys != g->seal.told_digest) ||
           (s->seal->key_id != gossip__seal_primary(g) && gossip_keys_time(g->seal.told) > 0);
}

bool gossip__keys_hello(struct gossip *g, struct gossip__stream *s,
                        const struct gossip__hello *hello)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_KEYS };
    bool is_sync = hello->kind == GOSSIP__HELLO_SYNC || hello->kind == GOSSIP__HELLO_DIGEST;

    if (s->seal == NULL) {
        return true;
    }
    bool is_retired = gossip__seal_is_retired(g, s->seal->key_id);

    if (is_retired && (!is_sync || !may_be_away(g, hello->from))) {
        gossip__turn_away(g, GOSSIP_COUNT_UNKNOWN_KEY, &s->peer);
        gossip__stream_drop(g, s);
        return false;
    }
    if (is_sync && has_other_keys(g, s, hello)) {
        frame.keys = g->seal.told;
        gossip__count(g, GOSSIP_COUNT_KEYS_TOLD);
        gossip__stream_frame(g, s, &frame);
    }
    if (is_retired) {
        gossip__log(g, MU_INFO, "memberlist: told '%s', which was away, what the keys are now",
                    hello->from);
        gossip__stream_end(g, s);
    }
    return !is_retired;
}

/* -- we are told --------------------------------------------------------------------------------
 */

static bool would_teach(const struct gossip_keys *who, const struct gossip_keys *by)
{
    struct gossip_keys copy = *who;
    bool is_new = gossip_keys_take(&copy, by);

    gossip_keys_wipe(&copy);
    return is_new;
}

static void take(struct gossip *g, const struct gossip_keys *keys)
{
    if (would_teach(g->seal.told, keys) &&
        gossip__witness(g, &g->query_time, gossip_keys_time(keys))) {
        g->told_keys = mu_arena_new(&g->step, sizeof *g->told_keys);
        *g->told_keys = *keys;
    }
}

static bool has_key(const struct gossip_keyring *ring, uint32_t id)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (gossip_key_id(&ring->keys[i]) == id) {
            return true;
        }
    }
    return false;
}

/* The other side says no more: whoever wanted the stream comes again, with the new key. */
static void end_for_keys(struct gossip *g, struct gossip__stream *s)
{
    gossip__stream_fail(g, s, "the keys changed while this node was away; it has them now");
}

/* Of several streams of ours the first may have told us already, and the key of the others be
 * retired. */
void gossip__on_keys(struct gossip *g, struct gossip__stream *s, const struct gossip_keys *keys)
{
    struct gossip__frame done = { .kind = GOSSIP__FRAME_DONE };
    bool is_ours = gossip__stream_is_ours(s);

    if (s->seal == NULL || g->seal.told == NULL) {
        gossip__stream_broken(g, s, GOSSIP_COUNT_MALFORMED);
        return;
    }
    if (gossip__seal_is_retired(g, s->seal->key_id)) {
        end_for_keys(g, s);
        return;
    }
    take(g, keys);
    if (!is_ours) {
        gossip__stream_frame(g, s, &done);
        gossip__stream_end(g, s);
    } else if (!has_key(&keys->ring, s->seal->key_id)) {
        end_for_keys(g, s);
    } else if (would_teach(keys, g->seal.told)) {
        (void)gossip__stream_open(g, GOSSIP__ROLE_TELL, &s->peer);
    }
}

/* -- we tell ------------------------------------------------------------------------------------
 */

static void tell_opened(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_KEYS, .keys = g->seal.told };

    if (g->seal.told == NULL ||
        !gossip__seal_sends(g)) { /* meanwhile: keys travel under keys alone */
        gossip__stream_drop(g, s);
        return;
    }
    gossip__count(g, GOSSIP_COUNT_KEYS_TOLD);
    gossip__stream_hello(g, s, (struct gossip__hello){ .kind = GOSSIP__HELLO_DELIVER });
    gossip__stream_frame(g, s, &frame);
}

static void tell_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                       struct mu_span bytes)
{
    (void)frame; /* done */
    (void)bytes;
    gossip__stream_drop(g, s);
}

const struct gossip__role_row gossip__role_tell = { tell_opened, tell_frame, NULL };
