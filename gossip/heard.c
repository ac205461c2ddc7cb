/* heard.c - what was taken a moment ago comes again and again: known by its bytes, it is not read.
 *
 * A rumor reaches a node about as often as each node sends it, and all copies but the first change
 * nothing. So the last words that were taken, or made no difference, are remembered, by a keyed
 * hash of their bytes and with the member that each is about, until anything else happens to that
 * member: while it is what the word made of it, the same word makes nothing more of it. Words about
 * ourselves are always read. Of a death all declare themselves at about the same moment; by whom
 * makes no difference after the first.
 *
 * The table is one of sets: the newest of a set pushes out its oldest.
 */
#include <string.h>

#include "core.h"

#define WAYS 4 /* in a set: half a line of the cache */

_Static_assert(GOSSIP__HEARD % WAYS == 0, "whole sets");

uint64_t gossip__heard_hash(struct mu_span part)
{
    return mu_table_hash_whole(gossip__part_gist(part)) | 1; /* 0: an empty place */
}

static size_t set_of(uint64_t hash)
{
    return (hash >> 1) % (GOSSIP__HEARD / WAYS) * WAYS;
}

const void *gossip__heard_place(const struct gossip *g, uint64_t hash)
{
    return &g->heard.hashes[set_of(hash)];
}

bool gossip__heard(const struct gossip *g, uint64_t hash)
{
    const uint64_t *set = &g->heard.hashes[set_of(hash)];

    return set[0] == hash || set[1] == hash || set[2] == hash || set[3] == hash;
}

void gossip__heard_keep(struct gossip *g, const struct gossip__member *about, struct mu_span part)
{
    uint64_t hash = gossip__heard_hash(part);
    size_t at = set_of(hash);

    if (about == NULL || about == g->self || part.bytes == 0 || gossip__heard(g, hash)) {
        return;
    }
    memmove(&g->heard.hashes[at + 1], &g->heard.hashes[at], (WAYS - 1) * sizeof hash);
    memmove(&g->heard.about[at + 1], &g->heard.about[at],
            (WAYS - 1) * sizeof(const struct gossip__member *));
    g->heard.hashes[at] = hash;
    g->heard.about[at] = about;
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
