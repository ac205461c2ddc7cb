/* /v1/agent/metrics: the agent's figures, as JSON and as Prometheus reads them (http-api 3.1).
 *
 * Totals go to Prometheus as they are. JSON tells what came in an interval, as Consul does; ours
 * ends with the question and began with the last one that is at least 10 s older, so that nothing
 * runs for those who do not ask.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/metrics.h"
#include "base/clock.h"
#include "base/mem.h"
#include "front.h"
#include "handlers.h"
#include "objects.h"

#define INTERVAL_MS 10000 /* the reference's */

/* What the figures were when the interval began, in the order in which they are told. */
struct metrics_before {
    double values[AGENT_METRICS_MAX];
    struct before_sample {
        uint64_t count;
        double sum, sum_of_squares;
    } samples[AGENT_METRICS_MAX];
};

struct listing {
    struct request *r;
    struct mu_json_out *o;
    struct mu_buf *text; /* Prometheus */
    enum agent_metric_kind kind;
    const struct metrics_before *before;
    struct metrics_before *now; /* NULL: not to be kept */
    size_t at;
    double seconds;
    const char *last; /* name; its type was told */
};

/* -- JSON -------------------------------------------------------------------------------------- */

static void put_real(struct mu_json_out *o, const char *name, double v)
{
    mu_json_key(o, name);
    mu_json_put_real(o, v);
}

static void put_labels(struct mu_json_out *o, const struct agent_metric *m)
{
    mu_json_key(o, "Labels");
    mu_json_open(o, '{');
    if (m->label != NULL && m->family == NULL) {
        mu_json_text(o, m->label, m->label_value);
    }
    mu_json_close(o, '}');
}

/* Of an interval: extremes are those since the start, which is all that is kept of them. */
static void put_counts(struct mu_json_out *o, const struct mu_sample *s, double rate)
{
    double count = (double)s->count;
    double mean = s->count > 0 ? s->sum / count : 0;
    double spread = s->count > 1 ? s->sum_of_squares / count - mean * mean : 0;

    mu_json_u64(o, "Count", s->count);
    put_real(o, "Rate", rate);
    put_real(o, "Sum", s->sum);
    put_real(o, "Min", s->count > 0 ? s->min : 0);
    put_real(o, "Max", s->count > 0 ? s->max : 0);
    put_real(o, "Mean", mean);
    put_real(o, "Stddev", spread > 0 ? sqrt(spread) : 0);
}

static void put_metric(void *data, const struct agent_metric *m)
{
    struct listing *l = data;
    size_t at = l->at++;
    const char *prefix = l->r->front->config->metrics_prefix;

    MU_ASSERT(at < AGENT_METRICS_MAX);
    if (l->now != NULL) {
        l->now->values[at] = m->value;
        l->now->samples[at] =
            (struct before_sample){ m->sample.count, m->sample.sum, m->sample.sum_of_squares };
    }
    if (m->name == NULL || m->kind != l->kind) {
        return;
    }
    mu_json_open(l->o, '{');
    mu_json_text(l->o, "Name", mu_arena_printf(&l->r->arena, "%s.%s", prefix, m->name));
    if (m->kind == AGENT_GAUGE) {
        put_real(l->o, "Value", m->value);
    } else if (m->kind == AGENT_COUNTER) {
        double count = m->value - l->before->values[at];
        struct mu_sample s = {
            .count = (uint64_t)count, .sum = count, .sum_of_squares = count, .min = 1, .max = 1
        };

        put_counts(l->o, &s, count / l->seconds);
    } else {
        struct mu_sample s = m->sample;

        s.count -= l->before->samples[at].count;
        s.sum -= l->before->samples[at].sum;
        s.sum_of_squares -= l->before->samples[at].sum_of_squares;
        put_counts(l->o, &s, s.sum / l->seconds);
    }
    put_labels(l->o, m);
    mu_json_close(l->o, '}');
}

static void put_kind(struct listing *l, const char *name, enum agent_metric_kind kind)
{
    mu_json_key(l->o, name);
    mu_json_open(l->o, '[');
    l->kind = kind;
    l->at = 0;
    agent_each_metric(l->r->front->agent, put_metric, l);
    mu_json_close(l->o, ']');
}

static void put_stamp(struct mu_json_out *o)
{
    time_t now = (time_t)(mu_clock_wall_ns() / MU_NS_PER_S);
    char text[40] = "";
    struct tm parts;

    if (gmtime_r(&now, &parts) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S +0000 UTC", &parts);
    }
    mu_json_text(o, "Timestamp", text);
}

/* Two states are kept: where the interval began, and the question after it. */
static void interval(struct front *f, uint64_t now_ms)
{
    struct front_metrics *m = &f->metrics;

    if (m->before == NULL) {
        m->before = mu_new(sizeof *m->before); /* zero: since the start */
        m->newer = mu_new(sizeof *m->newer);
        m->before_ms = f->began_ms;
        m->newer_ms = 0;
    }
    if (m->newer_ms > 0 && now_ms - m->newer_ms >= INTERVAL_MS) {
        struct metrics_before *old = m->before;

        m->before = m->newer;
        m->before_ms = m->newer_ms;
        m->newer = old;
        m->newer_ms = 0;
    }
}

static void answer_as_json(struct request *r)
{
    struct front *f = r->front;
    uint64_t now_ms = agent_now_ms(f->agent);
    struct mu_json_out o;

    interval(f, now_ms);
    bool is_kept = f->metrics.newer_ms == 0;
    struct listing l = { .r = r,
                         .o = &o,
                         .before = f->metrics.before,
                         .now = is_kept ? f->metrics.newer : NULL,
                         .seconds = (double)(now_ms - f->metrics.before_ms + 1) / 1000.0 };

    f->metrics.newer_ms = is_kept ? now_ms : f->metrics.newer_ms;
    response_json(r, &o);
    mu_json_open(&o, '{');
    put_stamp(&o);
    put_kind(&l, "Gauges", AGENT_GAUGE);
    mu_json_key(&o, "Points");
    mu_json_open(&o, '[');
    mu_json_close(&o, ']');
    put_kind(&l, "Counters", AGENT_COUNTER);
    put_kind(&l, "Samples", AGENT_SAMPLE);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

/* -- Prometheus -------------------------------------------------------------------------------- */

/* "consul.memberlist.node.instances" -> "consul_memberlist_node_instances". */
static const char *exposed_name(struct request *r, const char *name)
{
    char *text = mu_arena_printf(&r->arena, "%s_%s", r->front->config->metrics_prefix, name);

    for (char *c = text; *c != '\0'; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || *c == '_' || *c == ':';

        *c = is_plain ? *c : '_';
    }
    return text;
}

/* {name="a \"b\""}, as the format wants it. */
static const char *exposed_label(struct request *r, const struct agent_metric *m)
{
    struct mu_buf text = MU_BUF_NONE;
    const char *kept = "";

    if (m->label != NULL) {
        mu_buf_addf(&text, "{%s=\"", m->label);
        for (const char *c = m->label_value; *c != '\0'; c++) {
            bool is_control = (unsigned char)*c < ' ' || *c == 0x7f;

            mu_buf_addf(&text, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", is_control ? '_' : *c);
        }
        mu_buf_add_text(&text, "\"}");
        kept = mu_arena_text(&r->arena, text.data, text.bytes);
    }
    mu_buf_deinit(&text);
    return kept;
}

/* The label among others: {name="a"} and a quantile is {name="a",quantile="0.5"}. */
static void expose_sample(struct listing *l, const struct agent_metric *m, const char *name,
                          const char *label)
{
    static const char *const shares[] = { "0.5", "0.9", "0.99" };
    int open = label[0] != '\0' ? (int)strlen(label) - 1 : 0;

    for (size_t i = 0; i < MU_LEN(shares); i++) {
        double value = mu_sample_quantile(&m->sample, strtod(shares[i], NULL));

        mu_buf_addf(l->text, "%s%.*s%squantile=\"%s\"} ", name, open, label, open > 0 ? "," : "{",
                    shares[i]);
        if (isnan(value)) { /* printf() gives it a sign, now and then */
            mu_buf_add_text(l->text, "NaN\n");
        } else {
            mu_buf_addf(l->text, "%.17g\n", value);
        }
    }
    mu_buf_addf(l->text, "%s_sum%s %.17g\n%s_count%s %llu\n", name, label, m->sample.sum, name,
                label, (unsigned long long)m->sample.count);
}

static void expose(void *data, const struct agent_metric *m)
{
    static const char *const types[] = {
        [AGENT_GAUGE] = "gauge", [AGENT_COUNTER] = "counter", [AGENT_SAMPLE] = "summary"
    };
    struct listing *l = data;

    if (m->name == NULL) {
        return;
    }
    const char *plain = m->family != NULL ? m->family : m->name;
    const char *name = exposed_name(l->r, plain);
    const char *label = exposed_label(l->r, m);

    if (l->last == NULL || strcmp(l->last, plain) != 0) {
        mu_buf_addf(l->text, "# HELP %s %s\n# TYPE %s %s\n", name, m->help, name, types[m->kind]);
        l->last = plain;
    }
    if (m->kind == AGENT_SAMPLE) {
        expose_sample(l, m, name, label);
    } else {
        mu_buf_addf(l->text, "%s%s %.17g\n", name, label, m->value);
    }
}

static void answer_exposed(struct request *r)
{
    struct listing l = { .r = r, .text = &r->out };

    if (r->front->config->prometheus_retention_ms <= 0) {
        answer_text(r, 415, "Prometheus is not enabled since its retention time is not positive");
        return;
    }
    response_reset(r);
    agent_each_metric(r->front->agent, expose, &l);
    r->response.status = 200;
    r->response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    r->response.body = mu_buf_span(&r->out);
    request_answer(r);
}

/* -- the route --------------------------------------------------------------------------------- */

static bool accepts(const struct request *r, const char *what)
{
    return memmem(r->accept.data, r->accept.bytes, what, strlen(what)) != NULL;
}

void api_agent_metrics(struct request *r)
{
    bool is_asked = mu_span_eq_text(params_text(&r->params, "format"), "prometheus");

    if (is_asked || (r->accept.bytes > 0 && (accepts(r, "application/openmetrics-text") ||
                                             accepts(r, "text/plain;version=0.0.4") ||
                                             accepts(r, "text/plain; version=0.0.4")))) {
        answer_exposed(r);
    } else {
        answer_as_json(r);
    }
}

void metrics_free(struct front_metrics *m)
{
    mu_free(m->before);
    mu_free(m->newer);
}
