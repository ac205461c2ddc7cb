# Faults put into the shipped core on purpose, one program each: the tests must notice every one.
#
#   mutant(<name> <file> <sim|scripts|explore> <what stands there, once>
#          <what a careless hand would write> [LONG])
#
# `sim` must find it among fixed seeds, `scripts` must show another story, `explore` must reach it in
# small bounds. The sources stay clean: a mutant is a copy of one file with the text replaced, linked
# before the library. LONG ones are built and run by tests/sim/run --mutants only.

set(mutant_dir ${CMAKE_CURRENT_BINARY_DIR}/mutants)
set(mutant_rows)
add_custom_target(mutants)

function(mutant name file by old new)
    set(source ${CMAKE_SOURCE_DIR}/consensus/${file})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    string(FIND "${text}" "${old}" first)
    string(FIND "${text}" "${old}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
        message(FATAL_ERROR "mutant ${name}: ${file} must hold exactly once:\n${old}")
    endif()
    string(REPLACE "${old}" "${new}" text "${text}")
    file(CONFIGURE OUTPUT ${mutant_dir}/${name}.c CONTENT "${text}" @ONLY)
    add_executable(mutant_${name} ${mutant_dir}/${name}.c)
    target_link_libraries(mutant_${name} PRIVATE ${by}_consensus_main muster_flags)
    # a mutant may leave a variable or function unused
    target_compile_options(mutant_${name} PRIVATE -w)
    add_dependencies(mutants mutant_${name})
    set(when quick)
    if("LONG" IN_LIST ARGN)
        set(when long)
        set_target_properties(mutant_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
    set(mutant_rows "${mutant_rows}${name} ${by} ${when} $<TARGET_FILE:mutant_${name}>\n"
        PARENT_SCOPE)
endfunction()

# -- votes and terms (spec 2.1) ----------------------------------------------------------------------

mutant(vote_forgotten_on_step_down election.c sim
    "    c->role = to;"
    "    c->role = to; if (to == CONSENSUS_FOLLOWER) { c->hard.voted_for = MU_ID_NONE; }")
mutant(vote_before_durable election.c sim
    ".seq = c->writes.vote_seq, /* O2 */"
    ".seq = 0,")
mutant(request_before_own_vote_durable election.c sim
    "    if (c->role == CONSENSUS_CANDIDATE && !c->campaign.has_asked &&
        c->writes.persisted_seq >= c->writes.vote_seq) {"
    "    if (c->role == CONSENSUS_CANDIDATE && !c->campaign.has_asked) {")
mutant(vote_without_log_check election.c sim
    "    return m->ask.last_term < term || (m->ask.last_term == term && m->ask.last_index < index);"
    "    return m->ask.last_term < term;")
mutant(vote_twice_in_a_term election.c sim
    "    } else if (voted_for_another(c, &m->from)) {
        vote_refuse"
    "    } else if (false) {
        vote_refuse")
mutant(vote_forgotten_by_restart step.c sim
    "    c->hard = loaded->hard;
"
    "    c->hard = loaded->hard; c->hard.voted_for = MU_ID_NONE;
")
mutant(pending_votes_kept_over_terms election.c sim
    "    c->hard.voted_for = *voted_for;
    c->pending_count = 0;"
    "    c->hard.voted_for = *voted_for;")
mutant(half_is_a_quorum commit.c sim
    "    return values[count / 2];"
    "    return values[(count - 1) / 2];")
mutant(prevote_raises_terms step.c scripts
    "[CONSENSUS_PREVOTE_REQ] = { NEVER, ANSWERS }"
    "[CONSENSUS_PREVOTE_REQ] = { ADOPTS, ANSWERS }")
mutant(stickiness_off election.c scripts
    "           c->now_ms - c->leader_heard_ms < c->options.election_ms_min;"
    "           false;")
mutant(check_quorum_off replicate.c scripts
    "    return from + c->options.election_ms_min;"
    "    return UINT64_MAX;")
mutant(newer_term_in_an_answer_ignored step.c scripts
    "[CONSENSUS_APPEND_RES] = { ADOPTS, DROPS }"
    "[CONSENSUS_APPEND_RES] = { NEVER, DROPS }")

# -- replication and commit (1.7, 1.11, 2.5, 2.6) --------------------------------------------------------

mutant(ack_before_durable append.c sim
    "                                 .seq = seq,"
    "                                 .seq = 0,")
mutant(ack_before_term_durable append.c sim
    "    if (c->writes.term_seq > seq) {"
    "    if (false) {")
mutant(ack_of_own_last append.c sim
    "                                 .match = end,"
    "                                 .match = c->log.last_index,")
mutant(commit_of_older_terms replicate.c scripts
    "    if (index > c->commit && consensus_term_at(c, index) == c->hard.term) {"
    "    if (index > c->commit) {")
mutant(commit_by_memory replicate.c sim
    "values[i] = i == c->self ? c->writes.stable : c->peers[i].match;"
    "values[i] = i == c->self ? c->log.last_index : c->peers[i].match;")
mutant(commit_to_own_last append.c sim
    "    consensus__commit_to(c, min_u64(m->append.commit, end));"
    "    consensus__commit_to(c, min_u64(m->append.commit, c->log.last_index));")
mutant(heartbeat_commit_not_clamped replicate.c sim
    "        m->heartbeat.commit = min_u64(c->commit, p->match);"
    "        m->heartbeat.commit = c->commit;")
mutant(short_append_cuts_tail append.c sim
    "        if (!is_equal && e->index > c->commit) {"
    "        if (e->index > c->commit) {")
mutant(prev_not_checked append.c sim
    "    if (m->append.prev_index > c->commit &&
        !consensus__log_has(c, m->append.prev_index, m->append.prev_term)) {"
    "    if (m->append.prev_index > c->log.last_index) {")
mutant(stable_by_last_completion write.c sim
    "        if (s->first <= s->last && s->first - 1 < stable) {"
    "        if (false) {")
mutant(truncation_not_written append.c sim
    "    consensus__write_entries(c, first, bytes);"
    "    consensus__write_entries(c, first + (count > 1), bytes);")
mutant(lost_tail_not_noticed replicate.c sim
    "    if (p->state != CONSENSUS_REPLICATE || p->match + 1 >= p->next) {"
    "    if (true) {")
mutant(attempts_not_told_apart progress.c scripts
    "    if (to == CONSENSUS_PROBE) {"
    "    if (false) {")

# -- reads, tickets, handles (1.5, 2.7) --------------------------------------------------------------------

mutant(read_confirmed_by_older_round read.c scripts
    "        consensus__quorum_read_echo(c) < c->reads.flying_seq) {"
    "        consensus__quorum_read_echo(c) + 1 < c->reads.flying_seq) {")
mutant(read_before_own_term read.c sim
    "    if (c->reads.flying > 0 || waiting == 0 || !c->office.is_ready) {"
    "    if (c->reads.flying > 0 || waiting == 0) {")
mutant(read_without_quorum read.c scripts
    "        consensus__quorum_read_echo(c) < c->reads.flying_seq) {"
    "        false) {")
mutant(reads_forgotten_at_step_down read.c sim
    "    c->reads.is_void = c->reads.count > c->reads.ready;"
    "    c->reads.count = c->reads.ready;")
mutant(lost_proposals_not_told propose.c sim
    "    c->lost_last = c->log.last_index;"
    "    c->lost_last = 0;")
mutant(handle_leaked append.c sim
    "    drop_range(c, m, 0, skip);"
    "    drop_range(c, m, 1, skip);")
mutant(pause_not_noticed step.c scripts
    "    if (wake_ms != CONSENSUS_NEVER && now_ms > wake_ms + c->options.pause_ms && !c->is_stopped) {"
    "    if (false) {")

# -- bootstrap (2.10) ------------------------------------------------------------------------------------

mutant(promise_before_durable bootstrap.c scripts
    "    phase_move(b, BINDING, UINT64_MAX);
    record_write(b);
}

static void on_promised("
    "    phase_move(b, BINDING, UINT64_MAX);
    record_write(b);
    send(b, BOOTSTRAP_PROMISED, &m->from, &m->cluster);
}

static void on_promised(")
mutant(set_adopted_by_majority bootstrap.c scripts
    "    if (has_all(&b->record.set, b->answers)) {
        adopt(b);"
    "    if (bits_count(b->answers) * 2 > b->record.set.count) {
        adopt(b);")

# -- the same kinds of faults, found by searching everything (4.6) ------------------------------------

mutant(explore_vote_twice election.c explore
    "    } else if (voted_for_another(c, &m->from)) {
        vote_refuse"
    "    } else if (false) {
        vote_refuse")
mutant(explore_vote_without_log election.c explore
    "    return m->ask.last_term < term || (m->ask.last_term == term && m->ask.last_index < index);"
    "    return false;")
mutant(explore_ack_before_durable append.c explore
    "                                 .seq = seq,"
    "                                 .seq = 0,")
mutant(explore_vote_forgotten_by_restart step.c explore
    "    c->hard = loaded->hard;
"
    "    c->hard = loaded->hard; c->hard.voted_for = MU_ID_NONE;
")
mutant(explore_half_is_a_quorum commit.c explore
    "    return values[count / 2];"
    "    return values[(count - 1) / 2];")
mutant(explore_prev_not_checked append.c explore
    "    if (m->append.prev_index > c->commit &&
        !consensus__log_has(c, m->append.prev_index, m->append.prev_term)) {"
    "    if (m->append.prev_index > c->log.last_index) {")

# -- membership (2.8) --------------------------------------------------------------------------------------

# The calibration: Ongaro's bug of 2015 in single-server changes needs four servers, two leaders that
# each change the same old configuration, and a third election.
mutant(explore_change_before_own_commit change.c explore
    "    if (!c->office.is_ready) { /* guard (a) */"
    "    if (false) {" LONG)
# -- damage in the log (spec 2.16) -----------------------------------------------------------------------

mutant(vote_forgets_what_was_lost log.c scripts
    "        *index = c->floor_index;
    }"
    "        *index = c->log.last_index; *term = consensus__log_last_term(c);
    }")
mutant(stands_with_a_hole election.c scripts
    "    if (c->floor_index != 0) { /* it would"
    "    if (false) { /* it would")
mutant(match_survives_a_hole replicate.c scripts
    "    if (p->match <= last_index) {
        return false;"
    "    if (true) {
        return false;")

# -- the states compared (spec 3.6) ----------------------------------------------------------------------

mutant(odd_state_goes_on sums.c scripts
    "    if (m->heartbeat.is_odd) {"
    "    if (false) {")
mutant(odd_leader_goes_on sums.c scripts
    "        if ((own & BIT(i)) == 0) {"
    "        if (false) {")
mutant(split_states_are_written_to propose.c scripts
    "    if (c->office.is_split) {"
    "    if (false) {")

file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/mutants.list CONTENT "${mutant_rows}")
add_test(NAME mutants_consensus
    COMMAND ${CMAKE_SOURCE_DIR}/tests/sim/run --mutants --quick --jobs 1
        --build ${CMAKE_BINARY_DIR})
set_tests_properties(mutants_consensus PROPERTIES TIMEOUT ${MUSTER_TEST_TIMEOUT} LABELS sim)
