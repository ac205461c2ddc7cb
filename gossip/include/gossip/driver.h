/* driver.h - sockets, timers and files around the gossip core.
 *
 * Life: new -> start -> stop -> (stopped callback) -> free.
 * Thread: the loop's. Nothing here waits: names are resolved and files written on libuv's pool.
 * Memory: options are copied. Views die when the call or callback returns.
 * Errors: each call says; a running driver reports trouble in log lines.
 * Signals: SIGPIPE is to be ignored: libuv writes to streams with write(), also to those whose
 * other side has gone.
 */
#ifndef GOSSIP_DRIVER_H
#define GOSSIP_DRIVER_H

#include "base/err.h"
#include "gossip/gossip.h"

struct uv_loop_s;
struct gossip_driver; /* opaque */

struct gossip_driver_options {
    struct gossip_options core; /* incarnation, boot_id, seed: set by the driver itself */
    struct mu_addr bind;        /* UDP and TCP; port 0: any free one, the same for both */
    const char *state_dir;      /* where incarnation and known peers are kept; NULL: nowhere */
    const char *serf_snapshot;  /* a file of Serf's: read when state_dir holds nothing yet, and left
                                 * as it is; need not be there; NULL: none */
    bool rejoin_after_leave;
};

/* Notices in the order they happened; never from inside a call into the driver. */
typedef void gossip_notify_fn(void *data, const struct gossip_notice *notices, size_t count);
typedef void gossip_stopped_fn(void *data);
/* How many addresses were contacted; `why` (view) explains failures, as spec 9.3 words them. */
typedef void gossip_joined_fn(void *data, unsigned contacted, const char *why);
typedef void gossip_left_fn(void *data);

MU_MUST_CHECK enum mu_code gossip_driver_new(struct gossip_driver **out, struct uv_loop_s *loop,
                                             const struct gossip_driver_options *options,
                                             struct mu_err *err);

/* Bind and start to probe. Errors: MU_INVALID (address), MU_IO (bind: "listen udp 1.2.3.4:8301:
 * address already in use"); the driver may then be freed. */
MU_MUST_CHECK enum mu_code gossip_driver_start(struct gossip_driver *d, gossip_notify_fn *notify,
                                               void *data, struct mu_err *err);
void gossip_driver_stop(struct gossip_driver *d, gossip_stopped_fn *stopped, void *data);
void gossip_driver_free(struct gossip_driver *d); /* NULL is fine; only stopped or never started */

struct mu_addr gossip_driver_address(const struct gossip_driver *d); /* advertised, with its port */

/* Contact each of these ("host", "host:port", "name/host:port"; default port: our own); `joined`
 * comes exactly once. `replays`: user events from before are wanted, too. */
void gossip_driver_join(struct gossip_driver *d, const char *const *addresses, size_t count,
                        bool replays, gossip_joined_fn *joined, void *data);

/* Leave gracefully; `left` comes when others confirmed it or the time for that is over. */
void gossip_driver_leave(struct gossip_driver *d, gossip_left_fn *left, void *data);

/* A failed member becomes left; with prune it is forgotten. MU_NOT_FOUND: no such member. */
MU_MUST_CHECK enum mu_code gossip_driver_force_leave(struct gossip_driver *d, const char *name,
                                                     bool prune, struct mu_err *err);

/* Replace our tags; others see it as an update. Errors: those of gossip_tags_check(). */
MU_MUST_CHECK enum mu_code gossip_driver_set_tags(struct gossip_driver *d,
                                                  const struct mu_pairs *tags, struct mu_err *err);

/* Other times from the next turn on, for everything that has not begun yet. Errors as of
 * gossip_profile_check(). */
MU_MUST_CHECK enum mu_code gossip_driver_set_profile(struct gossip_driver *d,
                                                     const struct gossip_profile *profile,
                                                     struct mu_err *err);

/* Everything asked for before this has left our node: it was told to others as often as rumors
 * are, or nobody is there. `told` comes exactly once, never from inside; false: not within
 * broadcast_timeout_ms. */
typedef void gossip_told_fn(void *data, bool is_told);
void gossip_driver_spread(struct gossip_driver *d, gossip_told_fn *told, void *data);

/* Do our largest datagrams arrive at this member? `measured` comes exactly once, never from inside,
 * after a round trip when they do, and within a second or so. */
typedef void gossip_measured_fn(void *data, const char *name, enum gossip_width width);
void gossip_driver_width(struct gossip_driver *d, const char *name, gossip_measured_fn *measured,
                         void *data);

/* Another keyring or strictness from the next turn on; copied. */
void gossip_driver_seal(struct gossip_driver *d, const struct gossip_sealing *sealing);

/* -- user events and queries -------------------------------------------------------------------
 * Everything is told from turns of the loop of their own, never from inside these calls. */

struct gossip_listener { /* each may be NULL; what it is told dies with the call */
    void (*event)(void *data, const struct gossip_user_event *event);
    void (*query)(void *data, const struct gossip_query *query); /* also internal ones */
    /* We were away when keys changed: this is what they are now (gossip_keys_take()). */
    void (*keys)(void *data, const struct gossip_keys *keys);
    void *data;
};
void gossip_driver_listen(struct gossip_driver *d, const struct gossip_listener *listener);

/* Errors as of gossip_event_check(). */
MU_MUST_CHECK enum mu_code gossip_driver_event(struct gossip_driver *d, const char *name,
                                               struct mu_span payload, bool coalesce,
                                               struct mu_err *err);
/* Answers as they come, GOSSIP_REPLY_DONE at the end; *id names the query until then. */
typedef void gossip_replied_fn(void *data, const struct gossip_reply *reply);
MU_MUST_CHECK enum mu_code gossip_driver_query(struct gossip_driver *d,
                                               const struct gossip_query_params *params,
                                               gossip_replied_fn *replied, void *data, uint64_t *id,
                                               struct mu_err *err);
/* Whoever asked hears no more of it. */
void gossip_driver_query_forget(struct gossip_driver *d, uint64_t id);
MU_MUST_CHECK enum mu_code gossip_driver_respond(struct gossip_driver *d, uint64_t ltime,
                                                 uint32_t id, struct mu_span payload,
                                                 struct mu_err *err);
uint64_t gossip_driver_query_timeout_ms(const struct gossip_driver *d);

/* All members, ourselves included, in no particular order. */
typedef void gossip_member_fn(void *data, const struct gossip_view *member);
void gossip_driver_each(const struct gossip_driver *d, gossip_member_fn *each, void *data);
bool gossip_driver_find(const struct gossip_driver *d, const char *name, struct gossip_view *out);
void gossip_driver_each_broken_link(const struct gossip_driver *d, gossip_link_fn *each,
                                    void *data);
/* Those of the last while. */
void gossip_driver_each_misplaced(const struct gossip_driver *d, uint64_t age_ms,
                                  gossip_misplaced_fn *each, void *data);
void gossip_driver_each_refusal(const struct gossip_driver *d, uint64_t age_ms,
                                gossip_refusal_fn *each, void *data);
/* As gossip_explain(), at this moment. */
bool gossip_driver_explain(const struct gossip_driver *d, const char *name,
                           struct gossip_account *out);
void gossip_driver_each_record(const struct gossip_driver *d, const char *name,
                               gossip_record_fn *each, void *data);
/* As gossip_forgets(), at this moment. */
bool gossip_driver_forgets(const struct gossip_driver *d, const char *name,
                           struct gossip_forgetting *out);
/* As gossip_coordinate(). */
bool gossip_driver_coordinate(const struct gossip_driver *d, const char *name,
                              struct coordinate *out);

struct gossip_stats {
    size_t members, alive, failed, left;
    unsigned health_score;
    uint64_t core_queue, intent_queue, event_queue, query_queue;
    size_t suspects;
    uint64_t sync_sent_bytes, sync_taken_bytes; /* of the last exchange of states */
    uint64_t kept_lines;                        /* written of the file of members */
    uint64_t member_time, event_time, query_time;
    uint64_t packets_in, packets_out, packets_dropped;
    uint64_t kernel_drops;        /* datagrams that the receive buffer had no room for */
    uint64_t kernel_drops_age_ms; /* since the last of them; UINT64_MAX: there was none */
    uint64_t incarnation;
    uint64_t coordinate_resets;
    size_t clear; /* others that sent in clear within ten minutes, where keys are set (12.6) */
};
void gossip_driver_each_accuser(const struct gossip_driver *d, gossip_accuser_fn *each, void *data);
void gossip_driver_counters(const struct gossip_driver *d, uint64_t out[GOSSIP_COUNTERS_COUNT]);
/* Borrowed until the loop's next turn. */
const struct mu_sample *gossip_driver_sample(const struct gossip_driver *d,
                                             enum gossip_sample which);
struct gossip_stats gossip_driver_stats(const struct gossip_driver *d);
/* A line of the log, Serf's, for each queue that is longer than 128 words. */
void gossip_driver_warn_of_depths(const struct gossip_driver *d);

#endif
