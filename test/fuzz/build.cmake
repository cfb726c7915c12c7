# Configures and builds the fuzz preset; a test, because the suite's other targets are gcc's.
function(must)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${SOURCE} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed: ${ARGN}")
  endif()
endfunction()

must(${CMAKE_COMMAND} --preset fuzz)
must(${CMAKE_COMMAND} --build ${BUILD})
