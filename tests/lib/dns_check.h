/* dns_check.h - DNS messages read by somebody who has never seen web/dns_codec.c.
 *
 * Strict where an answer of ours may not be wrong: counts, lengths, pointers that only go back,
 * the echoed question, the client's limit, CNAMEs before what they lead to. With libknot at hand
 * (when the tests were built with it) every message is parsed by that library as well.
 */
#ifndef TESTS_DNS_CHECK_H
#define TESTS_DNS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum dns_check_form {
    DNS_CHECK_RECORDS, /* a line for the header, one for each record, sorted within sections */
    DNS_CHECK_COUNTS,  /* one line: header, records by section and type */
};

/* Check `reply` to `query` and append what it says. False: it is wrong; then why is appended. */
bool dns_check(struct mu_span query, struct mu_span reply, size_t bytes_max,
               enum dns_check_form form, struct mu_buf *out);

/* -- making queries ---------------------------------------------------------------------------- */

/* "web.service.consul", with \. and \DDD for any byte; "." is the root. Appends the wire form. */
bool dns_check_name(const char *text, struct mu_buf *to);
uint16_t dns_check_type(const char *text); /* "A", "TYPE65280"; 0: unknown */

struct dns_check_query {
    const char *name;
    uint16_t id, type, class, flags; /* class 0: IN */
    bool has_edns;
    uint16_t udp_bytes;
    uint8_t version;
    struct mu_span options; /* as they stand in OPT */
};
bool dns_check_ask(const struct dns_check_query *q, struct mu_buf *to);

#endif
