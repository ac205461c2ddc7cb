/* scenes.c - sim_gossip_scenes: each scene with its seeds.
 *
 *   sim_gossip_scenes                     all, with one fixed seed and one fresh one (the test)
 *   sim_gossip_scenes --list              names, and what happens in them
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

size_t scenes_run(const char *name, uint64_t seed, uint64_t count, size_t nodes, bool is_told)
{
    const struct scene *const lists[] = { scenes_life, scenes_words };
    size_t failed = 0;
    size_t played = 0;

    for (size_t list = 0; list < MU_LEN(lists); list++) {
        for (const struct scene *scene = lists[list]; scene->name != NULL; scene++) {
            for (uint64_t i = 0; (name == NULL || strcmp(name, scene->name) == 0) && i < count;
                 i++) {
                failed += !play(scene, seed + i, nodes, is_told);
                played++;
            }
        }
    }
    return played > 0 ? failed : 1;
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

int main(int argc, char **argv)
{
    const char *name = NULL;
    uint64_t seed = 0, count = 1, nodes = 0;
    bool has_seed = false, is_told = false;

    mu_log_set_fd(-1);
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--list") == 0) {
            return list_all();
        }
        if (strcmp(argv[i], "-v") == 0) {
            is_told = true;
            continue;
        }
        if (strcmp(argv[i], "--scene") == 0) {
            name = next;
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = number(next);
            has_seed = true;
        } else if (strcmp(argv[i], "--count") == 0) {
            count = number(next);
        } else if (strcmp(argv[i], "--nodes") == 0) {
            nodes = (size_t)number(next);
        } else {
            (void)fprintf(stderr, "unknown argument '%s'; see the top of scenes.c\n", argv[i]);
            return 2;
        }
        i++;
    }
    size_t failed = scenes_run(name, has_seed ? seed : 1, count, (size_t)nodes, is_told);

    if (!has_seed) {
        failed += scenes_run(name, mu_rand_system() >> 32, count, (size_t)nodes, is_told);
    }
    return failed == 0 ? 0 : 1;
}
