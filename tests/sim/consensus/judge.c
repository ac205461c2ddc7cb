/* judge.c - steps of the simulated servers, told to the shadow (I23). */
#include "base/assert.h"
#include "base/mem.h"
#include "shadow.h"
#include "world.h"

static const struct consensus_config *config_of(const void *data, uint64_t content)
{
    const struct sim_world *w = data;

    return content < w->configs_count ? &w->configs[content] : NULL;
}

struct shadow *sim_shadow_new(const struct sim_world *w)
{
    return shadow_new(config_of, w);
}

static struct shadow_entry entry_of(struct sim_world *w, const struct sim_node *n,
                                    const struct consensus_entry *e,
                                    const struct consensus_effects *fx)
{
    struct shadow_entry out = { .term = e->term, .kind = e->kind };

    if (e->handle != 0) {
        MU_ASSERT(e->handle <= n->pool_room && n->pool[e->handle - 1].is_used);
        out.content = n->pool[e->handle - 1].content;
    } else if (e->kind == CONSENSUS_CONFIG && fx != NULL && fx->made != NULL) {
        out.content = sim_config_content(w, fx->made); /* its handle comes behind the step */
    }
    return out;
}

/* Room for the entries of one record. */
static struct shadow_entry *room(size_t count)
{
    static struct shadow_entry *at;
    static size_t has;

    if (count > has) {
        has = count * 2;
        at = mu_grow(at, has * sizeof *at);
    }
    return at;
}

static size_t entries_needed(const struct consensus_event *ev, const struct consensus_effects *fx)
{
    size_t count = 1;

    if (ev->kind == CONSENSUS_EV_RECV && ev->msg->kind == CONSENSUS_APPEND_REQ) {
        count += ev->msg->append.entries_count;
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        count += fx->sends[i].kind == CONSENSUS_APPEND_REQ ? fx->sends[i].append.entries_count : 0;
    }
    for (size_t i = 0; i < fx->writes_count; i++) {
        count += fx->writes[i].first <= fx->writes[i].last
                     ? fx->writes[i].last - fx->writes[i].first + 1
                     : 0;
    }
    return count;
}

static struct shadow_entry *put_message(struct sim_world *w, const struct sim_node *n,
                                        const struct consensus_msg *m, bool is_sent,
                                        const struct consensus_effects *fx,
                                        struct shadow_message *to, struct shadow_entry *at)
{
    *to = (struct shadow_message){ *m, at };
    for (uint32_t i = 0; m->kind == CONSENSUS_APPEND_REQ && i < m->append.entries_count; i++) {
        struct consensus_entry e =
            is_sent ? consensus_sent_entry(n->core, m, i) : m->append.entries[i];

        *at++ = entry_of(w, n, &e, fx);
    }
    return at;
}

void sim_shadow_started(struct sim_world *w, struct sim_node *n)
{
    const struct sim_log *log = &n->disk.log;
    size_t count = log->last - log->base;
    struct shadow_entry *entries = room(count + 1);
    struct shadow_start start = {
        .server = n->place,
        .id = n->id,
        .disk = n->disk.id,
        .term = n->core->hard.term,
        .voted_for = n->core->hard.voted_for,
        .base = log->base,
        .last = log->last,
        .applied = sim_first_applied(n),
        .entries = entries,
        .is_holed = n->disk.floor_index != 0,
    };

    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct shadow_entry){ log->at[i].term, log->at[i].content, log->at[i].kind };
    }
    const char *why = shadow_start(w->shadow, &start);

    if (why != NULL) {
        sim_fail(w, "I23: %s %s", n->name, why);
    }
}

void sim_shadow_step(struct sim_world *w, struct sim_node *n, const struct consensus_event *ev,
                     const struct consensus_effects *fx)
{
    static struct shadow_message messages[CONSENSUS_SENDS_MAX + 1];
    struct shadow_entry *at = room(entries_needed(ev, fx));
    struct consensus_status now;

    if (fx->dead != NULL || n->dead != NULL) {
        return;
    }
    consensus_status(n->core, &now);
    struct shadow_record r = {
        .server = n->place,
        .event = ev->kind,
        .read_ticket = ev->kind == CONSENSUS_EV_READ ? ev->read_ticket : 0,
        .role = now.role,
        .term = now.term,
        .commit = now.commit,
        .stable = now.stable,
        .base = now.first_index - 1,
        .last = now.last_index,
        .voted_for = n->core->hard.voted_for,
        .first = now.last_index + 1,
        .sends = messages + 1,
        .sends_count = fx->sends_count,
        .results = fx->results,
        .results_count = fx->results_count,
    };

    if (ev->kind == CONSENSUS_EV_RECV && !w->is_forged) {
        at = put_message(w, n, ev->msg, false, NULL, &messages[0], at);
        r.received = &messages[0];
    }
    for (size_t i = 0; i < fx->writes_count; i++) {
        if (fx->writes[i].first <= fx->writes[i].last) {
            r.first = fx->writes[i].first;
            r.entries = at;
        }
        for (uint64_t j = r.first; j <= r.last; j++) {
            struct consensus_entry e;

            MU_ASSERT(consensus_entry_at(n->core, j, &e));
            *at++ = entry_of(w, n, &e, fx);
        }
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        at = put_message(w, n, &fx->sends[i], true, fx, &messages[i + 1], at);
    }
    const char *why = shadow_step(w->shadow, &r);

    if (why != NULL) {
        sim_fail(w, "I23: %s %s", n->name, why);
    }
}
