#include "consensus/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "core.h"

static const struct {
    enum mu_log_level level;
    const char *text;
} traces[] = {
#define TRACE_ROW(name, log_level, template) [CONSENSUS_T_##name] = { MU_##log_level, template },
    CONSENSUS_TRACES(TRACE_ROW)
#undef TRACE_ROW
};

static const char *const vote_whys[] = {
    [CONSENSUS_VOTE_TERM] = "its term is older",
    [CONSENSUS_VOTE_VOTED] = "the vote is given",
    [CONSENSUS_VOTE_LOG] = "its log is older",
    [CONSENSUS_VOTE_LEADER] = "a leader is alive",
    [CONSENSUS_VOTE_PROMISED] = "another leader was promised that",
    [CONSENSUS_VOTE_DISK] = "its disk is read-only",
};

static const char *const transfer_whys[] = {
    [CONSENSUS_TRANSFER_ASKED] = "it was asked to",
    [CONSENSUS_TRANSFER_STOPS] = "it stops",
    [CONSENSUS_TRANSFER_REMOVED] = "it is no voter any more",
    [CONSENSUS_TRANSFER_STATE] = "its state is lost",
    [CONSENSUS_TRANSFER_DISK] = "its disk is full or slow",
    [CONSENSUS_TRANSFER_PRIORITY] = "that has the higher priority",
};

static const char *const progress_texts[] = {
    [CONSENSUS_PROBE] = "probe",
    [CONSENSUS_REPLICATE] = "replicate",
    [CONSENSUS_SNAPSHOT] = "snapshot",
};

enum mu_log_level consensus_notice_level(const struct consensus_notice *n)
{
    MU_ASSERT(n->kind < MU_LEN(traces));
    return traces[n->kind].level;
}

/* Append at most what fits, NUL included. */
static size_t put(char *to, size_t bytes, size_t used, const char *text, size_t text_bytes)
{
    size_t room = bytes - 1 - used;
    size_t n = text_bytes < room ? text_bytes : room;

    memcpy(to + used, text, n);
    to[used + n] = '\0';
    return used + n;
}

/* The value of {name}. number: room for digits. */
static const char *value_of(const struct consensus_notice *n, const char *name, size_t name_bytes,
                            const char *peer, char number[24])
{
    uint64_t v = n->a;

    if (name_bytes == 1) {
        switch (name[0]) {
        case 'p': return peer;
        case 'r': return consensus_role_text((enum consensus_role)n->a);
        case 's': return consensus_role_text((enum consensus_role)n->b);
        case 'b': v = n->b; break;
        case 'c': v = n->c; break;
        default: break;
        }
        (void)snprintf(number, 24, "%llu", (unsigned long long)v);
        return number;
    }
    if (strncmp(name, "why", name_bytes) == 0) {
        return vote_whys[n->b % MU_LEN(vote_whys)];
    }
    if (strncmp(name, "transfer", name_bytes) == 0) {
        return transfer_whys[n->b % MU_LEN(transfer_whys)];
    }
    if (strncmp(name, "state", name_bytes) == 0) {
        return progress_texts[n->a % MU_LEN(progress_texts)];
    }
    if (strncmp(name, "fault", name_bytes) == 0) {
        return consensus_snap_fault_text((enum consensus_snap_fault)n->b);
    }
    return consensus__dead_text((enum consensus_death)n->a);
}

const char *consensus_notice_text(const struct consensus_notice *n, const char *peer, char *to,
                                  size_t bytes)
{
    MU_ASSERT(n->kind < MU_LEN(traces) && bytes > 0);
    const char *at = traces[n->kind].text;
    size_t used = 0;

    to[0] = '\0';
    while (*at != '\0') {
        const char *open = strchr(at, '{');
        char number[24];

        if (open == NULL) {
            (void)put(to, bytes, used, at, strlen(at));
            break;
        }
        const char *shut = strchr(open, '}');

        MU_ASSERT(shut != NULL);
        used = put(to, bytes, used, at, (size_t)(open - at));
        const char *value = value_of(n, open + 1, (size_t)(shut - open - 1), peer, number);

        used = put(to, bytes, used, value, strlen(value));
        at = shut + 1;
    }
    return to;
}
