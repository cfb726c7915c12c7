# Adds tests that talk to a real server; each is a Python file that prints unittest's last lines.
#   leat_talk(NAME name SCRIPT file LABEL label TIMEOUT seconds [SERIAL] [ENV name=value ...])
set(LEAT_TALK_PYTHON /usr/bin/python3)

function(leat_talk)
  cmake_parse_arguments(TALK "SERIAL" "NAME;SCRIPT;LABEL;TIMEOUT" "ENV" ${ARGN})
  add_test(NAME ${TALK_NAME} COMMAND ${LEAT_TALK_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${TALK_SCRIPT})
  set_tests_properties(${TALK_NAME} PROPERTIES LABELS ${TALK_LABEL} TIMEOUT ${TALK_TIMEOUT})
  set_property(TEST ${TALK_NAME} PROPERTY ENVIRONMENT
    "LEATD=$<TARGET_FILE:leatd>" "LEAT_SANITIZE=${LEAT_SANITIZE}"
    "PYTHONPATH=${CMAKE_SOURCE_DIR}/test" "PYTHONDONTWRITEBYTECODE=1" ${TALK_ENV})
  if(TALK_SERIAL)
    set_tests_properties(${TALK_NAME} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()
