# Embeds the files of lua/ in the binary, so that what runs is what was built and tested.
# dw_embed_lua(TARGET) makes a static library with one table: struct dw_lua_file dw_lua_files[].
set(DW_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_run.cmake)

function(dw_embed_lua target)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lua/durward/*.lua)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}.c)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DROOT=${PROJECT_SOURCE_DIR}/lua "-DFILES=${files}" -P ${DW_EMBED_SCRIPT}
    DEPENDS ${files} ${DW_EMBED_SCRIPT}
    VERBATIM)
  add_library(${target} STATIC ${out})
endfunction()
