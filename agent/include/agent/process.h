/* process.h - one child process: fed, listened to, limited, and not left behind.
 *
 * A program runs as the leader of a session of its own, with our environment, standard input from
 * `input` and its output and errors on one pipe. What it does not read is dropped when it ends;
 * what it writes is taken at a bounded pace, so that a flood costs the program its time and not us
 * ours. When its time is over it is killed with its whole group. A while after it ended the pipe is
 * closed, whoever still holds it (a child of the child), and the group is killed, too. Who has left
 * the group, for a session of its own, lives on.
 *
 *   start -> (done callback), or start -> process_cancel(). The object frees itself.
 *
 * Thread:  the loop's.
 * Memory:  options are copied; what the callbacks get is borrowed.
 * Errors:  a program that cannot be started is reported through the callback too.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

struct uv_loop_s;
struct process; /* opaque */

struct process_result {
    enum mu_code code;     /* MU_IO: not started, `why` says it */
    const char *why;       /* in words: "exit status 3", "signal: killed"; "" at success */
    int status;            /* exit status; 128 and the signal's number if one ended it */
    bool is_timed_out;     /* its time was over: it was killed */
    bool left_others;      /* somebody held its output when it had ended; its group was killed */
    struct mu_span output; /* the last of it, when kept */
    uint64_t output_bytes; /* of all it wrote */
};
typedef void process_done_fn(void *data, const struct process_result *result);
typedef void process_output_fn(void *data, struct mu_span bytes);

struct process_options {
    const char *const *argv;    /* NULL-ended; the first is looked for in PATH */
    const struct mu_pairs *env; /* beside what we have; of a name they win */
    struct mu_span input;       /* then end of file */
    bool inherits_output;       /* it writes where we write: nothing is taken or kept */
    bool inherits_input;        /* it reads what we would: `input` is empty */
    size_t output_bytes_max;    /* how much of the end of its output is kept */
    process_output_fn *output;  /* all of it as it comes; may be NULL */
    uint64_t timeout_ms;        /* 0: none */
    process_done_fn *done;      /* never from inside process_start() */
    void *data;
};

struct process *process_start(struct uv_loop_s *loop, const struct process_options *options);
/* Take no output meanwhile: it waits when its pipe is full. */
void process_hold(struct process *p, bool is_held);
/* Its number, which is that of its group; 0: it could not be started, or has ended. */
int process_pid(const struct process *p);
/* To it and its group, while it runs. */
void process_signal(struct process *p, int number);
/* Kill it and its group: no callback after this. */
void process_cancel(struct process *p);

#endif
