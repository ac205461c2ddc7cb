# Faults put into the store, the apply steps and the catalog on purpose, one program each: whole
# servers on faulty disks must notice every one (tests/sim/run --mutants).
#
#   server_mutant(<name> <file> <what stands there, once> <what a careless hand would write> [LONG]
#                 [SMALL])
#
# SMALL: the story of little disks has to show it (small.c), and not what seeds bring.

set(server_mutant_rows)

function(server_mutant name path old new)
    mutant_source(fits ${path} ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.c "${old}" "${new}")
    if(NOT fits)
        message(FATAL_ERROR "mutant ${name}: ${path} must hold exactly once:\n${old}")
    endif()
    get_filename_component(folder ${CMAKE_SOURCE_DIR}/${path} DIRECTORY)
    add_executable(mutant_${name} ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.c)
    target_include_directories(mutant_${name} PRIVATE ${folder} ${CMAKE_SOURCE_DIR}/agent/include)
    target_link_libraries(mutant_${name} PRIVATE sim_server_main sim_server_apply given_sqlite3
        muster_messages given_protobuf_c muster_flags)
    if(path MATCHES "^catalog/")
        next_version(mutant_${name})
    endif()
    # a mutant may leave a variable or function unused
    target_compile_options(mutant_${name} PRIVATE -w)
    add_dependencies(mutants mutant_${name})
    set(when quick)
    if("LONG" IN_LIST ARGN)
        set(when long)
        set_target_properties(mutant_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
    set(by server)
    if("SMALL" IN_LIST ARGN)
        set(by small)
    endif()
    set(server_mutant_rows
        "${server_mutant_rows}${name} ${by} ${when} $<TARGET_FILE:mutant_${name}>\n" PARENT_SCOPE)
endfunction()

# -- the log (spec 3.3, 2.15) ------------------------------------------------------------------------

server_mutant(log_acks_before_flush consensus/journal.c
    "        rc = j->disk->ops->sync(j->disk->self, j->file, err);"
    "")
server_mutant(log_reports_before_it_writes consensus/log_thread.c
    "    uint64_t batch_before = l->journal.seq;"
    "    uint64_t batch_before = l->journal.seq; report_written(l, group[count - 1].write->seq, 1, began, began);"
    LONG)
server_mutant(log_flush_tried_again consensus/journal.c
    "        rc = j->disk->ops->sync(j->disk->self, j->file, err);"
    "        rc = j->disk->ops->sync(j->disk->self, j->file, err);
        if (rc != MU_OK) { rc = j->disk->ops->sync(j->disk->self, j->file, err); }"
    LONG)
server_mutant(segment_name_not_flushed consensus/journal_files.c
    "    return rc == MU_OK ? j->disk->ops->sync_dir(j->disk->self, err) : rc;"
    "    return rc;"
    LONG)
server_mutant(torn_tail_is_valid consensus/segment.c
    "    return flags == 0 && batch_crc(bytes.data, used, out->salt) == out->crc;"
    "    return flags == 0;"
    LONG)
server_mutant(meta_before_data consensus/log_thread.c
    "    l->meta.durable_seq = j->seq;"
    "    l->meta.durable_seq = j->seq + 1;"
    LONG)
server_mutant(meta_in_one_slot consensus/meta.c
    "(m->generation % 2) * CONSENSUS_META_SLOT"
    "0 * CONSENSUS_META_SLOT"
    LONG)

# -- peers (1.9) -------------------------------------------------------------------------------------

server_mutant(frames_unchecked consensus/transport.c
    "    if (!mu_rd_ok(&r) || crc != frame_crc(bytes.data, bytes.bytes)) {"
    "    if (!mu_rd_ok(&r)) {"
    LONG)

# -- the state (3.4, 1.10) ---------------------------------------------------------------------------

server_mutant(applied_in_another_transaction catalog/db.c
    "    if (rc == MU_OK) {
        rc = store_applied(c, err);
    }
    if (rc == MU_OK) {
        rc = catalog__run(&c->db, c->commit, err);
    }"
    "    if (rc == MU_OK) {
        rc = catalog__run(&c->db, c->commit, err);
    }
    if (rc == MU_OK) {
        rc = store_applied(c, err);
    }")
server_mutant(checkpoint_durable_too_early agent/apply.c
    "        out->durable = a->durable;
        a->is_dirty = true;"
    "        out->durable = out->applied.index;
        a->is_dirty = true;")
server_mutant(state_never_flushed catalog/connection.c
    "{ FILES,    \"synchronous\",        \"NORMAL\",      \"1\" }"
    "{ FILES,    \"synchronous\",        \"OFF\",         \"0\" }"
    LONG)
server_mutant(full_disk_skips_entries agent/apply.c
    "        room_want(a);
        return MU_OK;
    }
    if (rc == MU_OK) {"
    "        room_want(a);
        rc = MU_OK;
    }
    if (rc == MU_OK) {"
    LONG)
server_mutant(second_copy_has_an_effect catalog/origin.c
    "    *is_known = from->seq <= s->high && bit_get(s->seen, from->seq);"
    "    *is_known = false;"
    LONG)
server_mutant(lock_taken_from_its_holder catalog/kv.c
    "        (attributes->session.bytes > 0 && !mu_span_eq(attributes->session, id))) {"
    "        false) {"
    LONG)
server_mutant(session_ends_and_keeps_its_locks catalog/session.c
    "        rc = catalog__mvcc_held(c, session->v[SESSION_ID].bytes, HELD_CHUNK, &arena, &held, err);"
    "        held.count = 0;"
    LONG)

# -- two versions (1.10, 2.20) -------------------------------------------------------------------------

server_mutant(schema_ahead_of_its_level catalog/db.c
    "    const struct schema *to = catalog__schema_at(level);"
    "    const struct schema *to = catalog__schema_at(level + 1);")
server_mutant(level_never_reaches_the_state agent/apply.c
    "        rc = rc == MU_OK && entries[i].level > 0 "
    "        rc = rc == MU_OK && entries[i].level > 99 "
    LONG)
server_mutant(snapshot_without_its_schema catalog/snapshot.c
    "        rc = catalog__stream_begin(&e.writer, &applied, schema->level, err);"
    "        rc = catalog__stream_begin(&e.writer, &applied, 1, err);"
    LONG)

# -- snapshots (2.12) ---------------------------------------------------------------------------------

server_mutant(generation_switched_before_its_flush agent/snapshot_files.c
    "    enum mu_code rc = mu_file_replace(path, mu_span_of(text, (size_t)bytes), 0600, err);"
    "    enum mu_code rc = mu_file_swap(path, mu_span_of(text, (size_t)bytes), 0600, err);"
    LONG)
server_mutant(old_state_never_removed agent/snapshot_files.c
    "        rc = mu_file_remove(mu_buf_text(&name), err);"
    "        (void)err;"
    LONG)
server_mutant(installed_state_takes_any_wal agent/snapshot_files.c
    "{ .path = path, .wal_bytes = f->wal_bytes }"
    "{ .path = path }"
    LONG SMALL)
server_mutant(state_read_again_with_any_wal agent/scrub_work.c
    "is_last ? 0 : wal_bytes_max"
    "is_last ? 0 : SCRUB_WAL_BYTES_MAX"
    LONG SMALL)
server_mutant(reset_not_written consensus/journal.c
    "        consensus__journal_add_reset(j, &at, w->reset_config);"
    "        consensus__journal_note_reset(j, &at);"
    LONG)

# -- states made anew (2.16) --------------------------------------------------------------------------

server_mutant(bad_state_not_noted_for_good agent/rebuild.c
    "    enum mu_code rc = mu_file_replace(path, mu_buf_span(&text), 0600, err);"
    "    enum mu_code rc = mu_file_swap(path, mu_buf_span(&text), 0600, err);"
    LONG)
server_mutant(any_state_is_the_bad_one agent/rebuild.c
    "    *wanted = rc == MU_OK && strtoull(mu_buf_text(&text), &reason, 10) == generation;"
    "    *wanted = rc == MU_OK && strtoull(mu_buf_text(&text), &reason, 10) > 0;"
    LONG)
server_mutant(lost_state_needs_nobody consensus/node.c
    "    n->lacks_state = true;"
    "    n->lacks_state = false;"
    LONG)
server_mutant(lost_state_applies_its_log consensus/step.c
    "    if (consensus__is_resetting(c) || c->lacks_state) {"
    "    if (consensus__is_resetting(c)) {"
    LONG)
server_mutant(lost_state_says_nothing consensus/append.c
    "    answer->alive.lacks_state = c->lacks_state;"
    ""
    LONG)

# What this program breaks itself; `stale` is found soon enough for the test run.
foreach(what flush read_point leases)
    set(server_mutant_rows
        "${server_mutant_rows}break_${what} server long $<TARGET_FILE:sim_server> --break ${what}\n")
endforeach()

file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/mutants.list CONTENT "${server_mutant_rows}")

foreach(what stale)
    add_test(NAME sim_server_break_${what}
        COMMAND sim_server --seeds 30 --silent 1 --break ${what})
    set_tests_properties(sim_server_break_${what} PROPERTIES PASS_REGULAR_EXPRESSION "again: sim_server"
        TIMEOUT ${MUSTER_TEST_TIMEOUT} LABELS sim)
endforeach()
