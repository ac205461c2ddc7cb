#include "url.h"

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

/* -- taking apart --------------------------------------------------------------------------- */

/* Where the first byte of `set` is; all of the text when there is none. */
static size_t find_any(struct mu_span text, const char *set)
{
    size_t at = 0;

    while (at < text.bytes && (text.data[at] == '\0' || strchr(set, text.data[at]) == NULL)) {
        at++;
    }
    return at;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_scheme(struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (!is_letter(c) && (i == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.'))) {
            return false;
        }
    }
    return text.bytes > 0;
}

static enum mu_code refuse(struct mu_span text, const char *why, struct mu_err *err)
{
    return mu_fail(err, MU_INVALID, "parse \"%.*s\": %s", MU_SPAN_FMT(text), why);
}

/* Everything before the first colon, if it is a scheme. */
static enum mu_code scheme_read(struct url *out, struct mu_span *rest, struct mu_err *err)
{
    size_t at = find_any(*rest, ":/?");

    if (at == rest->bytes || rest->data[at] != ':') {
        return MU_OK;
    }
    struct mu_span scheme = mu_span_sub(*rest, 0, at);

    if (scheme.bytes == 0) {
        return refuse(out->text, "missing protocol scheme", err);
    }
    if (!is_scheme(scheme)) {
        return refuse(out->text, "first path segment in URL cannot contain colon", err);
    }
    out->scheme = scheme;
    *rest = mu_span_sub(*rest, at + 1, rest->bytes);
    return MU_OK;
}

static enum mu_code port_read(struct url *out, struct mu_span with_colon, struct mu_err *err)
{
    uint64_t port = 0;

    if (with_colon.bytes <= 1) { /* "host:" is the default port */
        return MU_OK;
    }
    if (!mu_span_u64(mu_span_sub(with_colon, 1, with_colon.bytes), &port) || port < 1 ||
        port > 65535) {
        return mu_fail(err, MU_INVALID, "parse \"%.*s\": invalid port \"%.*s\" after host",
                       MU_SPAN_FMT(out->text), MU_SPAN_FMT(with_colon));
    }
    out->port = (uint16_t)port;
    return MU_OK;
}

static enum mu_code host_read(struct url *out, struct mu_err *err)
{
    struct mu_span text = out->authority;
    size_t end = find_any(text, ":");

    if (text.bytes > 0 && text.data[0] == '[') {
        end = find_any(text, "]");
        if (end == text.bytes) {
            return refuse(out->text, "missing ']' in host", err);
        }
        out->host = mu_span_sub(text, 1, end - 1);
        end++;
        if (end < text.bytes && text.data[end] != ':') {
            return refuse(out->text, "invalid character after ']' in host", err);
        }
    } else {
        out->host = mu_span_sub(text, 0, end);
    }
    if (find_any(out->host, " \"<>\\^`{|}%") < out->host.bytes) {
        return refuse(out->text, "invalid character in host name", err);
    }
    return port_read(out, mu_span_sub(text, end, text.bytes), err);
}

static enum mu_code authority_read(struct url *out, struct mu_span *rest, struct mu_err *err)
{
    if (!mu_span_starts(*rest, MU_SPAN_LIT("//"))) {
        return MU_OK;
    }
    *rest = mu_span_sub(*rest, 2, rest->bytes);
    out->authority = mu_span_sub(*rest, 0, find_any(*rest, "/?"));
    *rest = mu_span_sub(*rest, out->authority.bytes, rest->bytes);
    const uint8_t *at =
        out->authority.bytes > 0 ? memrchr(out->authority.data, '@', out->authority.bytes) : NULL;

    if (at != NULL) {
        size_t bytes = (size_t)(at - out->authority.data);

        out->userinfo = mu_span_sub(out->authority, 0, bytes);
        out->authority = mu_span_sub(out->authority, bytes + 1, out->authority.bytes);
    }
    return host_read(out, err);
}

enum mu_code url_read(struct url *out, struct mu_span text, struct mu_err *err)
{
    *out = (struct url){ .text = mu_span_sub(text, 0, find_any(text, "#")) };
    struct mu_span rest = out->text;

    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < ' ' || text.data[i] == 0x7f) {
            return mu_fail(err, MU_INVALID, "net/url: invalid control character in URL");
        }
    }
    enum mu_code rc = scheme_read(out, &rest, err);

    if (rc == MU_OK) {
        rc = authority_read(out, &rest, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    out->path = mu_span_sub(rest, 0, find_any(rest, "?"));
    out->query = mu_span_sub(rest, out->path.bytes, rest.bytes);
    return MU_OK;
}

/* -- putting together ----------------------------------------------------------------------- */

static struct mu_span kept(struct mu_buf *b, struct mu_arena *arena)
{
    struct mu_span copy = mu_arena_span(arena, mu_buf_span(b));

    mu_buf_deinit(b);
    return copy;
}

static void add_escaped(struct mu_buf *b, struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL) {
            mu_buf_addf(b, "%%%02X", (unsigned)c);
        } else {
            mu_buf_add_byte(b, c);
        }
    }
}

struct mu_span url_target(const struct url *u, struct mu_arena *arena)
{
    struct mu_buf b = MU_BUF_NONE;

    if (u->path.bytes == 0) {
        mu_buf_add_byte(&b, '/');
    }
    add_escaped(&b, u->path);
    add_escaped(&b, u->query);
    return kept(&b, arena);
}

/* RFC 3986 section 5.2.4, segment by segment. */
static void add_without_dots(struct mu_buf *b, struct mu_span path)
{
    size_t start = b->bytes;
    bool is_last = false;

    while (path.bytes > 0 && !is_last) {
        bool has_more = false;
        struct mu_span rest = mu_span_sub(path, 1, path.bytes); /* behind the slash */
        struct mu_span segment = mu_span_split(rest, '/', &rest, &has_more);
        bool goes_up = mu_span_eq_text(segment, "..");

        is_last = !has_more;
        while (goes_up && b->bytes > start && b->data[--b->bytes] != '/') {
        }
        if (!goes_up && !mu_span_eq_text(segment, ".")) {
            mu_buf_add_byte(b, '/');
            mu_buf_add_span(b, segment);
        } else if (is_last) {
            mu_buf_add_byte(b, '/');
        }
        path = mu_span_sub(path, 1 + segment.bytes, path.bytes);
    }
}

bool url_is_absolute(struct mu_span reference)
{
    size_t at = find_any(reference, ":/?#");

    return at < reference.bytes && reference.data[at] == ':' &&
           is_scheme(mu_span_sub(reference, 0, at));
}

struct mu_span url_resolve(const struct url *base, struct mu_span reference, struct mu_arena *arena)
{
    struct mu_buf b = MU_BUF_NONE;
    struct mu_buf path = MU_BUF_NONE;

    reference = mu_span_sub(reference, 0, find_any(reference, "#"));
    if (url_is_absolute(reference)) {
        return mu_arena_span(arena, reference);
    }
    mu_buf_addf(&b, "%.*s:", MU_SPAN_FMT(base->scheme));
    if (mu_span_starts(reference, MU_SPAN_LIT("//"))) {
        mu_buf_add_span(&b, reference);
        return kept(&b, arena);
    }
    mu_buf_addf(&b, "//%.*s", MU_SPAN_FMT(base->authority));
    struct mu_span own = mu_span_sub(reference, 0, find_any(reference, "?"));
    struct mu_span query = mu_span_sub(reference, own.bytes, reference.bytes);

    if (own.bytes == 0) {
        mu_buf_add_span(&path, base->path);
    } else if (own.data[0] == '/') {
        mu_buf_add_span(&path, own);
    } else { /* beside the last segment of the base */
        size_t end = base->path.bytes;

        while (end > 0 && base->path.data[end - 1] != '/') {
            end--;
        }
        mu_buf_add_span(&path, mu_span_sub(base->path, 0, end));
        mu_buf_addf(&path, "%s%.*s", end == 0 ? "/" : "", MU_SPAN_FMT(own));
    }
    add_without_dots(&b, mu_buf_span(&path));
    mu_buf_add_span(&b, reference.bytes == 0 ? base->query : query);
    mu_buf_deinit(&path);
    return kept(&b, arena);
}

struct mu_span url_shown(const struct url *u, struct mu_arena *arena)
{
    struct mu_buf b = MU_BUF_NONE;
    size_t colon = find_any(u->userinfo, ":");

    if (colon == u->userinfo.bytes) {
        return u->text;
    }
    size_t before = (size_t)(u->userinfo.data - u->text.data);
    size_t after = before + u->userinfo.bytes;

    mu_buf_add_span(&b, mu_span_sub(u->text, 0, before + colon + 1));
    mu_buf_add_text(&b, "***");
    mu_buf_add_span(&b, mu_span_sub(u->text, after, u->text.bytes));
    return kept(&b, arena);
}

static int hex_value(uint8_t c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct mu_span url_unescape(struct mu_span text, struct mu_arena *arena)
{
    struct mu_buf b = MU_BUF_NONE;

    for (size_t i = 0; i < text.bytes; i++) {
        int high = text.data[i] == '%' && text.bytes - i > 2 ? hex_value(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;

        if (low < 0) {
            mu_buf_add_byte(&b, text.data[i]);
            continue;
        }
        mu_buf_add_byte(&b, (uint8_t)(high << 4 | low));
        i += 2;
    }
    return kept(&b, arena);
}

void url_escape(struct mu_span text, const char *kept, struct mu_buf *to)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";

    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (c != '\0' && (strchr(plain, c) != NULL || strchr(kept, c) != NULL)) {
            mu_buf_add_byte(to, c);
        } else {
            mu_buf_addf(to, "%%%02X", c);
        }
    }
}
