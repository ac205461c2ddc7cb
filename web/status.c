#include "status.h"

#include <string.h>

#include "base/assert.h"

unsigned status_http(enum mu_code code)
{
    switch (code) {
    case MU_OK: return 200;
    case MU_INVALID: return 400;
    case MU_DENIED: return 403;
    case MU_NOT_FOUND: return 404;
    case MU_EXISTS: return 500;
    case MU_CONFLICT: return 500;
    case MU_TOO_BIG: return 413;
    case MU_BUSY: return 429;
    case MU_NOT_LEADER: return 500;
    case MU_NO_LEADER: return 500;
    case MU_NO_SERVERS: return 500;
    case MU_UNREACHABLE: return 500;
    case MU_LOST: return 500;
    case MU_TIMEOUT: return 500;
    case MU_CORRUPT: return 500;
    case MU_IO: return 500;
    case MU_FULL: return 507;
    case MU_READ_ONLY: return 500;
    case MU_FOREIGN: return 500;
    case MU_UNSUPPORTED: return 500;
    case MU_CANCELLED: return 500;
    }
    MU_UNREACHABLE_CODE();
}

enum mu_grpc_status status_grpc(enum mu_code code)
{
    switch (code) {
    case MU_OK: return MU_GRPC_OK;
    case MU_INVALID: return MU_GRPC_INVALID_ARGUMENT;
    case MU_NOT_FOUND: return MU_GRPC_NOT_FOUND;
    case MU_EXISTS: return MU_GRPC_ALREADY_EXISTS;
    case MU_CONFLICT: return MU_GRPC_FAILED_PRECONDITION;
    case MU_DENIED: return MU_GRPC_PERMISSION_DENIED;
    case MU_NOT_LEADER: return MU_GRPC_UNAVAILABLE;
    case MU_NO_LEADER: return MU_GRPC_UNAVAILABLE;
    case MU_NO_SERVERS: return MU_GRPC_UNAVAILABLE;
    case MU_UNREACHABLE: return MU_GRPC_UNAVAILABLE;
    case MU_LOST: return MU_GRPC_UNKNOWN;
    case MU_TIMEOUT: return MU_GRPC_DEADLINE_EXCEEDED;
    case MU_BUSY: return MU_GRPC_RESOURCE_EXHAUSTED;
    case MU_TOO_BIG: return MU_GRPC_RESOURCE_EXHAUSTED;
    case MU_CORRUPT: return MU_GRPC_DATA_LOSS;
    case MU_IO: return MU_GRPC_INTERNAL;
    case MU_FULL: return MU_GRPC_RESOURCE_EXHAUSTED;
    case MU_READ_ONLY: return MU_GRPC_UNAVAILABLE;
    case MU_FOREIGN: return MU_GRPC_FAILED_PRECONDITION;
    case MU_UNSUPPORTED: return MU_GRPC_UNIMPLEMENTED;
    case MU_CANCELLED: return MU_GRPC_CANCELLED;
    }
    MU_UNREACHABLE_CODE();
}

enum status_rcode status_dns(enum mu_code code)
{
    switch (code) {
    case MU_OK: return STATUS_NOERROR;
    case MU_INVALID: return STATUS_FORMERR;
    case MU_NOT_FOUND: return STATUS_NXDOMAIN;
    case MU_EXISTS: return STATUS_SERVFAIL;
    case MU_CONFLICT: return STATUS_SERVFAIL;
    case MU_DENIED: return STATUS_REFUSED;
    case MU_NOT_LEADER: return STATUS_SERVFAIL;
    case MU_NO_LEADER: return STATUS_SERVFAIL;
    case MU_NO_SERVERS: return STATUS_SERVFAIL;
    case MU_UNREACHABLE: return STATUS_SERVFAIL;
    case MU_LOST: return STATUS_SERVFAIL;
    case MU_TIMEOUT: return STATUS_SERVFAIL;
    case MU_BUSY: return STATUS_SERVFAIL;
    case MU_TOO_BIG: return STATUS_FORMERR;
    case MU_CORRUPT: return STATUS_SERVFAIL;
    case MU_IO: return STATUS_SERVFAIL;
    case MU_FULL: return STATUS_SERVFAIL;
    case MU_READ_ONLY: return STATUS_SERVFAIL;
    case MU_FOREIGN: return STATUS_REFUSED;
    case MU_UNSUPPORTED: return STATUS_NOTIMP;
    case MU_CANCELLED: return STATUS_SERVFAIL;
    }
    MU_UNREACHABLE_CODE();
}

unsigned status_http_result(enum mu_code code, const char *text)
{
    if (text != NULL &&
        (strstr(text, "Permission denied") != NULL || strstr(text, "ACL not found") != NULL)) {
        return 403;
    }
    if (code == MU_EXISTS) {
        return 409; /* a request id that was used for something else */
    }
    if (code == MU_INVALID || code == MU_NOT_FOUND) {
        return 500;
    }
    return status_http(code);
}

const char *status_text(enum mu_code code)
{
    switch (code) {
    case MU_DENIED: return "Permission denied";
    case MU_NOT_LEADER: return "No cluster leader";
    case MU_NO_LEADER: return "No cluster leader";
    case MU_NO_SERVERS: return "No known Consul servers";
    case MU_BUSY: return "RPC rate limit exceeded";
    case MU_OK:
    case MU_INVALID:
    case MU_NOT_FOUND:
    case MU_EXISTS:
    case MU_CONFLICT:
    case MU_UNREACHABLE:
    case MU_LOST:
    case MU_TIMEOUT:
    case MU_TOO_BIG:
    case MU_CORRUPT:
    case MU_IO:
    case MU_FULL:
    case MU_READ_ONLY:
    case MU_FOREIGN:
    case MU_UNSUPPORTED:
    case MU_CANCELLED: return mu_code_text(code);
    }
    MU_UNREACHABLE_CODE();
}
