/* limits.h - every bound of the product by name, with its reason and what happens when it is met.
 *
 * Sizes that come from outside are compared with one of these before anything is allocated.
 */
#ifndef MU_BASE_LIMITS_H
#define MU_BASE_LIMITS_H

/* -- names (DESIGN section 6) ------------------------------------------------------------------ */
#define MU_NODE_NAME_MAX 128 /* bytes; longer is refused at start, and in packets */
#define MU_NAME_MAX      255 /* services, ids, checks, addresses: refused with the API's 400 */

/* -- commands, the log ------------------------------------------------------------------------- */
/* A command is one log entry; a log batch, a frame and a stream window each hold at least one.
 * Refused with 413 before consensus sees it. */
#define MU_COMMAND_BYTES_MAX (2U * 1024 * 1024)
/* Tags, pairs, addresses or checks in one command: what decoding may allocate. The API's 400. */
#define MU_COMMAND_LIST_MAX  4096
#define MU_BODY_BYTES_MAX    (2U * 1024 * 1024) /* HTTP bodies without a smaller limit: 413 */
#define MU_KV_VALUE_DEFAULT  (512U * 1024)      /* limits.kv_max_value_size: Consul's; 413 */
#define MU_KV_VALUE_MAX      (1536U * 1024)     /* what that setting may be: fits a command */
#define MU_TXN_BYTES_DEFAULT (512 * 1024)       /* limits.txn_max_req_len: Consul's; 413 */
#define MU_TXN_OPS_MAX       64                 /* operations of a transaction: Consul's; 413 */
/* Tags, pairs and addresses of all operations of a transaction together: what decoding may
 * allocate. Refused as one list that is too long. */
#define MU_TXN_ITEMS_MAX    (64 * 1024)
#define MU_COORDINATES_MAX  640  /* in one entry: Consul's, five batches of 128 each five seconds */
#define MU_COMPACT_ROWS_MAX 1024 /* rows in one step: some milliseconds of applying */
#define MU_KV_KEY_MAX       4096 /* bytes; Consul has no limit, a request head has */

/* -- restoring a state (catalog/restore.c) ----------------------------------------------------- */
#define MU_STAGE_BYTES_MAX    (1024U * 1024)  /* of a stream in one command: refused */
#define MU_RESTORE_BYTES_MAX  077777777777ULL /* of a stream: as a member of a tar file */
#define MU_RESTORE_HASH_BYTES 32

/* -- HTTP -------------------------------------------------------------------------------------- */
#define MU_HTTP_HEAD_MAX        (64U * 1024) /* request line and headers: 431 */
#define MU_HTTP_HEADERS_MAX     128          /* count: 431 */
#define MU_HTTP_CONNECTIONS_MAX 16384        /* all listeners together: the newest is closed */
#define MU_HTTP_PER_CLIENT      200          /* limits.http_max_conns_per_client: Consul's */
#define MU_HTTP_PIPELINE_MAX    64           /* requests in flight on one HTTP/1.1 connection */
#define MU_HTTP_TURN_BYTES      (8U * 1024 * 1024) /* of answers made before they are sent: paced */
#define MU_H2_STREAMS_MAX       256   /* concurrent streams a peer may open: REFUSED_STREAM */
#define MU_BLOCKING_MAX         65536 /* reads parked on watches: 429 */

/* -- RPC between agents ------------------------------------------------------------------------ */
/* A message: a command, or an HTTP answer of many instances, with its envelope. The connection is
 * closed on a larger one. */
#define MU_RPC_MESSAGE_MAX     (8U * 1024 * 1024)
#define MU_RPC_FAULT_LINES     8    /* a minute about strangers, each thing once */
#define MU_RPC_CONNECTIONS_MAX 8192 /* incoming; the newest is closed */
#define MU_RPC_FORWARDS_MAX    4096 /* requests in flight from one client agent: 429 */

/* -- consensus (spec/consensus.md 1.11, 1.12) -------------------------------------------------- */
#define MU_PROPOSALS_MAX       16384               /* uncommitted: 429 */
#define MU_UNCOMMITTED_MAX     (32U * 1024 * 1024) /* bytes: 429 */
#define MU_ENTRY_POOL_MAX      (64U * 1024 * 1024) /* tail cache; older entries come from disk */
#define MU_APPLY_BATCH_ENTRIES 256 /* one SQLite transaction: the measured optimum */
#define MU_APPLY_BATCH_BYTES   (1024U * 1024)
/* Handed to the apply thread, which has copies of them; the rest waits in the pool or on disk. */
#define MU_APPLY_AHEAD_BYTES (4U * MU_APPLY_BATCH_BYTES)
#define MU_APPLY_QUEUE_MAX   5000           /* committed, not applied: 429 */
#define MU_LOG_BATCH_BYTES   (1024U * 1024) /* one flush: past the knee of the curve */

/* -- memory under load ------------------------------------------------------------------------- */
/* What grows with what clients ask for, in bytes, each bounded by itself. agent/memory.c lists it
 * and counts; a server has all of them. */
#define MU_HTTP_BODIES_MAX   (32U * 1024 * 1024) /* of requests being read or served: 429 */
#define MU_HTTP_HELD_MAX     (32U * 1024 * 1024) /* answers not taken yet: see web/held.h */
#define MU_HTTP_HELD_RESERVE (4U * 1024 * 1024)  /* beyond that, for small ones */
#define MU_RPC_HELD_MAX      (16U * 1024 * 1024) /* answers to other agents, not sent yet: refused */
#define MU_RPC_BULK_MAX      (8U * 1024 * 1024) /* entries for each server, not sent yet: dropped */
#define MU_APPLY_HELD_MAX    (3U * MU_APPLY_AHEAD_BYTES) /* copies for the apply thread: it waits */
#define MU_STATE_CACHE_BYTES (16U * 1024 * 1024)  /* SQLite's pages, of each connection: evicted */
#define MU_SERVER_BYTES_MAX  (256U * 1024 * 1024) /* all together: spec/consensus.md 1.12 */

/* -- DNS (spec/dns.md 22) ---------------------------------------------------------------------- */
#define MU_DNS_UDP_QUERY_MAX 4096  /* larger datagrams are dropped */
#define MU_DNS_TCP_MAX       65535 /* a message over TCP */
#define MU_DNS_TCP_CONNS     4096  /* the longest idle is closed */
#define MU_DNS_WAITS_MAX     4096  /* queries that wait for a server or leader: SERVFAIL */
#define MU_DNS_ERRORS_MAX    1000  /* error replies a second to other hosts; the rest is dropped */

/* -- gossip (spec/gossip.md 2.2) --------------------------------------------------------------- */
#define MU_GOSSIP_PACKET_MAX  1400                /* bytes of a datagram we send */
#define MU_GOSSIP_PACKET_MIN  1024                /* settable down to: all of a member fits */
#define MU_GOSSIP_RECEIVE_MAX 4096                /* larger ones are dropped unread */
#define MU_GOSSIP_META_MAX    512                 /* encoded tags */
#define MU_GOSSIP_MEMBERS_MAX (1U << 20)          /* in one exchange */
#define MU_GOSSIP_STREAM_MAX  (20U * 1024 * 1024) /* bytes of one exchange */
#define MU_GOSSIP_INBOUND_MAX 128                 /* concurrent streams: "busy, retry after" */

/* -- the agent --------------------------------------------------------------------------------- */
#define MU_LOCAL_SERVICES_MAX 8192 /* registered with one agent: 429 */
#define MU_LOCAL_CHECKS_MAX   16384
#define MU_CHECK_OUTPUT_MAX   4096 /* bytes kept of a check's output: Consul's default */
#define MU_EVENTS_MAX         256  /* kept for GET /v1/event/list: Consul's; the oldest goes */
#define MU_CONFIG_BYTES_MAX   (4U * 1024 * 1024) /* one configuration file */
#define MU_META_PAIRS_MAX     64                 /* node and service metadata: Consul's limits */
#define MU_META_KEY_MAX       128
#define MU_META_VALUE_MAX     512

_Static_assert(MU_KV_VALUE_MAX + MU_KV_KEY_MAX + 4096 < MU_COMMAND_BYTES_MAX,
               "a command holds the largest value, its key and its envelope");
_Static_assert(2 * MU_HTTP_BODIES_MAX + MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE +
                       MU_ENTRY_POOL_MAX + MU_RPC_HELD_MAX + 4 * MU_RPC_BULK_MAX +
                       MU_APPLY_HELD_MAX + 2 * MU_STATE_CACHE_BYTES <=
                   MU_SERVER_BYTES_MAX,
               "the parts make no more than the whole");
_Static_assert(MU_STAGE_BYTES_MAX + 4096 < MU_COMMAND_BYTES_MAX, "a command holds a part");
_Static_assert(MU_COMMAND_BYTES_MAX + 65536 < MU_RPC_MESSAGE_MAX,
               "a forwarded command fits a message");
_Static_assert(MU_GOSSIP_PACKET_MAX <= MU_GOSSIP_RECEIVE_MAX, "we read what we send");

#endif
