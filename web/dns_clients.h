/* dns_clients.h - how many TCP connections each address has. */
#ifndef WEB_DNS_CLIENTS_H
#define WEB_DNS_CLIENTS_H

#include <stddef.h>

#include "base/addr.h"

struct dns_clients; /* opaque */

struct dns_clients *dns_clients_new(void);
void dns_clients_free(struct dns_clients *c); /* all were removed */
/* One more, one less; the port does not matter. Returns how many there are now. */
size_t dns_clients_add(struct dns_clients *c, const struct mu_addr *address);
size_t dns_clients_remove(struct dns_clients *c, const struct mu_addr *address);

#endif
