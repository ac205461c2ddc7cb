/* stranger.c - what is turned away at the door, and bounds on what others make us say in the log.
 *
 * Whose packets are turned away is no member, and so appears nowhere else: the last of each kind is
 * remembered with its address, counted, and named in the log when it is new and now and then after
 * that. A flood of them costs a line a minute of each kind, whatever addresses it comes from.
 *
 * Lines about what members, or those who pass for members, send go through gossip__say(), which
 * keeps back what would be more than a few in ten seconds and says how much that was.
 */
#include "core.h"

#define NEW_MS    60000   /* between two lines about one kind, from different hosts */
#define SAME_MS   3600000 /* from the same */
#define QUOTA_MS  10000
#define QUOTA_MAX 10

static const struct {
    enum gossip_counter reason;
    const char *text;
    bool is_trouble; /* something is wrong somewhere, for as long as it comes */
} reasons[GOSSIP__REASONS] = {
    // clang-format off
    { GOSSIP_COUNT_BAD_MAGIC,     "it is no gossip of muster", true },
    { GOSSIP_COUNT_BAD_VERSION,   "it is of a version that this node does not speak", true },
    { GOSSIP_COUNT_OTHER_CLUSTER, "it is of another cluster (datacenter or label differ)", true },
    { GOSSIP_COUNT_UNKNOWN_KEY,   "it is sealed with a key that this node does not have", true },
    { GOSSIP_COUNT_FORGED,        "it is sealed with a key of ours, but changed on the way or forged", true },
    { GOSSIP_COUNT_CLEAR,         "it is not sealed, and only sealed ones are taken", true },
    { GOSSIP_COUNT_BAD_CHECKSUM,  "it was changed on the way", true },
    { GOSSIP_COUNT_MALFORMED,     "it cannot be read", true },
    /* Networks double datagrams. */
    { GOSSIP_COUNT_REPLAYED,      "it came before: doubled on the way, or played again", false },
}; // clang-format on

static bool is_worth_a_line(const struct gossip__stranger *s, const struct mu_addr *from,
                            bool is_trouble, uint64_t now_ms)
{
    bool is_new = is_trouble && !mu_addr_eq_ip(&s->said, from);

    return s->said_ms == 0 || now_ms >= s->said_ms + (is_new ? NEW_MS : SAME_MS);
}

static void meet(struct gossip *g, size_t i, const struct mu_addr *from)
{
    struct gossip__stranger *s = &g->strangers[i];
    char text[MU_ADDR_TEXT_MAX];

    s->last_ms = g->now_ms;
    s->from = *from;
    if (!is_worth_a_line(s, from, reasons[i].is_trouble, g->now_ms)) {
        return;
    }
    s->said_ms = g->now_ms;
    s->said = *from;
    mu_addr_text(from, text);
    gossip__log(g, reasons[i].is_trouble ? MU_WARN : MU_INFO,
                "memberlist: turned away what came from %s: %s (%llu by now)", text,
                reasons[i].text, (unsigned long long)g->counters[reasons[i].reason]);
}

void gossip__turn_away(struct gossip *g, enum gossip_counter reason, const struct mu_addr *from)
{
    gossip__count(g, reason);
    for (size_t i = 0; i < MU_LEN(reasons); i++) {
        if (reasons[i].reason == reason) {
            meet(g, i, from);
        }
    }
}

void gossip_each_refusal(const struct gossip *g, uint64_t since_ms, gossip_refusal_fn *each,
                         void *data)
{
    for (size_t i = 0; i < MU_LEN(reasons); i++) {
        const struct gossip__stranger *s = &g->strangers[i];
        struct gossip_refusal refusal = { .reason = reasons[i].reason,
                                          .count = g->counters[reasons[i].reason],
                                          .last_ms = s->last_ms,
                                          .from = s->from };

        if (reasons[i].is_trouble && s->last_ms != 0 && s->last_ms >= since_ms) {
            each(data, &refusal);
        }
    }
}

/* -- bounds on the log --------------------------------------------------------------------------
 */

void gossip__say(struct gossip *g, enum gossip__topic topic, enum mu_log_level level,
                 const char *fmt, ...)
{
    struct gossip__quota *q = &g->quotas[topic];
    va_list args;

    if (g->now_ms >= q->since_ms + QUOTA_MS) {
        if (q->kept_back > 0) {
            gossip__log(g, level, "memberlist: %llu more lines like the next one were kept back",
                        (unsigned long long)q->kept_back);
        }
        *q = (struct gossip__quota){ .since_ms = g->now_ms };
    }
    if (q->said == QUOTA_MAX) {
        q->kept_back++;
        return;
    }
    q->said++;
    if (g->log != NULL) {
        va_start(args, fmt);
        g->log(g->log_data, level, fmt, args);
        va_end(args);
    }
}
