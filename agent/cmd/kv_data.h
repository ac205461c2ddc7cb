/* kv_data.h - values as people give them on a command line. */
#ifndef AGENT_CMD_KV_DATA_H
#define AGENT_CMD_KV_DATA_H

#include "cli.h"

/* DATA is text, @file, or - for standard input; a longer word that begins with - is text.
 * MU_TOO_BIG beyond `max` bytes. */
MU_MUST_CHECK enum mu_code kv_data_read(struct cli *cli, const char *data, size_t max,
                                        struct mu_buf *to, struct mu_err *err);
/* Append what base64 stands for; line ends in it are ignored. MU_INVALID: it is none. */
MU_MUST_CHECK enum mu_code kv_data_decode(struct mu_span text, struct mu_buf *to,
                                          struct mu_err *err);

#endif
