/* survey.h - one question to all living members, by a query, until all have answered or its time
 * is over.
 *
 *   survey_open -> survey_ask -> answer, answer, ... -> end -> survey_close
 *
 * Whoever asks keeps the survey inside of what he collects. `end` is called exactly once, never
 * from inside survey_ask(), and also when the agent stops.
 *
 * Thread:  the loop's.
 * Memory:  names and what is made of answers live in the survey's arena, until survey_close().
 */
#ifndef AGENT_SURVEY_H
#define AGENT_SURVEY_H

#include "base/arena.h"
#include "base/list.h"
#include "base/table.h"
#include "core.h"

struct survey;

struct survey_kind {
    const char *query;    /* its name */
    const char *too_many; /* said when too many of this kind are under way */
    bool is_self_asked;   /* this agent is waited for too, and not only the others */
    /* NULL, or told of each known member before the question. */
    void (*member)(struct survey *s, const struct gossip_view *m);
    void (*answer)(struct survey *s, const char *seer, struct mu_span payload); /* once for each */
    void (*end)(struct survey *s, enum mu_code code); /* closes it; why: s->err */
};

struct survey {
    const struct survey_kind *kind;
    struct mu_link place; /* in the agent's list */
    struct agent *agent;
    struct mu_arena arena;
    struct mu_table *waiting; /* who has not answered: names, in the arena */
    struct mu_err err;
    uint64_t query;     /* 0: none is running */
    struct timer timer; /* for an end without a query */
};

void survey_open(struct survey *s, struct agent *a, const struct survey_kind *kind);
void survey_close(struct survey *s);
/* With an error in s->err nobody is asked, and the survey ends with it; without anybody to ask it
 * ends too. `timeout_ms` 0: what gossip finds right for the number of members. */
void survey_ask(struct survey *s, struct mu_span payload, uint64_t timeout_ms);

#endif
