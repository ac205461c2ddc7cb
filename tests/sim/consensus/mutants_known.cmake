# Faults that others had (known_faults), put into the core: the script of the same line must tell another story.
# By tests/sim/run --mutants only (see mutants.cmake).

mutant(pre_votes_of_any_round_count election.c scripts
    "    if (c->role == CONSENSUS_PRE_CANDIDATE && m->answer.asked_term == c->hard.term + 1 &&
        m->answer.round == c->round && count_vote(c, m)) {"
    "    if (c->role == CONSENSUS_PRE_CANDIDATE && count_vote(c, m)) {" LONG)
mutant(own_leader_is_refused election.c scripts
    "    } else if (consensus__is_sticky(c) && !mu_id_eq(&c->leader, &m->from)) {"
    "    } else if (consensus__is_sticky(c)) {" LONG)
mutant(pre_vote_stores_a_vote election.c scripts
    "    struct consensus_msg *answer = consensus__send(c, CONSENSUS_PREVOTE_RES, &m->from);
"
    "    struct consensus_msg *answer = consensus__send(c, CONSENSUS_PREVOTE_RES, &m->from);
    if (is_granted && m->ask.next_term > c->hard.term) {
        term_set(c, m->ask.next_term, &m->from);
    }
" LONG)
mutant(lower_leader_is_not_answered append.c scripts
    "        refuse_stale(c, m);
"
    "" LONG)
mutant(refusal_with_a_higher_term_ignored step.c scripts
    "[CONSENSUS_PREVOTE_RES] = { IF_REFUSED, ANSWERS }"
    "[CONSENSUS_PREVOTE_RES] = { NEVER, ANSWERS }" LONG)
mutant(alone_it_need_not_be_durable replicate.c scripts
    "    uint64_t index = quorum_index(c, c->writes.stable);"
    "    bool is_alone = consensus__config(c)->servers_count == 1;
    uint64_t index = quorum_index(c, is_alone ? c->log.last_index : c->writes.stable);" LONG)
mutant(asked_to_stand_it_asks_first election.c scripts
    "    campaign(c);
    c->campaign.transfer_term = asked_in;"
    "    prevote_begin(c);" LONG)
mutant(commit_goes_back replicate.c scripts
    "    if (index <= c->commit) {
        return;
    }
    uint64_t from"
    "    if (index == c->commit) {
        return;
    }
    uint64_t from" LONG)
mutant(below_commit_is_compared append.c scripts
    "    if (m->append.prev_index > c->commit &&
        !consensus__log_has(c, m->append.prev_index, m->append.prev_term)) {"
    "    if (!consensus__log_has(c, m->append.prev_index, m->append.prev_term)) {" LONG)
mutant(tail_behind_a_conflict_stays append.c scripts
    "        consensus__log_truncate(c, first);
    }
    for (uint32_t i = skip; i < skip + count; i++) {"
    "        if (first + count > c->log.last_index) {
            consensus__log_truncate(c, first);
        }
    }
    for (uint32_t i = skip; i < skip + count && first + i - skip > c->log.last_index; i++) {"
    LONG)
mutant(heartbeat_adopts_nothing step.c scripts
    "[CONSENSUS_HEARTBEAT] = { ADOPTS, ANSWERS }"
    "[CONSENSUS_HEARTBEAT] = { NEVER, ANSWERS }" LONG)
mutant(lost_ack_is_waited_for replicate.c scripts
    "           quiet_ms > c->options.election_ms_min;
}"
    "           false;
}" LONG)
mutant(laggard_by_a_compaction_is_snapshot replicate.c scripts
    "        p->next = c->log.base_index + 1; /* it may have more than we know: ask (row 35) */
        consensus__peer_move(c, p, CONSENSUS_PROBE);"
    "        consensus__peer_move(c, p, CONSENSUS_SNAPSHOT);" LONG)
mutant(commit_before_the_cut append.c scripts
    "        consensus__commit_to(c, min_u64(m->append.commit, m->append.prev_index + skip));"
    "        consensus__commit_to(c, min_u64(m->append.commit, c->log.last_index));" LONG)
mutant(silent_receiver_is_waited_for snapshot.c scripts
    "    s->is_asking |= c->now_ms - s->moved_ms > retry_ms && c->now_ms - s->asked_ms > retry_ms;"
    "" LONG)
mutant(laggards_hold_the_whole_log compact.c scripts
    "    uint64_t floor = back(&c->log, trailing_limit(c), bytes);"
    "    uint64_t floor = 0;" LONG)
mutant(own_configs_behind_a_snapshot install.c scripts
    "    consensus__config_reset(c, &i->config);
"
    "" LONG)
mutant(removed_leader_counts_itself replicate.c scripts
    "    return consensus__quorum_value(consensus__config(c), values);
}

/* Somebody else"
    "    return c->self == CONSENSUS_PEERS_MAX
               ? own : consensus__quorum_value(consensus__config(c), values);
}

/* Somebody else" LONG)
mutant(removed_leader_stays transfer.c scripts
    "    if (!c->is_elector) { /* removed"
    "    if (false) { /* removed" LONG)
mutant(fresh_beside_a_cluster bootstrap.c scripts
    "        if (!mu_id_is_none(&k->cluster)) {
            return BOOTSTRAP_EXISTS; /* also"
    "        if (false) {
            return BOOTSTRAP_EXISTS; /* also" LONG)
mutant(new_address_new_role change.c scripts
    "    s->priority = what->priority;
}"
    "    s->priority = what->priority;
    s->is_learner = false;
    s->is_voter = true;
}" LONG)
mutant(views_need_not_agree bootstrap.c scripts
    "        if (!is_in_sight(b, &set->members[i])) {"
    "        if (false) {" LONG)
mutant(uncommitted_config_forgotten config.c scripts
    "        if (loaded->configs[i].index <= loaded->applied) {
            c->configs_count = 0;
        }"
    "        if (loaded->configs[i].index > loaded->applied && c->configs_count > 0) {
            break;
        }" LONG)
mutant(only_the_known_are_obeyed election.c scripts
    "    MU_ASSERT(m->term == c->hard.term);
    if (!mu_id_is_none(&c->leader)"
    "    MU_ASSERT(m->term == c->hard.term);
    if (consensus__peer_find(c, &m->from) == NULL) {
        return false;
    }
    if (!mu_id_is_none(&c->leader)" LONG)
