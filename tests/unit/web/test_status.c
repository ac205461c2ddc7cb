#include "cm.h"

#include "base/assert.h"
#include "status.h"

static void codes_have_their_answers(void **state)
{
    static const struct {
        const char *why;
        enum mu_code code;
        unsigned http, result;
        enum mu_grpc_status grpc;
        enum status_rcode rcode;
        const char *text;
    } cases[] = {
        // clang-format off
        { "fine",              MU_OK,         200, 200, MU_GRPC_OK,                 STATUS_NOERROR,  "ok" },
        { "what was asked",    MU_INVALID,    400, 500, MU_GRPC_INVALID_ARGUMENT,   STATUS_FORMERR,  "invalid argument" },
        { "what is not there", MU_NOT_FOUND,  404, 500, MU_GRPC_NOT_FOUND,          STATUS_NXDOMAIN, "not found" },
        { "no leader",         MU_NO_LEADER,  500, 500, MU_GRPC_UNAVAILABLE,        STATUS_SERVFAIL, "No cluster leader" },
        { "no servers",        MU_NO_SERVERS, 500, 500, MU_GRPC_UNAVAILABLE,        STATUS_SERVFAIL, "No known Consul servers" },
        { "a limit",           MU_BUSY,       429, 429, MU_GRPC_RESOURCE_EXHAUSTED, STATUS_SERVFAIL, "RPC rate limit exceeded" },
        { "a full disk",       MU_FULL,       507, 507, MU_GRPC_RESOURCE_EXHAUSTED, STATUS_SERVFAIL, "no space left" },
        { "too big",           MU_TOO_BIG,    413, 413, MU_GRPC_RESOURCE_EXHAUSTED, STATUS_FORMERR,  "too big" },
        { "denied",            MU_DENIED,     403, 403, MU_GRPC_PERMISSION_DENIED,  STATUS_REFUSED,  "Permission denied" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        if (status_http(cases[i].code) != cases[i].http ||
            status_http_result(cases[i].code, "text") != cases[i].result ||
            status_grpc(cases[i].code) != cases[i].grpc ||
            status_dns(cases[i].code) != cases[i].rcode) {
            fail_msg("%s: %u %u %d %d", cases[i].why, status_http(cases[i].code),
                     status_http_result(cases[i].code, "text"), (int)status_grpc(cases[i].code),
                     (int)status_dns(cases[i].code));
        }
        assert_string_equal(status_text(cases[i].code), cases[i].text);
    }
}

static void a_text_about_permission_is_403(void **state)
{
    (void)state;
    assert_int_equal(status_http_result(MU_INVALID, "rpc: Permission denied: x"), 403);
    assert_int_equal(status_http_result(MU_NOT_FOUND, "ACL not found"), 403);
    assert_int_equal(status_http_result(MU_INVALID, NULL), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_their_answers),
        cmocka_unit_test(a_text_about_permission_is_403),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
