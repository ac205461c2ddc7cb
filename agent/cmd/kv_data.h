/* kv_data.h - keys and values as the command line gives and takes them. */
#ifndef AGENT_CMD_KV_DATA_H
#define AGENT_CMD_KV_DATA_H

#include "cli.h"

/* What an export holds of a key; the same fields stand in /v1/kv/. */
struct kv_pair {
    struct mu_span key, value; /* value: base64 */
    uint64_t flags;
};
extern const struct mu_json_shape kv_pair_shape;

/* DATA is text, @file, or - for standard input; a longer word that begins with - is text.
 * MU_TOO_BIG beyond `max` bytes. */
MU_MUST_CHECK enum mu_code kv_data_read(struct cli *cli, const char *data, size_t max,
                                        struct mu_buf *to, struct mu_err *err);
/* Append what base64 stands for; line ends in it are ignored. MU_INVALID: it is none. */
MU_MUST_CHECK enum mu_code kv_data_decode(struct mu_span text, struct mu_buf *to,
                                          struct mu_err *err);

#endif
