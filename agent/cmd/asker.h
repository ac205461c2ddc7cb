/* asker.h - whom a command asks, and as who: from its flags and the environment (call_uv.c). */
#ifndef AGENT_CMD_ASKER_H
#define AGENT_CMD_ASKER_H

#include "cli.h"
#include "proto/h1.h"

#define ASKER_HEADERS_MAX 2

struct asker {
    const char *base; /* "http://127.0.0.1:8500", "unix:///run/muster.sock" */
    bool is_socket;   /* the latter: the path of a request stands beside it */
    struct mu_header headers[ASKER_HEADERS_MAX];
    size_t headers_count;
    struct mu_buf url, token, basic; /* what the others point into */
};

MU_MUST_CHECK enum mu_code asker_open(struct cli *cli, struct asker *a, struct mu_err *err);
void asker_close(struct asker *a); /* an open one */

struct uv_loop_s;
/* Ask on this loop, which runs meanwhile, until it is answered or `gives_up` says so: MU_CANCELLED
 * in c->code then. NULL: it never does. */
void asker_ask(struct asker *a, struct cli_call *c, struct uv_loop_s *loop,
               bool (*gives_up)(void *data), void *data);

#endif
