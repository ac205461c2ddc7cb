#include "ipc_fault.h"

#include <stddef.h>

#include "base/log.h"

static const char *const reasons[IPC_FAULTS] = {
    [IPC_FAULT_FRAME] = "it sent no request",
    [IPC_FAULT_BODY] = "the body of a request is none",
    [IPC_FAULT_FIELD] = "a field of a request has the wrong type",
    [IPC_FAULT_LENGTH] = "its request is too long",
    [IPC_FAULT_HANDSHAKE] = "it sent a command before the handshake",
    [IPC_FAULT_COMMAND] = "it sent an unknown command",
    [IPC_FAULT_TOKENS] = "too many wrong tokens",
    [IPC_FAULT_PATTERN] = "Failed to compile regex",
    [IPC_FAULT_BACKLOG] = "it takes too little of its answers",
    [IPC_FAULT_SLOW] = "it takes nothing",
    [IPC_FAULT_CROWD] = "there are too many clients",
};

void ipc_fault(struct ipc_faults *f, enum ipc_fault kind, const char *client, const char *detail)
{
    uint64_t now_ms = f->now_ms(), count = ++f->of[kind].count;
    uint64_t since = count - f->of[kind].said_count;

    if (count > 1 && now_ms - f->of[kind].said_ms < IPC_FAULT_PAUSE_MS) {
        return;
    }
    mu_log(MU_WARN, "agent.ipc", "Hanging up on a client", mu_kv("client", client),
           mu_kv("reason", reasons[kind]), mu_kv_u("times", since),
           detail != NULL ? mu_kv("detail", detail) : MU_LOG_END);
    f->of[kind].said_count = count;
    f->of[kind].said_ms = now_ms;
}

uint64_t ipc_faults_total(const struct ipc_faults *f)
{
    uint64_t total = 0;

    for (size_t i = 0; i < IPC_FAULTS; i++) {
        total += f->of[i].count;
    }
    return total;
}
