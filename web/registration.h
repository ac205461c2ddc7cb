/* registration.h - services and checks as the bodies of registrations and transactions spell them
 * (http-api 2.3, 2.4, 4).
 *
 * Members that only newer clients send are known and ignored, so that these clients are not refused
 * for them.
 *
 * Memory:  what is read lies in the request's arena, but for views of JSON, which die with its
 * tree. Errors:  MU_INVALID, in the API's words.
 */
#ifndef WEB_REGISTRATION_H
#define WEB_REGISTRATION_H

#include "proto/command.h"
#include "request.h"

struct register_service {
    struct mu_span id, name, kind, address;
    struct mu_texts tags;
    struct mu_objects tagged; /* struct register_tagged */
    struct mu_pairs meta;
    int64_t port, weight_passing, weight_warning;
    bool enable_tag_override;
    const struct mu_json *proxy, *connect;
    uint64_t modify_index;
    uint64_t given;
};

struct register_check {
    struct mu_span node, id, name, status, notes, output, service_id, type;
    const struct mu_json *definition;
    uint64_t modify_index;
};

extern const struct mu_json_shape registration_service_shape, registration_check_shape;

/* In one order, so that the same registration twice is no change. */
struct mu_pairs registration_pairs(struct mu_pairs pairs);

MU_MUST_CHECK enum mu_code registration_service_read(struct request *r,
                                                     const struct register_service *given,
                                                     struct command_service *s, struct mu_err *err);
/* The node that it names is the caller's to judge. Can only fail for its definition. */
MU_MUST_CHECK enum mu_code registration_check_read(struct request *r,
                                                   const struct register_check *given,
                                                   struct command_check *c, struct mu_err *err);

#endif
