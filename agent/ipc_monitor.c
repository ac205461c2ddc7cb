/* ipc_monitor.c - the log as the serf command prints it: "2026/11/20 08:21:31 [INFO] agent: ...".
 */
#include <ctype.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "ipc_session.h"

#define LINE_BYTES 4096U               /* longer ones are cut */
#define MODULE     "agent.serf.serf: " /* of gossip's lines, where `serf agent` was started */

static const char *const level_names[] = {
    [MU_TRACE] = "TRACE", [MU_DEBUG] = "DEBUG", [MU_INFO] = "INFO",
    [MU_WARN] = "WARN",   [MU_ERROR] = "ERR",
};

/* What stands behind stamp and level, and a module of ours where one of Serf's follows; a line of
 * another form is taken whole. */
static struct mu_span sentence_of(struct mu_span line)
{
    struct mu_span rest = line;
    bool has_level = false;

    (void)mu_span_split(line, ']', &rest, &has_level);
    if (!has_level || line.data[0] == '{') { /* JSON */
        return line;
    }
    while (rest.bytes > 0 && rest.data[0] == ' ') {
        rest = mu_span_sub(rest, 1, rest.bytes);
    }
    return mu_span_starts(rest, MU_SPAN_LIT(MODULE))
               ? mu_span_sub(rest, strlen(MODULE), rest.bytes - strlen(MODULE))
               : rest;
}

/* Local time, as Serf's. */
void ipc_log_text(enum mu_log_level level, uint64_t wall_ns, struct mu_span line, struct mu_buf *to)
{
    time_t seconds = (time_t)(wall_ns / (uint64_t)MU_NS_PER_S);
    char stamp[32] = "";
    struct tm parts;

    if (localtime_r(&seconds, &parts) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y/%m/%d %H:%M:%S", &parts);
    }
    mu_buf_addf(to, "%s [%s] ", stamp, level_names[level]);
    mu_buf_add_span(to, sentence_of(mu_span_sub(line, 0, LINE_BYTES)));
}

/* Who does not read misses lines; saying so would be the next one. */
static void on_line(void *data, const struct agent_log_line *line)
{
    struct ipc_session *s = data;
    struct mu_buf text = MU_BUF_NONE;

    if (s->monitor_waiting >= IPC_STREAM_MAX) {
        return;
    }
    s->monitor_waiting++;
    ipc_log_text(line->level, line->wall_ns, line->text, &text);
    ipc__put_header(s, s->monitor_seq, "");
    ipc_put_map(&s->out, 1);
    ipc_put_text(&s->out, "Log");
    ipc_put_span(&s->out, mu_buf_span(&text));
    mu_buf_deinit(&text);
    s->wake(s->wake_data);
}

static bool level_parse(const char *text, enum mu_log_level *out)
{
    for (size_t i = 0; i < MU_LEN(level_names); i++) {
        if (mu_span_eq_fold(mu_span_text(text), mu_span_text(level_names[i]))) {
            *out = (enum mu_log_level)i;
            return true;
        }
    }
    return false;
}

void ipc__on_monitor(struct ipc_session *s, struct request *r)
{
    const char *text = ipc_get_text(&r->body, "LogLevel");
    enum mu_log_level level;

    if (!ipc__is_sound(s, r)) {
        return;
    }
    if (!level_parse(text, &level)) {
        char *upper = mu_arena_strdup(r->arena, text);

        for (char *c = upper; *c != '\0'; c++) {
            *c = (char)toupper((unsigned char)*c);
        }
        ipc__put_header(s, r->seq, mu_arena_printf(r->arena, "Unknown log level: %s", upper));
        return;
    }
    if (s->monitor != NULL) {
        ipc__put_header(s, r->seq, "Monitor already exists");
        return;
    }
    s->monitor_seq = r->seq;
    s->monitor = s->host.monitor(s->host.data, level, on_line, s);
    ipc__put_header(s, r->seq, "");
}
