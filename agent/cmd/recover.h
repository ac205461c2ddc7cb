/* recover.h - muster recover without a data directory: asks a running agent. */
#ifndef AGENT_CMD_RECOVER_H
#define AGENT_CMD_RECOVER_H

#include "cli.h"

struct recover_live {
    const char *server; /* NULL: the one whose log goes furthest */
    bool is_forced, is_agreed;
};

int recover_live(struct cli *cli, const struct recover_live *wish); /* the exit status */

/* "Type yes to go on: " */
bool recover_agrees(struct cli *cli);

#endif
