/* metrics.c - see metrics.h. To add one: a row, or a line where its value is at hand. */
#include "agent/metrics.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/operator.h"
#include "base/assert.h"
#include "base/clock.h"
#include "core.h"
#include "tally.h"

struct telling {
    agent_metric_fn *each;
    void *data;
};

static void tell(const struct telling *t, enum agent_metric_kind kind, const char *name,
                 const char *help, double value)
{
    t->each(t->data,
            &(struct agent_metric){ .name = name, .help = help, .kind = kind, .value = value });
}

static void tell_sample(const struct telling *t, const char *name, const char *help,
                        const struct mu_sample *sample)
{
    t->each(t->data, &(struct agent_metric){
                         .name = name, .help = help, .kind = AGENT_SAMPLE, .sample = *sample });
}

static void tell_of(const struct telling *t, const char *name, const char *help, const char *label,
                    const char *label_value, double value)
{
    t->each(t->data, &(struct agent_metric){ .name = name,
                                             .help = help,
                                             .kind = AGENT_GAUGE,
                                             .value = value,
                                             .label = label,
                                             .label_value = label_value });
}

/* -- the process ------------------------------------------------------------------------------- */

/* Resident pages, from the kernel's own memory: no disk is waited for. */
static double resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL) {
        return 0;
    }
    int got = fscanf(f, "%llu %llu", &size, &resident);

    (void)fclose(f);
    return got == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void tell_runtime(const struct agent *a, const struct telling *t)
{
    struct mallinfo2 heap = mallinfo2();
    struct rusage used;
    double resident = resident_bytes();

    MU_ASSERT(getrusage(RUSAGE_SELF, &used) == 0);
    /* An allocator of a sanitizer tells nothing of itself. */
    tell(t, AGENT_GAUGE, "runtime.alloc_bytes", "Bytes that are allocated",
         heap.uordblks + heap.hblkhd > 0 ? (double)(heap.uordblks + heap.hblkhd) : resident);
    tell(t, AGENT_GAUGE, "runtime.sys_bytes", "Resident memory in bytes", resident);
    tell(t, AGENT_COUNTER, "runtime.cpu_ms", "Processor time in milliseconds",
         (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000.0 +
             (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000.0);
    tell_sample(t, "loop.turn",
                "Milliseconds of one turn of the loop: so long did everything else here wait",
                turn_took(a->turn));
}

/* -- memory ------------------------------------------------------------------------------------ */

static void tell_memory(const struct agent *a, const struct telling *t)
{
    struct agent_front_held front = { .evicted_count = 0 };
    struct agent__memory parts[AGENT__MEMORY_PARTS];
    size_t count = agent__memory_look(a, parts);

    for (size_t i = 0; i < count; i++) {
        tell_of(t, "memory.bytes", "Bytes held for what is under way", "part", parts[i].name,
                (double)parts[i].held.bytes);
    }
    for (size_t i = 0; i < count; i++) {
        tell_of(t, "memory.most_bytes", "The most of them since the start", "part", parts[i].name,
                (double)parts[i].held.most);
    }
    for (size_t i = 0; i < count; i++) {
        tell_of(t, "memory.max_bytes", "How many of them there may be", "part", parts[i].name,
                (double)parts[i].bytes_max);
    }
    if (a->front.held != NULL) {
        a->front.held(a->front.data, &front);
    }
    tell(t, AGENT_COUNTER, "http.evicted",
         "Connections that were closed because they did not take their answers",
         (double)front.evicted_count);
}

/* -- DNS --------------------------------------------------------------------------------------- */

static void tell_dns(const struct agent *a, const struct telling *t)
{
    struct agent_front_dns dns = { .rcodes_count = 0 };

    if (a->front.dns_counts == NULL) {
        return;
    }
    a->front.dns_counts(a->front.data, &dns);
    const struct {
        const char *name, *help;
        uint64_t count;
    } rows[] = {
        { "dns.queries.udp", "DNS messages that came as datagrams", dns.udp },
        { "dns.queries.tcp", "DNS messages that came over TCP", dns.tcp },
        { "dns.malformed", "Those that cannot be read", dns.malformed },
        { "dns.dropped", "Those that were not answered", dns.dropped },
        { "dns.errors_limited", "Errors kept back: there were too many", dns.errors_limited },
        { "dns.stale_queries", "Answers from rows that may be old", dns.stale },
        { "dns.late", "Questions that nobody answered in time", dns.late },
        { "dns.truncated", "Answers that did not fit", dns.truncated },
        { "dns.skipped", "Instances that no DNS message can hold", dns.skipped },
    };

    for (size_t i = 0; i < MU_LEN(rows); i++) {
        tell(t, AGENT_COUNTER, rows[i].name, rows[i].help, (double)rows[i].count);
    }
    tell_sample(
        t, "dns.domain_query",
        "Milliseconds from a query's arrival to its answer; of those read together, the mean",
        dns.took);
    for (size_t i = 0; i < dns.rcodes_count; i++) {
        t->each(t->data, &(struct agent_metric){ .name = "dns.answers",
                                                 .help = "DNS answers, by their code",
                                                 .kind = AGENT_COUNTER,
                                                 .value = (double)dns.rcodes[i].count,
                                                 .label = "rcode",
                                                 .label_value = dns.rcodes[i].name });
    }
}

/* -- gossip ------------------------------------------------------------------------------------ */

static const struct {
    enum gossip_counter counter;
    const char *name, *help;
} gossip_rows[] = {
    // clang-format off
    { GOSSIP_COUNT_PROBES_FAILED, "memberlist.probe.failed", "Probes that nothing answered" },
    { GOSSIP_COUNT_PROBES_TCP_ONLY, "memberlist.probe.tcp_only", "Probes that only TCP answered" },
    { GOSSIP_COUNT_PROBES_DEGRADED, "memberlist.degraded.probe", "Probes while the trouble was our own" },
    { GOSSIP_COUNT_TIMEOUTS_DEGRADED, "memberlist.degraded.timeout", "Suspicions that ended with fewer confirmations than wanted" },
    { GOSSIP_COUNT_ALIVES, "memberlist.msg.alive", "Members that said something new of themselves" },
    { GOSSIP_COUNT_SUSPICIONS, "memberlist.msg.suspect", "Suspicions that began" },
    { GOSSIP_COUNT_DEATHS, "memberlist.msg.dead", "Members that were declared dead, or said that they go" },
    { GOSSIP_COUNT_SUSPICIONS_CONFIRMED, "memberlist.suspicion.confirmed", "Times that another one joined in a suspicion" },
    { GOSSIP_COUNT_SUSPICIONS_REFUTED, "memberlist.suspicion.refuted", "Suspicions that were refuted" },
    { GOSSIP_COUNT_PACKETS_IN, "memberlist.udp.packets.received", "Datagrams that came" },
    { GOSSIP_COUNT_PACKETS_OUT, "memberlist.udp.packets.sent", "Datagrams that were sent" },
    { GOSSIP_COUNT_BYTES_IN, "memberlist.udp.received", "Bytes in datagrams that came" },
    { GOSSIP_COUNT_BYTES_OUT, "memberlist.udp.sent", "Bytes in those that were sent" },
    { GOSSIP_COUNT_STREAM_BYTES_IN, "memberlist.tcp.received", "Bytes that came over streams" },
    { GOSSIP_COUNT_STREAM_BYTES_OUT, "memberlist.tcp.sent", "Bytes that were sent over streams" },
    { GOSSIP_COUNT_STREAMS_IN, "memberlist.tcp.accept", "Streams that others opened" },
    { GOSSIP_COUNT_STREAMS_OUT, "memberlist.tcp.connect", "Streams that were opened" },
    { GOSSIP_COUNT_STREAMS_BUSY, "memberlist.tcp.busy", "Streams that there was no room for" },
    { GOSSIP_COUNT_BAD_MAGIC, "memberlist.dropped.magic", "Datagrams that are no gossip" },
    { GOSSIP_COUNT_BAD_VERSION, "memberlist.dropped.version", "Datagrams of versions not spoken here" },
    { GOSSIP_COUNT_OTHER_CLUSTER, "memberlist.dropped.label_mismatch", "Datagrams of other clusters" },
    { GOSSIP_COUNT_UNKNOWN_KEY, "memberlist.dropped.unknown_key", "Datagrams under keys that are not ours" },
    { GOSSIP_COUNT_FORGED, "memberlist.dropped.auth_failure", "Datagrams that were forged" },
    { GOSSIP_COUNT_REPLAYED, "memberlist.dropped.replay", "Datagrams that were played again" },
    { GOSSIP_COUNT_CLEAR, "memberlist.dropped.clear", "Datagrams in clear where only sealed ones are taken" },
    { GOSSIP_COUNT_BAD_CHECKSUM, "memberlist.dropped.checksum", "Datagrams that were changed on the way" },
    { GOSSIP_COUNT_MALFORMED, "memberlist.dropped.malformed", "Datagrams that are none" },
    { GOSSIP_COUNT_PARTS_MALFORMED, "memberlist.dropped.parts", "Messages in datagrams that cannot be read" },
    { GOSSIP_COUNT_PARTS_UNKNOWN, "memberlist.skipped.parts", "Messages of kinds that are not known here" },
    { GOSSIP_COUNT_INCARNATION_REFUSED, "memberlist.refused.incarnation", "Incarnations out of this world" },
    { GOSSIP_COUNT_ADDRESS_REFUSED, "memberlist.refused.address", "Members with addresses that nobody reaches" },
    { GOSSIP_COUNT_MEMBER_REFUSED, "memberlist.refused.member", "Members that may not enter" },
    { GOSSIP_COUNT_CONFLICTS, "memberlist.refused.conflict", "Claims to names that others hold" },
    { GOSSIP_COUNT_REFUTATIONS, "memberlist.refutations", "Accusations of this node that it refuted" },
    { GOSSIP_COUNT_STALE_ANSWERED, "memberlist.stale_alive_answered", "Members told what is held against them" },
    { GOSSIP_COUNT_PAUSES, "memberlist.pause_detected", "Times this process stood still" },
    { GOSSIP_COUNT_RUMORS_DROPPED, "memberlist.queue.dropped", "Words that a full queue lost" },
    { GOSSIP_COUNT_MEMBERS_JOINED, "serf.member.join", "Members that came, or came back" },
    { GOSSIP_COUNT_MEMBERS_LEAVING, "serf.member.leave", "Members that said that they leave" },
    { GOSSIP_COUNT_MEMBERS_LEFT, "serf.member.left", "Members that left" },
    { GOSSIP_COUNT_MEMBERS_FAILED, "serf.member.failed", "Members that failed" },
    { GOSSIP_COUNT_MEMBERS_UPDATED, "serf.member.update", "Members that changed their tags" },
    { GOSSIP_COUNT_MEMBERS_FLAPPED, "serf.member.flap", "Members that were back within a minute of failing" },
    { GOSSIP_COUNT_EVENTS, "serf.events", "User events that came" },
    { GOSSIP_COUNT_EVENTS_DROPPED, "serf.events.dropped", "Events and queries that one Lamport time had no room for" },
    { GOSSIP_COUNT_TIME_REFUSED, "serf.refused.lamport_time", "Lamport times out of this world" },
    { GOSSIP_COUNT_QUERIES, "serf.queries", "Queries that came" },
    { GOSSIP_COUNT_ACKS, "serf.query_acks", "Acks of queries asked here" },
    { GOSSIP_COUNT_RESPONSES, "serf.query_responses", "Answers to queries asked here" },
    { GOSSIP_COUNT_ACKS_TWICE, "serf.query_duplicate_acks", "Acks that came again" },
    { GOSSIP_COUNT_RESPONSES_TWICE, "serf.query_duplicate_responses", "Answers that came again" },
    { GOSSIP_COUNT_REPLIES_LATE, "serf.query_late_replies", "Acks and responses to queries that were over" },
    { GOSSIP_COUNT_COORDINATES_REFUSED, "serf.coordinate.rejected", "Coordinates of members that cannot be" },
    { GOSSIP_COUNT_COORDINATE_RESETS, "serf.coordinate.resets", "Times that the own coordinate began anew" },
    { GOSSIP_COUNT_RTTS_ZERO, "serf.coordinate.zero-rtt", "Round trips too short to measure" },
}; // clang-format on

/* Of the kinds that Serf has them of. */
static const struct {
    enum gossip_sample sample;
    const char *name, *help;
} sample_rows[] = {
    // clang-format off
    { GOSSIP_SAMPLE_PROBE, "memberlist.probeNode", "Milliseconds of probes, until they were answered or given up" },
    { GOSSIP_SAMPLE_ROUND, "memberlist.gossip", "Milliseconds of rounds of gossip that had something to tell" },
    { GOSSIP_SAMPLE_SYNC, "memberlist.pushPullNode", "Milliseconds of full exchanges of state that began here" },
    { GOSSIP_SAMPLE_SERF_IN, "serf.msgs.received", "Bytes of intents, events and queries that came" },
    { GOSSIP_SAMPLE_SERF_OUT, "serf.msgs.sent", "Bytes of intents, events and queries that were sent" },
    { GOSSIP_SAMPLE_ADJUSTMENT, "serf.coordinate.adjustment-ms", "Milliseconds that the own coordinate moved, each time it did" },
    { GOSSIP_SAMPLE_KEPT, "serf.snapshot.compact", "Milliseconds of writing the file of members" },
}; // clang-format on

static void tell_handlers(const struct agent *a, const struct telling *t)
{
    struct agent__handler_counts counts;

    agent__handlers_count(a, &counts);
    tell(t, AGENT_COUNTER, "agent.handlers.runs", "Event handlers that ended", (double)counts.runs);
    tell(t, AGENT_COUNTER, "agent.handlers.failed", "Those of them that did not end well",
         (double)counts.failed);
    tell(t, AGENT_COUNTER, "agent.handlers.killed", "Those that were killed for their time",
         (double)counts.killed);
    tell(t, AGENT_COUNTER, "agent.handlers.slow", "Those that took longer than a second",
         (double)counts.slow);
    tell(t, AGENT_COUNTER, "agent.handlers.left", "Those that left processes with their output",
         (double)counts.left);
    tell(t, AGENT_COUNTER, "agent.handlers.dropped",
         "Events that the full queue of a handler had no room for", (double)counts.dropped);
}

static void tell_states(const struct telling *t, const struct gossip_stats *s)
{
    const struct {
        const char *state;
        size_t count;
    } rows[] = { { "alive", s->alive - s->suspects },
                 { "suspect", s->suspects },
                 { "dead", s->failed },
                 { "left", s->left } };

    for (size_t i = 0; i < MU_LEN(rows); i++) {
        tell_of(t, "memberlist.node.instances", "Members by state", "node_state", rows[i].state,
                (double)rows[i].count);
    }
}

static void tell_queues(const struct telling *t, const struct gossip_stats *s)
{
    tell(t, AGENT_GAUGE, "memberlist.health.score", "Trouble of our own; 0 is none",
         s->health_score);
    tell(t, AGENT_GAUGE, "memberlist.mixed",
         "Members that sent in clear within ten minutes, where encrypt is set", (double)s->clear);
    tell(t, AGENT_GAUGE, "memberlist.size.local", "Bytes of the last whole state that was sent",
         (double)s->sync_sent_bytes);
    tell(t, AGENT_GAUGE, "memberlist.size.remote", "Bytes of the last whole state that came",
         (double)s->sync_taken_bytes);
}

void agent__metrics_look(void *data)
{
    struct agent *a = data;
    struct gossip_stats s = gossip_driver_stats(a->gossip);

    mu_sample_add(&a->metrics.core_queue, (double)s.core_queue);
    mu_sample_add(&a->metrics.intent_queue, (double)s.intent_queue);
    mu_sample_add(&a->metrics.event_queue, (double)s.event_queue);
    mu_sample_add(&a->metrics.query_queue, (double)s.query_queue);
    gossip_driver_warn_of_depths(a->gossip);
    timer_set(a->timers, &a->metrics.look, AGENT__LOOK_MS, agent__metrics_look, a);
}

static void tell_samples(const struct agent *a, const struct telling *t)
{
    for (size_t i = 0; i < MU_LEN(sample_rows); i++) {
        tell_sample(t, sample_rows[i].name, sample_rows[i].help,
                    gossip_driver_sample(a->gossip, sample_rows[i].sample));
    }
    tell_sample(t, "memberlist.queue.broadcasts", "Words about members that wait to be told",
                &a->metrics.core_queue);
    tell_sample(t, "serf.queue.Intent", "Joins and leaves that wait to be told",
                &a->metrics.intent_queue);
    tell_sample(t, "serf.queue.Event", "User events that wait to be told", &a->metrics.event_queue);
    tell_sample(t, "serf.queue.Query", "Queries that wait to be told", &a->metrics.query_queue);
}

static void tell_gossip(const struct agent *a, const struct telling *t)
{
    struct gossip_stats s = gossip_driver_stats(a->gossip);
    uint64_t counters[GOSSIP_COUNTERS_COUNT], accepted, commands;

    tell_states(t, &s);
    tell_queues(t, &s);
    tell_samples(a, t);
    agent__ipc_traffic(a, &accepted, &commands);
    tell(t, AGENT_COUNTER, "agent.ipc.accept", "Clients of the control port", (double)accepted);
    tell(t, AGENT_COUNTER, "agent.ipc.command", "What they asked for", (double)commands);
    tell(t, AGENT_COUNTER, "serf.ipc.hung_up", "Clients of the control port that were hung up on",
         (double)agent__ipc_faults(a));
    tell(t, AGENT_COUNTER, "serf.snapshot.appendLine", "Lines written of the file of members",
         (double)s.kept_lines);
    tell(t, AGENT_COUNTER, "memberlist.udp.kernel_drops",
         "Datagrams that the receive buffer had no room for", (double)s.kernel_drops);
    gossip_driver_counters(a->gossip, counters);
    for (size_t i = 0; i < MU_LEN(gossip_rows); i++) {
        tell(t, AGENT_COUNTER, gossip_rows[i].name, gossip_rows[i].help,
             (double)counters[gossip_rows[i].counter]);
    }
}

/* -- by names that users and members have: places are kept for those to come ------------------- */

static void tell_nothing(const struct telling *t, size_t places)
{
    for (size_t i = 0; i < places; i++) {
        t->each(t->data, &(struct agent_metric){ .name = NULL });
    }
}

static void tell_tally(const struct telling *t, const struct tally *tally, const char *prefix,
                       const char *family, enum agent_metric_kind kind, const char *help)
{
    struct agent_metric m = { .help = help, .kind = kind, .label = "name", .family = family };

    for (size_t i = 0; i < TALLY_MAX; i++) {
        if (!tally_row(tally, i, &m.name, &m.sample)) {
            tell_nothing(t, 1);
            continue;
        }
        m.label_value = m.name + strlen(prefix);
        m.value = m.sample.sum;
        t->each(t->data, &m);
    }
}

static void tell_tallies(const struct agent *a, const struct telling *t)
{
    tell_tally(t, a->metrics.events, "serf.events.", "serf.events_by_name", AGENT_COUNTER,
               "User events that came, by their names");
    tell_tally(t, a->metrics.queries, "serf.queries.", "serf.queries_by_name", AGENT_COUNTER,
               "Queries that came, by their names");
    tell_tally(t, a->metrics.scripts, "agent.invoke.", "agent.invoke", AGENT_SAMPLE,
               "Milliseconds that event handlers ran");
}

struct accusers {
    const struct telling *t;
    size_t field, count;
};

static void tell_accuser(void *data, const struct gossip_accuser *accuser)
{
    static const char *const names[] = { "memberlist.accuser.started",
                                         "memberlist.accuser.confirmed",
                                         "memberlist.accuser.refuted" };
    static const char *const helps[] = { "Suspicions that began, by who began them",
                                         "Suspicions that were joined, by who did",
                                         "Suspicions that were denied, by who had them" };
    const uint64_t values[] = { accuser->started, accuser->confirmed, accuser->refuted };
    struct accusers *s = data;

    s->count++;
    s->t->each(s->t->data, &(struct agent_metric){ .name = names[s->field],
                                                   .help = helps[s->field],
                                                   .kind = AGENT_COUNTER,
                                                   .value = (double)values[s->field],
                                                   .label = "accuser",
                                                   .label_value = accuser->name });
}

static void tell_accusers(const struct agent *a, const struct telling *t)
{
    for (size_t field = 0; field < 3; field++) {
        struct accusers s = { .t = t, .field = field };

        gossip_driver_each_accuser(a->gossip, tell_accuser, &s);
        tell_nothing(t, GOSSIP_ACCUSERS_MAX + 1 - s.count);
    }
}

/* -- servers ----------------------------------------------------------------------------------- */

/* Of the leader and the voter it heard least of; 0 on the others, as with Consul. */
static double last_contact_ms(const struct consensus_status *s)
{
    uint64_t now_ms = mu_clock_ms(), most = 0;

    for (size_t i = 0; s->role == CONSENSUS_LEADER && i < s->peers_count; i++) {
        uint64_t acked_ms = s->peers[i].acked_ms;
        uint64_t since = acked_ms > 0 && now_ms > acked_ms ? now_ms - acked_ms : 0;

        most = since > most ? since : most;
    }
    return (double)most;
}

static void tell_raft(const struct agent *a, const struct telling *t)
{
    struct consensus_status s;

    consensus_driver_status(a->consensus, &s);
    tell(t, AGENT_GAUGE, "server.isLeader", "1 on the leader", s.role == CONSENSUS_LEADER);
    tell(t, AGENT_GAUGE, "raft.leader.lastContact",
         "Milliseconds since the leader heard the voter that it heard least of",
         last_contact_ms(&s));
    tell(t, AGENT_GAUGE, "raft.term", "Term of consensus", (double)s.term);
    tell(t, AGENT_GAUGE, "raft.last_index", "Last entry of the log", (double)s.last_index);
    tell(t, AGENT_GAUGE, "raft.commit_index", "Last entry that is committed", (double)s.commit);
    tell(t, AGENT_GAUGE, "raft.applied_index", "Last entry that is applied here",
         (double)a->applied.index);
    tell(t, AGENT_GAUGE, "raft.fsm.pending", "Committed entries that wait to be applied",
         (double)apply_waiting(a->apply));
    tell(t, AGENT_GAUGE, "raft.command_level", "Level of commands in use", (double)s.level);
    tell(t, AGENT_GAUGE, "raft.command_level_max", "Level of commands that this server understands",
         (double)s.level_max);
    tell(t, AGENT_GAUGE, "raft.peers", "Voters, this server included", (double)s.voters_count);
    tell(t, AGENT_COUNTER, "raft.apply", "Entries that were applied", (double)a->applied.index);
    tell(t, AGENT_COUNTER, "raft.state.candidate", "Elections that this server began",
         (double)s.elections_started);
    tell(t, AGENT_COUNTER, "raft.state.leader", "Elections that it won", (double)s.elections_won);
    tell(t, AGENT_COUNTER, "raft.reads.leased", "Reads that no quorum was asked for",
         (double)s.reads_leased);
    tell(t, AGENT_COUNTER, "raft.reads.rounds", "Rounds that confirmed reads",
         (double)s.reads_batched);
    tell(t, AGENT_COUNTER, "raft.snapshots.sent", "Snapshots that others took from this server",
         (double)s.snapshots_sent);
    tell(t, AGENT_COUNTER, "raft.snapshots.installed", "Snapshots that became the state here",
         (double)s.snapshots_installed);
    tell(t, AGENT_COUNTER, "raft.snapshots.failed", "Snapshots that were not made, sent or taken",
         (double)s.snapshots_failed);
    tell(t, AGENT_COUNTER, "raft.entries.reread",
         "Entries that were read from the log again for servers that were behind",
         (double)s.entries_reread);
    tell_sample(t, "raft.commitTime", "Milliseconds from proposing a write here to its result",
                &a->metrics.commit);
}

static void tell_scrub(const struct agent *a, const struct telling *t)
{
    struct agent_scrub s;
    int64_t now_s = (int64_t)(mu_clock_wall_ns() / MU_NS_PER_S);

    agent_scrub(a, &s);
    tell(t, AGENT_COUNTER, "scrub.passes", "Times that state and log were read again, all of them",
         (double)s.passes);
    tell(t, AGENT_COUNTER, "scrub.damages", "Damage that was found by reading them",
         (double)s.damages);
    tell(t, AGENT_GAUGE, "scrub.running", "1 while they are read", s.reading[0] != '\0');
    tell(t, AGENT_GAUGE, "scrub.shedding", "1 while a damaged part of the log is still in it",
         s.shedding);
    tell(t, AGENT_GAUGE, "scrub.age", "Seconds since they were read, all of them; -1: never",
         s.last_s == 0 ? -1 : (double)(now_s > s.last_s ? now_s - s.last_s : 0));
}

/* -- all of them ------------------------------------------------------------------------------- */

void agent_each_metric(struct agent *a, agent_metric_fn *each, void *data)
{
    const struct telling t = { each, data };

    tell_runtime(a, &t);
    tell_memory(a, &t);
    tell_dns(a, &t);
    tell(&t, AGENT_GAUGE, "agent.services", "Services registered here",
         (double)local_services_count(a->local));
    tell(&t, AGENT_GAUGE, "agent.checks", "Checks registered here",
         (double)local_checks_count(a->local));
    tell_handlers(a, &t);
    tell_gossip(a, &t);
    tell_tallies(a, &t);
    tell_accusers(a, &t);
    tell(&t, AGENT_COUNTER, "rpc.request", "Calls of other agents that were served",
         (double)rpc_requests(a->rpc));
    tell(&t, AGENT_COUNTER, "rpc.hung_up",
         "Connections of the RPC port that were closed for what came, or not taken",
         (double)rpc_faults(a->rpc));
    if (a->consensus != NULL) {
        tell_raft(a, &t);
        tell_scrub(a, &t);
    }
}
