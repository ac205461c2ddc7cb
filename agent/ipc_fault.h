/* ipc_fault.h - what clients of Serf's control port are hung up on for: counted, and said once.
 *
 * Who can connect can be hung up on thousands of times a second; the log is for people. A kind is
 * said when it comes first, and then once in IPC_FAULT_PAUSE_MS with how many there were since.
 *
 * Thread:  the loop's.
 */
#ifndef AGENT_IPC_FAULT_H
#define AGENT_IPC_FAULT_H

#include <stdint.h>

#define IPC_FAULT_PAUSE_MS 60000U

enum ipc_fault {
    IPC_FAULT_FRAME,     /* bytes that are no request */
    IPC_FAULT_BODY,      /* a body that is none */
    IPC_FAULT_FIELD,     /* a field of the wrong type */
    IPC_FAULT_LENGTH,    /* a request beyond the bound */
    IPC_FAULT_HANDSHAKE, /* a command before it */
    IPC_FAULT_COMMAND,   /* one that there is not */
    IPC_FAULT_TOKENS,    /* keys tried out */
    IPC_FAULT_PATTERN,   /* an expression that is none */
    IPC_FAULT_BACKLOG,   /* answers that it does not read */
    IPC_FAULT_SLOW,      /* nothing taken for too long */
    IPC_FAULT_CROWD,     /* one client too many */
    IPC_FAULTS
};

struct ipc_faults {
    uint64_t (*now_ms)(void);
    struct {
        uint64_t count, said_count, said_ms;
    } of[IPC_FAULTS];
};

/* `detail` may be NULL. */
void ipc_fault(struct ipc_faults *f, enum ipc_fault kind, const char *client, const char *detail);
uint64_t ipc_faults_total(const struct ipc_faults *f);

#endif
