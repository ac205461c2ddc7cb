/* response.h - a struct response as headers on the wire.
 *
 * One walk yields every header of an answer; HTTP/1.1 renders it as text, HTTP/2 and forwarded
 * answers take a list. What every answer of this process carries is rendered once, at start.
 */
#ifndef WEB_RESPONSE_H
#define WEB_RESPONSE_H

#include "request.h"

/* Headers that do not depend on the request (http-api 1.3). */
struct response_style {
    struct mu_header *fixed; /* of the configuration: on every answer */
    size_t fixed_count;
    struct mu_buf fixed_h1; /* the same, rendered */
    struct mu_arena arena;
    char date[40]; /* "Fri, 20 Nov 2026 08:24:02 GMT" */
    int64_t date_s;
};

void response_style_init(struct response_style *s, const struct mu_pairs *response_headers);
void response_style_deinit(struct response_style *s);

/* "x-consul-index" -> "X-Consul-Index": the first letter and those behind a dash are upper case. */
void response_canonical(struct mu_span name, char *to);

/* Append the whole head of an HTTP/1.1 answer, up to the empty line. `wall_s` is for Date. */
void response_head_h1(struct response_style *s, const struct request *r, bool keeps_alive,
                      unsigned minor, int64_t wall_s, struct mu_buf *to);

/* Fill `to` (of RESPONSE_LIST_MAX) with headers in lower case, ":status" first, as HTTP/2 wants
 * them; texts are in the request's arena. */
#define RESPONSE_LIST_MAX (RESPONSE_HEADER_MAX + 32)
size_t response_head_h2(struct response_style *s, struct request *r, int64_t wall_s,
                        struct mu_header to[RESPONSE_LIST_MAX]);

/* What travels back to a client agent, which adds what every answer has: names as on the wire. */
size_t response_head_forwarded(struct request *r, struct mu_header to[RESPONSE_LIST_MAX]);

#endif
