# Faults put into the gossip core on purpose, one program each, as in ../consensus/mutants.cmake:
#
#   gossip_mutant(<name> <file> <scripts|torture|crashes|loss|scene NAME> <what stands there, once>
#                 <what a careless hand would write>)
#
# `scripts` must show another story, `torture` must find it among fixed seeds, `crashes` must
# take longer than they may until all know of them, under `loss` a living member must be declared
# failed, a scene must fail.

set(gossip_mutant_rows)

function(gossip_mutant name file by old new)
    mutant_source(fits gossip/${file} ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.c "${old}" "${new}")
    if(NOT fits)
        message(FATAL_ERROR "mutant ${name}: ${file} must hold exactly once:\n${old}")
    endif()
    add_executable(mutant_${name} ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.c)
    set(words)
    if(by MATCHES "^scene ")
        string(REPLACE "scene " "" scene "${by}")
        set(by scene)
        set(words " --scene ${scene}")
    endif()
    set(main ${by})
    if(by MATCHES "^(crashes|loss)$")
        set(main torture)
    endif()
    target_link_libraries(mutant_${name} PRIVATE ${main}_gossip_main muster_flags)
    # a mutant may leave a variable or function unused
    target_compile_options(mutant_${name} PRIVATE -w)
    set(gossip_mutant_rows
        "${gossip_mutant_rows}${name} ${by} quick $<TARGET_FILE:mutant_${name}>${words}\n"
        PARENT_SCOPE)
    set(gossip_mutants ${gossip_mutants} mutant_${name} PARENT_SCOPE)
endfunction()

# -- whose word counts (spec 3, 4) -------------------------------------------------------------------

gossip_mutant(stale_alive_resurrects precedence.c torture
    "    if (a->incarnation > m->incarnation) {
        accept_alive("
    "    if (a->incarnation > m->incarnation || m->state == GOSSIP__DEAD) {
        accept_alive(")
gossip_mutant(dead_incarnation_not_raised precedence.c "scene late_obituary"
    "    raise(m, d->incarnation);
    if (m->state == GOSSIP__GONE ||"
    "    if (m->state == GOSSIP__GONE ||")
gossip_mutant(refutes_not_above precedence.c scripts
    "    self->incarnation = accused >= self->incarnation ? accused + 1 : self->incarnation + 1;"
    "    self->incarnation = accused >= self->incarnation ? accused : self->incarnation;")
gossip_mutant(dead_stays_dead precedence.c scripts
    "(is_known_dead(m) && !has_left)"
    "m->state == GOSSIP__DEAD")
gossip_mutant(incarnation_may_jump precedence.c "scene poisoned_incarnation"
    "         incarnation - m->incarnation <= JUMP_MAX)) {"
    "         true)) {")
gossip_mutant(tombstone_not_looked_at precedence.c "scene prune_midst"
    "    if (grave != NULL && a->incarnation <= grave->incarnation) {"
    "    if (false) {")
gossip_mutant(merge_kills sync.c scripts
    "        part.kind = GOSSIP__PART_SUSPECT;
"
    "        if (n->state == GOSSIP__DEAD) {
            part.kind = GOSSIP__PART_DEAD;
            part.dead = (struct gossip__dead){ n->node.node, g->self->card->name, n->node.incarnation };
            gossip__on_dead(g, &part.dead, gossip__part_encode(&part, &g->step), src);
            break;
        }
        part.kind = GOSSIP__PART_SUSPECT;
")

# -- who asks after whom (5.1) -----------------------------------------------------------------------

gossip_mutant(ring_has_no_rounds ring.c crashes
    "    struct gossip__member *next = r->rounds < AT_A_STRETCH ? next_of(g) : NULL;"
    "    struct gossip__member *next = NULL;")
gossip_mutant(suspects_wait_for_chance ring.c crashes
    "r->next[i]->state == GOSSIP__SUSPECT && gossip__suspicion_wants_us(g, r->next[i])"
    "false")
gossip_mutant(gone_ones_stay_next ring.c torture
    "        r->is_known = r->is_known && r->next[i] != m;"
    "")
gossip_mutant(newcomers_are_never_next ring.c torture
    "    if (is_live && r->is_known) {"
    "    if (false) {")

# -- suspicion, pauses (5, 6) ------------------------------------------------------------------------

gossip_mutant(one_accuser_confirms_itself suspicion.c scripts
    "        is_new = is_new && s->accusers[i] != hash;"
    "")
gossip_mutant(accused_anew_is_the_old_story precedence.c scripts
    "    bool is_anew = m->state == GOSSIP__SUSPECT && s->incarnation > m->incarnation;"
    "    bool is_anew = false;")
gossip_mutant(neighbours_are_buried_at_a_strangers_word precedence.c scripts
    "    if (has_left || !is_given_notice(g, m, d->from)) {"
    "    if (true) {")
gossip_mutant(suspects_are_called_at_the_end_only suspicion.c scripts
    "    return gossip__later(s->prompt_ms, g->suspect_called_ms + g->profile.probe_ms);"
    "    return GOSSIP__NEVER;")
gossip_mutant(silence_outweighs_refusal suspicion.c scripts
    "[GOSSIP__SILENT] = 0, [GOSSIP__REFUSED] = 1,"
    "[GOSSIP__SILENT] = 1, [GOSSIP__REFUSED] = 0,")
gossip_mutant(suspects_are_not_called suspicion.c loss
    "        } else if (last_call(g, s) <= g->now_ms) {
            call(g, m);
        } else if (early_call(g, s) <= g->now_ms) {
            call(g, m);"
    "        } else if (last_call(g, s) <= g->now_ms) {
            s->called_ms = g->now_ms;
            g->is_suspicion_new = true;
        } else if (early_call(g, s) <= g->now_ms) {
            g->is_suspicion_new = true;")
gossip_mutant(pause_is_not_noticed health.c scripts
    "    if (g->wake_at_ms == 0 ||"
    "    if (true ||")
gossip_mutant(who_hears_nobody_declares suspicion.c scripts
    "s->deadline_ms <= g->now_ms && is_given_time(g, s)"
    "false")
gossip_mutant(stalled_is_not_doubted probe.c scripts
    "    if (evidence == GOSSIP__STALLED && gossip__inquiry_doubt(g, m)) {"
    "    if (false) {")
gossip_mutant(doubt_is_for_ever inquiry.c scripts
    "    gossip__conclude_suspect(g, m, is_refused ? GOSSIP__SILENT : GOSSIP__STALLED);"
    "")
gossip_mutant(suspect_not_told precedence.c scripts
    "    if (is_first) {
        gossip__send_part(g, &m->card->addr, NULL, &part);"
    "    if (false) {
        gossip__send_part(g, &m->card->addr, NULL, &part);")

# -- dissemination (7, 10) ---------------------------------------------------------------------------

gossip_mutant(peers_are_told_twice broadcast.c scripts
    "            r->served |= mark;"
    "")
gossip_mutant(suspects_use_up_rumors broadcast.c "scene amid_crashes --count 8"
    "r->sends_count + is_counted(g, l->peer)"
    "r->sends_count + gossip__member_is_live(l->peer)")
gossip_mutant(forced_out_is_not_refuted serf.c "scene force_leave_live"
    "        gossip__serf_broadcast_join(g); /* somebody forces us out, but we live (10) */"
    "")

# -- what users send (13) ----------------------------------------------------------------------------

gossip_mutant(event_delivered_twice event.c torture
    "    if (is_known(slot, hash)) {"
    "    if (false) {")
gossip_mutant(time_may_jump serf.c "scene poisoned_time"
    "    if (ltime > *clock && ltime - *clock > TIME_JUMP_MAX) {"
    "    if (false) {")
gossip_mutant(lost_ack_is_lost query.c "scene queries"
    "        ack_again(g, q, src);"
    "")
gossip_mutant(prune_leaves_no_trace serf.c scripts
    "    t->is_pruned = is_pruned;"
    "    t->is_pruned = false;")

# -- strangers (12) ----------------------------------------------------------------------------------

gossip_mutant(missed_keys_are_not_told tell.c scripts
    "(hello->keys != 0 && hello->keys != g->seal.told_digest)"
    "false")
gossip_mutant(missed_keys_are_asked_for_alone tell.c scripts
    "        (void)gossip__stream_open(g, GOSSIP__ROLE_TELL, &s->peer);"
    "")
gossip_mutant(a_removal_is_undone_by_who_missed_it keys_merge.c scripts
    "    } else if (mark.ltime > m->ltime || (mark.ltime == m->ltime && mark.is_removed)) {"
    "    } else if (!mark.is_removed) {")
gossip_mutant(other_cluster_is_heard packet.c "scene two_clusters"
    "    if (memcmp(mu_rd_take(&r, 8).data, g->cluster_id, sizeof g->cluster_id) != 0) {"
    "    mu_rd_skip(&r, 8);
    if (false) {")

add_dependencies(mutants ${gossip_mutants})
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/mutants.list CONTENT "${gossip_mutant_rows}")
