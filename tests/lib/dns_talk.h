/* dns_talk.h - the words of DNS transcripts (data/web/dns), for whoever asks: the answering code
 * itself, or a real process over its sockets.
 *
 *   ask NAME TYPE ...     one query and the whole answer
 *   count NAME TYPE ...   the same, records counted by type
 *
 * Words behind that: tcp, edns=SIZE, version=N, subnet, badsubnet, cookie (and more options that
 * are ignored), keepalive, class=N, opcode=N, nord, cd, ad; bytes (print the size of the answer);
 * no_catalog, seeded (only where the asker controls the catalog, the random generator).
 */
#ifndef TESTS_DNS_TALK_H
#define TESTS_DNS_TALK_H

#include "dns_check.h"
#include "script.h"

struct dns_talk {
    struct mu_buf query;
    enum dns_check_form form;
    size_t bytes_max; /* what the client takes */
    bool is_tcp, has_catalog, is_seeded, wants_bytes;
};

/* False: not such words. The query ends with mu_buf_deinit(). */
bool dns_talk_read(const struct script_command *c, struct dns_talk *out);
/* Check an answer and print what the words ask for. */
void dns_talk_print(const struct dns_talk *t, struct mu_span answer, struct mu_buf *out);

#endif
