/* Prepared rows over a real catalog: made once per change, none for names that do not exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "catalog/cache.h"
#include "catalog/catalog.h"
#include "dns_catalog.h"
#include "proto/command.h"

struct bench {
    struct catalog *state; /* in memory */
    struct catalog_reader *reader;
    uint64_t index; /* of the last entry */
    struct catalog_watch *watch;
    struct catalog_cache *cache;
    struct dns_zones zones;
    struct config_dns config;
    struct dns_rules rules;
    struct dns_catalog *catalog;
    const struct dns_source *source;
    uint64_t now_ms, skipped;
};

static void at(struct bench *b, uint64_t now_ms)
{
    b->now_ms = now_ms;
    b->source = dns_catalog_source(b->catalog, b->reader, now_ms);
}

static void bench_init(struct bench *b)
{
    static const char *const no_others[1];
    struct mu_err err = MU_ERR_NONE;

    memset(b, 0, sizeof *b);
    assert_int_equal(catalog_open(&b->state, &(struct catalog_options){ .path = NULL }, &err),
                     MU_OK);
    assert_int_equal(catalog_reader_open(&b->reader, NULL, b->state, &err), MU_OK);
    b->watch = catalog_watch_new();
    b->cache = catalog_cache_new(b->watch, 1 << 20);
    assert_int_equal(dns_zones_init(&b->zones, "consul", no_others, 0, "dc1", &err), MU_OK);
    b->rules = (struct dns_rules){ &b->zones, &b->config };
    b->catalog = dns_catalog_new(&b->rules, b->cache, b->watch, &b->skipped);
    at(b, 1000);
}

static void bench_deinit(struct bench *b)
{
    dns_catalog_free(b->catalog);
    catalog_cache_free(b->cache);
    assert_int_equal(catalog_watch_count(b->watch), 0);
    catalog_watch_free(b->watch);
    catalog_reader_close(b->reader);
    catalog_close(b->state);
}

/* A committed change, as the agent hands it on. */
static void change(struct bench *b, const struct command *command)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct catalog_changes *changes = NULL;
    struct catalog_result result;
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(command_encode(command, &bytes, &err), MU_OK);
    assert_int_equal(catalog_begin(b->state, &err), MU_OK);
    assert_int_equal(catalog_apply(b->state, ++b->index, 1, mu_buf_span(&bytes), &result, &err),
                     MU_OK);
    assert_int_equal(result.code, MU_OK);
    assert_int_equal(catalog_commit(b->state, &changes, &err), MU_OK);
    mu_buf_deinit(&bytes);
    catalog_reader_release(b->reader);
    catalog_watch_fire(b->watch, changes);
    catalog_changes_free(changes);
}

struct registration {
    const char *node, *id, *address, *service, *service_address, *tag, *status;
};

static void enroll(struct bench *b, const struct registration *r)
{
    struct mu_span tag = mu_span_text(r->tag);
    struct command_check check = { .id = MU_SPAN_LIT("c"), .name = MU_SPAN_LIT("c") };
    struct command c = { .kind = COMMAND_REGISTER };

    c.reg.node.name = mu_span_text(r->node);
    c.reg.node.id = mu_span_text(r->id);
    c.reg.node.address = mu_span_text(r->address);
    if (r->service != NULL) {
        c.reg.has_service = true;
        c.reg.service.id = c.reg.service.name = mu_span_text(r->service);
        c.reg.service.address = mu_span_text(r->service_address);
        c.reg.service.port = 80;
        c.reg.service.weight_passing = c.reg.service.weight_warning = 1;
        c.reg.service.tags = (struct mu_texts){ &tag, r->tag != NULL ? 1 : 0 };
    }
    if (r->status != NULL) {
        check.status = mu_span_text(r->status);
        check.service_id = c.reg.service.id;
        c.reg.checks = &check;
        c.reg.checks_count = 1;
    }
    change(b, &c);
}

static void deregister(struct bench *b, const char *node, const char *service)
{
    struct command c = { .kind = COMMAND_DEREGISTER };

    c.dereg.node = mu_span_text(node);
    c.dereg.service_id = mu_span_text(service);
    change(b, &c);
}

static const struct dns_service *service_of(struct bench *b, const char *name)
{
    struct dns_held held;

    if (b->source->service(b->source->data, mu_span_text(name), &held) != DNS_FOUND) {
        return NULL;
    }
    const struct dns_service *s = held.service;

    b->source->release(b->source->data, &held);
    return s; /* alive as long as it is cached: only compared, or read at once */
}

static const struct dns_node *node_of(struct bench *b, const char *name)
{
    struct dns_held held;

    if (b->source->node(b->source->data, mu_span_text(name), &held) != DNS_FOUND) {
        return NULL;
    }
    const struct dns_node *n = held.node;

    b->source->release(b->source->data, &held);
    return n;
}

static const struct registration web1 = {
    .node = "N1",
    .id = "11111111-aaaa-4bbb-8ccc-000000000001",
    .address = "10.1.0.1",
    .service = "Web",
    .tag = "Blue",
    .status = "passing",
};

static void a_service_is_prepared_once_per_change(void **state)
{
    struct bench b;
    struct registration other = { .node = "n2", .address = "10.1.0.2", .service = "db" };
    struct registration failing = web1;

    (void)state;
    bench_init(&b);
    enroll(&b, &web1);
    const struct dns_service *first = service_of(&b, "web");

    assert_non_null(first);
    assert_int_equal(first->count, 1);
    assert_ptr_equal(service_of(&b, "web"), first);
    enroll(&b, &other); /* of no concern */
    assert_ptr_equal(service_of(&b, "web"), first);
    assert_int_equal(catalog_watch_count(b.watch), 1);
    failing.status = "critical";
    enroll(&b, &failing);
    assert_int_equal(catalog_watch_count(b.watch), 0);
    assert_int_equal(service_of(&b, "web")->count, 0);
    failing.status = "warning";
    enroll(&b, &failing);
    assert_int_equal(service_of(&b, "web")->count, 1);
    deregister(&b, "n1", "web");
    assert_null(service_of(&b, "web"));
    bench_deinit(&b);
}

/* Its node's address and its node's removal are changes of the service. */
static void a_service_follows_its_nodes(void **state)
{
    struct bench b;
    struct registration moved = web1;

    (void)state;
    bench_init(&b);
    enroll(&b, &web1);
    assert_int_equal(service_of(&b, "web")->instances[0].picks.by[DNS_PICK_4].ip[3], 1);
    moved.address = "10.1.0.99";
    moved.service = NULL;
    moved.status = NULL;
    enroll(&b, &moved);
    assert_int_equal(service_of(&b, "web")->instances[0].picks.by[DNS_PICK_4].ip[3], 99);
    deregister(&b, "N1", "");
    assert_null(service_of(&b, "web"));
    bench_deinit(&b);
}

static void names_that_do_not_exist_leave_nothing(void **state)
{
    struct bench b;
    char name[32];

    (void)state;
    bench_init(&b);
    enroll(&b, &web1);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "random%u", i);
        assert_null(service_of(&b, name));
        assert_null(node_of(&b, name));
        assert_false(b.source->has_node_below(b.source->data, mu_span_text(name)));
    }
    /* all names of services and of nodes are watched, each once */
    assert_int_equal(catalog_watch_count(b.watch), 2);
    bench_deinit(&b);
}

/* Even when it is known that most names do not exist, a new one does at once. */
static void a_new_service_is_found_among_many_misses(void **state)
{
    struct bench b;
    struct registration late = { .node = "n2", .address = "10.1.0.2", .service = "Random7" };

    (void)state;
    bench_init(&b);
    enroll(&b, &web1);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 200; i++) {
            assert_null(service_of(&b, "random7"));
            assert_non_null(service_of(&b, "web"));
        }
        enroll(&b, &late);
        assert_non_null(service_of(&b, "random7"));
        assert_null(service_of(&b, "random8"));
        deregister(&b, "n2", "Random7");
        at(&b, b.now_ms + (round % 2 == 0 ? 10 : 2000));
    }
    bench_deinit(&b);
}

static void a_node_is_found_by_name_and_id_and_kept_once(void **state)
{
    struct bench b;
    struct registration moved = web1;

    (void)state;
    bench_init(&b);
    enroll(&b, &web1);
    const struct dns_node *first = node_of(&b, "n1");

    assert_non_null(first);
    assert_ptr_equal(node_of(&b, "11111111-aaaa-4bbb-8ccc-000000000001"), first);
    assert_ptr_equal(node_of(&b, "111"), first);
    assert_null(node_of(&b, "1"));
    assert_int_equal(catalog_watch_count(b.watch), 1);
    moved.address = "10.1.0.77";
    enroll(&b, &moved);
    assert_int_equal(node_of(&b, "11")->picks.by[DNS_PICK_4].ip[3], 77);
    bench_deinit(&b);
}

static void addresses_name_nodes_before_services(void **state)
{
    static const struct {
        const char *address, *labels;
    } cases[] = {
        { "10.1.0.1", "\x02N1\x04node\x03"
                      "dc1" },
        { "10.2.0.1", "\x03"
                      "api\x07service\x03"
                      "dc1" },
        { "2001:db8::1", "\x02n6\x04node\x03"
                         "dc1" },
        { "10.9.9.9", NULL },
    };
    struct bench b;
    struct registration api = {
        .node = "n2", .address = "10.1.0.2", .service = "api", .service_address = "10.2.0.1"
    };
    struct registration same = {
        .node = "n3", .address = "10.1.0.3", .service = "s", .service_address = "10.1.0.1"
    };
    struct registration six = { .node = "n6", .address = "2001:db8::1" };

    (void)state;
    bench_init(&b);
    enroll(&b, &web1);
    enroll(&b, &api);
    enroll(&b, &same);
    enroll(&b, &six);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct dns_owner owner;
        struct mu_addr a;

        assert_true(mu_addr_parse_ip(mu_span_text(cases[i].address), &a));
        enum dns_lookup found = b.source->address(b.source->data, &a, &owner);

        assert_int_equal(found, cases[i].labels != NULL ? DNS_FOUND : DNS_ABSENT);
        if (found == DNS_FOUND) {
            assert_int_equal(owner.bytes, strlen(cases[i].labels));
            assert_memory_equal(owner.labels, cases[i].labels, owner.bytes);
        }
    }
    bench_deinit(&b);
}

/* Parents are read again when nodes changed, but not more than once a second. */
static void parents_of_dotted_nodes_are_known(void **state)
{
    struct bench b;
    struct registration dotted = { .node = "Db.Node1.east", .address = "10.1.0.7" };
    struct registration later = { .node = "a.b", .address = "10.1.0.8" };
    struct mu_span b_name = MU_SPAN_LIT("b");

    (void)state;
    bench_init(&b);
    enroll(&b, &dotted);
    assert_true(b.source->has_node_below(b.source->data, MU_SPAN_LIT("node1.east")));
    assert_true(b.source->has_node_below(b.source->data, MU_SPAN_LIT("east")));
    assert_false(b.source->has_node_below(b.source->data, MU_SPAN_LIT("db.node1.east")));
    enroll(&b, &later);
    assert_false(b.source->has_node_below(b.source->data, b_name));
    at(&b, 2000);
    assert_true(b.source->has_node_below(b.source->data, b_name));
    bench_deinit(&b);
}

static void unusable_instances_are_counted(void **state)
{
    struct bench b;
    struct registration bad = { .node = "n7", .address = "10.1.0.1:80", .service = "bad" };

    (void)state;
    bench_init(&b);
    enroll(&b, &bad);
    assert_int_equal(service_of(&b, "bad")->count, 1);
    assert_int_equal(b.skipped, 1);
    (void)service_of(&b, "bad");
    assert_int_equal(b.skipped, 1);
    bench_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_is_prepared_once_per_change),
        cmocka_unit_test(a_service_follows_its_nodes),
        cmocka_unit_test(names_that_do_not_exist_leave_nothing),
        cmocka_unit_test(a_new_service_is_found_among_many_misses),
        cmocka_unit_test(a_node_is_found_by_name_and_id_and_kept_once),
        cmocka_unit_test(addresses_name_nodes_before_services),
        cmocka_unit_test(parents_of_dotted_nodes_are_known),
        cmocka_unit_test(unusable_instances_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
