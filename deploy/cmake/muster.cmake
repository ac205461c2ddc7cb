# muster.cmake - how every folder becomes a library, and what every file is compiled with.

option(MUSTER_TESTS "Build the tests" ON)
option(MUSTER_WERROR "Warnings are errors" ON)
option(MUSTER_FUZZ "Build fuzz targets with libFuzzer (clang)" OFF)
option(MUSTER_STATIC "Release: the C library is in the executable, too" OFF)
option(MUSTER_PIE "Release: the executable lies at an address drawn at its start" ON)
set(MUSTER_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=")

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# -- flags ------------------------------------------------------------------------------------

add_library(muster_flags INTERFACE)
target_compile_options(muster_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wvla -Wundef -Wformat=2 -Wswitch-enum -Wcast-qual -Wwrite-strings
    -Wpointer-arith -Wimplicit-fallthrough -Wdouble-promotion
    -fno-omit-frame-pointer -fno-common
    $<$<BOOL:${MUSTER_WERROR}>:-Werror>)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    # protobuf-c's initialisers drop a const in our files, and NAN is a float; gcc knows that they
    # are a system header's. What a row of a table leaves out is zero, as C says.
    target_compile_options(muster_flags INTERFACE
        -Wno-cast-qual -Wno-double-promotion -Wno-missing-field-initializers)
endif()
target_compile_definitions(muster_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(muster_flags INTERFACE
        -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
        -ffunction-sections -fdata-sections)
    target_link_options(muster_flags INTERFACE
        -Wl,-z,relro -Wl,-z,now -Wl,--gc-sections -Wl,--as-needed)
    if(MUSTER_STATIC)
        # A fifth of the memory of a client agent is the C library with its loader and libm (SQLite
        # names all of its functions), most of it touched once. It stays position-independent, which
        # costs 0.5 MB of relocated pages: addresses that an attacker knows may be dearer. The linker
        # warns of functions that load libraries at run time: agent/cmd/main.c keeps the
        # look-up of names from it, and nobody calls the others. Where it can be told (binutils 2.40)
        # it says so to nobody.
        target_compile_definitions(muster_flags INTERFACE MUSTER_STATIC)
        include(CheckLinkerFlag)
        check_linker_flag(C -Wl,--no-warnings MUSTER_HAS_LD_QUIET)
        if(MUSTER_HAS_LD_QUIET)
            target_link_options(muster_flags INTERFACE -Wl,--no-warnings)
        endif()
        target_link_options(muster_flags INTERFACE $<IF:$<BOOL:${MUSTER_PIE}>,-static-pie,-static>)
    else()
        target_link_options(muster_flags INTERFACE $<IF:$<BOOL:${MUSTER_PIE}>,-pie,-no-pie>)
    endif()
    # Relative relocations in 9 kB instead of 590, which the start would read in every process.
    # glibc 2.36 knows the form.
    include(CheckLinkerFlag)
    check_linker_flag(C -Wl,-z,pack-relative-relocs MUSTER_HAS_RELR)
    if(MUSTER_HAS_RELR)
        target_link_options(muster_flags INTERFACE -Wl,-z,pack-relative-relocs)
    endif()
endif()
if(MUSTER_SANITIZE)
    add_compile_options(-fsanitize=${MUSTER_SANITIZE})
    add_link_options(-fsanitize=${MUSTER_SANITIZE})
    if(MUSTER_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
    if(MUSTER_FUZZ)
        add_compile_options(-fsanitize=fuzzer-no-link)
    endif()
endif()
target_link_libraries(muster_flags INTERFACE Threads::Threads)

# -- given libraries ---------------------------------------------------------------------------
# Debian's static archives: a smaller process, and one file to copy. Headers are SYSTEM.

function(muster_given name archive header)
    find_library(MUSTER_LIB_${name} ${archive} REQUIRED)
    find_path(MUSTER_INC_${name} ${header} REQUIRED)
    add_library(given_${name} INTERFACE)
    target_link_libraries(given_${name} INTERFACE ${MUSTER_LIB_${name}} ${ARGN})
    if(NOT MUSTER_INC_${name} STREQUAL "/usr/include")
        target_include_directories(given_${name} SYSTEM INTERFACE ${MUSTER_INC_${name}})
    endif()
endfunction()

muster_given(uv libuv_a.a uv.h Threads::Threads dl rt)
muster_given(nghttp2 libnghttp2.a nghttp2/nghttp2.h)
muster_given(protobuf_c libprotobuf-c.a protobuf-c/protobuf-c.h)
muster_given(sqlite3 libsqlite3.a sqlite3.h m dl)
muster_given(sodium libsodium.a sodium.h)
muster_given(jansson libjansson.a jansson.h)
muster_given(http_parser libhttp_parser.a http_parser.h)
muster_given(z libz.a zlib.h)
muster_given(zstd libzstd.a zstd.h)
muster_given(crypto libcrypto.a openssl/crypto.h Threads::Threads dl)
muster_given(ssl libssl.a openssl/ssl.h given_crypto)

# -- libraries -----------------------------------------------------------------------------------

# One static library per folder. Headers under include/ are public; each must compile alone.
function(muster_library name)
    cmake_parse_arguments(LIB "" "" "SOURCES;HEADERS;PUBLIC;PRIVATE" ${ARGN})
    add_library(muster_${name} STATIC ${LIB_SOURCES})
    target_sources(muster_${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${LIB_HEADERS})
    set_target_properties(muster_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
    target_link_libraries(muster_${name} PUBLIC ${LIB_PUBLIC} PRIVATE muster_flags ${LIB_PRIVATE})
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT MUSTER_SANITIZE)
        # Under sanitizers gcc 12 reports paths that only its own instrumentation creates, and in
        # tests those that go on after an assertion of cmocka, which it does not know to end there.
        target_compile_options(muster_${name} PRIVATE -Wnull-dereference)
    endif()
endfunction()

# Messages in protobuf: generated code is a SYSTEM header and compiled without our warnings.
function(muster_protobuf target)
    find_program(PROTOC_C protoc-c REQUIRED)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/pb)
    file(MAKE_DIRECTORY ${out}/pb)
    set(sources)
    foreach(file ${ARGN})
        get_filename_component(stem ${file} NAME_WE)
        add_custom_command(
            OUTPUT ${out}/pb/${stem}.pb-c.c ${out}/pb/${stem}.pb-c.h
            COMMAND ${PROTOC_C} --c_out=${out}/pb -I ${CMAKE_CURRENT_SOURCE_DIR} ${file}
            DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file}
            VERBATIM)
        list(APPEND sources ${out}/pb/${stem}.pb-c.c)
    endforeach()
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} SYSTEM PUBLIC ${out} PRIVATE ${out}/pb)
    target_link_libraries(${target} PUBLIC given_protobuf_c)
    target_compile_options(${target} PRIVATE -w)
endfunction()
