# The kinds of layers: every file of src/nn/layers defines ib_layer_<name of the file>; the list that
# src/nn/rows.c looks kinds up in is made from the folder, so that a new kind is a new file.
file(GLOB layer_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/nn/layers/*.c)
set(layer_list "")
foreach(source ${layer_sources})
  get_filename_component(name ${source} NAME_WE)
  string(APPEND layer_list "IB_LAYER(${name})\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/layer_kinds.inc CONTENT "${layer_list}" @ONLY)
