/* health.c - slow down when the trouble is ours (Lifeguard's local health, 5.5; pauses, 5.6). */
#include "core.h"

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

    gossip__count(g, GOSSIP_COUNT_PAUSES);
    gossip__log(g, MU_DEBUG, "paused for %llu ms", (unsigned long long)pause);
    gossip__probe_abandon(g, "we were paused");
    gossip__suspicion_postpone(g, pause);
    gossip__inquiry_postpone(g, pause);
    gossip__health_add(g, periods > g->profile.awareness_max ? (int)g->profile.awareness_max
                                                             : (int)periods);
}
