/* muster keys rotate: a new gossip key in the place of all others, in one go (spec/wishes.md 20).
 *
 *   install   until every living member has it
 *   use       until every living member seals with it
 *   remove    each other key, until no living member has it
 *
 * Each step is done when all living members say so, and is asked for again until then: somebody who
 * joined or came back in between counts too. A step that was done already is not asked for, so the
 * command, given the key, goes on where it was broken off. Who is away is told by the others when
 * it comes back (gossip/keys.h).
 */
#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/clock.h"
#include "commands.h"
#include "gossip/keyring.h"
#include "keyring.h"

#define TIMEOUT_MS (5U * 60 * 1000)
#define PAUSE_MS   250 /* before a step is asked for again */
#define AWAY       4   /* the status of a failed member */

struct options {
    const char *key, *timeout;
};

static const struct cli_option rows[] = {
    // clang-format off
    { "key",     CLI_TEXT, offsetof(struct options, key),     "The new key, instead of one drawn here; to go on with a rotation that was broken off." },
    { "timeout", CLI_TEXT, offsetof(struct options, timeout), "How long to wait for members that do not answer, 5m if not given." },
}; // clang-format on

const struct cli_options cmd_keys_rotate_options = CLI_OPTIONS(rows, struct options);

struct rotation {
    struct cli *cli;
    char key[GOSSIP_KEY_TEXT_MAX];
    uint64_t until_ms;
    struct mu_arena arena; /* of the last look */
    struct mu_objects pools;
    struct mu_json *root;
    bool has_begun;            /* something was asked for */
    char why[MU_ERR_TEXT_MAX]; /* the last step or look did not succeed */
};

/* -- a look -------------------------------------------------------------------------------------
 */

static void forget(struct rotation *r)
{
    mu_json_free(r->root);
    r->root = NULL;
    r->pools = (struct mu_objects){ .count = 0 };
    mu_arena_reset(&r->arena);
}

enum seen { SEEN, SEEN_IN_PART, SEEN_NEVER };

/* Who has what. In part: some living member did not answer. */
static enum seen look(struct rotation *r)
{
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    enum seen seen = SEEN;

    forget(r);
    cli_call_init(&c, "GET", KEYRING_PATH);
    if (!cli_send(r->cli, &c)) {
        bool is_clear = strstr(c.error, "encryption not enabled") != NULL;

        (void)snprintf(r->why, sizeof r->why, "%s", keyring_error(&c));
        seen = c.status == 500 && !is_clear ? SEEN_IN_PART : SEEN_NEVER;
    } else if (cli_read_tree(&c, &keyring_pool_shape, &r->pools, &r->root, &r->arena, &err) !=
               MU_OK) {
        (void)snprintf(r->why, sizeof r->why, "%s", err.text);
        seen = SEEN_NEVER;
    }
    cli_call_deinit(&c);
    return seen;
}

static uint64_t count_of(const struct mu_json *keys, const char *key)
{
    const struct mu_json *count =
        keys != NULL && mu_json_kind_of(keys) == MU_JSON_OBJECT ? mu_json_find(keys, key) : NULL;

    return count != NULL && mu_json_kind_of(count) == MU_JSON_INT ? (uint64_t)mu_json_int(count)
                                                                  : 0;
}

static const struct keyring_pool *pool_at(const struct rotation *r, size_t i)
{
    return (const struct keyring_pool *)r->pools.items + i;
}

/* A key that is not the new one; NULL: there is none. Into the arena. */
static const char *other_key(struct rotation *r)
{
    for (size_t i = 0; i < r->pools.count; i++) {
        const struct mu_json *keys = pool_at(r, i)->keys;
        struct mu_json_at at = { 0 };

        while (keys != NULL && mu_json_kind_of(keys) == MU_JSON_OBJECT && mu_json_next(keys, &at)) {
            if (strcmp(at.name, r->key) != 0) {
                return at.name;
            }
        }
    }
    return NULL;
}

/* -- steps --------------------------------------------------------------------------------------
 */

enum step { STEP_INSTALL, STEP_USE, STEP_REMOVE };

static const struct {
    const char *method, *says, *asks;
} steps[] = {
    [STEP_INSTALL] = { "POST", "Installing the new key", "have the new key" },
    [STEP_USE] = { "PUT", "Sealing with the new key", "seal with the new key" },
    [STEP_REMOVE] = { "DELETE", "Removing the other keys", "have no other key" },
};

/* What a look shows; *key is what the step is asked for with. */
static bool is_done(struct rotation *r, enum step step, const char **key)
{
    if (step == STEP_REMOVE) {
        *key = other_key(r);
        return *key == NULL;
    }
    *key = r->key;
    for (size_t i = 0; i < r->pools.count; i++) {
        const struct keyring_pool *p = pool_at(r, i);
        const struct mu_json *keys = step == STEP_INSTALL ? p->keys : p->primary_keys;
        uint64_t count = count_of(keys, r->key);

        if (count < p->nodes) {
            (void)snprintf(r->why, sizeof r->why, "%llu of %llu members %s",
                           (unsigned long long)count, (unsigned long long)p->nodes,
                           steps[step].asks);
            return false;
        }
    }
    return true;
}

/* False: there is no use in asking again. */
static bool ask(struct rotation *r, enum step step, const char *key)
{
    struct cli_call c;

    r->has_begun = true;
    bool ok = keyring_change(r->cli, &c, steps[step].method, key, 0);
    bool may_help = ok || c.status == 500;

    if (!ok) {
        (void)snprintf(r->why, sizeof r->why, "%s", c.error);
    }
    cli_call_deinit(&c);
    return may_help;
}

static bool take_step(struct rotation *r, enum step step)
{
    const char *key = NULL;

    (void)fprintf(r->cli->out, "==> %s...\n", steps[step].says);
    (void)fflush(r->cli->out);
    for (unsigned tries = 0; tries == 0 || mu_clock_ms() < r->until_ms; tries++) {
        if (tries > 1) {
            cli_pause(PAUSE_MS);
        }
        enum seen seen = look(r);

        if (seen == SEEN_NEVER) {
            return false;
        }
        if (seen == SEEN_IN_PART) {
            continue;
        }
        if (is_done(r, step, &key)) {
            return true;
        }
        if (!ask(r, step, key)) {
            return false;
        }
    }
    return false;
}

/* -- the whole ----------------------------------------------------------------------------------
 */

struct member {
    struct mu_span name;
    int64_t status;
};

static const struct mu_json_field member_fields[] = {
    { "Name", { NULL }, MU_JSON_AS_TEXT, offsetof(struct member, name), NULL },
    { "Status", { NULL }, MU_JSON_AS_INT, offsetof(struct member, status), NULL },
};

static const struct mu_json_shape member_shape = CLI_SHAPE(member_fields, struct member);

static void name_who_is_away(struct rotation *r)
{
    struct mu_objects members = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    size_t count = 0;

    cli_call_init(&c, "GET", "/v1/agent/members");
    if (cli_send(r->cli, &c) &&
        cli_read_list(&c, &member_shape, &members, &r->arena, &err) == MU_OK) {
        for (size_t i = 0; i < members.count; i++) {
            const struct member *m = (const struct member *)members.items + i;

            if (m->status == AWAY) {
                (void)fprintf(r->cli->out, "%s%.*s",
                              count++ == 0 ? "Away, and told when they come back within 72 hours: "
                                           : ", ",
                              MU_SPAN_FMT(m->name));
            }
        }
    }
    (void)fprintf(r->cli->out, "%s", count > 0 ? "\n" : "");
    cli_call_deinit(&c);
}

static int carry_out(struct rotation *r)
{
    bool ok = take_step(r, STEP_INSTALL) && take_step(r, STEP_USE) && take_step(r, STEP_REMOVE);

    if (!ok) {
        (void)cli_fail(r->cli, "error: %s", r->why);
    }
    if (!ok && r->has_begun) {
        (void)cli_fail(r->cli,
                       "The rotation is not complete. Nobody is locked out; to go on with it:\n"
                       "  muster keys rotate -key %s",
                       r->key);
    }
    if (!ok) {
        return 1;
    }
    name_who_is_away(r);
    (void)fprintf(r->cli->out, "==> Done. The key, for the configuration of nodes to come:\n%s\n",
                  r->key);
    return 0;
}

static int key_find(struct rotation *r, const char *given)
{
    struct mu_err err = MU_ERR_NONE;
    struct gossip_key key = { .count = GOSSIP_KEY_BYTES_MAX };

    if (given == NULL) {
        randombytes_buf(key.bytes, sizeof key.bytes);
    } else if (gossip_key_parse(given, &key, &err) != MU_OK) {
        return cli_fail(r->cli, "invalid value \"%s\" for flag -key: %s", given, err.text);
    }
    gossip_key_text(&key, r->key);
    sodium_memzero(&key, sizeof key);
    return 0;
}

int cmd_keys_rotate(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct rotation r = { .cli = cli };
    uint64_t timeout_ms;
    int status;

    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (!cli_duration(cli, "timeout", o->timeout, TIMEOUT_MS, &timeout_ms)) {
        return 1;
    }
    status = key_find(&r, o->key);
    if (status == 0) {
        r.until_ms = mu_clock_ms() + timeout_ms;
        mu_arena_init(&r.arena, 0);
        status = carry_out(&r);
        forget(&r);
        mu_arena_deinit(&r.arena);
    }
    sodium_memzero(r.key, sizeof r.key);
    return status;
}
