/* realtime.h - the loop before other programs, and its memory never on a swap device (`realtime`;
 * spec/gossip.md 5.6). Private to agent/cmd.
 *
 * A starved or swapped process looks dead to others, and sees others die: that is where most false
 * alarms come from. The detector copes; who runs muster beside what takes all processors for
 * seconds can do more.
 *
 * Thread:  the loop's, before it starts others. They, and programs that run on events, keep to the
 *          common rules: the kernel resets what is not the loop's own.
 */
#ifndef AGENT_CMD_REALTIME_H
#define AGENT_CMD_REALTIME_H

/* What the system refuses is said in the log (it takes CAP_SYS_NICE and CAP_IPC_LOCK, or limits),
 * and everything goes on without. Again is harmless. */
void realtime_begin(void);

#endif
