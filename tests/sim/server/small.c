/* small.c - one story told on purpose: little disks, and writes that never pause (--small 1).
 *
 * One server after the other is away until it needs a snapshot. When all live on a state that was
 * installed, their file systems prove to be of a few megabytes, and clients write on, over the same
 * few keys, while states and logs are read again now and then. What there is to keep stays small,
 * so nobody may find such a disk full and nobody's write may be refused for it. That takes a WAL
 * which keeps to its share, whoever reads meanwhile: until it is written back nothing of the log
 * can go either (spec/consensus.md 2.15, 3.4).
 */
#include "base/assert.h"
#include "world.h"

#define DISK_BYTES (8U * 1024 * 1024)
#define WAL_SHARE  64U         /* of it: agent/state.c */
#define HOME_US    (1500 * MS) /* time to take one */
#define PIN_US     SECOND      /* what was kept for who came back may go */
#define LOOK_US    (20 * MS)
#define INSTALL_S  60 /* all must have installed one by then, or this is another story */
#define WRITE_S    5  /* and so long it goes on */

void small_shape(struct world *w)
{
    w->servers_count = 3;
    w->clients_count = CLIENTS_MAX / 2;
    w->keys_count = 4;
    w->think_us = 10 * MS;
    w->delay_us = MS;
    w->is_pressing = true;
    w->leases = LEASES_NONE;
    w->segment_bytes = CONSENSUS_SEGMENT_BYTES_MIN;
    w->chunk_bytes = 0;
    w->trailing = 4;
    w->ballast_bytes = 256 * 1024;
    w->wal_bytes = DISK_BYTES / WAL_SHARE;
    w->until = (INSTALL_S + WRITE_S) * SECOND;
}

/* Who lives on its first state still; NULL: nobody. */
static struct server *next_to_install(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        if (w->servers[i].generation <= 1) {
            return &w->servers[i];
        }
    }
    return NULL;
}

static void on_small(void *data);

static void send_away(struct world *w, struct server *s)
{
    if (w->now > INSTALL_S * SECOND) {
        world_fail(w, "%s: needs no snapshot, however long it is away", s->name);
    }
    if (server_is_up(s) && w->now >= w->small.back_us + HOME_US) {
        uint64_t us = ++w->small.away * SECOND; /* it may have been too short */

        w->small.back_us = w->now + us;
        server_crash(s, false, us);
    }
}

static void must_have_room(struct server *s)
{
    uint64_t room = disk_room(s->disk);

    if (!server_is_up(s) || s->node.health != CONSENSUS_STORE_OK || room < DISK_BYTES / 8) {
        world_fail(s->world,
                   "%s: its disk of %u bytes is full, for a state of a few keys: %llu left",
                   s->name, DISK_BYTES, U(room));
    }
}

static void on_small(void *data)
{
    struct world *w = data;
    struct server *next = next_to_install(w);
    uint64_t again = w->now + LOOK_US;

    if (next != NULL) {
        send_away(w, next);
    } else if (w->small.full_us == 0) {
        again = w->small.full_us = w->now + PIN_US;
        w->until = again + WRITE_S * SECOND;
    } else {
        for (size_t i = 0; i < w->servers_count; i++) {
            disk_quota(w->servers[i].disk, DISK_BYTES);
            must_have_room(&w->servers[i]);
        }
    }
    event_set(w, &w->small.look, again, on_small, w);
}

void small_begin(struct world *w)
{
    event_set(w, &w->small.look, 2 * SECOND, on_small, w);
}

void small_end(struct world *w)
{
    event_cancel(w, &w->small.look);
}
