/* list.h - intrusive doubly linked list: the link lives inside the element.
 *
 * A head that was initialised is an empty ring. An element is in at most one list per link; a
 * zeroed or removed link is in none. No allocation.
 */
#ifndef MU_BASE_LIST_H
#define MU_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct mu_link {
    struct mu_link *next, *prev;
};

static inline void mu_list_init(struct mu_link *head)
{
    head->next = head->prev = head;
}

static inline bool mu_list_empty(const struct mu_link *head)
{
    return head->next == head;
}

static inline bool mu_list_linked(const struct mu_link *link)
{
    return link->next != NULL;
}

static inline void mu_list_insert(struct mu_link *before, struct mu_link *link)
{
    MU_ASSERT(link->next == NULL);
    link->prev = before->prev;
    link->next = before;
    before->prev->next = link;
    before->prev = link;
}

static inline void mu_list_push_back(struct mu_link *head, struct mu_link *link)
{
    mu_list_insert(head, link);
}

static inline void mu_list_push_front(struct mu_link *head, struct mu_link *link)
{
    mu_list_insert(head->next, link);
}

/* A link that is in no list is left alone. */
static inline void mu_list_remove(struct mu_link *link)
{
    if (link->next == NULL) {
        return;
    }
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

static inline struct mu_link *mu_list_pop_front(struct mu_link *head)
{
    struct mu_link *first = head->next;

    if (first == head) {
        return NULL;
    }
    mu_list_remove(first);
    return first;
}

#define MU_LIST_EACH(link, head) \
    for (struct mu_link *link = (head)->next; link != (head); link = link->next)

/* The same where the body may remove `link` (and only that one). */
#define MU_LIST_EACH_SAFE(link, head)                                                    \
    for (struct mu_link *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

#endif
