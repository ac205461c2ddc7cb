/* scenes.c - sim_gossip_scenes: each scene with its seeds.
 *
 *   sim_gossip_scenes                     all with a fixed seed, a third of them with a fresh one
 * (the test) sim_gossip_scenes --list              names, and what happens in them
 *   sim_gossip_scenes --scene NAME [--seed S] [--count N] [--nodes N] [-v]
 *   sim_gossip_scenes --seed S [--count N]     all of them, with these seeds
 *
 * --nodes: as many as that instead of the scene's own number: `--scene joins --nodes 1000`. A
 * record costs 0.8 kB, so a thousand nodes need 0.8 GB.
 */
#include "scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/rand.h"
#include "base/span.h"

#define FRESH_SHARE 3

static bool play(const struct scene *scene, uint64_t seed, size_t nodes, bool is_told)
{
    struct stage s = { .is_told = is_told };
    clock_t began = clock();

    (void)printf("%s --seed %llu: ", scene->name, (unsigned long long)seed);
    (void)fflush(stdout); /* an assertion ends the process */
    scene->play(&s, seed, nodes > 0 ? nodes : scene->nodes);
    (void)printf("%s (%.1f s simulated in %.2f, waited %.1f s)\n", s.why[0] == '\0' ? "ok" : s.why,
                 (double)world_now_ms(s.world) / 1000, (double)(clock() - began) / CLOCKS_PER_SEC,
                 (double)s.waited_ms / 1000);
    bool ok = s.why[0] == '\0';

    stage_close(&s);
    return ok;
}

struct wish {
    const char *name;     /* NULL: all scenes */
    uint64_t seed, count; /* so many from this one on */
    size_t nodes;         /* 0: each scene's own number */
    bool has_seed, is_told;
};

static bool is_wished(const struct wish *w, const struct scene *scene, bool is_fresh, bool has_turn)
{
    if (w->name != NULL && strcmp(w->name, scene->name) != 0) {
        return false;
    }
    return !is_fresh || (!scene->is_chancy && (w->name != NULL || has_turn));
}

/* How many failed; one that is not known is a failure too. */
static size_t play_all(const struct wish *w, uint64_t seed, bool is_fresh)
{
    const struct scene *const lists[] = { scenes_life, scenes_words };
    size_t failed = 0;
    size_t played = 0;
    uint64_t turn = seed;

    for (size_t list = 0; list < MU_LEN(lists); list++) {
        for (const struct scene *scene = lists[list]; scene->name != NULL; scene++) {
            bool is_on = is_wished(w, scene, is_fresh, turn++ % FRESH_SHARE == 0);

            for (uint64_t i = 0; is_on && i < w->count; i++) {
                failed += !play(scene, seed + i, w->nodes, w->is_told);
                played++;
            }
        }
    }
    return played > 0 || is_fresh ? failed : 1;
}

static int list_all(void)
{
    const struct scene *const lists[] = { scenes_life, scenes_words };

    for (size_t list = 0; list < MU_LEN(lists); list++) {
        for (const struct scene *scene = lists[list]; scene->name != NULL; scene++) {
            (void)printf("%-22s %s\n", scene->name, scene->what);
        }
    }
    return 0;
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;

    if (text == NULL || !mu_span_u64(mu_span_text(text), &value)) {
        (void)fprintf(stderr, "a number is expected, not '%s'\n", text != NULL ? text : "");
        exit(2);
    }
    return value;
}

static struct wish parse(int argc, char **argv)
{
    struct wish w = { .seed = 1, .count = 1 };

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "-v") == 0) {
            w.is_told = true;
            continue;
        }
        if (strcmp(argv[i], "--scene") == 0) {
            w.name = next;
        } else if (strcmp(argv[i], "--seed") == 0) {
            w.seed = number(next);
            w.has_seed = true;
        } else if (strcmp(argv[i], "--count") == 0) {
            w.count = number(next);
        } else if (strcmp(argv[i], "--nodes") == 0) {
            w.nodes = (size_t)number(next);
        } else {
            (void)fprintf(stderr, "unknown argument '%s'; see the top of scenes.c\n", argv[i]);
            exit(2);
        }
        i++;
    }
    return w;
}

int main(int argc, char **argv)
{
    mu_log_set_fd(-1);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        return list_all();
    }
    const struct wish w = parse(argc, argv);
    size_t failed = play_all(&w, w.seed, false);

    if (!w.has_seed) {
        failed += play_all(&w, mu_rand_system() >> 32, true);
    }
    return failed == 0 ? 0 : 1;
}
