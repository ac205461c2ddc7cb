/* url.h - the URLs an HTTP client is given, taken apart. Private to agent/.
 *
 * Memory:  spans point into the text that was read, or into the arena.
 * Errors:  MU_INVALID in Go's words: `parse "http://a:b/": invalid port ":b" after host`.
 */
#ifndef AGENT_URL_H
#define AGENT_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct url {
    struct mu_span text;      /* as it was read, without the fragment */
    struct mu_span scheme;    /* "http"; may be empty: the client refuses what it cannot speak */
    struct mu_span userinfo;  /* "user:password", still escaped; empty: none */
    struct mu_span authority; /* "host:port", "[::1]": what the Host header says */
    struct mu_span host;      /* "::1": without brackets */
    uint16_t port;            /* 0: none given */
    struct mu_span path;      /* may be empty */
    struct mu_span query;     /* with its "?"; may be empty */
};

MU_MUST_CHECK enum mu_code url_read(struct url *out, struct mu_span text, struct mu_err *err);

/* What a request line says: path and query, "/" at least, with everything escaped that may not
 * stand there. */
struct mu_span url_target(const struct url *u, struct mu_arena *arena);

/* A reference as Location gives it, made absolute (RFC 3986 section 5.2). */
struct mu_span url_resolve(const struct url *base, struct mu_span reference,
                           struct mu_arena *arena);
bool url_is_absolute(struct mu_span reference);

/* For error texts: the password, if there is one, becomes "***". */
struct mu_span url_shown(const struct url *u, struct mu_arena *arena);

/* The other way: letters, digits, "-_.~" and what is in `kept` stay as they are. */
void url_escape(struct mu_span text, const char *kept, struct mu_buf *to);

/* %41 is A; what is no escape stays. */
struct mu_span url_unescape(struct mu_span text, struct mu_arena *arena);

#endif
