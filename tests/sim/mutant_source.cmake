# A copy of a source file with one place replaced, for programs that are wrong on purpose:
#
#   mutant_source(<result> <path from the top> <to> <what stands there, once> <what is to stand there>)
#
# The sources stay clean. The result says whether the text stands there exactly once; if it does not,
# nothing is written, and the caller says so now or when the program is asked for.

function(mutant_source result path to old new)
    set(source ${CMAKE_SOURCE_DIR}/${path})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    string(FIND "${text}" "${old}" first)
    string(FIND "${text}" "${old}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
        set(${result} FALSE PARENT_SCOPE)
        return()
    endif()
    string(REPLACE "${old}" "${new}" text "${text}")
    file(CONFIGURE OUTPUT ${to} CONTENT "${text}" @ONLY)
    set(${result} TRUE PARENT_SCOPE)
endfunction()
