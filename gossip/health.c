/* health.c - slow down when the trouble is ours (Lifeguard's local health, 5.5; pauses, 5.6; and
 * silence).
 *
 * Deviation from the reference: who hears nobody at all, for several periods, is itself cut off or
 * held up more likely than all others are dead at once. Its suspicions cannot be denied, and when
 * it is heard again it would spread the deaths of whom it suspected in vain. So they are as patient
 * as those of stalled members, and time of silence does not count when it is over.
 */
#include "core.h"

#define DEAF_PERIODS 4 /* of probing: a member hears several others in each */

void gossip__health_add(struct gossip *g, int delta)
{
    int score = (int)g->health + delta;
    int max = (int)g->profile.awareness_max - 1;
    unsigned next = (unsigned)(score < 0 ? 0 : score > max ? max : score);

    if (next != g->health) {
        gossip__log(g, MU_TRACE, "health score %u -> %u", g->health, next);
    }
    g->health = next;
}

/* An event that comes much later than we asked to be woken means that we did not run: starved,
 * stopped, or suspended. Whoever seems to have failed in that time has not: we were not listening.
 * No timer of its own watches for this; it would cost more than the rest of an idle agent. */
void gossip__health_pause(struct gossip *g, const struct gossip_event *ev)
{
    if (g->wake_at_ms == 0 || ev->now_ms <= g->wake_at_ms + g->profile.probe_timeout_ms / 2) {
        return;
    }
    uint64_t pause = ev->now_ms - g->wake_at_ms;
    uint64_t periods = (pause + g->profile.probe_ms - 1) / g->profile.probe_ms;

    g->heard_ms += pause; /* nobody could be heard */
    gossip__count(g, GOSSIP_COUNT_PAUSES);
    gossip__log(g, MU_DEBUG, "paused for %llu ms", (unsigned long long)pause);
    gossip__probe_abandon(g, "we were paused");
    gossip__suspicion_postpone(g, pause);
    gossip__inquiry_postpone(g, pause);
    gossip__health_add(g, periods > g->profile.awareness_max ? (int)g->profile.awareness_max
                                                             : (int)periods);
}

bool gossip__health_is_deaf(const struct gossip *g)
{
    return g->now_ms - g->heard_ms >= DEAF_PERIODS * g->profile.probe_ms &&
           g->alive_count + g->suspect_count > 1;
}

/* Errors of datagrams are no word of anybody: where a link is down our own kernel says in the name
 * of ICMP that it finds no host. */
void gossip__health_heard(struct gossip *g)
{
    if (gossip__health_is_deaf(g)) {
        gossip__probe_abandon(g, "we heard nobody");
        gossip__suspicion_discount(g, g->now_ms - g->heard_ms);
    }
    g->heard_ms = g->now_ms;
}
