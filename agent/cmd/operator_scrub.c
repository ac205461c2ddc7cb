/* muster operator scrub */
#include "base/assert.h"
#include "commands.h"

struct scrub {
    bool is_running, is_shedding;
    struct mu_span reading, last_pass, next_pass, last_damage, found, error;
    uint64_t bytes, passes, damages;
};

#define AT(member) offsetof(struct scrub, member)

static const struct mu_json_field fields[] = {
    // clang-format off
    { .name = "Running",    .as = MU_JSON_AS_BOOL, .offset = AT(is_running) },
    { .name = "Reading",    .as = MU_JSON_AS_TEXT, .offset = AT(reading) },
    { .name = "Bytes",      .as = MU_JSON_AS_UINT, .offset = AT(bytes) },
    { .name = "Passes",     .as = MU_JSON_AS_UINT, .offset = AT(passes) },
    { .name = "LastPass",   .as = MU_JSON_AS_TEXT, .offset = AT(last_pass) },
    { .name = "NextPass",   .as = MU_JSON_AS_TEXT, .offset = AT(next_pass) },
    { .name = "Damages",    .as = MU_JSON_AS_UINT, .offset = AT(damages) },
    { .name = "LastDamage", .as = MU_JSON_AS_TEXT, .offset = AT(last_damage) },
    { .name = "Found",      .as = MU_JSON_AS_TEXT, .offset = AT(found) },
    { .name = "Shedding",   .as = MU_JSON_AS_BOOL, .offset = AT(is_shedding) },
    { .name = "Error",      .as = MU_JSON_AS_TEXT, .offset = AT(error) },
}; // clang-format on

#undef AT

static const struct mu_json_shape shape = CLI_SHAPE(fields, struct scrub);

struct options {
    bool now;
};

static const struct cli_option rows[] = {
    { "now", CLI_BOOL, offsetof(struct options, now),
      "Let this server begin a pass, unless one is under way." },
};

const struct cli_options cmd_operator_scrub_options = CLI_OPTIONS(rows, struct options);

static void print_time(FILE *to, const char *title, struct mu_span time, const char *never)
{
    struct mu_span text = time.bytes > 0 ? time : mu_span_text(never);

    (void)fprintf(to, "%-13s %.*s\n", title, MU_SPAN_FMT(text));
}

static void print_scrub(FILE *to, const struct scrub *s)
{
    struct mu_span reading = s->is_running ? s->reading : MU_SPAN_LIT("nothing");

    (void)fprintf(to, "%-13s %.*s\n", "Reading:", MU_SPAN_FMT(reading));
    (void)fprintf(to, "%-13s %llu\n", "Bytes:", (unsigned long long)s->bytes);
    print_time(to, "Last Pass:", s->last_pass, "never");
    print_time(to, "Next Pass:", s->next_pass, s->is_running ? "now" : "when asked for");
    (void)fprintf(to, "%-13s %llu\n", "Passes:", (unsigned long long)s->passes);
    (void)fprintf(to, "%-13s %llu\n", "Damages:", (unsigned long long)s->damages);
    print_time(to, "Last Damage:", s->last_damage, "never");
    if (s->found.bytes > 0) {
        (void)fprintf(to, "%-13s %.*s\n", "Found:", MU_SPAN_FMT(s->found));
    }
    if (s->is_shedding) {
        (void)fputs("A damaged segment of the log has not left it yet.\n", to);
    }
    if (s->error.bytes > 0) {
        (void)fprintf(to, "%-13s %.*s\n", "Error:", MU_SPAN_FMT(s->error));
    }
}

int cmd_operator_scrub(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct scrub scrub = { .bytes = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct cli_call c;
    int status = 0;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    mu_arena_init(&arena, 0);
    cli_call_init(&c, o->now ? "PUT" : "GET", "/v1/operator/scrub");
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error asking for the scrubber: %s", c.error);
    } else if (mu_json_read(mu_buf_span(&c.answer), &shape, &scrub, &arena, &err) != MU_OK) {
        status = cli_fail(cli, "Error asking for the scrubber: %s", err.text);
    } else {
        print_scrub(cli->out, &scrub);
    }
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}
