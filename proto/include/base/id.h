/* id.h - 128-bit ids in the text layout 8-4-4-4-12 (RFC 4122 form; version bits not required). */
#ifndef MU_BASE_ID_H
#define MU_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"
#include "base/span.h"

#define MU_ID_TEXT_BYTES 36

struct mu_id {
    uint8_t b[16];
};

#define MU_ID_NONE ((struct mu_id){ { 0 } })

bool mu_id_parse(struct mu_span text, struct mu_id *out); /* either case, dashes needed */
void mu_id_text(const struct mu_id *id, char out[MU_ID_TEXT_BYTES + 1]); /* lower case */
bool mu_id_eq(const struct mu_id *a, const struct mu_id *b);
bool mu_id_is_none(const struct mu_id *id);
struct mu_id mu_id_random(void);             /* from the system */
struct mu_id mu_id_drawn(struct mu_rand *r); /* from a seeded generator */

#endif
