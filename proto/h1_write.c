/* Heads to bytes. */
#include "proto/h1.h"

#include "base/assert.h"

/* Go's reason phrases: they are what clients of the original see. */
static const struct {
    unsigned status;
    const char *text;
} reasons[] = {
    // clang-format off
    { 100, "Continue" },
    { 101, "Switching Protocols" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Request Entity Too Large" },
    { 414, "Request URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Entity" },
    { 426, "Upgrade Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 499, "Client Closed Request" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
}; // clang-format on

const char *mu_http_reason(unsigned status)
{
    for (size_t i = 0; i < MU_LEN(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Unknown";
}

void mu_h1_status_line(struct mu_buf *to, unsigned status)
{
    MU_ASSERT(status >= 100 && status <= 999);
    mu_buf_add_text(to, "HTTP/1.1 ");
    mu_buf_add_u64(to, status);
    mu_buf_add_byte(to, ' ');
    mu_buf_add_text(to, mu_http_reason(status));
    mu_buf_add_text(to, "\r\n");
}

/* A control byte in a value could end the line and begin another answer: it becomes a blank. */
void mu_h1_header(struct mu_buf *to, const char *name, struct mu_span value)
{
    mu_buf_add_text(to, name);
    mu_buf_add_text(to, ": ");
    for (size_t i = 0; i < value.bytes; i++) {
        uint8_t c = value.data[i];

        mu_buf_add_byte(to, (c < ' ' && c != '\t') || c == 0x7f ? ' ' : c);
    }
    mu_buf_add_text(to, "\r\n");
}
