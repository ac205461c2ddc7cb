/* The table of endpoints is sane, and each row has a recording in tests/conformance/. */
#include "cm.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "route.h"

static void rows_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < web_routes_count; i++) {
        const struct web_route *row = &web_routes[i];
        size_t length = strlen(row->summary);

        if (row->handler == NULL || length == 0 || row->summary[length - 1] == '.' ||
            web_method_text(row->method)[0] == '\0' || strncmp(row->path, "/v1/", 4) != 0) {
            fail_msg("%s %s: handler, summary, method or path", web_method_text(row->method),
                     row->path);
        }
        if ((row->traits & ROUTE_READS) != 0 && (row->traits & ROUTE_LOCAL) != 0) {
            fail_msg("%s: a read of the catalog is not local", row->path);
        }
        if ((row->traits & ROUTE_WRITES) != 0 && row->method == WEB_GET) {
            fail_msg("%s: GET does not write", row->path);
        }
    }
}

static void rows_are_unique_and_stand_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < web_routes_count; i++) {
        bool has_gap = false;

        for (size_t j = i + 1; j < web_routes_count; j++) {
            bool is_same = strcmp(web_routes[i].path, web_routes[j].path) == 0;

            if (is_same && (web_routes[i].method == web_routes[j].method || has_gap)) {
                fail_msg("%s: twice, or its rows do not stand together", web_routes[i].path);
            }
            has_gap = has_gap || !is_same;
        }
    }
}

static enum mu_code add_recording(void *data, const char *name, struct mu_err *err)
{
    char path[512];

    (void)snprintf(path, sizeof path, "conformance/http/%s", name);
    return mu_file_read(path, 1 << 20, data, err);
}

/* A line "GET /v1/kv/" at the beginning of some block. */
static bool is_recorded(const char *recordings, const struct web_route *row)
{
    char line[256];

    (void)snprintf(line, sizeof line, "\n%s %.*s", web_method_text(row->method),
                   (int)strcspn(row->path, ":*"), row->path);
    return strstr(recordings, line) != NULL;
}

static void every_row_has_a_recording(void **state)
{
    /* Answering ends the process, which the player does not start for each block: the integration
     * tests leave. */
    static const char *const elsewhere[] = { "/v1/agent/leave" };
    struct mu_buf recordings = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    mu_buf_add_byte(&recordings, '\n');
    if (mu_dir_each("conformance/http", add_recording, &recordings, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < web_routes_count; i++) {
        bool is_elsewhere = strcmp(web_routes[i].path, elsewhere[0]) == 0;

        if (!is_elsewhere && !is_recorded(mu_buf_text(&recordings), &web_routes[i])) {
            fail_msg("no recording of %s %s", web_method_text(web_routes[i].method),
                     web_routes[i].path);
        }
    }
    mu_buf_deinit(&recordings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(rows_are_unique_and_stand_together),
        cmocka_unit_test(every_row_has_a_recording),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
