#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/json.h"
#include "log_copy.h"

/* Settings change rarely and from one thread; lines come from all of them. */
static struct {
    pthread_mutex_t lock;
    int level; /* read without the lock, atomically */
    int tap_level;
    int fd;
    bool is_json, has_copy;
    struct {
        mu_log_tap_fn *tap; /* NULL: free */
        void *data;
        enum mu_log_level level;
        enum mu_log_form form;
    } taps[1 + MU_LOG_TAPS_MAX]; /* the first is that of mu_log_set_tap() */
} sink = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .level = MU_INFO, .tap_level = MU_ERROR + 1, .fd = 1
};

static const struct {
    const char *tag;  /* padded to 7 */
    const char *name; /* as configured and in JSON */
} levels[] = {
    // clang-format off
    [MU_TRACE] = { "[TRACE]", "trace" },
    [MU_DEBUG] = { "[DEBUG]", "debug" },
    [MU_INFO]  = { "[INFO] ", "info" },
    [MU_WARN]  = { "[WARN] ", "warn" },
    [MU_ERROR] = { "[ERROR]", "error" },
}; // clang-format on

bool mu_log_on(enum mu_log_level level)
{
    return (int)level >= __atomic_load_n(&sink.level, __ATOMIC_RELAXED) ||
           (int)level >= __atomic_load_n(&sink.tap_level, __ATOMIC_RELAXED);
}

void mu_log_set_level(enum mu_log_level level)
{
    __atomic_store_n(&sink.level, (int)level, __ATOMIC_RELAXED);
}

void mu_log_set_fd(int fd)
{
    pthread_mutex_lock(&sink.lock);
    sink.fd = fd;
    pthread_mutex_unlock(&sink.lock);
}

void mu_log_set_copy_fd(int fd)
{
    pthread_mutex_lock(&sink.lock);
    sink.has_copy = false; /* nobody puts anything any more */
    pthread_mutex_unlock(&sink.lock);
    log_copy_close();
    if (fd >= 0) {
        log_copy_open(fd);
        pthread_mutex_lock(&sink.lock);
        sink.has_copy = true;
        pthread_mutex_unlock(&sink.lock);
    }
}

void mu_log_set_json(bool is_json)
{
    pthread_mutex_lock(&sink.lock);
    sink.is_json = is_json;
    pthread_mutex_unlock(&sink.lock);
}

/* Under the lock. */
static void tap_put(size_t place, enum mu_log_form form, mu_log_tap_fn *tap, void *data,
                    enum mu_log_level level)
{
    int lowest = MU_ERROR + 1;

    sink.taps[place].tap = tap;
    sink.taps[place].data = data;
    sink.taps[place].level = level;
    sink.taps[place].form = form;
    for (size_t i = 0; i < MU_LEN(sink.taps); i++) {
        if (sink.taps[i].tap != NULL && (int)sink.taps[i].level < lowest) {
            lowest = (int)sink.taps[i].level;
        }
    }
    __atomic_store_n(&sink.tap_level, lowest, __ATOMIC_RELAXED);
}

void mu_log_set_tap(mu_log_tap_fn *tap, void *data, enum mu_log_level level)
{
    pthread_mutex_lock(&sink.lock);
    tap_put(0, MU_LOG_AS_TEXT, tap, data, level);
    pthread_mutex_unlock(&sink.lock);
}

void mu_log_add_tap(enum mu_log_form form, mu_log_tap_fn *tap, void *data, enum mu_log_level level)
{
    size_t place = 0;

    pthread_mutex_lock(&sink.lock);
    for (size_t i = MU_LOG_TAPS_MAX; i > 0; i--) { /* its own, or the first that is free */
        bool is_own = sink.taps[i].tap != NULL && sink.taps[i].data == data;

        if (is_own) {
            place = i;
            break;
        }
        place = sink.taps[i].tap == NULL ? i : place;
    }
    if (place > 0) {
        tap_put(place, form, tap, data, level);
    }
    pthread_mutex_unlock(&sink.lock);
}

void mu_log_remove_tap(const void *data)
{
    pthread_mutex_lock(&sink.lock);
    for (size_t i = 1; i < MU_LEN(sink.taps); i++) {
        if (sink.taps[i].tap != NULL && sink.taps[i].data == data) {
            tap_put(i, MU_LOG_AS_TEXT, NULL, NULL, MU_ERROR);
        }
    }
    pthread_mutex_unlock(&sink.lock);
}

bool mu_log_level_parse(struct mu_span text, enum mu_log_level *out)
{
    for (size_t i = 0; i < MU_LEN(levels); i++) {
        if (mu_span_eq_fold(text, mu_span_text(levels[i].name))) {
            *out = (enum mu_log_level)i;
            return true;
        }
    }
    if (mu_span_eq_fold(text, MU_SPAN_LIT("err"))) {
        *out = MU_ERROR;
        return true;
    }
    return false;
}

static bool needs_quotes(struct mu_span v)
{
    for (size_t i = 0; i < v.bytes; i++) {
        if (v.data[i] <= ' ' || v.data[i] == '"' || v.data[i] == '=' || v.data[i] >= 0x7f) {
            return true;
        }
    }
    return v.bytes == 0;
}

static void add_value_text(struct mu_buf *line, struct mu_span v)
{
    struct mu_json_out quoted;

    if (!needs_quotes(v)) {
        mu_buf_add_span(line, v);
        return;
    }
    mu_json_out_init(&quoted, line, false); /* the quoting of JSON: nothing can break the line */
    mu_json_put_span(&quoted, v);
}

static void add_value(struct mu_buf *line, const struct mu_log_field *f)
{
    switch (f->kind) {
    case MU_LOG_TEXT: add_value_text(line, mu_span_text(f->text != NULL ? f->text : "")); break;
    case MU_LOG_SPAN: add_value_text(line, f->span); break;
    case MU_LOG_U64: mu_buf_add_u64(line, f->u64); break;
    case MU_LOG_I64: mu_buf_addf(line, "%lld", (long long)f->i64); break;
    case MU_LOG_MS: mu_buf_addf(line, "%llums", (unsigned long long)f->u64); break;
    }
}

/* A sentence may hold a name that somebody else chose: a control byte would end the line, or speak
 * to the reader's terminal. */
static void add_sentence(struct mu_buf *line, const char *sentence)
{
    for (const char *at = sentence; *at != '\0'; at++) {
        mu_buf_add_byte(line, (uint8_t)*at < ' ' || *at == 0x7f ? ' ' : (uint8_t)*at);
    }
}

static void line_text(struct mu_buf *line, enum mu_log_level level, const char *module,
                      const char *sentence, const struct mu_log_field *fields, const char *when)
{
    mu_buf_addf(line, "%s %s %s: ", when, levels[level].tag, module);
    add_sentence(line, sentence);
    for (size_t i = 0; fields[i].key != NULL; i++) {
        mu_buf_addf(line, "%s%s=", i == 0 ? ": " : " ", fields[i].key);
        add_value(line, &fields[i]);
    }
}

static void add_field_json(struct mu_json_out *o, const struct mu_log_field *f)
{
    char ms[24];

    mu_json_key(o, f->key);
    switch (f->kind) {
    case MU_LOG_TEXT: mu_json_put_text(o, f->text != NULL ? f->text : ""); break;
    case MU_LOG_SPAN: mu_json_put_span(o, f->span); break;
    case MU_LOG_U64: mu_json_put_u64(o, f->u64); break;
    case MU_LOG_I64: mu_json_put_i64(o, f->i64); break;
    case MU_LOG_MS:
        (void)snprintf(ms, sizeof ms, "%llums", (unsigned long long)f->u64);
        mu_json_put_text(o, ms);
        break;
    }
}

static void line_json(struct mu_buf *line, enum mu_log_level level, const char *module,
                      const char *sentence, const struct mu_log_field *fields, const char *when)
{
    struct mu_json_out o;

    mu_json_out_init(&o, line, false);
    mu_json_open(&o, '{');
    mu_json_text(&o, "@level", levels[level].name);
    mu_json_text(&o, "@message", sentence);
    mu_json_text(&o, "@module", module);
    mu_json_text(&o, "@timestamp", when);
    for (size_t i = 0; fields[i].key != NULL; i++) {
        add_field_json(&o, &fields[i]);
    }
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
}

static void write_line(int fd, const struct mu_buf *line)
{
    if (fd >= 0) {
        ssize_t ignored = write(fd, line->data, line->bytes); /* a full pipe loses the line */

        (void)ignored;
    }
}

/* Under the lock: who wants the line, and in which form. Bits of 1 << form. */
static unsigned forms_wanted(enum mu_log_level level, bool is_written)
{
    unsigned forms = is_written ? 1U << (sink.is_json ? MU_LOG_AS_JSON : MU_LOG_AS_TEXT) : 0;

    for (size_t i = 0; i < MU_LEN(sink.taps); i++) {
        if (sink.taps[i].tap != NULL && level >= sink.taps[i].level) {
            forms |= 1U << sink.taps[i].form;
        }
    }
    return forms;
}

void mu_log_write(enum mu_log_level level, const char *module, const char *sentence,
                  const struct mu_log_field *fields)
{
    struct mu_buf lines[MU_LOG_FORMS] = { MU_BUF_NONE, MU_BUF_NONE };
    char when[MU_TIME_TEXT_MAX];

    mu_time_text(mu_clock_wall_ns(), 3, when);
    pthread_mutex_lock(&sink.lock);
    bool is_written = (int)level >= __atomic_load_n(&sink.level, __ATOMIC_RELAXED);
    unsigned forms = forms_wanted(level, is_written);

    if ((forms & 1U << MU_LOG_AS_TEXT) != 0) {
        line_text(&lines[MU_LOG_AS_TEXT], level, module, sentence, fields, when);
    }
    if ((forms & 1U << MU_LOG_AS_JSON) != 0) {
        line_json(&lines[MU_LOG_AS_JSON], level, module, sentence, fields, when);
    }
    for (size_t i = 0; i < MU_LEN(sink.taps); i++) {
        if (sink.taps[i].tap != NULL && level >= sink.taps[i].level) {
            sink.taps[i].tap(sink.taps[i].data, level, mu_buf_span(&lines[sink.taps[i].form]));
        }
    }
    if (is_written) {
        struct mu_buf *line = &lines[sink.is_json ? MU_LOG_AS_JSON : MU_LOG_AS_TEXT];

        mu_buf_add_byte(line, '\n');
        write_line(sink.fd, line);
        if (sink.has_copy) {
            log_copy_put(line, sink.is_json);
        }
    }
    pthread_mutex_unlock(&sink.lock);
    mu_buf_deinit(&lines[MU_LOG_AS_TEXT]);
    mu_buf_deinit(&lines[MU_LOG_AS_JSON]);
}

void mu_logf(enum mu_log_level level, const char *module, const char *fmt, ...)
{
    struct mu_buf sentence = MU_BUF_NONE;
    va_list args;

    if (!mu_log_on(level)) {
        return;
    }
    va_start(args, fmt);
    mu_buf_vaddf(&sentence, fmt, args);
    va_end(args);
    mu_log_write(level, module, mu_buf_text(&sentence), &MU_LOG_END);
    mu_buf_deinit(&sentence);
}
