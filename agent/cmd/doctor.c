/* muster doctor */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "commands.h"

struct silent {
    struct mu_span name, tcp;
};

struct link {
    struct mu_span from, to, protocol, seen_by, tcp;
    uint64_t port;
    uint64_t bytes; /* 0: datagrams of no size arrive */
};

struct failed {
    struct mu_span name, declared_by, tcp, seen_by;
    uint64_t for_ms;
};

struct state {
    struct mu_span name, state, member, text;
};

struct refused {
    struct mu_span seen_by, from, reason;
    uint64_t count;
};

struct busy {
    struct mu_span name;
    uint64_t dropped;
};

struct skew {
    struct mu_span name;
    int64_t ahead_ms;
};

struct answer {
    struct mu_span asked;
    uint64_t members;
    struct mu_objects silent, links, failed, states, refused, busy, clocks;
    bool has_more;
};

/* -- what comes -------------------------------------------------------------------------------- */

#define AT(type, member) offsetof(struct type, member)
// clang-format off
static const struct mu_json_field silent_fields[] = {
    { "Name", { NULL }, MU_JSON_AS_TEXT, AT(silent, name), NULL },
    { "TCP",  { NULL }, MU_JSON_AS_TEXT, AT(silent, tcp), NULL },
};
static const struct mu_json_shape silent_shape = CLI_SHAPE(silent_fields, struct silent);

static const struct mu_json_field link_fields[] = {
    { "From",     { NULL }, MU_JSON_AS_TEXT, AT(link, from), NULL },
    { "To",       { NULL }, MU_JSON_AS_TEXT, AT(link, to), NULL },
    { "Protocol", { NULL }, MU_JSON_AS_TEXT, AT(link, protocol), NULL },
    { "SeenBy",   { NULL }, MU_JSON_AS_TEXT, AT(link, seen_by), NULL },
    { "TCP",      { NULL }, MU_JSON_AS_TEXT, AT(link, tcp), NULL },
    { "Port",     { NULL }, MU_JSON_AS_UINT, AT(link, port), NULL },
    { "Bytes",    { NULL }, MU_JSON_AS_UINT, AT(link, bytes), NULL },
};
static const struct mu_json_shape link_shape = CLI_SHAPE(link_fields, struct link);

static const struct mu_json_field failed_fields[] = {
    { "Name",       { NULL }, MU_JSON_AS_TEXT, AT(failed, name), NULL },
    { "ForMs",      { NULL }, MU_JSON_AS_UINT, AT(failed, for_ms), NULL },
    { "DeclaredBy", { NULL }, MU_JSON_AS_TEXT, AT(failed, declared_by), NULL },
    { "TCP",        { NULL }, MU_JSON_AS_TEXT, AT(failed, tcp), NULL },
    { "SeenBy",     { NULL }, MU_JSON_AS_TEXT, AT(failed, seen_by), NULL },
};
static const struct mu_json_shape failed_shape = CLI_SHAPE(failed_fields, struct failed);

static const struct mu_json_field state_fields[] = {
    { "Name",   { NULL }, MU_JSON_AS_TEXT, AT(state, name), NULL },
    { "State",  { NULL }, MU_JSON_AS_TEXT, AT(state, state), NULL },
    { "Member", { NULL }, MU_JSON_AS_TEXT, AT(state, member), NULL },
    { "Text",   { NULL }, MU_JSON_AS_TEXT, AT(state, text), NULL },
};
static const struct mu_json_shape state_shape = CLI_SHAPE(state_fields, struct state);

static const struct mu_json_field refused_fields[] = {
    { "SeenBy", { NULL }, MU_JSON_AS_TEXT, AT(refused, seen_by), NULL },
    { "From",   { NULL }, MU_JSON_AS_TEXT, AT(refused, from), NULL },
    { "Reason", { NULL }, MU_JSON_AS_TEXT, AT(refused, reason), NULL },
    { "Count",  { NULL }, MU_JSON_AS_UINT, AT(refused, count), NULL },
};
static const struct mu_json_shape refused_shape = CLI_SHAPE(refused_fields, struct refused);

static const struct mu_json_field busy_fields[] = {
    { "Name",    { NULL }, MU_JSON_AS_TEXT, AT(busy, name), NULL },
    { "Dropped", { NULL }, MU_JSON_AS_UINT, AT(busy, dropped), NULL },
};
static const struct mu_json_shape busy_shape = CLI_SHAPE(busy_fields, struct busy);

static const struct mu_json_field skew_fields[] = {
    { "Name",    { NULL }, MU_JSON_AS_TEXT, AT(skew, name), NULL },
    { "AheadMs", { NULL }, MU_JSON_AS_INT, AT(skew, ahead_ms), NULL },
};
static const struct mu_json_shape skew_shape = CLI_SHAPE(skew_fields, struct skew);

static const struct mu_json_field answer_fields[] = {
    { "Asked",   { NULL }, MU_JSON_AS_TEXT,    AT(answer, asked), NULL },
    { "Members", { NULL }, MU_JSON_AS_UINT,    AT(answer, members), NULL },
    { "Silent",  { NULL }, MU_JSON_AS_OBJECTS, AT(answer, silent), &silent_shape },
    { "Links",   { NULL }, MU_JSON_AS_OBJECTS, AT(answer, links), &link_shape },
    { "Failed",  { NULL }, MU_JSON_AS_OBJECTS, AT(answer, failed), &failed_shape },
    { "States",  { NULL }, MU_JSON_AS_OBJECTS, AT(answer, states), &state_shape },
    { "Refused", { NULL }, MU_JSON_AS_OBJECTS, AT(answer, refused), &refused_shape },
    { "Busy",    { NULL }, MU_JSON_AS_OBJECTS, AT(answer, busy), &busy_shape },
    { "Clocks",  { NULL }, MU_JSON_AS_OBJECTS, AT(answer, clocks), &skew_shape },
    { "HasMore", { NULL }, MU_JSON_AS_BOOL,    AT(answer, has_more), NULL },
};
static const struct mu_json_shape answer_shape = CLI_SHAPE(answer_fields, struct answer);
// clang-format on
#undef AT

/* -- in words ---------------------------------------------------------------------------------- */

struct phrase {
    const char *word, *text;
};

static const char *phrase_of(const struct phrase *phrases, size_t count, struct mu_span word,
                             const char *otherwise)
{
    for (size_t i = 0; i < count; i++) {
        if (mu_span_eq_text(word, phrases[i].word)) {
            return phrases[i].text;
        }
    }
    return otherwise;
}

/* Of one that does not answer: what its TCP port says about the process behind it. */
static const struct phrase silences[] = {
    { "open", "its kernel takes connections, the process does not answer: stopped or starved" },
    { "refused", "its host refuses connections: the process has ended" },
    { "silent", "nothing comes back from its host: down, or cut off" },
    { "stalled", "its kernel takes connections, the process does not answer: stopped or starved" },
};

static const struct phrase strangers[] = {
    { "dropped.unknown_key",
      "sealed with a key that it does not have; compare `muster keyring -list` on both" },
    { "dropped.auth_failure", "sealed with its key, but changed on the way or forged" },
    { "dropped.clear", "not sealed, which it does not take; is `encrypt` set there?" },
    { "dropped.label_mismatch", "of another cluster; does `datacenter` differ there?" },
    { "dropped.version", "of a version that it does not speak" },
    { "dropped.checksum", "changed on the way; is a network card or a driver failing?" },
    { "dropped.magic", "that are no gossip of muster; is Serf or Consul running there?" },
};

/* -- addresses explain a lot --------------------------------------------------------------------
 */

/* All others are silent, and all take connections: rather nothing gets here than that all of them
 * are stopped. Of one alone it cannot be told. */
static bool hears_nobody(const struct answer *a)
{
    const struct silent *s = a->silent.items;
    bool do_all_take = a->silent.count > 1 && a->silent.count + 1 == a->members;

    for (size_t i = 0; i < a->silent.count; i++) {
        do_all_take = do_all_take && mu_span_eq_text(s[i].tcp, "open");
    }
    return do_all_take;
}

/* Where answers do not come, because our own address is wrong, silence says nothing of others. */
static bool is_unreached(const struct answer *a)
{
    const struct state *s = a->states.items;

    for (size_t i = 0; i < a->states.count; i++) {
        if (mu_span_eq_text(s[i].state, "unreachable") && mu_span_eq(s[i].name, a->asked)) {
            return true;
        }
    }
    return false;
}

/* It lives, and not where it says: no way to that address carries, and nobody is to blame. */
static bool is_astray(const struct answer *a, struct mu_span name)
{
    const struct state *s = a->states.items;

    for (size_t i = 0; i < a->states.count; i++) {
        if (mu_span_eq_text(s[i].state, "wrong-address") && mu_span_eq(s[i].member, name)) {
            return true;
        }
    }
    return false;
}

static bool is_explained(const struct answer *a, const struct silent *s)
{
    bool is_host_well = !mu_span_eq_text(s->tcp, "refused") && !mu_span_eq_text(s->tcp, "silent");

    return is_astray(a, s->name) || hears_nobody(a) || (is_host_well && is_unreached(a));
}

static bool is_same_way(const struct link *a, const struct link *b)
{
    return mu_span_eq(a->from, b->from) && mu_span_eq(a->to, b->to);
}

static bool is_udp(const struct link *l)
{
    return mu_span_eq_text(l->protocol, "udp") && l->bytes == 0;
}

/* What the two ends of a way say of it, on one line. */
static void print_udp(struct cli *cli, const struct link *links, size_t count, size_t at)
{
    const struct link *l = &links[at];
    const char *separator = "";

    for (size_t i = 0; i < at; i++) {
        if (is_udp(&links[i]) && is_same_way(&links[i], l)) {
            return; /* said before */
        }
    }
    (void)fprintf(cli->out, "UDP %.*s -> %.*s: nothing arrives (seen by ", MU_SPAN_FMT(l->from),
                  MU_SPAN_FMT(l->to));
    for (size_t i = at; i < count; i++) {
        if (is_udp(&links[i]) && is_same_way(&links[i], l)) {
            bool is_known = !mu_span_eq_text(links[i].tcp, "unknown");

            (void)fprintf(cli->out, "%s%.*s%s%.*s", separator, MU_SPAN_FMT(links[i].seen_by),
                          is_known ? ", where TCP is " : "",
                          MU_SPAN_FMT(is_known ? links[i].tcp : MU_SPAN_NONE));
            separator = "; ";
        }
    }
    (void)fprintf(cli->out,
                  ").\n    Let UDP port 8301 (ports.serf_lan) pass from %.*s to %.*s: "
                  "firewalls, security groups, NAT.\n",
                  MU_SPAN_FMT(l->from), MU_SPAN_FMT(l->to));
}

static void print_narrow(struct cli *cli, const struct link *l)
{
    (void)fprintf(cli->out,
                  "UDP %.*s -> %.*s: small datagrams arrive, those of %" PRIu64
                  " bytes do not (seen by %.*s).\n",
                  MU_SPAN_FMT(l->from), MU_SPAN_FMT(l->to), l->bytes, MU_SPAN_FMT(l->seen_by));
    (void)fprintf(
        cli->out,
        "    The path MTU is smaller: set that of the interfaces on both sides to it (of "
        "tunnels first), and let\n    fragments and ICMP \"fragmentation needed\" "
        "(IPv6: \"packet too big\") pass between %.*s and %.*s.\n    Or set "
        "gossip_lan.packet_size to 48 less than that MTU on all members; a reload will do.\n",
        MU_SPAN_FMT(l->from), MU_SPAN_FMT(l->to));
}

static void print_tcp(struct cli *cli, const struct link *l)
{
    bool is_refused = mu_span_eq_text(l->tcp, "refused");

    (void)fprintf(cli->out, "TCP %.*s -> %.*s: port %" PRIu64 " %s.\n    ", MU_SPAN_FMT(l->from),
                  MU_SPAN_FMT(l->to), l->port,
                  is_refused ? "refuses connections" : "does not answer");
    (void)fprintf(cli->out, "Let TCP port %" PRIu64 " pass from %.*s to %.*s%s.\n", l->port,
                  MU_SPAN_FMT(l->from), MU_SPAN_FMT(l->to),
                  is_refused ? ", or look whether it is listened on there"
                             : ": firewalls, security groups, NAT");
}

static void print_links(struct cli *cli, const struct answer *a)
{
    const struct link *links = a->links.items;

    for (size_t i = 0; i < a->links.count; i++) {
        if (is_astray(a, links[i].to) || is_astray(a, links[i].from) ||
            (hears_nobody(a) && mu_span_eq(links[i].seen_by, a->asked))) {
            continue; /* it is said why */
        }
        if (is_udp(&links[i])) {
            print_udp(cli, links, a->links.count, i);
        } else if (links[i].bytes > 0) {
            print_narrow(cli, &links[i]);
        } else {
            print_tcp(cli, &links[i]);
        }
    }
}

static void print_failed(struct cli *cli, const struct answer *a)
{
    const struct failed *f = a->failed.items;

    for (size_t i = 0; i < a->failed.count; i++, f++) {
        bool is_told = f->declared_by.bytes > 0;

        (void)fprintf(cli->out, "%.*s: failed for %.1f s, as %.*s sees it", MU_SPAN_FMT(f->name),
                      (double)f->for_ms / 1000, MU_SPAN_FMT(f->seen_by));
        (void)fprintf(cli->out, "%s%.*s; %s.\n", is_told ? ", declared by " : "",
                      MU_SPAN_FMT(f->declared_by),
                      is_astray(a, f->name)
                          ? "it lives, but not at its address"
                          : phrase_of(silences, MU_LEN(silences), f->tcp, "why is not remembered"));
    }
}

static void print_silent(struct cli *cli, const struct answer *a)
{
    const struct silent *s = a->silent.items;

    for (size_t i = 0; i < a->silent.count; i++, s++) {
        if (!is_explained(a, s)) {
            (void)fprintf(cli->out, "%.*s: does not answer, though it counts as alive: %s.\n",
                          MU_SPAN_FMT(s->name),
                          phrase_of(silences, MU_LEN(silences), s->tcp,
                                    "stopped or starved, or no way to it and back"));
        }
    }
}

static void print_states(struct cli *cli, const struct answer *a)
{
    const struct state *s = a->states.items;

    for (size_t i = 0; i < a->states.count; i++, s++) {
        (void)fprintf(cli->out, "%.*s: %.*s: %.*s.\n", MU_SPAN_FMT(s->name), MU_SPAN_FMT(s->state),
                      MU_SPAN_FMT(s->text));
    }
    if (hears_nobody(a) && !is_unreached(a)) {
        (void)fprintf(
            cli->out,
            "%.*s: hears nobody, though all take its connections: set advertise_addr to an "
            "address that others reach, or let UDP port 8301 (ports.serf_lan) pass to it.\n",
            MU_SPAN_FMT(a->asked));
    }
    if (a->silent.count > 0 && is_unreached(a)) {
        (void)fprintf(cli->out, "    Answers go to its advertised address: what others would say "
                                "of themselves and of it does not come.\n");
    }
}

static void print_refused(struct cli *cli, const struct answer *a)
{
    const struct refused *r = a->refused.items;

    for (size_t i = 0; i < a->refused.count; i++, r++) {
        const char *why = phrase_of(strangers, MU_LEN(strangers), r->reason, "not to be read");
        bool is_question = why[strlen(why) - 1] == '?';

        (void)fprintf(
            cli->out, "%.*s: turns away packets, %" PRIu64 " by now, last from %.*s: %s%s\n",
            MU_SPAN_FMT(r->seen_by), r->count, MU_SPAN_FMT(r->from), why, is_question ? "" : ".");
    }
}

static void print_busy(struct cli *cli, const struct answer *a)
{
    const struct busy *b = a->busy.items;

    for (size_t i = 0; i < a->busy.count; i++, b++) {
        (void)fprintf(cli->out,
                      "%.*s: its kernel drops datagrams, %" PRIu64
                      " by now: too busy, or net.core.rmem_max is too small.\n",
                      MU_SPAN_FMT(b->name), b->dropped);
    }
}

static void print_clocks(struct cli *cli, const struct answer *a)
{
    const struct skew *s = a->clocks.items;

    for (size_t i = 0; i < a->clocks.count; i++, s++) {
        bool is_ahead = s->ahead_ms > 0;
        double seconds = (double)(is_ahead ? s->ahead_ms : -s->ahead_ms) / 1000;

        (void)fprintf(cli->out, "%.*s: its clock is %.1f s %s that of the agent asked.\n",
                      MU_SPAN_FMT(s->name), seconds, is_ahead ? "ahead of" : "behind");
    }
}

static int print_diagnosis(struct cli *cli, const struct answer *a)
{
    size_t troubles = a->silent.count + a->links.count + a->failed.count + a->states.count +
                      a->refused.count + a->busy.count + a->clocks.count;

    print_failed(cli, a);
    print_silent(cli, a);
    print_links(cli, a);
    print_states(cli, a);
    print_refused(cli, a);
    print_busy(cli, a);
    print_clocks(cli, a);
    if (a->has_more) {
        (void)fprintf(cli->out, "There are more: some members see more than they can tell.\n");
    }
    if (troubles > 0) {
        (void)fprintf(cli->out, "%" PRIu64 " of %" PRIu64 " members answered.\n",
                      a->members - a->silent.count, a->members + a->failed.count);
        return 1;
    }
    if (a->members == 1) {
        (void)fprintf(cli->out, "1 member answered, no other is alive.\n");
    } else {
        (void)fprintf(cli->out, "%" PRIu64 " members answered, every way between them carries.\n",
                      a->members);
    }
    return 0;
}

int cmd_doctor(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct answer answer = { .members = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_arena arena;
    struct cli_call c;
    int status = 1;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    mu_arena_init(&arena, 0);
    cli_call_init(&c, "GET", "/v1/agent/links");
    if (!cli_send(cli, &c)) {
        (void)cli_fail(cli, "Error asking the members: %s", c.error);
    } else if (mu_json_parse(&root, mu_buf_span(&c.answer), true, &err) != MU_OK ||
               mu_json_decode(root, &answer_shape, &answer, &arena, &err) != MU_OK) {
        (void)cli_fail(cli, "Error asking the members: %s", err.text);
    } else {
        status = print_diagnosis(cli, &answer);
    }
    mu_json_free(root);
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}
