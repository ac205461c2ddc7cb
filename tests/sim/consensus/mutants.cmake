# Faults put into the shipped core on purpose, one program each: the tests must notice every one.
#
#   mutant(<name> <file> <sim|scripts|leases|explore|fuzz|unit_*> <what stands there, once>
#          <what a careless hand would write> [LONG] [TOLD])
#
# `sim` must find it among fixed seeds, `scripts` must show another story, `explore` must reach it in
# small bounds, `fuzz` must trip over it by steps nobody thought of, a unit test must say so. The
# sources stay clean: a mutant is a copy of one file with the text replaced, linked before the
# library. LONG ones are built and run by tests/sim/run --mutants only; the tests, too, fail when one
# no longer fits its file. TOLD ones are looked for by the scripts, too. Where a line of known_faults names
# scripts and a mutant that scripts look for, one of just these scripts must show another story.

set(mutant_dir ${CMAKE_CURRENT_BINARY_DIR}/mutants)
set(mutant_rows)
add_custom_target(mutants)

# One program of a mutant: this one looks for it.
function(mutant_program program name by when)
    add_executable(${program} ${mutant_dir}/${name}.c)
    target_link_libraries(${program} PRIVATE ${by}_consensus_main muster_flags)
    # a mutant may leave a variable or function unused
    target_compile_options(${program} PRIVATE -w)
    add_dependencies(mutants ${program})
    if(when STREQUAL long)
        set_target_properties(${program} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
endfunction()

function(mutant name file by old new)
    mutant_source(fits consensus/${file} ${mutant_dir}/${name}.c "${old}" "${new}")
    if("LONG" IN_LIST ARGN AND NOT fits)
        # the build goes on without it, and the tests fail
        set(mutant_rows "${mutant_rows}${name} ${by} stale ${file}\n" PARENT_SCOPE)
        return()
    endif()
    if(NOT fits)
        message(FATAL_ERROR "mutant ${name}: ${file} must hold exactly once:\n${old}")
    endif()
    set(when quick)
    if("LONG" IN_LIST ARGN)
        set(when long)
    endif()
    mutant_program(mutant_${name} ${name} ${by} ${when})
    set(mutant_rows "${mutant_rows}${name} ${by} ${when} $<TARGET_FILE:mutant_${name}>\n")
    if("TOLD" IN_LIST ARGN)
        mutant_program(mutant_${name}_told ${name} scripts long)
        set(mutant_rows
            "${mutant_rows}${name}_told scripts long $<TARGET_FILE:mutant_${name}_told>\n")
    endif()
    set(mutant_rows "${mutant_rows}" PARENT_SCOPE)
endfunction()

# -- votes and terms (spec 2.1) ----------------------------------------------------------------------

mutant(vote_forgotten_on_step_down election.c sim
    "    c->role = to;"
    "    c->role = to; if (to == CONSENSUS_FOLLOWER) { c->hard.voted_for = MU_ID_NONE; }" TOLD)
mutant(vote_before_durable election.c sim
    ".seq = c->writes.vote_seq, /* O2 */"
    ".seq = 0,")
mutant(request_before_own_vote_durable election.c sim
    "    if (c->role == CONSENSUS_CANDIDATE && !c->campaign.has_asked &&
        c->writes.persisted_seq >= c->writes.vote_seq) {"
    "    if (c->role == CONSENSUS_CANDIDATE && !c->campaign.has_asked) {" TOLD)
mutant(vote_without_log_check election.c sim
    "    return m->ask.last_term < term || (m->ask.last_term == term && m->ask.last_index < index);"
    "    return m->ask.last_term < term;")
mutant(vote_twice_in_a_term election.c sim
    "    } else if (voted_for_another(c, &m->from)) {
        vote_refuse"
    "    } else if (false) {
        vote_refuse" TOLD)
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
    "                                 .match = c->log.last_index," TOLD)
mutant(commit_of_older_terms replicate.c scripts
    "    if (index > c->commit && consensus_term_at(c, index) == c->hard.term) {"
    "    if (index > c->commit) {")
mutant(commit_by_memory replicate.c sim
    "uint64_t index = quorum_index(c, c->writes.stable);"
    "uint64_t index = quorum_index(c, c->log.last_index);")
mutant(commit_to_own_last append.c sim
    "    consensus__commit_to(c, min_u64(m->append.commit, end));"
    "    consensus__commit_to(c, min_u64(m->append.commit, c->log.last_index));" TOLD)
mutant(heartbeat_commit_not_clamped replicate.c sim
    "        m->heartbeat.commit = min_u64(c->commit, p->match);"
    "        m->heartbeat.commit = c->commit;")
mutant(short_append_cuts_tail append.c sim
    "        if (!is_equal && e->index > c->commit) {"
    "        if (e->index > c->commit) {" TOLD)
mutant(prev_not_checked append.c sim
    "    if (m->append.prev_index > c->commit &&
        !consensus__log_has(c, m->append.prev_index, m->append.prev_term)) {"
    "    if (m->append.prev_index > c->log.last_index) {")
mutant(stable_by_last_completion write.c sim
    "        if (s->first <= s->last && s->first - 1 < stable) {"
    "        if (false) {" TOLD)
mutant(truncation_not_written append.c sim
    "    consensus__write_entries(c, first, bytes);"
    "    consensus__write_entries(c, first + (count > 1), bytes);")
mutant(lost_tail_not_noticed replicate.c sim
    "    if (p->state != CONSENSUS_REPLICATE || p->match + 1 >= p->next) {"
    "    if (true) {" TOLD)
mutant(attempts_not_told_apart progress.c scripts
    "    if (to == CONSENSUS_PROBE) {"
    "    if (false) {")

# -- reads, tickets, handles (1.5, 2.7) --------------------------------------------------------------------

mutant(read_confirmed_by_older_round read.c scripts
    "        consensus__quorum_read_echo(c) < c->reads.flying_seq) {"
    "        consensus__quorum_read_echo(c) + 1 < c->reads.flying_seq) {")
mutant(read_before_own_term read.c sim
    "    if (c->reads.flying > 0 || waiting == 0 || !c->office.is_ready) {"
    "    if (c->reads.flying > 0 || waiting == 0) {" TOLD)
mutant(read_without_quorum read.c scripts
    "        consensus__quorum_read_echo(c) < c->reads.flying_seq) {"
    "        false) {")
mutant(reads_forgotten_at_step_down read.c sim
    "    c->reads.is_void = c->reads.count > c->reads.ready;"
    "    c->reads.count = c->reads.ready;" TOLD)
mutant(lost_proposals_not_told propose.c sim
    "    c->lost_last = c->log.last_index;"
    "    c->lost_last = 0;")
mutant(handle_leaked append.c sim
    "    drop_range(c, m, 0, skip);"
    "    drop_range(c, m, 1, skip);")
mutant(pause_not_noticed step.c scripts
    "    if (wake_ms != CONSENSUS_NEVER && now_ms > wake_ms + c->options.pause_ms && !c->is_stopped) {"
    "    if (false) {")

# -- membership and transfer (2.4, 2.8, 2.11) ----------------------------------------------------------------

# the bug of 2015: whoever cannot find it cannot find anything (spec 4.6)
mutant(change_before_own_term change.c scripts
    "    if (!c->office.is_ready) { /* guard (a) */"
    "    if (false) {")
mutant(change_behind_uncommitted change.c sim
    "    if (now->index > c->commit || now->is_joint) { /* guard (b) */"
    "    if (false) {")
mutant(change_without_health change.c scripts
    "    return consensus__quorum_of(next, bits);"
    "    return true;")
mutant(last_voter_removed change.c scripts
    "    if (s->is_voter && voters_of(next) == 1) {"
    "    if (false) {")
mutant(learner_promoted_behind change.c scripts
    "(p == NULL || p->state != CONSENSUS_REPLICATE || p->match < c->office.first_index);"
    "false;")
mutant(removed_disk_forgotten change.c scripts
    "    next->removed[next->removed_count++] = s->disk;"
    "")
mutant(removed_disk_comes_back change.c scripts
    "    if (consensus_config_has_removed(next, &what->disk)) {"
    "    if (false) {")
mutant(joint_not_left change.c scripts
    "    leave_joint(&next);
    consensus__config_propose"
    "    return;
    consensus__config_propose")
mutant(joint_left_uncommitted change.c sim
    "    if (!now->is_joint || now->index > c->commit || !c->office.is_ready"
    "    if (!now->is_joint || !c->office.is_ready")
mutant(joint_by_either_set commit.c scripts
    "        value = old < value ? old : value;"
    "        value = old > value ? old : value;")
mutant(removed_by_the_word_of_one change.c scripts
    "(others < 2 ? others : 2)"
    "1U")
mutant(removed_is_not_answered change.c scripts
    "    if (was_removed(c, &m->from_disk)) {"
    "    if (false) {")
mutant(removed_starved_on_append progress.c scripts
    "    if (c->role == CONSENSUS_LEADER) {
        removed_align"
    "    if (false) {
        removed_align")
mutant(removed_never_parted_with progress.c scripts
    "(p->applied < p->removed_index && c->now_ms < p->removed_ms + patience_ms)) {"
    "true) {")
mutant(removed_never_stands election.c scripts
    "    for (uint32_t i = 0; i < c->configs_count; i++) {
        const struct consensus_server *s =
            consensus_config_find(&c->configs[i], &c->options.server);"
    "    for (uint32_t i = c->configs_count - 1; i < c->configs_count; i++) {
        const struct consensus_server *s =
            consensus_config_find(&c->configs[i], &c->options.server);")
mutant(lost_disk_counts step.c scripts
    "    } else if (p != NULL && is_answer(m) && !mu_id_eq(&p->disk, &m->from_disk)) {"
    "    } else if (false) {")
mutant(new_disk_not_obeyed step.c scripts
    "    } else if (p != NULL && is_answer(m) && !mu_id_eq(&p->disk, &m->from_disk)) {"
    "    } else if (p != NULL && !mu_id_eq(&p->disk, &m->from_disk)) {")
mutant(stopped_confirms step.c scripts
    "    c->pending_count = 0; /* also of an observer, whose role does not change */"
    "")
mutant(transfer_flag_of_any_term step.c scripts
    "m->ask.transfer_term != c->hard.term)) {"
    "m->ask.transfer_term == 0)) {")
mutant(transfer_to_anybody transfer.c scripts
    "           consensus__config(c)->servers[i].is_voter;"
    "           true;")
mutant(transfer_before_it_has_all transfer.c scripts
    "    if (p->match != c->log.last_index || !is_settled || !is_due ||"
    "    if (!is_settled || !is_due ||")
mutant(transfer_before_all_is_committed transfer.c scripts
    "    if (p->match != c->log.last_index || !is_settled || !is_due ||"
    "    if (p->match != c->log.last_index || !is_due ||")
mutant(transfer_without_end transfer.c scripts
    "#define TRANSFER_MS(c) ((c)->options.election_ms_min)"
    "#define TRANSFER_MS(c) (100 * (c)->options.election_ms_min)")
mutant(transfer_stands_with_less transfer.c scripts
    "           m->timeout_now.last_index == c->log.last_index &&"
    "           true &&")
mutant(transfer_stands_before_durable transfer.c scripts
    "           c->writes.stable == c->log.last_index &&"
    "           true &&")
mutant(transfer_of_another_leader transfer.c scripts
    "           mu_id_eq(&c->leader, &m->from) && c->self < CONSENSUS_PEERS_MAX &&"
    "           c->self < CONSENSUS_PEERS_MAX &&")
mutant(transfer_takes_proposals propose.c scripts
    "    if (c->office.transfer.is_running) {"
    "    if (false) {")
mutant(transfer_begins_reads read.c scripts
    "    if (c->office.transfer.is_running) { /* or"
    "    if (false) { /* or")
mutant(takes_instead_more_than_it_holds append.c scripts
    "    return kept + count <= c->options.tail_entries;"
    "    (void)kept;
    return count > 0;")

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
mutant(promise_kept_for_ever bootstrap.c scripts
    "    if (b->phase == BOUND && b->was_told) {"
    "    if (false) {")
mutant(promise_broken_at_once bootstrap.c scripts
    "    if (b->phase == BOUND && b->was_told) {"
    "    if (b->phase == BOUND) {")
mutant(broken_promise_is_spoken_of bootstrap.c scripts
    "    if (mu_id_is_none(&m->cluster) || mu_id_eq(&m->cluster, &b->broken)) {"
    "    if (mu_id_is_none(&m->cluster)) {")
mutant(broken_promise_forgotten_by_restart bootstrap.c scripts
    "            b->broken = record->cluster;"
    "            b->broken = MU_ID_NONE;")

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
mutant(explore_compacts_what_is_not_durable compact.c explore
    "    uint64_t durable = c->durable_applied;

    return max_u64("
    "    uint64_t durable = c->applied;

    return max_u64(")
mutant(explore_compacts_the_term log.c explore
    "    c->log.base_index = index;
    c->log.base_term = term;
}

/* After"
    "    c->log.base_index = index;
}

/* After")
mutant(explore_switches_before_the_reset install.c explore
    "               c->writes.persisted_seq >= i->reset_seq) {"
    "               true) {")
mutant(explore_install_of_another_term log.c explore
    "    c->log.base_index = c->log.last_index = index;
    c->log.base_term = term;"
    "    c->log.base_index = c->log.last_index = index;
    c->log.base_term = c->hard.term;")
mutant(explore_install_says_too_much install.c explore
    "                                 .match = min_u64(c->commit, c->writes.stable),"
    "                                 .match = c->log.last_index,")
mutant(explore_entries_while_it_resets append.c explore
    "    if (consensus__is_resetting(c)) { /* the leader will ask again when"
    "    if (false) { /* the leader will ask again when" LONG)
mutant(explore_state_with_the_newest_config snapshot.c explore
    "    const struct consensus_config *config = consensus__config_at(c, snap->index);"
    "    const struct consensus_config *config = consensus__config(c);" LONG)
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

mutant(lost_state_never_stands election.c scripts
    "    if (consensus__is_installing(c)) { /* its log,"
    "    if (consensus__is_installing(c) || c->lacks_state) { /* its log,")
mutant(lost_state_stands_first election.c scripts
    "    if (c->health == CONSENSUS_STORE_FULL || c->lacks_state) {"
    "    if (c->health == CONSENSUS_STORE_FULL) {")
mutant(crowded_stands_first election.c scripts
    "    if (consensus__log_is_crowded(c)) {"
    "    if (false) {")
mutant(lost_state_takes_proposals propose.c scripts
    "    if (c->lacks_state) {
        return CONSENSUS_STATE_LOST;"
    "    if (false) {
        return CONSENSUS_STATE_LOST;")
mutant(lost_state_keeps_office transfer.c scripts
    "    to = heir(c);"
    "    to = NULL;")
mutant(lost_state_exports_nothing_as_all snapshot.c scripts
    "    if (c->lacks_state) {
        return; /* there"
    "    if (false) {
        return; /* there")
mutant(lost_state_is_given_the_office transfer.c scripts
    "p->acked_ms != 0 && !p->lacks_state &&"
    "p->acked_ms != 0 &&")
mutant(lost_state_gets_no_entries replicate.c scripts
    "    p->lacks_state = lacks_state;
}"
    "    p->lacks_state = lacks_state;
    if (lacks_state && p->state != CONSENSUS_SNAPSHOT) {
        consensus__peer_move(c, p, CONSENSUS_SNAPSHOT);
    }
}")
mutant(applies_behind_a_lost_state step.c scripts
    "    if (consensus__is_resetting(c) || c->lacks_state) {"
    "    if (consensus__is_resetting(c)) {")
mutant(lost_state_cuts_the_log install.c scripts
    "    return c->lacks_state && consensus__log_has(c, snap->index, snap->term);"
    "    return false;")
mutant(lost_state_needs_none install.c scripts
    "        return false; /* the log leads there from a state that is lost */"
    "")

mutant(answer_to_an_earlier_attempt install.c scripts
    "        i->snap.attempt != ev->snapshot.snap.attempt) {"
    "        false) {")
mutant(snapshot_offered_again_at_each_no snapshot.c scripts
    "    if (needs_one(p)) { /* it has the entries, but not durably yet: its acks will tell */"
    "    if (false) {")
mutant(who_stops_still_campaigns step.c scripts
    "    stop_run(c); /* who stops begins no campaign, though it may be time for one */
    consensus__election_run(c);"
    "    consensus__election_run(c);
    stop_run(c);")
mutant(stateless_leads_nobody_for_ever replicate.c scripts
    "    if (c->lacks_state && idle_ms(c) > STATELESS_MS(c)) {"
    "    if (false) {")

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
mutant(copy_is_a_witness sums.c scripts
    "        if (!(i == c->self ? c->sums.is_copy : c->peers[i].is_copy)) {"
    "        if (true) {")
mutant(copy_is_none_after_a_restart step.c scripts
    "    c->sums.is_copy = loaded->state_is_copy;"
    "")
mutant(copy_is_waited_for sums.c scripts
    "    return m->alive.is_copy && !m->alive.lacks_state && m->alive.applied >= c->office.asked.index;"
    "    return false;")
mutant(copy_is_never_proven sums.c scripts
    "        c->sums.is_copy = false;"
    "")
mutant(copy_is_proven_by_what_was_before sums.c scripts
    "    c->sums.head = c->sums.count = 0;"
    "")
mutant(split_outlives_a_lost_state sums.c scripts
    "    if (p->is_copy != m->alive.is_copy || m->alive.lacks_state) {"
    "    if (p->is_copy != m->alive.is_copy) {")
mutant(split_outlives_who_differed sums.c scripts
    "    } else if (is_complete(c)) {
        c->office.is_split = false;"
    "    } else if (is_complete(c)) {")
mutant(split_waits_for_a_forgotten_sum replicate.c scripts
    "    consensus__split_run(c);"
    "")
mutant(split_fills_the_log sums.c scripts
    "c->applied == c->log.last_index && is_late(c) && is_forgotten(c) &&"
    "c->applied == c->log.last_index && is_late(c) &&")
mutant(split_goes_on_while_it_asks sums.c scripts
    "    if (c->office.is_split && c->sums.newest.index == c->office.asked.index &&"
    "    if (c->office.is_split &&")
mutant(copies_prove_each_other sums.c scripts
    "        (is_right(c, c->self) || all_voters_in(consensus__config(c), equal_to(c, c->self)))) {"
    "        consensus__quorum_of(consensus__config(c), equal_to(c, c->self))) {")

# -- snapshots and compaction (spec 2.12, 2.13) --------------------------------------------------------

mutant(compacts_what_is_not_durable compact.c sim
    "    uint64_t durable = c->durable_applied;"
    "    uint64_t durable = c->applied;")
mutant(late_disk_waits_for_its_turn snapshot.c scripts
    "m->snapshot_res.offset >= p->snap_wanted) {"
    "m->snapshot_res.offset < p->snap_wanted) {")
mutant(gives_a_full_disk_to_who_lags transfer.c scripts
    "p->match < c->log.last_index &&
           c->now_ms - p->moved_ms"
    "p->match < c->commit &&
           c->now_ms - p->moved_ms")
mutant(marks_of_any_size compact.c scripts
    "        if (m->index <= index && m->bytes <= bytes) {"
    "        if (m->index <= index) {")
mutant(marks_of_any_index compact.c scripts
    "        if (m->index <= index && m->bytes <= bytes) {"
    "        if (m->bytes <= bytes) {")
mutant(sheds_what_is_not_durable compact.c unit_step
    "    return c->log.shed_to <= c->durable_applied ? c->log.shed_to : 0;"
    "    return c->log.shed_to <= c->applied ? c->log.shed_to : 0;")
mutant(sheds_for_nobody compact.c scripts
    "    limit = max_u64(limit, shed_limit(c));"
    "    (void)sheds;")
mutant(compacts_behind_a_transfer compact.c scripts
    "        limit = held_up(c, limit, s->pin_index, bytes);"
    "        (void)s;")
mutant(who_imports_keeps_others_waiting snapshot.c scripts
    "    if (s->stored < s->snap.bytes || next_in_need(c, p) == NULL) {"
    "    if (s->stored <= s->snap.bytes || next_in_need(c, p) == NULL) {")
mutant(who_imports_is_left_behind compact.c scripts
    "    return p->snap_held > 0 ? p->snap_held : UINT64_MAX;"
    "    return UINT64_MAX;")
mutant(pins_until_the_state_is_durable compact.c scripts
    "p->match >= c->commit) {"
    "p->match >= trailing_limit(c)) {")
mutant(pins_for_ever compact.c scripts
    "            p->snap_pinned_ms = 0;"
    "            (void)p;")
mutant(switches_before_the_reset_is_durable install.c scripts
    "               c->writes.persisted_seq >= i->reset_seq) {"
    "               i->reset_seq != 0) {")
mutant(installs_what_is_older install.c scripts
    "    return snap->index <= c->commit;"
    "    return false;")
mutant(campaigns_while_it_installs install.c scripts
    "    return c->install.state >= CONSENSUS_INSTALL_IMPORTS;"
    "    return false;")
mutant(snapshot_with_the_newest_configuration snapshot.c sim
    "    const struct consensus_config *config = consensus__config_at(c, snap->index);"
    "    const struct consensus_config *config = consensus__config(c);")

mutant(asks_and_never_sends snapshot.c scripts
    "c->now_ms - s->asked_ms > retry_ms;"
    "true;")

include(${CMAKE_CURRENT_LIST_DIR}/mutants_more.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/mutants_known.cmake)

file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/mutants.list CONTENT "${mutant_rows}")
add_test(NAME mutants_consensus
    COMMAND ${CMAKE_SOURCE_DIR}/tests/sim/run --mutants --quick --jobs 1
        --build ${CMAKE_BINARY_DIR})
set_tests_properties(mutants_consensus PROPERTIES TIMEOUT 900 LABELS sim)

# -- leases (2.7, 2.4) -------------------------------------------------------------------------------

mutant(lease_from_receipt lease.c leases
    "    uint64_t until_ms = lease->sent_ms[seq % CONSENSUS_ROUNDS_MAX] + lease_ms(c);"
    "    uint64_t until_ms = c->now_ms + lease_ms(c);")
mutant(lease_kept_through_a_transfer lease.c leases
    "           !c->office.lease.is_over && !c->office.transfer.is_running;"
    "           true;")
mutant(lease_after_an_invitation transfer.c scripts
    "    c->office.lease.is_over = true; /* it"
    "    /* it")
mutant(lease_kept_over_a_change progress.c scripts
    "        consensus__lease_break(c); /* other voters have to promise */
"
    "")
