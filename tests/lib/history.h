/* history.h - histories of clients in files, one event a line.
 *
 *   # comment
 *   call 17 1200345 cas color value=v17 expected=v3
 *   done 17 1201999 index=55
 *   call 18 1202001 get color stale
 *   done 18 1202300 value=v17 session=s2 modified=55
 *   call 19 1202400 acquire color value=v19 session=s3
 *   refused 19 1202500
 *   call 20 1202600 put color value=v20
 *   unknown 20 1299999
 *   drop 21
 *
 * That is: event, number of the operation, time; a call goes on with kind (linear.h) and key. Names
 * are any words. A call is written before its request is sent: one without a second line is
 * unknown. `drop` takes one back that certainly had no effect. A get that saw no key has no value.
 *
 * Memory:  the text is borrowed; the history gets its own names. At most HISTORY_OPS_MAX
 *          operations and HISTORY_BYTES_MAX bytes.
 * Errors:  MU_INVALID names the line; MU_TOO_BIG. The history is empty then.
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include "base/err.h"
#include "base/span.h"
#include "linear.h"

#define HISTORY_OPS_MAX   4000000U
#define HISTORY_BYTES_MAX (1024U * 1024 * 1024)

MU_MUST_CHECK enum mu_code history_parse(struct linear_history *h, struct mu_span text,
                                         struct mu_err *err);

#endif
