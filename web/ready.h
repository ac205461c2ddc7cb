/* ready.h - answers that are rendered once per change instead of once per request.
 *
 * An answer that lists instances, nodes, services or checks depends on the catalog and on a few
 * parameters only. Its bytes are kept in the catalog's cache under a key of both, with the topics
 * that drop it; until then every request that asks the same gets the same bytes.
 */
#ifndef WEB_READY_H
#define WEB_READY_H

#include "front.h"

/* What a row of the cache is: which rendering, over which rows. */
struct ready_kind {
    char key;      /* distinct per rendering */
    bool is_named; /* r->argument is a name of the catalog and part of the key */
    /* Render the rows into `o`, say their index and whether there were any. */
    enum mu_code (*render)(struct request *r, const struct agent_view *view, struct mu_json_out *o,
                           uint64_t *index, bool *is_empty, struct mu_err *err);
    /* What the answer changes with: the kinds of topics, of the name where they take one. An empty
     * answer may depend on more (the index of the last extinction). */
    struct {
        enum catalog_topic_kind kind;
        bool only_empty;
    } topics[CATALOG_WAIT_TOPICS_MAX];
    size_t topics_count;
};

/* Inside an evaluation: the answer from the cache, or rendered and kept. */
MU_MUST_CHECK enum mu_code ready_evaluate(struct request *r, const struct agent_view *view,
                                          const struct ready_kind *kind, struct mu_err *err);

#endif
