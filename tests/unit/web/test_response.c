#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "response.h"
#include "route.h"

static void names_have_their_casing(void **state)
{
    static const struct {
        const char *name, *canonical;
    } cases[] = {
        { "x-consul-knownleader", "X-Consul-Knownleader" },
        { "X-CONSUL-INDEX", "X-Consul-Index" },
        { "etag", "Etag" },
        { "a--b", "A--B" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char out[64];

        response_canonical(mu_span_text(cases[i].name), out);
        assert_string_equal(out, cases[i].canonical);
    }
}

static void fill(struct request *r)
{
    static const struct web_route route = { .path = "/v1/x" };

    r->route = &route;
    r->response.status = 200;
    r->response.content_type = "application/json";
    r->response.has_meta = true;
    r->response.known_leader = true;
    r->response.index = 18446744073709551615U;
    r->response.last_contact_ms = 7;
    r->response.consistency = "stale";
    r->response.body = MU_SPAN_LIT("[]");
    response_header(r, "X-Cache", MU_SPAN_LIT("HIT"));
}

static void heads_of_both_protocols_say_the_same(void **state)
{
    struct mu_pair own[] = { { MU_SPAN_LIT("access-control-allow-origin"), MU_SPAN_LIT("*") } };
    struct response_style style;
    struct request_pool pool;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_header list[RESPONSE_LIST_MAX];

    (void)state;
    request_pool_init(&pool);
    response_style_init(&style, &(struct mu_pairs){ own, 1 });
    struct request *r = request_new(&pool, NULL, NULL);

    fill(r);
    response_head_h1(&style, r, true, 1, 0, &text);
    assert_string_equal(mu_buf_text(&text), "HTTP/1.1 200 OK\r\n"
                                            "Access-Control-Allow-Origin: *\r\n"
                                            "Vary: Accept-Encoding\r\n"
                                            "X-Consul-Default-Acl-Policy: allow\r\n"
                                            "Content-Type: application/json\r\n"
                                            "X-Consul-Effective-Consistency: stale\r\n"
                                            "X-Consul-Index: 18446744073709551615\r\n"
                                            "X-Consul-Knownleader: true\r\n"
                                            "X-Consul-Lastcontact: 7\r\n"
                                            "X-Cache: HIT\r\n"
                                            "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                            "Content-Length: 2\r\n\r\n");
    mu_buf_clear(&text);
    for (size_t i = 0, count = response_head_h2(&style, r, 0, list); i < count; i++) {
        mu_buf_addf(&text, "%.*s=%.*s ", MU_SPAN_FMT(list[i].name), MU_SPAN_FMT(list[i].value));
    }
    assert_string_equal(mu_buf_text(&text),
                        ":status=200 access-control-allow-origin=* vary=Accept-Encoding "
                        "x-consul-default-acl-policy=allow content-type=application/json "
                        "x-consul-effective-consistency=stale x-consul-index=18446744073709551615 "
                        "x-consul-knownleader=true x-consul-lastcontact=7 x-cache=HIT "
                        "date=Thu, 01 Jan 1970 00:00:00 GMT content-length=2 ");
    mu_buf_clear(&text);
    for (size_t i = 0, count = response_head_forwarded(r, list); i < count; i++) {
        mu_buf_addf(&text, "%.*s ", MU_SPAN_FMT(list[i].name));
    }
    assert_string_equal(mu_buf_text(&text),
                        "Content-Type X-Consul-Effective-Consistency X-Consul-Index "
                        "X-Consul-Knownleader X-Consul-Lastcontact X-Cache ");
    request_free(r);
    mu_buf_deinit(&text);
    response_style_deinit(&style);
    request_pool_deinit(&pool);
}

static void the_index_is_never_zero(void **state)
{
    struct response_style style;
    struct request_pool pool;
    struct mu_buf text = MU_BUF_NONE;

    (void)state;
    request_pool_init(&pool);
    response_style_init(&style, &(struct mu_pairs){ NULL, 0 });
    struct request *r = request_new(&pool, NULL, NULL);

    fill(r);
    r->response.index = 0;
    response_head_h1(&style, r, false, 1, 0, &text);
    assert_non_null(strstr(mu_buf_text(&text), "X-Consul-Index: 1\r\n"));
    assert_non_null(strstr(mu_buf_text(&text), "Connection: close\r\n"));
    request_free(r);
    mu_buf_deinit(&text);
    response_style_deinit(&style);
    request_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_their_casing),
        cmocka_unit_test(heads_of_both_protocols_say_the_same),
        cmocka_unit_test(the_index_is_never_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
