/* bootstrap_record.h - sets, for bootstrap.c and its record; private to consensus/. */
#ifndef CONSENSUS_BOOTSTRAP_RECORD_H
#define CONSENSUS_BOOTSTRAP_RECORD_H

#include "consensus/bootstrap.h"

/* One to nine servers, by id ascending, each with a disk. */
bool consensus__bootstrap_set_is_sane(const struct consensus_bootstrap_set *set);

#endif
