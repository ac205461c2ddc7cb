/* strange.h - frames that no muster sends. */
#ifndef SIM_SERVER_STRANGE_H
#define SIM_SERVER_STRANGE_H

#include "base/buf.h"
#include "base/rand.h"
#include "base/span.h"

/* Made of one that was sent: whoever gets it must refuse it. Appended to `to`. */
/* The same, with what was thought of later. */
void strange_frame_more(struct mu_span frame, struct mu_rand *r, struct mu_buf *to);
void strange_frame(struct mu_span frame, struct mu_rand *r, struct mu_buf *to);

#endif
