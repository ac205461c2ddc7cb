# Faults put into autopilot on purpose, one program each: whole clusters must notice every one
# (tests/sim/run --mutants).
#
#   cluster_mutant(<name> <file> <what stands there, once> <what a careless hand would write>)

set(cluster_mutant_rows)

function(cluster_mutant name path old new)
    mutant_source(fits ${path} ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.c "${old}" "${new}")
    if(NOT fits)
        # the build goes on without it, and the tests fail
        set(cluster_mutant_rows "${cluster_mutant_rows}${name} cluster stale ${path}\n" PARENT_SCOPE)
        return()
    endif()
    get_filename_component(folder ${CMAKE_SOURCE_DIR}/${path} DIRECTORY)
    add_executable(mutant_${name} EXCLUDE_FROM_ALL ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.c)
    target_include_directories(mutant_${name} PRIVATE ${folder})
    target_link_libraries(mutant_${name} PRIVATE sim_cluster_main sim_cluster_pilot muster_flags)
    target_compile_options(mutant_${name} PRIVATE -w)
    add_dependencies(mutants mutant_${name})
    set(cluster_mutant_rows
        "${cluster_mutant_rows}${name} cluster long $<TARGET_FILE:mutant_${name}>\n" PARENT_SCOPE)
endfunction()

# That a minority only is cleaned up has none: without a quorum there is no leader to do it.

# -- who is cleaned up (spec 2.9) --------------------------------------------------------------------

cluster_mutant(cleanup_believes_gossip_alone agent/autopilot.c
    "age_ms(l->in->now_ms, t->gone_ms) >= patience_ms && silence_ms(l, s) >= patience_ms;"
    "age_ms(l->in->now_ms, t->gone_ms) >= patience_ms;")
cluster_mutant(blank_disk_is_the_same_server agent/autopilot.c
    "        if (!s->is_configured || s->is_self || !is_replaced(l, i) || silence_ms(l, s) < SILENT_MS) {"
    "        if (true) {")
cluster_mutant(learners_stay_learners agent/autopilot.c
    "        if (!s->is_configured || s->is_voter || !t->is_healthy ||"
    "        if (true || !s->is_configured || s->is_voter || !t->is_healthy ||")
cluster_mutant(returned_servers_stay_outside agent/autopilot.c
    "    return !s->is_configured && s->is_fresh && s->status == AUTOPILOT_ALIVE &&"
    "    return false && s->is_fresh && s->status == AUTOPILOT_ALIVE &&")

file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/mutants.list CONTENT "${cluster_mutant_rows}")
