#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    MU_ASSERT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * MU_NS_PER_S + ts.tv_nsec;
}

uint64_t mu_clock_ns(void)
{
    return (uint64_t)read_clock(CLOCK_BOOTTIME);
}

uint64_t mu_clock_ms(void)
{
    return mu_clock_ns() / (uint64_t)MU_NS_PER_MS;
}

int64_t mu_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void mu_time_text(int64_t wall_ns, unsigned digits, char out[MU_TIME_TEXT_MAX])
{
    static const long long scale[] = { 1000000000, 100000000, 10000000, 1000000, 100000,
                                       10000,      1000,      100,      10,      1 };
    MU_ASSERT(digits < MU_LEN(scale));
    int64_t seconds = wall_ns / MU_NS_PER_S;
    int64_t rest = wall_ns % MU_NS_PER_S;

    if (rest < 0) {
        rest += MU_NS_PER_S;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm tm;

    (void)gmtime_r(&when, &tm);
    size_t used = strftime(out, MU_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);

    if (digits == 0) {
        (void)snprintf(out + used, MU_TIME_TEXT_MAX - used, "Z");
        return;
    }
    (void)snprintf(out + used, MU_TIME_TEXT_MAX - used, ".%0*lldZ", (int)digits,
                   (long long)rest / scale[digits]);
}

/* -- durations ------------------------------------------------------------------------------- */

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    // clang-format off
    { "ns", 1 },
    { "us", 1000 },
    { "\xc2\xb5s", 1000 }, /* micro sign */
    { "\xce\xbcs", 1000 }, /* Greek mu */
    { "ms", MU_NS_PER_MS },
    { "s",  MU_NS_PER_S },
    { "m",  60 * MU_NS_PER_S },
    { "h",  3600 * MU_NS_PER_S },
}; // clang-format on

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static const struct unit *unit_find(struct mu_span name)
{
    for (size_t i = 0; i < MU_LEN(units); i++) {
        if (mu_span_eq_text(name, units[i].name)) {
            return &units[i];
        }
    }
    return NULL;
}

static bool refuse(struct mu_span text, const char *what, char *why, size_t why_bytes)
{
    if (why != NULL) {
        (void)snprintf(why, why_bytes, "time: %s duration \"%.*s\"", what, MU_SPAN_FMT(text));
    }
    return false;
}

#define NS_MAX (1ULL << 63) /* of what is left of a sign: INT64_MIN has no positive twin */

/* Digits from *at on; false: too many. */
static bool take_whole(struct mu_span text, size_t *at, uint64_t *value)
{
    for (; *at < text.bytes && is_digit(text.data[*at]); (*at)++) {
        if (*value > NS_MAX / 10) {
            return false;
        }
        *value = *value * 10 + (uint64_t)(text.data[*at] - '0');
        if (*value > NS_MAX) {
            return false;
        }
    }
    return true;
}

/* Digits behind a point; those that do not fit have no effect. */
static uint64_t take_fraction(struct mu_span text, size_t *at, double *scale)
{
    uint64_t value = 0;
    bool is_full = false;

    for (; *at < text.bytes && is_digit(text.data[*at]); (*at)++) {
        uint64_t digit = (uint64_t)(text.data[*at] - '0');

        is_full = is_full || value > (NS_MAX - 1) / 10 || value * 10 + digit > NS_MAX;
        if (!is_full) {
            value = value * 10 + digit;
            *scale *= 10;
        }
    }
    return value;
}

/* One number with its unit, from `*at`; adds to *ns. 1: taken, 0: not a duration, -1: no unit,
 * -2: unknown unit (then *unit holds its text). The arithmetic is Go's: the factor first, so that
 * 0.29h is 17m24s and not a nanosecond less. */
static int take_part(struct mu_span text, size_t *at, uint64_t *ns, struct mu_span *unit)
{
    size_t i = *at;
    uint64_t whole = 0;
    uint64_t fraction = 0;
    double scale = 1;
    size_t points = 0;

    if (!take_whole(text, &i, &whole)) {
        return 0;
    }
    if (i < text.bytes && text.data[i] == '.') {
        points = 1;
        i++;
        fraction = take_fraction(text, &i, &scale);
    }
    if (i - *at == points) { /* not one digit */
        return 0;
    }
    size_t start = i;

    while (i < text.bytes && text.data[i] != '.' && !is_digit(text.data[i])) {
        i++;
    }
    *unit = mu_span_sub(text, start, i - start);
    if (unit->bytes == 0) {
        return -1;
    }
    const struct unit *u = unit_find(*unit);

    if (u == NULL) {
        return -2;
    }
    uint64_t each = (uint64_t)u->ns;

    if (whole > NS_MAX / each) {
        return 0;
    }
    uint64_t part = whole * each + (uint64_t)((double)fraction * ((double)each / scale));

    if (part > NS_MAX || *ns > NS_MAX - part) {
        return 0;
    }
    *ns += part;
    *at = i;
    return 1;
}

bool mu_duration_parse(struct mu_span text, int64_t *ns, char *why, size_t why_bytes)
{
    uint64_t sum = 0;
    size_t at = 0;
    bool negative = false;

    if (text.bytes > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        negative = text.data[0] == '-';
        at = 1;
    }
    if (text.bytes - at == 1 && text.data[at] == '0') {
        *ns = 0;
        return true;
    }
    if (text.bytes == at) {
        return refuse(text, "invalid", why, why_bytes);
    }
    while (at < text.bytes) {
        struct mu_span unit = MU_SPAN_NONE;
        int taken = take_part(text, &at, &sum, &unit);

        if (taken == -1) {
            return refuse(text, "missing unit in", why, why_bytes);
        }
        if (taken == -2) {
            char what[64];

            (void)snprintf(what, sizeof what, "unknown unit \"%.*s\" in", MU_SPAN_FMT(unit));
            return refuse(text, what, why, why_bytes);
        }
        if (taken == 0) {
            return refuse(text, "invalid", why, why_bytes);
        }
    }
    if (!negative && sum == NS_MAX) {
        return refuse(text, "invalid", why, why_bytes);
    }
    *ns = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

/* "1.5" + unit, without trailing zeros. `per` is the nanoseconds of the unit. */
static void small_text(uint64_t ns, uint64_t per, const char *unit, char *out, size_t room)
{
    uint64_t rest = ns % per;
    char digits[24];
    size_t len = 0;

    if (rest == 0) {
        (void)snprintf(out, room, "%llu%s", (unsigned long long)(ns / per), unit);
        return;
    }
    for (uint64_t place = per / 10; rest > 0; place /= 10) {
        digits[len++] = (char)('0' + rest / place);
        rest %= place;
    }
    digits[len] = '\0';
    (void)snprintf(out, room, "%llu.%s%s", (unsigned long long)(ns / per), digits, unit);
}

void mu_duration_text(int64_t ns, char out[MU_DURATION_TEXT_MAX])
{
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const uint64_t second = (uint64_t)MU_NS_PER_S;
    char *at = out;
    size_t room = MU_DURATION_TEXT_MAX;

    if (left == 0) {
        (void)snprintf(out, room, "0s");
        return;
    }
    if (ns < 0) {
        *at++ = '-';
        room--;
    }
    if (left < 1000) {
        small_text(left, 1, "ns", at, room);
        return;
    }
    if (left < 1000000) {
        small_text(left, 1000, "\xc2\xb5s", at, room);
        return;
    }
    if (left < second) {
        small_text(left, 1000000, "ms", at, room);
        return;
    }
    uint64_t hours = left / (3600 * second);
    uint64_t minutes = left / (60 * second) % 60;
    int used = 0;

    if (hours > 0) {
        used = snprintf(at, room, "%lluh%llum", (unsigned long long)hours,
                        (unsigned long long)minutes);
    } else if (minutes > 0) {
        used = snprintf(at, room, "%llum", (unsigned long long)minutes);
    }
    small_text(left % (60 * second), second, "s", at + used, room - (size_t)used);
}
