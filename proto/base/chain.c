#include "base/chain.h"

#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define PIECE_MIN 512U         /* of room: a few small additions share one */
#define PIECE_MAX (64U * 1024) /* so that a long chain gives back as it is read */

struct mu_chain_piece {
    struct mu_chain_piece *next;
    size_t from, to, room; /* data[from..to) waits */
    uint8_t data[];
};

void mu_chain_deinit(struct mu_chain *c)
{
    while (c->first != NULL) {
        struct mu_chain_piece *p = c->first;

        c->first = p->next;
        mu_free(p);
    }
    *c = MU_CHAIN_NONE;
}

static void piece_append(struct mu_chain *c, size_t bytes)
{
    size_t most = bytes < PIECE_MAX ? bytes : PIECE_MAX;
    size_t room = most > PIECE_MIN ? most : PIECE_MIN;
    struct mu_chain_piece *p = mu_grow(NULL, sizeof *p + room); /* not zeroed: it is written now */

    *p = (struct mu_chain_piece){ .room = room };
    if (c->last != NULL) {
        c->last->next = p;
    } else {
        c->first = p;
    }
    c->last = p;
}

void mu_chain_add(struct mu_chain *c, struct mu_span bytes)
{
    size_t done = 0;

    while (done < bytes.bytes) {
        size_t left = bytes.bytes - done;

        if (c->last == NULL || c->last->to == c->last->room) {
            piece_append(c, left);
        }
        struct mu_chain_piece *p = c->last;
        size_t part = left < p->room - p->to ? left : p->room - p->to;

        memcpy(p->data + p->to, bytes.data + done, part);
        p->to += part;
        done += part;
    }
    c->bytes += bytes.bytes;
}

size_t mu_chain_take(struct mu_chain *c, void *to, size_t bytes_max)
{
    size_t done = 0;

    while (done < bytes_max && c->first != NULL) {
        struct mu_chain_piece *p = c->first;
        size_t part = bytes_max - done < p->to - p->from ? bytes_max - done : p->to - p->from;

        memcpy((uint8_t *)to + done, p->data + p->from, part);
        p->from += part;
        done += part;
        if (p->from == p->to) {
            c->first = p->next;
            c->last = p->next == NULL ? NULL : c->last;
            mu_free(p);
        }
    }
    MU_ASSERT(done <= c->bytes);
    c->bytes -= done;
    return done;
}
