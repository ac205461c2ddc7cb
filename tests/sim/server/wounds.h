/* wounds.h - between wounds.c, which says when, and scars.c, which knows what lies where. */
#ifndef SIM_SERVER_WOUNDS_H
#define SIM_SERVER_WOUNDS_H

#include "world.h"

struct spot { /* an intact batch */
    const char *file;
    uint64_t seq;
    size_t offset, bytes; /* with its head, without padding */
};

struct map {
    struct spot *spots;
    size_t count;
    struct spot last; /* the newest of all */
    uint64_t durable; /* as meta says */
    bool has_meta, is_clean;
};

/* Of its log, as the platter has it; mu_free() the spots. Names are the disk's. */
struct map map_of(const struct server *s);
/* One that was proven; NULL: there is none. The state may not have what late ones hold. */
const struct spot *map_proven(struct world *w, const struct map *m);
void spot_say(const struct server *s, const struct map *m, const struct spot *spot,
              const char *what);
/* False: there is nothing that could be. */
bool scar_batches(struct server *s, const struct map *m);
/* A batch that was wrong before it was sealed. */
bool scar_forged(struct server *s, const struct map *m);
bool scar_head(struct server *s, const struct map *m);
bool scar_meta(struct server *s, const struct map *m);

#endif
