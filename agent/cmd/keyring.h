/* keyring.h - what commands about gossip keys share (keyring.c). */
#ifndef AGENT_CMD_KEYRING_H
#define AGENT_CMD_KEYRING_H

#include "cli.h"

#define KEYRING_PATH "/v1/operator/keyring"

/* One pool of members in the answer to GET: how many of its living `nodes` have each key. */
struct keyring_pool {
    bool is_wan;
    struct mu_span datacenter, segment;
    const struct mu_json *keys, *primary_keys; /* {"key": members} */
    uint64_t nodes;
};

extern const struct mu_json_shape keyring_pool_shape;

/* Ask for a change: POST installs, PUT uses, DELETE removes. Initializes *c, which the caller ends.
 * `relay_factor`: 0 for none. True: all living members did it. */
bool keyring_change(struct cli *cli, struct cli_call *c, const char *method, const char *key,
                    uint64_t relay_factor);

/* What to say of a call that failed: its error, or, when no member has keys, how there come to be
 * some. */
const char *keyring_error(const struct cli_call *c);

#endif
