#include "vivaldi.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

#define ERROR_GAIN     0.25 /* CE */
#define MOVE_GAIN      0.25 /* CC */
#define GRAVITY_RHO    150.0
#define ZERO           1e-6
#define CREDIBLE_TIMES 4
#define CREDIBLE_S     0.025
#define ERROR_MIN      1e-9 /* never sure: an error of 0 would never move again */

void gossip__vivaldi_init(struct gossip__vivaldi *v, unsigned dims)
{
    MU_ASSERT(dims > 0 && dims <= COORDINATE_DIMS);
    *v = (struct gossip__vivaldi){ .at = COORDINATE_ORIGIN, .dims = dims };
}

bool gossip__vivaldi_accepts(const struct coordinate *peer)
{
    return coordinate_is_valid(peer) && peer->error >= 0 && peer->error <= COORDINATE_ERROR_MAX &&
           peer->height >= 0;
}

void gossip__vivaldi_restore(struct gossip__vivaldi *v, const struct coordinate *kept)
{
    if (gossip__vivaldi_accepts(kept)) {
        v->at = *kept;
        v->at.height = fmax(v->at.height, COORDINATE_HEIGHT_MIN);
        v->at.error = fmax(v->at.error, ERROR_MIN);
        v->at.adjustment = 0; /* its ring is gone: it builds up again */
    }
}

/* -- one sample ---------------------------------------------------------------------------------
 */

static double filter_add(struct gossip__rtt_filter *f, double rtt_s)
{
    double sorted[GOSSIP__RTT_SAMPLES];
    size_t have = f->count < GOSSIP__RTT_SAMPLES ? f->count + 1 : GOSSIP__RTT_SAMPLES;

    f->samples[f->count % GOSSIP__RTT_SAMPLES] = rtt_s;
    f->count++;
    for (size_t i = 0; i < have; i++) {
        size_t at = i;

        for (; at > 0 && sorted[at - 1] > f->samples[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = f->samples[i];
    }
    return sorted[have / 2];
}

/* Where to, from `from` to `to`, and how far; two at the same place part in any direction. */
static double direction(const struct gossip__vivaldi *v, const struct coordinate *from,
                        struct mu_rand *rand, double unit[COORDINATE_DIMS])
{
    double mag = 0;

    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        unit[i] = v->at.vec[i] - from->vec[i];
        mag += unit[i] * unit[i];
    }
    mag = sqrt(mag);
    if (mag > ZERO) {
        for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
            unit[i] /= mag;
        }
        return mag;
    }
    double length = 0;

    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        unit[i] = i < v->dims ? mu_rand_unit(rand) - 0.5 : 0;
        length += unit[i] * unit[i];
    }
    length = sqrt(length);
    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        unit[i] = length > ZERO ? unit[i] / length : (i == 0);
    }
    return 0;
}

static void apply_force(struct gossip__vivaldi *v, double force, const struct coordinate *from,
                        struct mu_rand *rand)
{
    double unit[COORDINATE_DIMS];
    double mag = direction(v, from, rand, unit);

    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        v->at.vec[i] += unit[i] * force;
    }
    if (mag > ZERO) {
        v->at.height =
            fmax(COORDINATE_HEIGHT_MIN, v->at.height + (v->at.height + from->height) * force / mag);
    }
}

/* How far off a peer may be taken to be. One that lies (far away, and sure of it) would else tear
 * everybody after it; springs that are honest are never stretched so far. Beyond 14.3. */
static double credible(double distance, double rtt)
{
    return fmin(distance, rtt + fmax(CREDIBLE_TIMES * rtt, CREDIBLE_S));
}

static void spring(struct gossip__vivaldi *v, const struct coordinate *peer, double rtt,
                   struct mu_rand *rand)
{
    double distance = credible(coordinate_distance(&v->at, peer), rtt);
    double wrong = fabs(distance - rtt) / rtt;
    double weight = v->at.error / fmax(v->at.error + peer->error, ZERO);
    double error = ERROR_GAIN * weight * wrong + v->at.error * (1 - ERROR_GAIN * weight);

    v->at.error = fmax(ERROR_MIN, fmin(COORDINATE_ERROR_MAX, error));
    apply_force(v, MOVE_GAIN * weight * (rtt - distance), peer, rand);
}

/* Always over the whole window, also before it is full: what is not known yet counts as 0. */
static void adjust(struct gossip__vivaldi *v, const struct coordinate *peer, double rtt)
{
    double sum = 0;

    v->ring[v->ring_at] = rtt - credible(coordinate_distance_raw(&v->at, peer), rtt);
    v->ring_at = (v->ring_at + 1) % GOSSIP__ADJUST_WINDOW;
    for (size_t i = 0; i < GOSSIP__ADJUST_WINDOW; i++) {
        sum += v->ring[i];
    }
    v->at.adjustment = sum / (2.0 * GOSSIP__ADJUST_WINDOW);
}

static void gravitate(struct gossip__vivaldi *v, struct mu_rand *rand)
{
    static const struct coordinate origin = COORDINATE_ORIGIN;
    double pull = coordinate_distance(&origin, &v->at) / GRAVITY_RHO;

    apply_force(v, -pull * pull, &origin, rand);
}

enum gossip__vivaldi_code gossip__vivaldi_update(struct gossip__vivaldi *v,
                                                 struct gossip__rtt_filter *filter,
                                                 const struct coordinate *peer, double rtt_s,
                                                 struct mu_rand *rand)
{
    if (!gossip__vivaldi_accepts(peer)) {
        return GOSSIP__VIVALDI_BAD_PEER;
    }
    if (!(rtt_s >= 0 && rtt_s <= GOSSIP__RTT_MAX_S)) { /* so that NaN is refused, too */
        return GOSSIP__VIVALDI_BAD_RTT;
    }
    double rtt = fmax(filter_add(filter, rtt_s), ZERO);

    spring(v, peer, rtt, rand);
    adjust(v, peer, rtt);
    gravitate(v, rand);
    if (!coordinate_is_valid(&v->at)) {
        gossip__vivaldi_init(v, v->dims);
        return GOSSIP__VIVALDI_RESET;
    }
    return GOSSIP__VIVALDI_OK;
}
