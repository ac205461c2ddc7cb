#include "vigil.h"

#include "base/clock.h"

#define NS_PER_MS  ((uint64_t)MU_NS_PER_MS)
#define CLOSE_NS   (10 * NS_PER_MS) /* between waits of one stream of writes */
#define MEAN_OF    8U               /* waits, the older the lighter */
#define LONG_OF    8U /* limits: what took longer counts as so long, or one wait counts for ever */
#define FURTHER_OF 5U /* a part of the limit, after the last of what was awaited */

#define TURN_NS     NS_PER_MS /* who waits so long for a turn is among those who have work */
#define REST_NS_MIN (10 * NS_PER_MS)
#define REST_NS_MAX (1000 * NS_PER_MS)
#define FADES_OF    4096U /* turns that came soon, until a rest is forgotten */

void consensus__vigil_look(struct consensus_vigil *v, uint64_t now_ns, uint64_t mark,
                           bool is_awaited)
{
    if (v->limit_ns == 0 || (mark == v->mark && is_awaited == v->is_awaited)) {
        return;
    }
    uint64_t took_ns = now_ns > v->since_ns ? now_ns - v->since_ns : 0;
    bool is_close = v->is_awaited || took_ns <= CLOSE_NS;

    if (v->is_awaited) {
        uint64_t most_ns = LONG_OF * v->limit_ns;

        v->mean_ns -= v->mean_ns / MEAN_OF;
        v->mean_ns += (took_ns < most_ns ? took_ns : most_ns) / MEAN_OF;
    }
    v->mark = mark;
    v->is_awaited = is_awaited;
    v->since_ns = now_ns;
    v->until_ns = 0;
    if (is_close && v->mean_ns < v->limit_ns && now_ns >= v->rests_until_ns) {
        v->until_ns = now_ns + (is_awaited ? v->limit_ns : v->limit_ns / FURTHER_OF);
    }
}

void consensus__vigil_yielded(struct consensus_vigil *v, uint64_t now_ns, uint64_t took_ns)
{
    if (took_ns < TURN_NS) {
        v->rest_ns -= v->rest_ns / FADES_OF;
        return;
    }
    v->rest_ns = v->rest_ns < REST_NS_MIN / 2 ? REST_NS_MIN : 2 * v->rest_ns;
    v->rest_ns = v->rest_ns < REST_NS_MAX ? v->rest_ns : REST_NS_MAX;
    v->rests_until_ns = now_ns + v->rest_ns;
    v->until_ns = 0;
}
