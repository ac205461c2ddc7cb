#include "dns_clients.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"

struct dns_clients {
    struct mu_table *counts; /* address -> size_t of its own; none is zero */
};

struct dns_clients *dns_clients_new(void)
{
    struct dns_clients *c = mu_new(sizeof *c);

    c->counts = mu_table_new();
    return c;
}

void dns_clients_free(struct dns_clients *c)
{
    MU_ASSERT(mu_table_count(c->counts) == 0);
    mu_table_free(c->counts);
    mu_free(c);
}

size_t dns_clients_add(struct dns_clients *c, const struct mu_addr *address)
{
    struct mu_span key = mu_span_of(address->ip, address->ip_bytes);
    size_t *count = mu_table_find(c->counts, key);

    if (count == NULL) {
        count = mu_new(sizeof *count);
        (void)mu_table_put(c->counts, key, count);
    }
    return ++*count;
}

size_t dns_clients_remove(struct dns_clients *c, const struct mu_addr *address)
{
    struct mu_span key = mu_span_of(address->ip, address->ip_bytes);
    size_t *count = mu_table_find(c->counts, key);

    MU_ASSERT(count != NULL);
    size_t left = --*count;

    if (left == 0) {
        (void)mu_table_remove(c->counts, key);
        mu_free(count);
    }
    return left;
}
