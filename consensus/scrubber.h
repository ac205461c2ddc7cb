/* scrubber.h - scrub.h on any disk: for simulators and tests. */
#ifndef CONSENSUS_SCRUBBER_H
#define CONSENSUS_SCRUBBER_H

#include "consensus/scrub.h"
#include "disk.h"

/* MU_OK, MU_CANCELLED or MU_READ_ONLY. */
MU_MUST_CHECK enum mu_code consensus__scrub(const struct consensus_disk *disk,
                                            const struct consensus_survey *survey, uint64_t behind,
                                            consensus_scrub_pace_fn *pace, void *data,
                                            struct consensus_scrubbed *out, struct mu_err *err);

#endif
