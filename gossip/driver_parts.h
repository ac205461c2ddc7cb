/* driver_parts.h - what the files of the driver share. For gossip/ only; these see libuv.
 *
 *   driver_uv.c  the loop around the core: feed, timers, start and stop
 *   udp_uv.c     the datagram socket
 *   stream_uv.c  the core's streams as TCP connections
 *   order_uv.c   what callers ask for, and names to addresses
 *   state_uv.c   the state file
 */
#ifndef GOSSIP_DRIVER_PARTS_H
#define GOSSIP_DRIVER_PARTS_H

#include <uv.h>

#include "base/arena.h"
#include "base/list.h"
#include "gossip/driver.h"
#include "state.h"

#define GOSSIP__BATCH      64 /* datagrams a system call */
#define GOSSIP__UNSENT_MAX 16 /* addresses of failed sends remembered until the next turn */

struct gossip__streams; /* stream_uv.c */

struct gossip__keeper { /* state_uv.c */
    char *path;         /* NULL: nothing is kept */
    uint64_t reserved;  /* incarnations below are on disk */
    bool is_due, is_writing, is_failing, has_left;
    uint64_t written_ms;
    uint64_t lines;        /* written since the start */
    uint64_t began_ns;     /* to be written */
    struct mu_sample took; /* ms */
    uv_timer_t timer;
    uv_work_t work;
    struct mu_buf text; /* the worker's, while is_writing */
    struct mu_err error;
    /* Whom the last life knew: kept in the file while we are alone, for the next try. */
    struct mu_arena arena;
    struct gossip__kept last;
};

struct gossip_driver {
    uv_loop_t *loop;
    struct mu_arena arena; /* copies of the options' strings */
    struct gossip_driver_options options;
    struct gossip_keys keys; /* of the options */
    const char *module;      /* of log lines: "agent.serf.lan" */
    struct gossip *core;
    int udp;
    uint32_t kernel_seen; /* datagrams it dropped, as it counts */
    uint64_t kernel_drops, kernel_dropped_ns, kernel_said_ns; /* how many; last time; last said */
    uv_poll_t poll;
    uv_timer_t wake, soon;
    bool is_started, is_feeding, is_stopping;
    bool owes_start; /* the notice about ourselves is told in the first turn */
    unsigned handles;
    gossip_notify_fn *notify;
    void *notify_data;
    gossip_stopped_fn *stopped;
    void *stopped_data;
    struct gossip__streams *streams;
    struct gossip__keeper keeper;
    struct mu_sample rounds; /* ms */

    struct gossip_listener listener;
    struct mu_link askers; /* running queries of ours; order_uv.c */

    uint64_t next_order;
    struct mu_link orders, lookups;
    uv_timer_t lookup_timer;

    struct mu_addr unsent[GOSSIP__UNSENT_MAX];
    size_t unsent_count;
    uint8_t packets[GOSSIP__BATCH][MU_GOSSIP_RECEIVE_MAX + 1];
};

/* -- driver_uv.c --------------------------------------------------------------------------------
 */

/* Feed one event and carry out its effects. Never from inside an effect: what an effect fails at
 * is reported from a later turn (gossip__soon()). */
void gossip__feed(struct gossip_driver *d, struct gossip_event *ev);
void gossip__driver_sealing(struct gossip_driver *d, const struct gossip_sealing *sealing);
uint64_t gossip__now(void);
void gossip__soon(struct gossip_driver *d);

/* A handle or request was opened or has closed: the driver has stopped when none is left. */
void gossip__handle_opened(struct gossip_driver *d);
void gossip__handle_closed(struct gossip_driver *d);
void gossip__close(struct gossip_driver *d, uv_handle_t *handle); /* one whose data is d */

/* -- udp_uv.c -----------------------------------------------------------------------------------
 */

MU_MUST_CHECK enum mu_code gossip__udp_open(struct gossip_driver *d, const struct mu_addr *at,
                                            struct mu_err *err);
void gossip__udp_start(struct gossip_driver *d);
void gossip__udp_send(struct gossip_driver *d, const struct gossip_send *sends, size_t count);
void gossip__udp_drain(struct gossip_driver *d);  /* read the socket empty, within bounds */
void gossip__udp_failed(struct gossip_driver *d); /* tell the core what could not be sent */

/* -- stream_uv.c --------------------------------------------------------------------------------
 */

struct gossip__streams *gossip__streams_new(struct gossip_driver *d);
/* Bind and listen, without a handle yet: what fails here leaves nothing behind. */
MU_MUST_CHECK enum mu_code gossip__streams_listen(struct gossip__streams *s, struct mu_addr *at,
                                                  struct mu_err *err);
void gossip__streams_unlisten(struct gossip__streams *s);
void gossip__streams_start(struct gossip__streams *s);
void gossip__streams_op(struct gossip__streams *s, const struct gossip_stream_op *op);
void gossip__streams_failed(struct gossip__streams *s); /* tell the core what failed at once */
void gossip__streams_stop(struct gossip__streams *s);   /* closes all, without events */
void gossip__streams_free(struct gossip__streams *s);

/* -- order_uv.c ---------------------------------------------------------------------------------
 */

void gossip__orders_run(struct gossip_driver *d); /* those that are ready */
void gossip__asks_deliver(struct gossip_driver *d, const struct gossip_effects *fx);
void gossip__asks_stop(struct gossip_driver *d);
void gossip__orders_answer(struct gossip_driver *d, const struct gossip_done *done);
void gossip__orders_stop(struct gossip_driver *d); /* who still waits gets an answer */
void gossip__orders_timer(uv_timer_t *timer);
struct mu_pairs gossip__pairs_copy(struct mu_arena *arena, const struct mu_pairs *from);

/* -- state_uv.c ---------------------------------------------------------------------------------
 */

/* Read what the last life left, and reserve incarnations for this one on disk. Fills in what the
 * core's options take from it. */
MU_MUST_CHECK enum mu_code gossip__keeper_open(struct gossip_driver *d, struct mu_err *err);
void gossip__keeper_due(struct gossip_driver *d);
void gossip__keeper_timer(uv_timer_t *timer);
void gossip__keeper_stop(struct gossip_driver *d); /* the last words, as a handle */
void gossip__keeper_free(struct gossip_driver *d);

#endif
