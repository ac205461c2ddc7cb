/* fuzz_main.c - runs a libFuzzer target without libFuzzer, so that every test run exercises it.
 *
 * Arguments: a corpus directory (may be missing), and a number of mutated inputs. Replays each file
 * and every truncation of it, then mutations of them from a fixed seed. With clang's libFuzzer
 * (preset `fuzz`) the same target runs coverage-guided instead.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define INPUT_BYTES_MAX (1U << 20)
#define TRUNCATIONS_MAX 4096

struct corpus {
    const char *dir;
    struct mu_buf *inputs;
    size_t count;
};

/* A copy of exact size, so that the sanitizer sees a read past its end. */
static void run_one(const uint8_t *data, size_t bytes)
{
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);

    MU_ASSERT(exact != NULL);
    if (bytes > 0) {
        memcpy(exact, data, bytes);
    }
    (void)LLVMFuzzerTestOneInput(exact, bytes);
    free(exact);
}

static enum mu_code load(void *data, const char *name, struct mu_err *err)
{
    struct corpus *c = data;
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", c->dir, name);
    c->inputs = mu_grow(c->inputs, (c->count + 1) * sizeof *c->inputs);
    c->inputs[c->count] = MU_BUF_NONE;
    enum mu_code rc =
        mu_file_read(mu_buf_text(&path), INPUT_BYTES_MAX, &c->inputs[c->count++], err);

    mu_buf_deinit(&path);
    return rc;
}

static void mutate(struct mu_rand *r, struct mu_buf *b)
{
    uint64_t changes = 1 + mu_rand_below(r, 4);

    for (uint64_t i = 0; i < changes; i++) {
        size_t at = b->bytes > 0 ? mu_rand_below(r, b->bytes) : 0;

        switch (mu_rand_below(r, 5)) {
        case 0:
            if (b->bytes > 0) {
                b->data[at] = (uint8_t)mu_rand_u64(r);
            }
            break;
        case 1:
            if (b->bytes > 0) {
                b->data[at] ^= (uint8_t)(1U << mu_rand_below(r, 8));
            }
            break;
        case 2: b->bytes = at; break;
        case 3: mu_buf_add_byte(b, (uint8_t)mu_rand_u64(r)); break;
        default: /* repeat a part of itself: lengths and counts that no longer agree */
            if (b->bytes > 0 && b->bytes < INPUT_BYTES_MAX / 2) {
                size_t part = 1 + mu_rand_below(r, b->bytes - at);

                (void)mu_buf_reserve(b, part);
                memcpy(b->data + b->bytes, b->data + at, part);
                b->bytes += part;
            }
            break;
        }
    }
}

int main(int argc, char **argv)
{
    struct corpus c = { .dir = argc > 1 ? argv[1] : "." };
    unsigned long long rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    struct mu_err err = MU_ERR_NONE;
    struct mu_rand r;
    struct stat st;

    mu_log_set_fd(-1);
    if (stat(c.dir, &st) == 0 && mu_dir_each(c.dir, load, &c, &err) != MU_OK) {
        (void)fprintf(stderr, "%s: %s\n", c.dir, err.text);
        return 1;
    }
    for (size_t i = 0; i < c.count; i++) {
        size_t step = c.inputs[i].bytes / TRUNCATIONS_MAX + 1;

        for (size_t bytes = 0; bytes < c.inputs[i].bytes; bytes += step) {
            run_one(c.inputs[i].data, bytes);
        }
        run_one(c.inputs[i].data, c.inputs[i].bytes);
    }
    mu_rand_seed(&r, 1);
    struct mu_buf work = MU_BUF_NONE;

    for (unsigned long long i = 0; i < rounds; i++) {
        mu_buf_clear(&work);
        if (c.count > 0) {
            mu_buf_add_span(&work, mu_buf_span(&c.inputs[mu_rand_below(&r, c.count)]));
        } else {
            size_t bytes = mu_rand_below(&r, 256);

            mu_rand_bytes(&r, mu_buf_reserve(&work, bytes), bytes);
            work.bytes += bytes;
        }
        mutate(&r, &work);
        run_one(work.data, work.bytes);
    }
    mu_buf_deinit(&work);
    for (size_t i = 0; i < c.count; i++) {
        mu_buf_deinit(&c.inputs[i]);
    }
    mu_free(c.inputs);
    (void)printf("%zu inputs, %llu mutations\n", c.count, rounds);
    return 0;
}
