#include "metrics_text.h"

#include "agent/agent.h"
#include "base/clock.h"
#include "core.h"

struct telling {
    struct metrics_told *told; /* NULL: for people */
    const char *prefix, *stamp;
    struct mu_buf *to;
    size_t at;
};

/* What would end a name is no part of one; labels are one more part of it. */
static void name_add(const struct telling *t, const struct agent_metric *m)
{
    size_t start = t->to->bytes;

    mu_buf_addf(t->to, "%s.%s", t->prefix, m->name);
    if (m->label != NULL && m->family == NULL) {
        mu_buf_addf(t->to, ".%s", m->label_value);
    }
    for (size_t i = start; i < t->to->bytes; i++) {
        uint8_t c = t->to->data[i];

        t->to->data[i] = c == ':' || c == '|' || c <= ' ' ? '_' : c;
    }
}

static void line_add(const struct telling *t, const struct agent_metric *m, double value,
                     const char *kind)
{
    name_add(t, m);
    mu_buf_addf(t->to, ":%f|%s\n", value, kind);
}

static void tell(void *data, const struct agent_metric *m)
{
    struct telling *t = data;
    size_t at = t->at++;

    if (m->name == NULL || at >= AGENT_METRICS_MAX) {
        return;
    }
    switch (m->kind) {
    case AGENT_GAUGE: line_add(t, m, m->value, "g"); return;
    case AGENT_COUNTER:
        if (m->value > t->told->values[at]) {
            line_add(t, m, m->value - t->told->values[at], "c");
            t->told->values[at] = m->value;
        }
        return;
    case AGENT_SAMPLE:
        if (m->sample.count > t->told->counts[at]) {
            double count = (double)(m->sample.count - t->told->counts[at]);

            line_add(t, m, (m->sample.sum - t->told->sums[at]) / count, "ms");
            t->told->counts[at] = m->sample.count;
            t->told->sums[at] = m->sample.sum;
        }
        return;
    }
}

void metrics_text(struct agent *a, struct metrics_told *told, struct mu_buf *to)
{
    struct telling t = { .told = told, .prefix = a->config->metrics_prefix, .to = to };

    agent_each_metric(a, tell, &t);
}

/* -- for people -------------------------------------------------------------------------------- */

static void show(void *data, const struct agent_metric *m)
{
    static const char letters[] = {
        [AGENT_GAUGE] = 'G', [AGENT_COUNTER] = 'C', [AGENT_SAMPLE] = 'S'
    };
    const struct telling *t = data;

    if (m->name == NULL) {
        return;
    }
    mu_buf_addf(t->to, "[%s][%c] '", t->stamp, letters[m->kind]);
    name_add(t, m);
    if (m->kind == AGENT_SAMPLE) {
        mu_buf_addf(t->to, "': Count: %llu Sum: %.3f\n", (unsigned long long)m->sample.count,
                    m->sample.sum);
    } else {
        mu_buf_addf(t->to, "': %.3f\n", m->value);
    }
}

void agent_print_metrics(struct agent *a, struct mu_buf *to)
{
    char stamp[MU_TIME_TEXT_MAX];
    struct telling t = { .prefix = a->config->metrics_prefix, .stamp = stamp, .to = to };

    mu_time_text(mu_clock_wall_ns(), 0, stamp);
    agent_each_metric(a, show, &t);
}
