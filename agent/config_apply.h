/* config_apply.h - one walk over one source's tree, shared by the files that carry it out. */
#ifndef AGENT_CONFIG_APPLY_H
#define AGENT_CONFIG_APPLY_H

#include "base/buf.h"
#include "config_source.h"
#include "config_table.h"

/* Long enough for the deepest known key with its index; longer ones cannot be known. */
#define CONFIG_KEY_BYTES_MAX 256

struct config_apply {
    struct config_draft *d;
    const struct config_file *file;
    struct config_path path;
    char key[CONFIG_KEY_BYTES_MAX]; /* the path, dotted, as messages show it */
    struct mu_buf unknown;          /* one "\t* ...\n" each */
    unsigned unknown_count;
};

/* Where the path was, to come back to it. */
struct config_mark {
    size_t count, bytes;
};

/* -- config_apply.c ---------------------------------------------------------------------------- */

/* Go one name deeper; false: deeper than anything known. */
bool config__enter(struct config_apply *a, const char *name);
/* The element of a list that the last step leads to; it shows as "services[1]". */
void config__enter_element(struct config_apply *a, size_t index, bool is_shown);
struct config_mark config__mark_of(const struct config_apply *a);
void config__back_to(struct config_apply *a, struct config_mark m);
/* "'ports' expected a map, got 'string'" */
enum mu_code config__no_map(const struct config_apply *a, const struct mu_json *v,
                            struct mu_err *err);

/* -- config_definition.c ----------------------------------------------------------------------- */

MU_MUST_CHECK enum mu_code config__apply_definitions(struct config_apply *a,
                                                     const struct config_item *item,
                                                     const struct mu_json *v, struct mu_err *err);

/* -- config_watch.c -----------------------------------------------------------------------------
 */

MU_MUST_CHECK enum mu_code config__apply_watches(struct config_apply *a,
                                                 const struct config_item *item,
                                                 const struct mu_json *v, struct mu_err *err);

/* -- config_unknown.c -------------------------------------------------------------------------- */

/* The path at hand leads nowhere; `nearest` is what was probably meant, or NULL. */
void config__note_unknown(struct config_apply *a, const char *nearest);
/* The nearest known key or group, written to `out`; NULL: nothing is near. */
const char *config__nearest_key(const char *key, char out[CONFIG_KEY_BYTES_MAX]);
const char *config__nearest_field(const struct mu_json_shape *shape, const char *name);
/* MU_OK when none was noted. */
MU_MUST_CHECK enum mu_code config__refuse_unknown(const struct config_apply *a, struct mu_err *err);

#endif
