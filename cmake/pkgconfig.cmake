# Run by `cmake --install`: writes durward.pc for the place that is installed to, whether its folders are under the prefix
# or not.
cmake_path(ABSOLUTE_PATH libdir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE DURWARD_PC_LIBDIR)
cmake_path(ABSOLUTE_PATH includedir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE DURWARD_PC_INCLUDEDIR)
configure_file(${from} ${to} @ONLY)
