# The public library: libisobit.so and libisobit.a of the same objects, with the names of
# src/api/isobit.map and no others.

# Before 1.0 a minor version may change the interface, so it is part of the SONAME.
add_library(isobit_shared SHARED $<TARGET_OBJECTS:isobit_engine> ${ISOBIT_KERNEL_OBJECTS})
set_target_properties(isobit_shared PROPERTIES OUTPUT_NAME isobit LINKER_LANGUAGE C
                      VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                      LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/api/isobit.map)
target_link_libraries(isobit_shared PRIVATE PkgConfig::JANSSON PkgConfig::YAML Threads::Threads m
                      isobit_hardening)
target_link_options(isobit_shared PRIVATE
                    -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/api/isobit.map)
if(NOT ISOBIT_SANITIZE) # whose run-time library comes with the program
  target_link_options(isobit_shared PRIVATE -Wl,--no-undefined)
endif()

# An archive has no map: all objects become one, whose hidden names then are local to it, so that a
# program may have an ib_train of its own.
set(ISOBIT_STATIC_LIBRARY ${CMAKE_BINARY_DIR}/libisobit.a)
add_custom_command(
  OUTPUT ${ISOBIT_STATIC_LIBRARY}
  COMMAND ${CMAKE_LINKER} -r -o isobit_whole.o $<TARGET_OBJECTS:isobit_engine>
          ${ISOBIT_KERNEL_OBJECTS}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden isobit_whole.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${ISOBIT_STATIC_LIBRARY}
  COMMAND ${CMAKE_AR} rcs ${ISOBIT_STATIC_LIBRARY} isobit_whole.o
  DEPENDS isobit_engine $<TARGET_OBJECTS:isobit_engine> ${ISOBIT_KERNEL_OBJECTS}
  COMMAND_EXPAND_LISTS VERBATIM COMMENT "Linking C static library libisobit.a")
add_custom_target(isobit_static ALL DEPENDS ${ISOBIT_STATIC_LIBRARY})
