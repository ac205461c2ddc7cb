/* level.c - which commands the log may hold: those that every server understands.
 *
 * Two servers that carry out one entry differently are never equal again, and one that does not
 * know a command can only stop. So a command of a new kind enters a log behind a configuration that
 * says its level, and that one is appended when all servers of the configuration before it, voters
 * and learners, have said that they understand it (spec/consensus.md 1.10, 2.20; row 85). From then
 * on whoever understands less is not taken in. What each of them said is known to this leader only,
 * and heard again by the next: the level itself is what lasts, in the log as in every snapshot.
 *
 * A server that is started with an older version between its word and that configuration gets an
 * entry that it must not take: it stops before it has it, and its log is as it was.
 */
#include "base/assert.h"
#include "core.h"

uint32_t consensus__level(const struct consensus *c)
{
    return consensus__config(c)->level;
}

/* What it said lately; 0: nothing. */
static uint32_t said(const struct consensus *c, uint32_t i)
{
    const struct consensus__peer *p = &c->peers[i];

    if (i == c->self) {
        return c->options.level_max;
    }
    return p->acked_ms != 0 && p->acked_ms + 2 * (uint64_t)c->options.heartbeat_ms >= c->now_ms
               ? p->level
               : 0;
}

/* The highest that all servers understand. */
static uint32_t understood(const struct consensus *c)
{
    uint32_t servers = consensus__config(c)->servers_count;
    uint32_t level = servers > 0 ? said(c, 0) : 0;

    for (uint32_t i = 1; i < servers && level > 0; i++) {
        level = said(c, i) < level ? said(c, i) : level;
    }
    return level;
}

void consensus__level_run(struct consensus *c)
{
    uint32_t was = consensus__level(c);
    struct consensus_config next;

    if (c->options.level_max <= was) {
        return; /* as nearly always */
    }
    uint32_t level = understood(c);

    if (level <= was || consensus__change_refusal(c) != CONSENSUS_NOT_REFUSED) {
        return; /* the next event finds it possible, or nothing to do */
    }
    next = *consensus__config(c);
    next.is_forced = false;
    next.level = level;
    consensus__note(c, CONSENSUS_T_LEVEL, NULL, level, was, 0);
    consensus__config_propose(c, &next, 0);
}

bool consensus__level_forbids(struct consensus *c, const struct consensus_change *what)
{
    const struct consensus__peer *p =
        consensus__peer_find(c, what->kind == CONSENSUS_REPLACE ? &what->by : &what->server);
    uint32_t level = consensus__level(c);

    switch (what->kind) {
    case CONSENSUS_ADD: return level > CONSENSUS_LEVEL_FIRST && what->level < level;
    case CONSENSUS_PROMOTE:
    case CONSENSUS_REPLACE: return p != NULL && p->level != 0 && p->level < level;
    case CONSENSUS_DEMOTE:
    case CONSENSUS_REMOVE:
    case CONSENSUS_SET: return false;
    }
    MU_UNREACHABLE_CODE();
}

bool consensus__level_ends(struct consensus *c, const struct consensus_config *config)
{
    if (config->level <= c->options.level_max) {
        return false;
    }
    if (!consensus_config_has_removed(consensus__config(c), &c->options.disk)) {
        consensus__note(c, CONSENSUS_T_OUTDATED, NULL, config->level, c->options.level_max, 0);
        consensus__die(c, CONSENSUS_DEATH_LEVEL); /* else it is about to hear why it may stop */
    }
    return true;
}
