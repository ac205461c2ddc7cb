/* Any bytes on a connection: HTTP/1.1, HTTP/2 or neither. The first byte says in how large pieces
 * they arrive; each request is answered at once or, by its length, a little later.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "conn.h"
#include "route.h"

struct world {
    struct request_pool pool;
    struct response_style style;
    struct conn_host host;
    struct request *waiting;
};

static void handler(struct request *r)
{
    answer_textf(r, 200, "%.*s", MU_SPAN_FMT(r->argument));
}

static const struct web_route rows[] = {
    { WEB_GET, "/v1/kv/*key", 0, ACL_NONE, handler, "" },
    { WEB_PUT, "/v1/kv/*key", ROUTE_VALUE, ACL_NONE, handler, "" },
    { WEB_GET, "/v1/agent/self", 0, ACL_NONE, handler, "" },
};

static struct route_table table;

static void begin(void *data, struct request *r)
{
    (void)data;
    route_find(&table, r);
    r->body_bytes_max = 64;
}

static void cancel(struct request *r)
{
    struct world *w = r->mine;

    w->waiting = NULL;
    r->pending = NULL;
}

static const struct request_pending pending = { "fuzz", cancel };

static void serve(void *data, struct request *r)
{
    struct world *w = data;

    r->mine = w;
    if (r->target.bytes % 3 == 0 && w->waiting == NULL) {
        w->waiting = r;
        r->pending = &pending;
    } else if (!route_refuse(&table, r)) {
        r->route->handler(r);
    }
}

static void touch(void *data, struct conn *c)
{
    (void)data;
    (void)c;
}

static void answer_waiting(struct world *w)
{
    struct request *r = w->waiting;

    if (r != NULL) {
        w->waiting = NULL;
        r->pending = NULL;
        answer_empty(r, 200);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct world w = { .waiting = NULL };
    struct conn conn;

    if (bytes < 1) {
        return 0;
    }
    size_t piece = (size_t)data[0] + 1;

    mu_log_set_fd(-1);
    route_table_init(&table, rows, sizeof rows / sizeof rows[0]);
    request_pool_init(&w.pool);
    response_style_init(&w.style, &(struct mu_pairs){ NULL, 0 });
    w.host = (struct conn_host){ .pool = &w.pool,
                                 .style = &w.style,
                                 .now_ms = 1,
                                 .begin = begin,
                                 .serve = serve,
                                 .data = &w,
                                 .touch = touch };
    conn_init(&conn, &w.host, &MU_ADDR_NONE);
    for (size_t at = 1; at < bytes && !conn_is_over(&conn); at += piece) {
        size_t part = bytes - at < piece ? bytes - at : piece;

        conn_feed(&conn, mu_span_of(data + at, part));
        conn_turn(&conn);
        if (at % 2 == 0) {
            answer_waiting(&w);
            conn_turn(&conn);
        }
        mu_buf_clear(&conn.out);
    }
    if (data[0] % 2 == 0) {
        conn_eof(&conn);
        answer_waiting(&w);
        conn_turn(&conn);
    }
    conn_deinit(&conn);
    request_pool_deinit(&w.pool);
    response_style_deinit(&w.style);
    return 0;
}
