/* script.h - transcript tests: commands, "----", expected output (style guide section 10).
 *
 *   # Comment, kept as it is.
 *   nodes a b c
 *   run 2000ms
 *   ----
 *   [1000] a: ping b
 *
 * A block ends at an empty line. Each file is one world: `open` before its first block, `close`
 * behind its last. MUSTER_REWRITE=1 writes what came out into the file instead of comparing.
 */
#ifndef TESTS_SCRIPT_H
#define TESTS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SCRIPT_WORDS_MAX 64

struct script_command {
    const char *file;
    unsigned line;
    const char *words[SCRIPT_WORDS_MAX]; /* words[0] is the command; split at blanks */
    size_t words_count;
};

struct script_world {
    void *(*open)(const char *file);
    /* Run one command; what it prints becomes the expected output of its block. False: unknown
     * command or wrong arguments (the test fails, naming file and line). */
    bool (*run)(void *world, const struct script_command *command, struct mu_buf *out);
    void (*close)(void *world);
};

/* Run every *.txt below `dir` (relative to the tests folder) in name order. Returns how many files
 * differ or fail; prints a unified picture of the first difference of each. */
size_t script_run_dir(const char *dir, const struct script_world *world);
/* Only that one. */
size_t script_run_one(const char *dir, const char *name, const struct script_world *world);

/* "key=value" among the words of a command; `fallback` when it is not there. */
const char *script_option(const struct script_command *c, const char *key, const char *fallback);
unsigned long long script_number(const struct script_command *c, const char *key,
                                 unsigned long long fallback);
/* "2000ms", "3s", "150us" is refused: milliseconds, asserted well-formed. */
unsigned long long script_ms(const char *text);

#endif
