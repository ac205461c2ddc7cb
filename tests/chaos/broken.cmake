# Servers that are wrong on purpose, for tests/chaos/run --broken: the books must not balance.
#
#   broken(<name> <faults that show it> <folder/file> <what stands there, once>
#          <what a careless hand would write>)
#
# The sources stay clean: the text of one file is replaced in a copy, which is linked before the
# libraries. Not part of `all`.

set(broken_names)

function(broken name faults path old new)
    mutant_source(fits ${path} ${CMAKE_CURRENT_BINARY_DIR}/broken/${name}.c "${old}" "${new}")
    if(NOT fits)
        message(FATAL_ERROR "broken ${name}: ${path} must hold exactly once:\n${old}")
    endif()
    get_filename_component(folder ${path} DIRECTORY)
    add_executable(broken_${name} EXCLUDE_FROM_ALL
        ${CMAKE_CURRENT_BINARY_DIR}/broken/${name}.c ${CMAKE_SOURCE_DIR}/agent/cmd/main.c)
    target_include_directories(broken_${name} PRIVATE ${CMAKE_SOURCE_DIR}/${folder})
    target_link_libraries(broken_${name} PRIVATE muster_cmd muster_consensus muster_catalog
        muster_gossip muster_proto muster_messages muster_flags given_protobuf_c given_sodium
        given_sqlite3 given_uv)
    target_compile_options(broken_${name} PRIVATE -w)
    set(broken_names "${broken_names}${name} ${faults}\n" PARENT_SCOPE)
endfunction()

# Answered before a majority has it: a leader that dies takes acknowledged writes with it.
broken(ack_before_commit partition consensus/replicate.c
    "    uint64_t index = quorum_index(c, c->writes.stable);

    if (index > c->commit &&"
    "    uint64_t index = c->writes.stable;

    if (index > c->commit &&")
# Default reads from what happens to be here: a server that lags or is cut off answers the past.
broken(stale_default_reads partition,slow agent/read.c
    "    if (consistency == AGENT_STALE) {"
    "    if (true) {")
# A forwarded write whose answer was lost is sent again, and takes effect twice.
broken(lost_is_repeated partition,kill,pause agent/request.c
    "    if (code == MU_UNREACHABLE || code == MU_NOT_LEADER || code == MU_NO_LEADER) {
        write_again(w, code);"
    "    if (code != MU_OK) {
        write_again(w, MU_NO_LEADER);")
# A cas that never compares.
broken(cas_without_compare kill catalog/kv.c
    "    return k->is_live ? cas != 0 && cas == catalog__mvcc_index(k) : cas == 0;"
    "    (void)k; (void)cas; return true;")

file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/broken/names CONTENT "${broken_names}" @ONLY)
