# More faults, one for a rule each; by tests/sim/run --mutants only (see mutants.cmake).


# -- votes and terms, more (2.1 to 2.3) ------------------------------------------------------------

mutant(timer_reset_by_terms election.c scripts
    "    if (!had_timer) {"
    "    if (true) {" LONG)
mutant(second_leader_obeyed election.c scripts
    "    if (!mu_id_is_none(&c->leader) && !mu_id_eq(&c->leader, &m->from)) {
        consensus__note(c, CONSENSUS_T_TWO_LEADERS"
    "    if (false) {
        consensus__note(c, CONSENSUS_T_TWO_LEADERS" LONG)
mutant(nobody_is_a_leader_too election.c scripts
    "    return !mu_id_is_none(&c->leader) &&
           c->now_ms"
    "    return c->now_ms" LONG)
mutant(prevote_without_log_check election.c scripts
    "    } else if (log_is_older(c, m)) {
        why = CONSENSUS_VOTE_LOG;"
    "    } else if (false) {
        why = CONSENSUS_VOTE_LOG;" LONG)
mutant(prevote_to_another_in_this_term election.c scripts
    "    } else if (m->ask.next_term == c->hard.term && voted_for_another(c, &m->from)) {"
    "    } else if (false) {" LONG)
mutant(prevote_for_an_old_term election.c scripts
    "    if (m->ask.next_term < c->hard.term) {
        why"
    "    if (false) {
        why" LONG)
mutant(prevote_in_spite_of_a_leader election.c scripts
    "    } else if (consensus__is_sticky(c) && !mu_id_eq(&c->leader, &m->from)) {"
    "    } else if (false) {" LONG)
mutant(prevote_of_an_old_round election.c sim
    "        m->answer.round == c->round && count_vote(c, m)) {"
    "        count_vote(c, m)) {" LONG)
mutant(refusal_counts election.c sim
    "    if (!m->answer.is_granted || p == NULL ||"
    "    if (p == NULL ||" LONG)
mutant(own_vote_not_recorded election.c sim
    "    term_set(c, c->hard.term + 1, &c->options.server);"
    "    term_set(c, c->hard.term + 1, &MU_ID_NONE);" LONG)
mutant(repeated_vote_skips_the_log election.c scripts
    "    } else if (log_is_older(c, m)) {
        vote_refuse"
    "    } else if (mu_id_is_none(&c->hard.voted_for) && log_is_older(c, m)) {
        vote_refuse" LONG)
mutant(granting_does_not_reset election.c scripts
    "        consensus__note(c, CONSENSUS_T_VOTE_GIVEN, &m->from, m->term, 0, 0);
        timer_reset_for_votes(c);"
    "        consensus__note(c, CONSENSUS_T_VOTE_GIVEN, &m->from, m->term, 0, 0);" LONG)
mutant(impatient_with_slow_disks election.c sim
    "    if (flushes > c->options.election_ms_min / 2) {"
    "    if (false) {" LONG)
mutant(slow_writes_not_measured write.c scripts
    "        flush_measure(c, age > late_ms ? age - late_ms : 0);"
    "" LONG)
mutant(read_only_disk_campaigns election.c scripts
    "    if (is_unfit(c, health != CONSENSUS_STORE_OK && health != CONSENSUS_STORE_FULL)) {"
    "    if (is_unfit(c, health == CONSENSUS_STORE_SLOW || health == CONSENSUS_STORE_FAILED)) {" LONG)
mutant(read_only_disk_raises_hopes election.c scripts
    "        why = CONSENSUS_VOTE_DISK; /* who"
    "        is_granted = true; /* who" LONG)
mutant(read_only_disk_takes_the_office transfer.c scripts
    "c->health != CONSENSUS_STORE_READ_ONLY &&"
    "true &&" LONG)
mutant(read_only_disk_keeps_office transfer.c scripts
    "    return c->health == CONSENSUS_STORE_FULL || c->health == CONSENSUS_STORE_READ_ONLY;"
    "    return c->health == CONSENSUS_STORE_FULL;" LONG)
mutant(slow_disk_campaigns election.c scripts
    "    if (is_unfit(c, health != CONSENSUS_STORE_OK && health != CONSENSUS_STORE_FULL)) {"
    "    if (is_unfit(c, false)) {" LONG)
mutant(term_not_written election.c sim
    "    c->writes.vote_seq = c->writes.next_seq;
    consensus__write_hard(c);
}"
    "    c->writes.vote_seq = c->writes.next_seq;
}" LONG)
mutant(candidate_ignores_its_leader election.c scripts
    "    if (c->role == CONSENSUS_PRE_CANDIDATE || c->role == CONSENSUS_CANDIDATE) {
        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
    if (mu_id"
    "    if (mu_id" LONG)
mutant(asks_once_only election.c sim
    "    if (is_asking(c) && c->campaign.has_asked && c->now_ms >= c->campaign.ask_at_ms) {"
    "    if (false) {" LONG)
mutant(vote_in_a_led_term election.c scripts
    "    } else if (!mu_id_is_none(&c->leader) && !mu_id_eq(&c->leader, &m->from)) {"
    "    } else if (false) {" LONG)

# -- who may speak, and terms of messages (1.6) ----------------------------------------------------

mutant(higher_term_in_a_vote_ignored step.c scripts
    "[CONSENSUS_VOTE_RES] = { ADOPTS, DROPS }"
    "[CONSENSUS_VOTE_RES] = { NEVER, DROPS }" LONG)
mutant(higher_term_in_a_refusal_ignored step.c scripts
    "[CONSENSUS_PREVOTE_RES] = { IF_REFUSED, ANSWERS }"
    "[CONSENSUS_PREVOTE_RES] = { NEVER, ANSWERS }" LONG)
mutant(stale_leader_not_told step.c scripts
    "[CONSENSUS_HEARTBEAT] = { ADOPTS, ANSWERS }"
    "[CONSENSUS_HEARTBEAT] = { ADOPTS, DROPS }" LONG)
mutant(vote_request_breaks_in step.c scripts
    "[CONSENSUS_VOTE_REQ] = { UNLESS_STICKY, ANSWERS }"
    "[CONSENSUS_VOTE_REQ] = { ADOPTS, ANSWERS }" LONG)
mutant(heartbeat_answer_adopts_nothing step.c scripts
    "[CONSENSUS_HEARTBEAT_RES] = { ADOPTS, DROPS }"
    "[CONSENSUS_HEARTBEAT_RES] = { NEVER, DROPS }" LONG)
mutant(foreign_cluster_heard step.c scripts
    "    if (mu_id_is_none(&c->hard.cluster) || !mu_id_eq(&m->cluster, &c->hard.cluster)) {"
    "    if (false) {" LONG)
mutant(foreign_epoch_heard step.c scripts
    "    } else if (m->epoch != c->hard.epoch) {"
    "    } else if (false) {" LONG)
mutant(foreign_receiver_heard step.c unit_input
    "    } else if (!mu_id_eq(&m->to, &c->options.server) || mu_id_is_none(&m->from) ||"
    "    } else if (mu_id_is_none(&m->from) ||" LONG)
mutant(blank_disk_heard step.c scripts
    "    } else if (p != NULL && is_answer(m) && !mu_id_eq(&p->disk, &m->from_disk)) {"
    "    } else if (false) {" LONG)
mutant(any_term_believed step.c scripts
    "    } else if (m->term > c->hard.term && m->term - c->hard.term > CONSENSUS_TERM_JUMP_MAX) {"
    "    } else if (false) {" LONG)

mutant(started_and_asks_late change.c scripts
    "    c->member_ask_at_ms = c->now_ms + ASK_FIRST_MS(c);"
    "    c->member_ask_at_ms = c->now_ms + ASK_MS(c);" LONG)

# -- pauses, death, restart (2.15, 2.17, 1.7) ------------------------------------------------------

mutant(pause_does_not_reset_a_follower step.c scripts
    "        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
    consensus__timer_reset(c);
}

static void time_advance"
    "        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
}

static void time_advance" LONG)
mutant(paused_leader_believes_itself step.c scripts
    "        c->office.confirm_seq = c->office.read_seq + 1;"
    "        c->office.confirm_seq = 0;" LONG)
mutant(apply_before_durable step.c sim
    "        .commit_to = durable,"
    "        .commit_to = c->commit," LONG)
mutant(the_dead_act step.c sim
    "    if (is_dead) {
        return;"
    "    if (false) {
        return;" LONG)
mutant(failed_disk_goes_on step.c scripts
    "        consensus__die(c, CONSENSUS_DEATH_STORE); /*"
    "        /*" LONG)
mutant(stalled_disk_keeps_office replicate.c scripts
    "    return consensus__stall_ms(c) > c->options.stall_ms && consensus__stall_ends_office(c);"
    "    return false;" LONG)
mutant(leads_with_a_full_memory election.c scripts
    "    if (consensus__log_is_full(c)) {"
    "    if (false) {" LONG)
mutant(lone_server_gives_way_to_nobody replicate.c scripts
    "    return !consensus__quorum_of(consensus__config(c), UINT32_C(1) << c->self);"
    "    return true;" LONG)
mutant(conflict_below_commit_overwrites append.c scripts
    "            consensus__die(c, CONSENSUS_DEATH_CONFLICT); /* never truncated (row 37) */
            return m->append.entries_count;"
    "            break;" LONG)

# -- replication, more (1.11, 2.5) -----------------------------------------------------------------

mutant(stale_reject_believed replicate.c scripts
    "    if (m->ack.session != p->session || is_stale || p->state == CONSENSUS_SNAPSHOT) {"
    "    if (p->state == CONSENSUS_SNAPSHOT) {" LONG)
mutant(former_life_acknowledges replicate.c scripts
    "    if (c->role != CONSENSUS_LEADER || p == NULL || !consensus__session_is(p, session)) {"
    "    if (c->role != CONSENSUS_LEADER || p == NULL) {" LONG)
mutant(ack_beyond_the_log replicate.c unit_input
    "    } else if (m->ack.match <= c->log.last_index) {"
    "    } else if (true) {" LONG)
mutant(round_from_the_future replicate.c scripts
    "    if (p == NULL || m->alive.read_seq > c->office.read_seq) {"
    "    if (p == NULL) {" LONG)
mutant(fetched_with_a_hole replicate.c sim
    "        if (e->index != p->next + i || !consensus__log_has(c, e->index, e->term)) {"
    "        if (false) {" LONG)
mutant(commit_is_pushed_below_the_base replicate.c scripts
    " || p->match < c->log.base_index) {
        return;"
    ") {
        return;")
mutant(commit_is_not_pushed replicate.c scripts
    "    if (p->next <= c->log.last_index || p->commit_sent >= known ||"
    "    if (true ||" LONG)
mutant(commit_held_for_ever step.c scripts
    "        if (c->office.is_push_held) {"
    "        if (false) {" LONG)
mutant(commit_held_from_who_waits propose.c scripts
    "    if (p->is_awaited) {"
    "    if (false) {" LONG)
mutant(commit_held_from_readers read.c scripts
    "    consensus__push_at_once(c, c->commit); /* no"
    "    /* no" LONG)
mutant(commit_of_a_new_term_held replicate.c scripts
    "    c->office.push_index = c->office.first_index;
"
    "" LONG)
mutant(probes_wait_for_ever replicate.c sim
    "        p->is_probing = false; /* it is there, and the probe or its answer is not */"
    "        /* nothing */" LONG)
mutant(match_goes_back progress.c scripts
    "    if (match > p->match) {
        p->match = match;"
    "    if (true) {
        p->match = match;" LONG)
mutant(next_behind_match progress.c sim
    "    if (p->next <= p->match) {
        p->next = p->match + 1;
    }
}

/* -- connections"
    "}

/* -- connections" LONG)
mutant(one_ack_frees_one_slot progress.c scripts
    "    while (p->inflight_count > 0 && inflight_at(c, p, 0)->last <= p->match) {"
    "    if (p->inflight_count > 0 && inflight_at(c, p, 0)->last <= p->match) {" LONG)
mutant(bytes_not_given_back progress.c scripts
    "        p->inflight_bytes -= inflight_at(c, p, 0)->bytes;
"
    "" LONG)
mutant(entries_with_a_hole_taken append.c unit_input
    "        if (e->index != m->append.prev_index + 1 + i || e->term < term || e->term > m->term ||"
    "        if (e->term < term || e->term > m->term ||" LONG)
mutant(heartbeat_commits_what_is_not_here append.c fuzz
    "    bool is_beyond = m->heartbeat.commit > c->log.last_index;"
    "    bool is_beyond = false;" LONG)
mutant(push_is_acknowledged append.c scripts
    "    if (!m->append.is_push && ("
    "    if ((" LONG)
mutant(stale_append_not_answered append.c scripts
    "        refuse_stale(c, m);
"
    "" LONG)
mutant(commit_behind_what_is_new append.c unit_input
    "        consensus__commit_to(c, min_u64(m->append.commit, m->append.prev_index + skip));"
    "" LONG)
mutant(commit_without_its_entries append.c scripts
    "    consensus__commit_to(c, min_u64(m->append.commit, end));"
    "    consensus__commit_to(c, min_u64(m->append.commit, m->append.prev_index));" LONG)
mutant(hint_of_a_newer_term log.c scripts
    "        if (runs[r - 1].term <= term) {"
    "        if (true) {" LONG)
mutant(runs_not_cut log.c sim
    "    while (c->log.runs_count > 0 && runs[c->log.runs_count - 1].first_index >= first) {
        c->log.runs_count--;
    }
    consensus__config_truncate"
    "    consensus__config_truncate" LONG)
mutant(config_not_cut log.c scripts
    "    consensus__config_truncate(c, first);
"
    "" LONG)
mutant(base_term_forgotten log.c sim
    "    if (index == c->log.base_index) {
        return c->log.base_term;"
    "    if (index == c->log.base_index) {
        return 0;" LONG TOLD)
mutant(covering_by_last write.c sim
    "        if (s->first <= s->last && s->first <= index) {
            return s->seq;"
    "        if (s->first <= s->last && s->first < index) {
            return s->seq;" LONG)
mutant(answers_in_one write.c scripts
    "                                              q->match <= p->match && q->seq == p->seq)) {"
    "                                              q->match <= p->match)) {" LONG)
mutant(replies_before_their_write write.c sim
    "        if (c->pending[i].seq <= c->writes.persisted_seq) {"
    "        if (c->pending[i].seq <= c->writes.persisted_seq + 1) {" LONG)

# -- reads and tickets, more (2.7, 1.5) ------------------------------------------------------------

mutant(reads_share_a_flying_round read.c scripts
    "    if (c->reads.flying > 0 || waiting == 0 || !c->office.is_ready) {"
    "    if (waiting == 0 || !c->office.is_ready) {" LONG)
mutant(rounds_repeat replicate.c scripts
    "    c->office.read_seq++;"
    "    c->office.read_seq |= 1;" LONG)
mutant(reads_at_any_server read.c sim
    "    if (c->role != CONSENSUS_LEADER) {"
    "    if (false) {" LONG)
mutant(answered_twice propose.c scripts
    "    if (c->lost_next <= c->answered) {
        c->lost_next = c->answered + 1;
    }"
    "" LONG)
mutant(lost_is_refused propose.c scripts
    "        answer(c, c->lost_next++, CONSENSUS_LOST);"
    "        answer(c, c->lost_next++, CONSENSUS_NOT_LEADER);" LONG)
mutant(proposals_without_bound propose.c unit_input
    "    if (uncommitted + ev->propose.count > c->options.proposals_max ||"
    "    if (false ||" LONG)
mutant(apply_may_lag propose.c scripts
    "    if (c->commit - c->applied > c->options.apply_lag_max) {"
    "    if (false) {" LONG)
mutant(full_disk_takes_all propose.c scripts
    "        if (!is_relief(ev)) {"
    "        if (false) {" LONG)
mutant(paused_leader_takes_proposals propose.c scripts
    "    if (!consensus__has_quorum(c)) {"
    "    if (false) {" LONG)
mutant(refused_keeps_the_handle propose.c sim
    "    consensus__drop(c, p->handle);"
    "    /* nothing */" LONG)

# -- membership and transfer (2.4, 2.8) ------------------------------------------------------------

mutant(joint_by_the_new_set commit.c scripts
    "    if (config->is_joint) {"
    "    if (false) {" LONG)
mutant(two_voters_at_once config.c unit_config
    "    return gone + come <= 1;"
    "    return gone + come <= 2;" LONG)
mutant(unhealthy_change change.c scripts
    ": !is_healthy(c, &next)       ? CONSENSUS_CHANGE_UNHEALTHY"
    ": false ? CONSENSUS_CHANGE_UNHEALTHY" LONG)
mutant(joint_never_left change.c scripts
    "    if (!now->is_joint || now->index > c->commit || !c->office.is_ready || !has_room(c)) {"
    "    if (true) {" LONG)
mutant(joint_left_early change.c scripts
    "    if (!now->is_joint || now->index > c->commit || !c->office.is_ready || !has_room(c)) {"
    "    if (!now->is_joint || !has_room(c)) {" LONG)
mutant(one_says_removed change.c scripts
    "(others < 2 ? others : 2)"
    "1" LONG)
mutant(transfer_to_a_laggard transfer.c scripts
    "    if (p->match != c->log.last_index || "
    "    if (" LONG)
mutant(transfer_to_a_learner transfer.c scripts
    "    if (target != NULL && !is_voter(c, i)) {"
    "    if (target != NULL && i == CONSENSUS_PEERS_MAX) {" LONG)
mutant(transfer_never_ends transfer.c sim
    "    if (!is_voter(c, i) || c->now_ms >= t->ends_at_ms) {"
    "    if (!is_voter(c, i)) {" LONG)
mutant(proposals_while_transferring propose.c scripts
    "    if (c->office.transfer.is_running) {"
    "    if (false) {" LONG)
mutant(stands_for_anybody transfer.c scripts
    "           mu_id_eq(&c->leader, &m->from) &&"
    "           " LONG)
mutant(change_in_force_when_committed config.c scripts
    "    return &c->configs[c->configs_count > 0 ? c->configs_count - 1 : 0];"
    "    return &c->configs[0];" LONG)

# -- snapshots and compaction (2.12, 2.13) ---------------------------------------------------------

mutant(log_kept_under_a_snapshot install.c scripts
    "    consensus__log_reset(c, i->snap.index, i->snap.term);
"
    "" LONG)
mutant(needless_install install.c scripts
    "    return snap->index <= c->commit;"
    "    return false;" LONG)
mutant(chunk_out_of_place install.c scripts
    "    if (m->snapshot.offset != i->taken) {"
    "    if (false) {" LONG)
mutant(switch_before_reset install.c scripts
    "               c->writes.persisted_seq >= i->reset_seq) {"
    "               true) {" LONG)
mutant(newest_config_in_a_snapshot snapshot.c scripts
    "    const struct consensus_config *config = consensus__config_at(c, snap->index);"
    "    const struct consensus_config *config = consensus__config(c);" LONG)
mutant(old_export_reused snapshot.c sim
    "    return s->state == CONSENSUS_EXPORT_READY && s->snap.index >= c->log.base_index &&"
    "    return s->state == CONSENSUS_EXPORT_READY &&" LONG)

# -- leases, more (2.7) ----------------------------------------------------------------------------

mutant(lease_as_long_as_the_promise lease.c leases
    "    uint64_t ms = (uint64_t)c->options.election_ms_min * (100 - CONSENSUS_LEASE_DRIFT) / 100;"
    "    uint64_t ms = (uint64_t)c->options.election_ms_min;" LONG)
mutant(promise_binds_nobody lease.c scripts
    "    return (is_bound || c->now_ms < c->quiet_until_ms) && !is_asked;"
    "    return c->now_ms < c->quiet_until_ms && !is_asked;" LONG)
mutant(lease_by_answers_without_a_promise replicate.c scripts
    "    if (m->alive.is_promised && m->alive.read_seq > p->promise_echo) {"
    "    if (m->alive.read_seq > p->promise_echo) {" LONG)
mutant(lease_kept_in_a_pause step.c scripts
    "        consensus__lease_break(c);
"
    "" LONG)
mutant(lease_before_own_term read.c scripts
    "    if (c->reads.count == 0 || c->reads.ready > 0 || !c->office.is_ready ||"
    "    if (c->reads.count == 0 || c->reads.ready > 0 ||" LONG)
mutant(promise_forgotten_with_the_term election.c scripts
    "    c->hard.voted_for = *voted_for;
    c->pending_count = 0;"
    "    c->hard.voted_for = *voted_for;
    c->promised_until_ms = 0;
    c->pending_count = 0;" LONG)
mutant(the_only_voter_now_stands_at_once step.c scripts
    "        if (own == NULL || !consensus__quorum_of(config, 1U << (own - config->servers))) {"
    "        if (i + 1 == c->configs_count && (own == NULL || !consensus__quorum_of(config, 1U << (own - config->servers)))) {")
mutant(promise_forgotten_by_a_restart step.c leases
    "    c->quiet_until_ms = loaded->may_have_promised ? now_ms + c->options.election_ms_min : 0;"
    "    c->quiet_until_ms = 0;" LONG)
mutant(promise_longer_than_kept lease.c scripts
    "    if (ms == 0 || ms > c->options.election_ms_min) {"
    "    if (ms == 0) {" LONG)
mutant(promise_ended_by_a_jump lease.c scripts
    "    if (c->promised_until_ms > since_ms) {"
    "    if (false) {" LONG)

# -- configurations that have no room in memory, and late words (2.8) ---------------------------------

mutant(config_gap_is_forgotten config.c unit_config
    "            bool is_known = i > 1 || c->config_gap == 0 || index < c->config_gap;"
    "            bool is_known = true;" LONG)
mutant(newest_config_has_no_room config.c unit_config
    "    memmove(c->configs + 1, c->configs + 2, (CONSENSUS_CONFIGS_MAX - 2) * sizeof *c->configs);
    c->configs_count--;"
    "    c->configs_count--;" LONG)
mutant(removal_of_a_former_disk change.c scripts
    " || !mu_id_eq(&m->removed.disk, &c->options.disk)) {"
    ") {" LONG)
mutant(vote_forgotten_in_a_pause step.c explore
    "        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
    consensus__timer_reset(c);"
    "        consensus__role_move(c, CONSENSUS_FOLLOWER);
        c->hard.voted_for = MU_ID_NONE;
    }
    consensus__timer_reset(c);" LONG)

# -- the state (3.6) -----------------------------------------------------------------------------------

mutant(odd_ones_told_with_each_answer sums.c scripts
    "is_heartbeat_due |= is_news;"
    "is_heartbeat_due = true;" LONG)

# -- commands of new kinds (1.10, 2.20; row 85) --------------------------------------------------------

mutant(gate_ignored propose.c sim
    "        if (p->level > consensus__level(c)) {"
    "        if (false) {" LONG TOLD)
mutant(level_counts_voters_only level.c sim
    "        level = said(c, i) < level ? said(c, i) : level;"
    "        level = consensus__config(c)->servers[i].is_voter && said(c, i) < level ? said(c, i) : level;" LONG TOLD)
mutant(level_of_this_leader level.c sim
    "    return level;
}

void consensus__level_run"
    "    return c->options.level_max;
}

void consensus__level_run" LONG TOLD)
mutant(outdated_goes_on level.c scripts
    "    if (config->level <= c->options.level_max) {"
    "    if (true) {" LONG)
mutant(outdated_takes_a_snapshot install.c scripts
    "is_sane_offer(m)) || consensus__level_ends(c, m->snapshot.config)) {"
    "is_sane_offer(m))) {" LONG)
mutant(old_words_count level.c scripts
    "p->acked_ms + 2 * (uint64_t)c->options.heartbeat_ms >= c->now_ms"
    "true" LONG)
mutant(words_of_a_lost_connection_count progress.c scripts
    "        p->level = 0; /* who comes back may be of another version */
"
    "" LONG)
mutant(older_servers_are_added level.c scripts
    "    case CONSENSUS_ADD: return level > CONSENSUS_LEVEL_FIRST && what->level < level;"
    "    case CONSENSUS_ADD: return false;" LONG)
mutant(removed_is_told_that_it_is_old level.c scripts
    "    if (!consensus_config_has_removed(consensus__config(c), &c->options.disk)) {"
    "    if (true) {" LONG)
mutant(level_falls config.c unit_config
    "    if (next->level < before->level) {"
    "    if (false) {" LONG)
mutant(level_forgotten_by_the_next_change change.c sim
    "    next->is_forced = false;
    if (what->kind == CONSENSUS_ADD) {"
    "    next->is_forced = false;
    next->level = CONSENSUS_LEVEL_FIRST;
    if (what->kind == CONSENSUS_ADD) {" LONG)
