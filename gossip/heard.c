/* heard.c - what was taken a moment ago comes again and again: known by its bytes, it is not read.
 *
 * A rumor reaches a node about as often as each node sends it, and all copies but the first change
 * nothing. So the last words that were taken are remembered, by a keyed hash of their bytes and
 * with the member that each is about, until anything else happens to that member: while it is what
 * the word made of it, the same word makes nothing more of it. Words about ourselves are always
 * read.
 */
#include "core.h"

static uint64_t hash_of(struct mu_span part)
{
    return mu_table_hash_whole(part) | 1; /* 0: an empty place */
}

static size_t place_of(uint64_t hash)
{
    return (hash >> 1) % GOSSIP__HEARD;
}

bool gossip__heard(const struct gossip *g, struct mu_span part)
{
    uint64_t hash = hash_of(part);

    return g->heard.hashes[place_of(hash)] == hash;
}

void gossip__heard_keep(struct gossip *g, const struct gossip__member *about, struct mu_span part)
{
    uint64_t hash = hash_of(part);

    if (about != NULL && about != g->self) {
        g->heard.hashes[place_of(hash)] = hash;
        g->heard.about[place_of(hash)] = about;
    }
}

void gossip__heard_forget(struct gossip *g, const struct gossip__member *about)
{
    for (size_t i = 0; i < GOSSIP__HEARD; i++) {
        if (g->heard.about[i] == about) {
            g->heard.about[i] = NULL;
            g->heard.hashes[i] = 0;
        }
    }
}
