/* One head, from bytes to fields.
 *
 * The bytes are cut into lines here and each line is checked against RFC 9112 before http-parser
 * sees any of them. http-parser then reads the same bytes in one call and stops behind the headers:
 * it knows the methods, the version, and what Connection means. How the body is framed is decided
 * here, from values that were read by nobody else: Content-Length has digits only and comes once,
 * Transfer-Encoding is "chunked" and nothing more, and never are both there.
 */
#include "h1_head.h"

#include <string.h>

#include <http_parser.h>
#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"

#define HEADERS_FIRST 16
#define SETTINGS_BYTES_MAX \
    192 /* 32 settings of 6 bytes: nghttp2's own bound for a SETTINGS frame */

/* -- characters ----------------------------------------------------------------------------- */

static bool is_token_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool mu_http_is_token(struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (!is_token_byte(text.data[i])) {
            return false;
        }
    }
    return text.bytes > 0;
}

/* Visible, blank, tab, or above ASCII (RFC 9110 section 5.5). */
static bool is_value_byte(uint8_t c)
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

/* Raw UTF-8 is let through: curl sends it, and the original accepts it. */
static bool is_target(struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] <= ' ' || text.data[i] == 0x7f) {
            return false;
        }
    }
    return text.bytes > 0;
}

static struct mu_span trim(struct mu_span text)
{
    while (text.bytes > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = mu_span_sub(text, 1, text.bytes);
    }
    while (text.bytes > 0 &&
           (text.data[text.bytes - 1] == ' ' || text.data[text.bytes - 1] == '\t')) {
        text.bytes--;
    }
    return text;
}

static bool field_split(struct mu_span line, struct mu_header *out)
{
    struct mu_span value;
    bool has_colon = false;

    out->name = mu_span_split(line, ':', &value, &has_colon);
    if (!has_colon || !mu_http_is_token(out->name)) {
        return false;
    }
    for (size_t i = 0; i < value.bytes; i++) {
        if (!is_value_byte(value.data[i])) {
            return false;
        }
    }
    out->value = trim(value);
    return true;
}

bool h1__is_field_line(struct mu_span line)
{
    struct mu_header ignored;

    return field_split(line, &ignored);
}

/* -- lines ---------------------------------------------------------------------------------- */

static enum mu_code refuse(struct h1_head *out, unsigned status, const char *why,
                           struct mu_err *err)
{
    out->status = status;
    return mu_fail(err, MU_INVALID, "%s", why);
}

/* The next line without its end; lines were ended by our caller's rules already. */
static struct mu_span take_line(struct mu_span *rest)
{
    struct mu_span line = mu_span_split(*rest, '\n', rest, NULL);

    if (line.bytes > 0 && line.data[line.bytes - 1] == '\r') {
        line.bytes--;
    }
    return line;
}

/* "HTTP/1.1": exactly this shape. */
static enum mu_code version_read(struct h1_head *out, struct mu_span text, struct mu_err *err)
{
    if (text.bytes != 8 || !mu_span_starts(text, MU_SPAN_LIT("HTTP/")) || text.data[5] < '0' ||
        text.data[5] > '9' || text.data[6] != '.' || text.data[7] < '0' || text.data[7] > '9') {
        return refuse(out, 400, "malformed HTTP version", err);
    }
    if (text.data[5] != '1') {
        return refuse(out, 505, "unsupported HTTP version", err);
    }
    out->head.minor = text.data[7] == '0' ? 0 : 1; /* 1.2 would be understood as 1.1 */
    return MU_OK;
}

static enum mu_code request_line(struct h1_head *out, struct mu_span line, struct mu_err *err)
{
    struct mu_span rest;

    out->head.method = mu_span_split(line, ' ', &rest, NULL);
    out->head.target = mu_span_split(rest, ' ', &rest, NULL);
    if (!mu_http_is_token(out->head.method)) {
        return refuse(out, 400, "malformed method in the request line", err);
    }
    if (!is_target(out->head.target)) {
        return refuse(out, 400, "malformed target in the request line", err);
    }
    return version_read(out, rest, err);
}

static enum mu_code status_line(struct h1_head *out, struct mu_span line, struct mu_err *err)
{
    struct mu_span rest;
    struct mu_span version = mu_span_split(line, ' ', &rest, NULL);
    struct mu_span code = mu_span_split(rest, ' ', &rest, NULL);
    uint64_t status = 0;

    if (code.bytes != 3 || !mu_span_u64(code, &status) || status < 100) {
        return refuse(out, 400, "malformed status line", err);
    }
    out->head.status = (unsigned)status;
    out->head.reason = rest;
    return version_read(out, version, err);
}

static enum mu_code header_add(struct h1_head *out, struct mu_span line, size_t count_max,
                               struct mu_err *err)
{
    struct mu_header header;

    if (out->head.headers_count >= count_max) {
        return refuse(out, 431, "too many header fields", err);
    }
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        return refuse(out, 400, "folded header field", err);
    }
    if (!field_split(line, &header)) {
        return refuse(out, 400, "malformed header field", err);
    }
    if (out->head.headers_count == out->headers_room) {
        out->headers_room = out->headers_room > 0 ? out->headers_room * 2 : HEADERS_FIRST;
        out->headers = mu_grow(out->headers, out->headers_room * sizeof *out->headers);
    }
    out->headers[out->head.headers_count++] = header;
    return MU_OK;
}

static enum mu_code lines_read(struct h1_head *out, enum mu_h1_role role, struct mu_span rest,
                               size_t count_max, struct mu_err *err)
{
    struct mu_span line = take_line(&rest);
    enum mu_code rc =
        role == MU_H1_SERVER ? request_line(out, line, err) : status_line(out, line, err);

    while (rc == MU_OK && rest.bytes > 0) {
        line = take_line(&rest);
        if (line.bytes > 0) {
            rc = header_add(out, line, count_max, err);
        }
    }
    out->head.headers = out->headers;
    return rc;
}

/* -- what the fields mean ------------------------------------------------------------------- */

/* The value of the last field of this name; how many there are. */
static size_t field_find(const struct mu_h1_head *head, struct mu_span name, struct mu_span *value)
{
    size_t count = 0;

    *value = MU_SPAN_NONE;
    for (size_t i = 0; i < head->headers_count; i++) {
        if (mu_span_eq_fold(head->headers[i].name, name)) {
            *value = head->headers[i].value;
            count++;
        }
    }
    return count;
}

/* Is `token` a member of the comma-separated list that all fields of this name form? */
static bool list_has(const struct mu_h1_head *head, struct mu_span name, struct mu_span token)
{
    for (size_t i = 0; i < head->headers_count; i++) {
        struct mu_span rest = head->headers[i].value;

        while (mu_span_eq_fold(head->headers[i].name, name) && rest.bytes > 0) {
            if (mu_span_eq_fold(trim(mu_span_split(rest, ',', &rest, NULL)), token)) {
                return true;
            }
        }
    }
    return false;
}

static enum mu_code framing_read(struct h1_head *out, enum mu_h1_role role, bool expects_no_body,
                                 struct mu_err *err)
{
    struct mu_h1_head *head = &out->head;
    struct mu_span encoding;
    struct mu_span length;
    size_t encodings = field_find(head, MU_SPAN_LIT("transfer-encoding"), &encoding);
    size_t lengths = field_find(head, MU_SPAN_LIT("content-length"), &length);

    if (lengths > 1 || (lengths > 0 && encodings > 0)) {
        return refuse(out, 400, "several statements about the length of the body", err);
    }
    if (lengths == 1 && (length.bytes > 19 || !mu_span_u64(length, &head->content_length))) {
        return refuse(out, 400, "malformed Content-Length", err);
    }
    if (encodings > 0 && head->minor == 0) {
        return refuse(out, 400, "Transfer-Encoding in HTTP/1.0", err);
    }
    if (encodings > 1 || (encodings == 1 && !mu_span_eq_fold(encoding, MU_SPAN_LIT("chunked")))) {
        return refuse(out, 501, "unknown Transfer-Encoding", err);
    }
    head->is_chunked = encodings == 1;
    if (expects_no_body || head->status / 100 == 1 || head->status == 204 || head->status == 304) {
        out->body = H1_BODY_NONE; /* RFC 9112 section 6.3, rule 1 */
    } else if (head->is_chunked) {
        out->body = H1_BODY_CHUNKED;
    } else if (lengths == 1) {
        out->body = head->content_length > 0 ? H1_BODY_COUNTED : H1_BODY_NONE;
    } else {
        out->body = role == MU_H1_CLIENT ? H1_BODY_UNTIL_CLOSE : H1_BODY_NONE;
    }
    head->has_body = out->body != H1_BODY_NONE;
    return MU_OK;
}

/* RFC 7540 section 3.2. A flawed upgrade is no upgrade: the request is answered in HTTP/1.1. So is
 * one with a body, which would have to be read in full before the protocol changes. */
static void upgrade_read(struct h1_head *out)
{
    struct mu_h1_head *head = &out->head;
    struct mu_span text;

    if (head->has_body || field_find(head, MU_SPAN_LIT("http2-settings"), &text) != 1 ||
        !list_has(head, MU_SPAN_LIT("upgrade"), MU_SPAN_LIT("h2c")) ||
        !list_has(head, MU_SPAN_LIT("connection"), MU_SPAN_LIT("upgrade")) ||
        !list_has(head, MU_SPAN_LIT("connection"), MU_SPAN_LIT("http2-settings"))) {
        return;
    }
    size_t bytes = 0;

    mu_buf_clear(&out->settings);
    if (sodium_base642bin(mu_buf_reserve(&out->settings, SETTINGS_BYTES_MAX), SETTINGS_BYTES_MAX,
                          (const char *)text.data, text.bytes, NULL, &bytes, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        bytes % 6 != 0) {
        return;
    }
    out->settings.bytes = bytes;
    head->h2_settings = mu_buf_span(&out->settings);
    head->upgrades_to_h2c = true;
}

static enum mu_code request_fields(struct h1_head *out, struct mu_err *err)
{
    struct mu_h1_head *head = &out->head;
    struct mu_span value;
    size_t hosts = field_find(head, MU_SPAN_LIT("host"), &value);

    if (hosts > 1 || (hosts == 0 && head->minor > 0)) { /* RFC 9112 section 3.2 */
        return refuse(out, 400,
                      hosts > 1 ? "too many Host headers" : "missing required Host header", err);
    }
    head->expects_continue =
        head->minor > 0 && list_has(head, MU_SPAN_LIT("expect"), MU_SPAN_LIT("100-continue"));
    upgrade_read(out);
    return MU_OK;
}

/* -- the second judge ----------------------------------------------------------------------- */

static int on_headers_complete(http_parser *p)
{
    *(bool *)p->data = true;
    return 1; /* the body is not its business */
}

static enum mu_code parser_agrees(struct h1_head *out, enum mu_h1_role role, struct mu_span bytes,
                                  struct mu_err *err)
{
    bool is_complete = false;
    http_parser_settings settings;
    http_parser p;

    http_parser_settings_init(&settings);
    settings.on_headers_complete = on_headers_complete;
    http_parser_init(&p, role == MU_H1_SERVER ? HTTP_REQUEST : HTTP_RESPONSE);
    p.data = &is_complete;
    size_t read = http_parser_execute(&p, &settings, (const char *)bytes.data, bytes.bytes);

    if (HTTP_PARSER_ERRNO(&p) == HPE_INVALID_METHOD) {
        return refuse(out, 501, "unknown method", err);
    }
    if (HTTP_PARSER_ERRNO(&p) != HPE_OK) {
        return refuse(out, 400, http_errno_description(HTTP_PARSER_ERRNO(&p)), err);
    }
    if (!is_complete || read != bytes.bytes) {
        return refuse(out, 400, "malformed head", err);
    }
    out->head.keeps_alive = out->body != H1_BODY_UNTIL_CLOSE && http_should_keep_alive(&p) != 0;
    return MU_OK;
}

enum mu_code h1__head_read(struct h1_head *out, enum mu_h1_role role, struct mu_span bytes,
                           size_t headers_count_max, bool expects_no_body, struct mu_err *err)
{
    memset(&out->head, 0, sizeof out->head);
    enum mu_code rc = lines_read(out, role, bytes, headers_count_max, err);

    if (rc == MU_OK) {
        rc = framing_read(out, role, expects_no_body, err);
    }
    if (rc == MU_OK && role == MU_H1_SERVER) {
        rc = request_fields(out, err);
    }
    return rc == MU_OK ? parser_agrees(out, role, bytes, err) : rc;
}

void h1__head_deinit(struct h1_head *out)
{
    mu_free(out->headers);
    mu_buf_deinit(&out->settings);
    *out = (struct h1_head){ .body = H1_BODY_NONE };
}
