/* muster consensus recover; recover and operator raft recover are the same. Without a data
 * directory it is for servers that run: recover.c.
 *
 * What is about to happen is said first, with everything that would be lost, and nothing happens
 * without a yes.
 */
#include <string.h>

#include "agent/recovery.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "commands.h"
#include "recover.h"

struct options {
    const char *data_dir, *peers, *server;
    struct cli_texts bundles;
    bool rejoins, is_forced, is_agreed;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "server",   CLI_TEXT,  AT(server),    "Go on from this server, by its name or id; default: from the one whose log goes furthest." },
    { "data-dir", CLI_TEXT,  AT(data_dir),  "Data directory of a server that is stopped; without it, a running agent is asked." },
    { "peers",    CLI_TEXT,  AT(peers),     "With -data-dir: the servers that are to go on, as in Consul's peers.json; default: this one alone." },
    { "bundle",   CLI_TEXTS, AT(bundles),   "With -data-dir: what another survivor holds, from consensus inspect; repeatable." },
    { "rejoin",   CLI_BOOL,  AT(rejoins),   "With -data-dir: set aside what this server holds: it joins the cluster as a new one." },
    { "force",    CLI_BOOL,  AT(is_forced), "Also when another server's log goes further, or enough voters answer to elect a leader." },
    { "yes",      CLI_BOOL,  AT(is_agreed), "Do not ask." },
}; // clang-format on

#undef AT

const struct cli_options cmd_consensus_recover_options = CLI_OPTIONS(rows, struct options);

struct plan {
    struct cli *cli;
    const struct options *options;
    struct recovery *recovery;
    struct recovery_peers peers;
    struct recovery_position others[RECOVERY_SERVERS_MAX];
    size_t others_count;
};

/* -- what was given ---------------------------------------------------------------------------- */

static enum mu_code read_bundle(struct plan *p, const char *path, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    struct recovery_position *to = &p->others[p->others_count];

    if (p->others_count == RECOVERY_SERVERS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "at most %d bundles", RECOVERY_SERVERS_MAX);
    }
    enum mu_code rc = mu_file_read(path, RECOVERY_FILE_MAX, &text, err);

    if (rc == MU_OK) {
        rc = recovery_position_read(mu_buf_span(&text), to, err);
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", path);
    }
    mu_buf_deinit(&text);
    if (rc == MU_OK && !mu_id_eq(&to->server, &recovery_position(p->recovery)->server)) {
        p->others_count++;
    }
    return rc;
}

static enum mu_code read_peers(struct plan *p, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;

    if (p->options->peers == NULL) {
        p->peers.count = 1;
        p->peers.items[0].id = recovery_position(p->recovery)->server;
        p->peers.items[0].is_voter = true;
        return MU_OK;
    }
    enum mu_code rc = mu_file_read(p->options->peers, RECOVERY_FILE_MAX, &text, err);

    if (rc == MU_OK) {
        rc = recovery_peers_read(mu_buf_span(&text), &p->peers, err);
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", p->options->peers);
    }
    mu_buf_deinit(&text);
    return rc;
}

static enum mu_code gather(struct plan *p, struct mu_err *err)
{
    enum mu_code rc = read_peers(p, err);

    for (size_t i = 0; rc == MU_OK && i < p->options->bundles.count; i++) {
        rc = read_bundle(p, p->options->bundles.items[i], err);
    }
    return rc == MU_OK ? recovery_judge(recovery_position(p->recovery), &p->peers, p->others,
                                        p->others_count, p->options->is_forced, err)
                       : rc;
}

/* -- what is said ------------------------------------------------------------------------------ */

static const struct recovery_position *bundle_of(const struct plan *p, const struct mu_id *id)
{
    for (size_t i = 0; i < p->others_count; i++) {
        if (mu_id_eq(&p->others[i].server, id)) {
            return &p->others[i];
        }
    }
    return NULL;
}

static void say_position(FILE *to, const char *who, const struct recovery_position *p)
{
    (void)fprintf(to, "  %s: last entry %llu of term %llu\n", who,
                  (unsigned long long)p->last_index, (unsigned long long)p->last_term);
}

static void say_others(const struct plan *p, FILE *to)
{
    const struct recovery_position *own = recovery_position(p->recovery);

    for (size_t i = 0; i < own->servers_count; i++) {
        const struct recovery_server *s = &own->servers[i];
        const struct recovery_position *bundle = bundle_of(p, &s->id);
        char id[MU_ID_TEXT_BYTES + 1];

        mu_id_text(&s->id, id);
        if (mu_id_eq(&s->id, &own->server)) {
            say_position(to, "this server", own);
        } else if (bundle != NULL) {
            say_position(to, id, bundle);
        } else {
            (void)fprintf(to, "  %s%s%s: unknown; entries that only it has are lost\n", id,
                          s->address[0] != '\0' ? " at " : "", s->address);
        }
    }
}

static void say_plan(const struct plan *p, FILE *to)
{
    const struct recovery_position *own = recovery_position(p->recovery);

    (void)fputs("The servers of the cluster that lost its quorum:\n", to);
    say_others(p, to);
    (void)fprintf(
        to,
        "\nThe new cluster has %zu server%s, in a new epoch. All %llu entries here count as "
        "committed",
        p->peers.count, p->peers.count == 1 ? "" : "s", (unsigned long long)own->last_index);
    if (own->last_index > own->applied_index) {
        (void)fprintf(to, ",\nthe last %llu of them too, which perhaps never were",
                      (unsigned long long)(own->last_index - own->applied_index));
    }
    (void)fputs(".\nEvery other server can only join as new.\n", to);
}

static bool agrees(const struct plan *p)
{
    return p->options->is_agreed || recover_agrees(p->cli);
}

/* -- doing it ---------------------------------------------------------------------------------- */

/* Who is a voter of the new cluster must not rejoin: without its log there may be no quorum, again.
 */
static void say_done(const struct plan *p, FILE *to)
{
    const struct recovery_position *now = recovery_position(p->recovery);
    size_t voters = 0;

    for (size_t i = 0; i < p->peers.count; i++) {
        voters += p->peers.items[i].is_voter;
    }
    (void)fprintf(to, "\nRecovered: epoch %llu begins with entry %llu. ",
                  (unsigned long long)now->epoch, (unsigned long long)now->last_index);
    (void)fputs(voters > 1 ? "Before any is started recover the other\nservers of the file in the "
                             "same way, with these bundles. Then start them, and let\nwho else "
                             "survived join them: "
                           : "Start this server, then let the other survivors\njoin it: ",
                to);
    (void)fputs("muster consensus recover -rejoin -data-dir DIR on each, and start it.\n", to);
}

static int recover(struct plan *p)
{
    struct mu_err err = MU_ERR_NONE;

    if (gather(p, &err) != MU_OK) {
        return cli_fail(p->cli, "Error: %s", err.text);
    }
    say_plan(p, p->cli->out);
    if (!agrees(p)) {
        return cli_fail(p->cli, "Nothing was changed");
    }
    if (recovery_carry_out(p->recovery, &p->peers, p->others, p->others_count, &err) != MU_OK) {
        return cli_fail(p->cli, "Error: %s", err.text);
    }
    say_done(p, p->cli->out);
    return 0;
}

static int rejoin(struct plan *p)
{
    struct mu_err err = MU_ERR_NONE;
    char folder[RECOVERY_FOLDER_MAX];

    (void)fputs("What this server holds is set aside; it joins the cluster as a new server.\n",
                p->cli->out);
    if (!agrees(p)) {
        return cli_fail(p->cli, "Nothing was changed");
    }
    if (recovery_rejoin(p->recovery, folder, &err) != MU_OK) {
        return cli_fail(p->cli, "Error: %s", err.text);
    }
    (void)fprintf(p->cli->out, "Set aside in %s/%s; delete it when the cluster is well.\n",
                  p->options->data_dir, folder);
    return 0;
}

static int ask_agent(struct cli *cli, const struct options *o)
{
    const struct recover_live wish = { o->server, o->is_forced, o->is_agreed };

    if (o->peers != NULL || o->bundles.count > 0 || o->rejoins) {
        return cli_fail(cli, "Error: -peers, -bundle and -rejoin are for a server that is stopped: "
                             "they need its -data-dir");
    }
    return recover_live(cli, &wish);
}

int cmd_consensus_recover(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct plan *p = mu_new(sizeof *p);
    struct mu_err err = MU_ERR_NONE;
    int status;

    (void)argv;
    p->cli = cli;
    p->options = options;
    if (argc > 0) {
        status = cli_too_many(cli, 0, argc, argv);
    } else if (p->options->data_dir == NULL) {
        status = ask_agent(cli, p->options);
    } else if (p->options->server != NULL) {
        status = cli_fail(cli, "Error: -server is for servers that run, without -data-dir");
    } else if (p->options->rejoins && (p->options->peers != NULL || p->options->bundles.count > 0 ||
                                       p->options->is_forced)) {
        status = cli_fail(cli, "Error: -rejoin takes neither -peers nor -bundle nor -force");
    } else if (recovery_open(&p->recovery, p->options->data_dir, &err) != MU_OK) {
        status = cli_fail(cli, "Error: %s", err.text);
    } else {
        status = p->options->rejoins ? rejoin(p) : recover(p);
    }
    recovery_close(p->recovery);
    mu_free(p);
    return status;
}
