/* body.h - request bodies that are JSON: parsed, decoded by a table, refused in the API's words
 * (http-api 1.13).
 */
#ifndef WEB_BODY_H
#define WEB_BODY_H

#include "request.h"

/* The tree of the body, for decoders that want one; mu_json_free() ends it. False: answered with
 * 400 "Request decode failed: ...". */
MU_MUST_CHECK bool body_parse(struct request *r, struct mu_json **root);
/* Decode the body into `to` (zeroed). Views of AS_VALUE fields die with the tree: pass `root` to
 * keep it, NULL to end it here. False: answered. */
MU_MUST_CHECK bool body_decode(struct request *r, const struct mu_json_shape *shape, void *to,
                               struct mu_json **root);
/* Answer 400 "Request decode failed: <err>". */
void body_refuse(struct request *r, const struct mu_err *err);

#endif
