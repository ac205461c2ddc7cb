/* h1_head.h - one HTTP/1.1 head, from bytes to fields, judged twice. Private to proto/.
 *
 * Our own reading is strict where Debian's http-parser is not; http-parser, which has seen more of
 * the world than we have, must accept the same bytes. What either refuses is refused.
 */
#ifndef PROTO_H1_HEAD_H
#define PROTO_H1_HEAD_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/h1.h"

enum h1_body {
    H1_BODY_NONE,
    H1_BODY_COUNTED,
    H1_BODY_CHUNKED,
    H1_BODY_UNTIL_CLOSE, /* responses only */
};

struct h1_head {
    struct mu_h1_head head; /* spans point into the bytes that were read */
    enum h1_body body;
    struct mu_header *headers; /* kept from one head to the next */
    size_t headers_room;
    struct mu_buf settings; /* decoded HTTP2-Settings */
    unsigned status;        /* after a failure: what to answer */
};

/* `bytes` ends with the empty line. On failure out->status is set. */
MU_MUST_CHECK enum mu_code h1__head_read(struct h1_head *out, enum mu_h1_role role,
                                         struct mu_span bytes, size_t headers_count_max,
                                         bool expects_no_body, struct mu_err *err);
void h1__head_deinit(struct h1_head *out);

/* A line of a trailer section: name, colon, value. */
bool h1__is_field_line(struct mu_span line);

#endif
