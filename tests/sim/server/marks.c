/* marks.c - what a batch of whole servers has met at least once (spec/consensus.md 4.5).
 *
 * A fault that never happens is not survived; neither is one that happens and is not noticed. So
 * marks are what servers say in their logs when they have dealt with something, what the run
 * counted, and at which point of an install a process has died.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "world.h"

/* Words in lines of the servers' own logs. */
static const struct {
    const char *text, *name;
} lines[] = {
    // clang-format off
    { "The last stop was a crash",              "the end of a log written again after a crash" },
    { "The log was damaged",                    "damage in a log found at a start, and lived with" },
    { "has lost entries",                       "a leader hears of entries that were lost" },
    { "has all of its log again",               "a log that peers have made whole" },
    { "The log cannot be written any more",     "a disk that fails for good" },
    { "The disk is full",                       "a full disk" },
    { "The disk has room again",                "room again" },
    { "its disk is full and another server's",  "a leader gives way for its full disk" },
    { "its disk has completed nothing",         "a leader gives way for its stalled disk" },
    { "does not complete its writes",           "nobody stands for an office on a stalled disk" },
    { "this process stood still",               "a pause" },
    { "has lost its state",                     "a leader hears of a state that is gone" },
    { "without a state, to bring its log",      "a leader without a state" },
    { "differs from this one's",                "two states that differ" },
    { "What the state of this server holds",    "a state that differs, counted" },
    { "a copy, is what others have come to",    "a copied state that was proven" },
    { "Dropped a message",                      "a message that is not understood" },
    { "sent something that was meant",          "a message for somebody else" },
    { "has lost its disk",                      "a blank disk where a server was" },
    { "Gave up an attempt to form",             "an attempt to form a cluster given up" },
    { "Released from a promise",                "a promise taken back" },
    { "Added to a cluster as a learner",        "a server added to a cluster" },
    { "could not install the snapshot",         "a snapshot that a peer could not install" },
    { "no snapshot could be made",              "a snapshot that could not be made" },
    { "takes no more",                          "a snapshot that nobody takes any more" },
    { "are damaged",                            "entries that a leader cannot read for a peer" },
}; // clang-format on

/* At which point of its work on snapshots a process has died. */
static const char *const points[SNAPS_POINTS] = {
    [SNAPS_IDLE] = NULL, /* of no interest */
    [SNAPS_EXPORTS] = "dies while it makes a snapshot",
    [SNAPS_READS] = "dies while it reads one for a peer",
    [SNAPS_OPENS] = "dies while it begins to take one",
    [SNAPS_STORES] = "dies while it takes one",
    [SNAPS_IMPORTS] = "dies while it makes a state of one",
    [SNAPS_SWITCHES] = "dies while that state comes to count",
    [SNAPS_WAITS] = "dies while that state waits for the apply steps",
    [SNAPS_REMOVES] = "dies while the state before goes",
};

/* What two hundred seeds of this simulator need not meet, and what else does. */
static const struct {
    const char *name, *why;
} elsewhere[] = {
    // clang-format off
    { "damage in a log found at a start, and lived with", "sim_consensus, unit tests of the journal" },
    { "a leader hears of entries that were lost",         "sim_consensus" },
    { "a log that peers have made whole",                 "sim_consensus" },
    { "a leader gives way for its full disk",             "sim_consensus" },
    { "a message for somebody else",                      "sim_consensus" },
    { "a blank disk where a server was",                  "sim_consensus" },
    { "nobody stands for an office on a stalled disk",    "sim_consensus; said only where all is said" },
    { "a snapshot that could not be made",                "sim_consensus" },
    { "dies while it reads one for a peer",               "a moment: changes nothing on its disk" },
    { "dies while it begins to take one",                 "a moment: a file without content" },
    { "dies while that state waits for the apply steps",  "a moment: as after it came to count" },
    { "dies while the state before goes",                 "a moment: what is left goes at a start" },
}; // clang-format on

static const char *why_elsewhere(const char *name)
{
    for (size_t i = 0; i < MU_LEN(elsewhere); i++) {
        if (strcmp(elsewhere[i].name, name) == 0) {
            return elsewhere[i].why;
        }
    }
    return NULL;
}

static struct {
    uint64_t lines[MU_LEN(lines)], points[SNAPS_POINTS], faults[FAULTS_COUNT], relieved;
} seen;

void marks_line(const char *line)
{
    for (size_t i = 0; i < MU_LEN(lines); i++) {
        seen.lines[i] += strstr(line, lines[i].text) != NULL;
    }
}

void marks_death(const struct server *s)
{
    seen.points[snaps_at(s)]++;
}

void marks_relieved(void)
{
    seen.relieved++;
}

void marks_faults(const struct world *w)
{
    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        seen.faults[i] += w->bad[i];
    }
}

static unsigned mark(const char *group, const char *name, uint64_t count)
{
    const char *why = why_elsewhere(name);

    if (count > 0 || why != NULL) {
        (void)printf("%12llu  %s%s%s%s\n", U(count), group, name, count > 0 ? "" : "; ",
                     count > 0 ? "" : why);
        return 0;
    }
    (void)printf("never seen: %s%s\n", group, name);
    return 1;
}

unsigned marks_print(const struct marks_count *counts, size_t counts_count)
{
    unsigned unseen = mark("", "a reserve given back to the state", seen.relieved);

    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        unseen += mark("fault ", world_fault_text(i), seen.faults[i]);
    }
    for (size_t i = 0; i < MU_LEN(lines); i++) {
        unseen += mark("", lines[i].name, seen.lines[i]);
    }
    for (size_t i = SNAPS_IDLE + 1; i < SNAPS_POINTS; i++) {
        unseen += mark("", points[i], seen.points[i]);
    }
    for (size_t i = 0; i < counts_count; i++) {
        unseen += mark("", counts[i].name, counts[i].count);
    }
    (void)printf("%u marks never seen\n", unseen);
    return unseen;
}
