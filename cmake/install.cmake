# What `make install` puts below PREFIX: program, headers, both libraries, pkg-config and CMake
# packages, manual page, completions, price table and experiment files, licence.
include(CMakePackageConfigHelpers)

set(ISOBIT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/isobit)
# By where the file lies: a prefix is chosen when installing, and a tree may be moved.
file(RELATIVE_PATH ISOBIT_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" ISOBIT_PC_PREFIX "${ISOBIT_PC_PREFIX}")
configure_file(cmake/isobit.pc.in isobit.pc @ONLY)
configure_package_config_file(cmake/isobitConfig.cmake.in isobitConfig.cmake
                              INSTALL_DESTINATION ${ISOBIT_CMAKE_DIR}
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(isobitConfigVersion.cmake COMPATIBILITY SameMinorVersion)

# What the program writes about itself.
set(generated "")
function(isobit_generate file)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${file}
                     COMMAND isobit ${ARGN} > ${CMAKE_BINARY_DIR}/${file}
                     DEPENDS isobit VERBATIM COMMENT "Writing ${file}")
  set(generated ${generated} ${CMAKE_BINARY_DIR}/${file} PARENT_SCOPE)
endfunction()
isobit_generate(isobit.1 manual)
isobit_generate(isobit.bash completion bash)
isobit_generate(_isobit completion zsh)
isobit_generate(isobit.fish completion fish)
add_custom_target(isobit_texts ALL DEPENDS ${generated})
# All that is installed.
add_custom_target(isobit_all DEPENDS isobit isobit_shared isobit_static isobit_texts)

install(TARGETS isobit RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS isobit_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${ISOBIT_STATIC_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/isobit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/isobit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/isobitConfig.cmake ${CMAKE_BINARY_DIR}/isobitConfigVersion.cmake
        DESTINATION ${ISOBIT_CMAKE_DIR})
install(FILES ${CMAKE_BINARY_DIR}/isobit.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/isobit.bash RENAME isobit
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${CMAKE_BINARY_DIR}/_isobit
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${CMAKE_BINARY_DIR}/isobit.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(DIRECTORY experiments DESTINATION ${ISOBIT_SHARE_DIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/isobit)
