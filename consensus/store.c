/* store.c - what both stores hand out. */
#include "consensus/store.h"

#include "base/mem.h"

void consensus_opened_deinit(struct consensus_opened *o)
{
    mu_free(o->runs);
    mu_free(o->configs);
    mu_buf_deinit(&o->record);
    *o = (struct consensus_opened){ .record = MU_BUF_NONE };
}

void consensus_fetched_deinit(struct consensus_fetched *f)
{
    mu_buf_deinit(&f->records);
}
