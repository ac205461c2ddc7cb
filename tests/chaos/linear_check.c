/* linear_check.c - judge histories in files (lib/history.h).
 *
 *   linear_check <file>...
 *
 * Exit 0: all are linearizable; 1: one is not, or was not decided; 2: one cannot be read.
 */
#include <stdio.h>

#include "base/file.h"
#include "history.h"
#include "linear.h"

static int verdict_show(const char *path, const char *method, enum linear_verdict verdict,
                        struct mu_buf *why)
{
    static const char *const words[] = { "holds", "BROKEN", "undecided" };

    (void)printf("%s: by %s: %s\n%s", path, method, words[verdict], mu_buf_text(why));
    mu_buf_clear(why);
    return verdict == LINEAR_HOLDS ? 0 : 1;
}

static int judge(const char *path)
{
    struct linear_history h = LINEAR_HISTORY_NONE;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_buf why = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    int exit_code = 2;

    if (mu_file_read(path, HISTORY_BYTES_MAX, &text, &err) != MU_OK ||
        history_parse(&h, mu_buf_span(&text), &err) != MU_OK) {
        (void)fprintf(stderr, "linear_check: %s: %s\n", path, err.text);
        goto out;
    }
    (void)printf("%s: %zu operations\n", path, h.count);
    exit_code = verdict_show(path, "indexes", linear_check_indexes(&h, &why), &why);
    exit_code |= verdict_show(path, "search", linear_check(&h, 0, &why), &why);
out:
    linear_history_deinit(&h);
    mu_buf_deinit(&why);
    mu_buf_deinit(&text);
    return exit_code;
}

int main(int argc, char **argv)
{
    int worst = 0;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: linear_check <file>...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int exit_code = judge(argv[i]);

        worst = exit_code > worst ? exit_code : worst;
    }
    return worst;
}
