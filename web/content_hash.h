/* content_hash.h - the ContentHash of an agent's service (http-api 2.5).
 *
 * Clients compare it for equality, Go's own tests with literal values: so it is the reference's
 * hash of its Go struct, computed field by field.
 */
#ifndef WEB_CONTENT_HASH_H
#define WEB_CONTENT_HASH_H

#include "agent/definition.h"

#define CONTENT_HASH_TEXT_MAX 17 /* 16 hex digits without leading zeros, and the NUL */

void content_hash(const struct service_definition *d, char out[CONTENT_HASH_TEXT_MAX]);

#endif
