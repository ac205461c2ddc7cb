/* play.h - one transcript: its world, its names for contents, and its commands. */
#ifndef SIM_CONSENSUS_PLAY_H
#define SIM_CONSENSUS_PLAY_H

#include "script.h"
#include "world.h"

enum { LABELS_MAX = 256, LABEL_BYTES = 16 };

struct play {
    struct sim_world *w;
    struct mu_buf *out;
    char labels[LABELS_MAX][LABEL_BYTES]; /* content 1.. */
    size_t labels_count;
    uint64_t disk_ms; /* that a write takes */
};

/* Words: the i-th as a server (NULL: none of that name), a label as content and back, "3/2" as
 * index and term, "2:x,2:-" as entries. */
struct sim_node *play_node(struct play *p, const struct script_command *c, size_t i);
uint64_t play_content(struct play *p, const char *label);
const char *play_label(const struct play *p, uint64_t content);
void play_line(void *data, const char *line); /* what the world says becomes output */
void play_pair(const char *text, uint64_t *index, uint64_t *term);
size_t play_entries(struct play *p, const char *text, struct sim_entry *out, size_t count_max);

/* -- play_net.c: links, what waits, what nobody sent --------------------------------------- */

bool play_cut(struct play *p, const struct script_command *c);
bool play_heal(struct play *p, const struct script_command *c);
bool play_held(struct play *p, const struct script_command *c);
bool play_messages(struct play *p, const struct script_command *c);
bool play_hold(struct play *p, const struct script_command *c);
bool play_release(struct play *p, const struct script_command *c);
bool play_persist(struct play *p, const struct script_command *c);
bool play_apply(struct play *p, const struct script_command *c);
bool play_orders(struct play *p, const struct script_command *c);
bool play_order(struct play *p, const struct script_command *c);
bool play_inject(struct play *p, const struct script_command *c);

/* -- play_look.c: what can be seen --------------------------------------------------------- */

bool play_show(struct play *p, const struct script_command *c);
bool play_status(struct play *p, const struct script_command *c);
bool play_heard(struct play *p, const struct script_command *c);
bool play_log(struct play *p, const struct script_command *c);
bool play_peers(struct play *p, const struct script_command *c);
bool play_config(struct play *p, const struct script_command *c);
bool play_set(struct play *p, const struct script_command *c);

#endif
