/* Any expression, evaluated on an instance with everything in it; and any regular expression. */
#include <stdint.h>

#include "base/arena.h"
#include "catalog/query.h"
#include "filter.h"
#include "base/pattern.h"

#define T(text) MU_SPAN_LIT(text)

static struct mu_pair meta[] = { { T("env"), T("production") } };
static struct mu_span tags[] = { T("v1"), T("primary") };
static struct catalog_node node = { .name = T("n1"), .meta = { meta, 1 } };
static struct catalog_check checks[] = { { .id = T("a"), .status = T("passing") },
                                         { .id = T("b"), .status = T("critical") } };
static struct catalog_tagged tagged[] = { { T("wan"), T("192.0.2.7"), 8080 } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct catalog_instance instance = {
        .node = &node,
        .service = { .name = T("web"),
                     .tags = { tags, 2 },
                     .meta = { meta, 1 },
                     .tagged_addresses = tagged,
                     .tagged_addresses_count = 1,
                     .proxy = T("{\"Upstreams\":[{\"LocalBindPort\":1}]}") },
        .checks = checks,
        .checks_count = 2,
    };
    struct mu_span text = mu_span_of(data, bytes);
    struct mu_arena arena;
    struct filter *f = NULL;
    struct mu_pattern *p = NULL;

    mu_arena_init(&arena, 0);
    if (filter_parse(&f, text, &filter_health_entries, "dc1", "n1", &arena, NULL) == MU_OK) {
        (void)filter_matches(f, &instance);
    }
    if (mu_pattern_compile(&p, text, &arena, NULL) == MU_OK) {
        (void)mu_pattern_matches(p, MU_SPAN_LIT("some text, 192.0.2.7 and \xc3\xa4"));
    }
    mu_arena_deinit(&arena);
    return 0;
}
