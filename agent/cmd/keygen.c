/* muster keygen: a key for `encrypt`. */
#include <sodium.h>

#include "commands.h"
#include "gossip/keyring.h"

int cmd_keygen(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct gossip_key key = { .count = GOSSIP_KEY_BYTES_MAX };
    char text[GOSSIP_KEY_TEXT_MAX];

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    randombytes_buf(key.bytes, sizeof key.bytes);
    gossip_key_text(&key, text);
    (void)fprintf(cli->out, "%s\n", text);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(text, sizeof text);
    return 0;
}
