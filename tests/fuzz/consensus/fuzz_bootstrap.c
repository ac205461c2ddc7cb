/* A tape becomes messages, views, completions and time for one server that may form a cluster: it
 * never asserts, adopts at most once, and says PROMISED only for what its record holds. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "consensus/bootstrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { SERVERS = 5, STEPS_MAX = 300 };

struct world {
    struct consensus_bootstrap *b;
    const uint8_t *at;
    size_t left;
    uint64_t now_ms;
    struct consensus_bootstrap_record durable, writing;
    bool is_writing, is_adopting;
    struct mu_id adopted;
};

static uint8_t byte(struct world *w)
{
    if (w->left == 0) {
        return 0;
    }
    w->left--;
    return *w->at++;
}

static struct mu_id id_of(unsigned n)
{
    struct mu_id id = { { 0 } };

    id.b[0] = (uint8_t)n;
    return id;
}

static void take_effects(struct world *w, const struct consensus_bootstrap_effects *fx)
{
    if (fx->record != NULL) {
        MU_ASSERT(!w->is_writing && !w->is_adopting);
        w->writing = *fx->record;
        w->is_writing = true;
    }
    if (fx->adopt != NULL) {
        MU_ASSERT(!w->is_adopting && mu_id_is_none(&w->adopted));
        w->is_adopting = true;
        w->adopted = fx->adopt_cluster;
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        const struct consensus_bootstrap_msg *m = &fx->sends[i];

        MU_ASSERT(m->kind != BOOTSTRAP_PROMISED ||
                  (w->durable.is_promised && mu_id_eq(&w->durable.cluster, &m->cluster)));
        MU_ASSERT(m->kind != BOOTSTRAP_ADOPT || mu_id_eq(&w->adopted, &m->cluster));
    }
    MU_ASSERT(fx->wake_at_ms >= w->now_ms);
}

static void step(struct world *w, struct consensus_bootstrap_event *ev)
{
    struct consensus_bootstrap_effects fx;

    ev->now_ms = w->now_ms;
    consensus_bootstrap_step(w->b, ev, &fx);
    take_effects(w, &fx);
}

static void recv(struct world *w)
{
    struct consensus_bootstrap_msg m;
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_RECV, .msg = &m };
    unsigned from = byte(w) % SERVERS;
    uint8_t members = byte(w);

    memset(&m, 0, sizeof m);
    m.kind = (enum consensus_bootstrap_msg_kind)(byte(w) % 10);
    m.from = id_of(from);
    m.from_disk = id_of(100 + from + (byte(w) == 0));
    m.to = id_of(byte(w) == 0 ? 3 : 2);
    m.expect = byte(w) < 220 ? 3 : byte(w);
    m.cluster = byte(w) < 60 ? id_of(77) : w->writing.cluster;
    m.coordinator = id_of(byte(w) % SERVERS);
    m.why = byte(w);
    for (unsigned i = 1; i < SERVERS; i++) {
        if (members & (1U << i)) {
            m.set.members[m.set.count++] =
                (struct consensus_bootstrap_member){ id_of(i), id_of(100 + i) };
        }
    }
    if (byte(w) < 10) {
        m.set.count = byte(w);
    }
    step(w, &ev);
}

static void view(struct world *w)
{
    struct consensus_bootstrap_candidate all[SERVERS];
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_CANDIDATES };
    uint8_t seen = byte(w);

    ev.candidates.at = all;
    for (unsigned i = 0; i < SERVERS; i++) {
        if (seen & (1U << i)) {
            all[ev.candidates.count++] = (struct consensus_bootstrap_candidate){
                .server = id_of(i),
                .disk = id_of(100 + i),
                .cluster = byte(w) < 5 ? id_of(78) : MU_ID_NONE,
                .expect = byte(w) < 240 ? 3 : 4,
                .is_alive = byte(w) < 220,
            };
        }
    }
    step(w, &ev);
}

static void disk(struct world *w)
{
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_RECORDED };

    if (w->is_writing) {
        w->is_writing = false;
        w->durable = w->writing;
        step(w, &ev);
    } else if (w->is_adopting) {
        w->is_adopting = false;
        ev.kind = BOOTSTRAP_EV_ADOPTED;
        step(w, &ev);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct world *w = mu_new(sizeof *w);
    struct consensus_bootstrap_options options = {
        .server = id_of(2),
        .disk = id_of(102),
        .expect = 3,
        .retry_ms = 50,
        .patience_ms = 1000,
    };
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_WAKE };
    struct mu_id fresh = MU_ID_NONE;

    w->at = data;
    w->left = bytes;
    w->now_ms = 1;
    w->b = mu_new(consensus_bootstrap_bytes());
    options.seed = byte(w);
    consensus_bootstrap_init(w->b, &options, &w->durable, &fresh, w->now_ms);
    step(w, &ev);
    for (int i = 0; i < STEPS_MAX && w->left > 0; i++) {
        switch (byte(w) % 6) {
        case 0: view(w); break;
        case 1: disk(w); break;
        case 2:
            w->now_ms += byte(w) * 5U;
            ev = (struct consensus_bootstrap_event){ .kind = BOOTSTRAP_EV_WAKE };
            step(w, &ev);
            break;
        default: recv(w); break;
        }
    }
    mu_free(w->b);
    mu_free(w);
    return 0;
}
