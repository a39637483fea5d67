# What makes faults of memory harder to use, in what users run. Sets the targets isobit_hardening, for
# everything but the kernels, and isobit_hardening_kernels, which has what costs them nothing
# (docs/decisions/hardening.md). A flag that compiler or linker does not take is left out, and said.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)
include(CheckPIESupported)

# Sanitizers look for the same faults and do not agree with FORTIFY, which needs optimisation besides.
if(ISOBIT_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(harden OFF)
else()
  set(harden ON)
endif()
option(ISOBIT_HARDEN "Full RELRO, PIE, stack protector, FORTIFY, CET or BTI" ${harden})

add_library(isobit_hardening INTERFACE)
add_library(isobit_hardening_kernels INTERFACE)

function(isobit_harden_compile target)
  foreach(flag ${ARGN})
    string(MAKE_C_IDENTIFIER "ISOBIT_TAKES_${flag}" takes)
    check_c_compiler_flag("-Werror ${flag}" ${takes})
    if(${takes})
      target_compile_options(${target} INTERFACE ${flag})
    else()
      message(STATUS "hardening: the compiler does not take ${flag}")
    endif()
  endforeach()
endfunction()

function(isobit_harden_link)
  foreach(flag ${ARGN})
    string(MAKE_C_IDENTIFIER "ISOBIT_LINKS_${flag}" links)
    check_linker_flag(C ${flag} ${links})
    if(${links})
      target_link_options(isobit_hardening INTERFACE ${flag})
    else()
      message(STATUS "hardening: the linker does not take ${flag}")
    endif()
  endforeach()
endfunction()

# The highest level that the C library knows with this compiler.
function(isobit_harden_fortify)
  foreach(level 3 2)
    set(CMAKE_REQUIRED_FLAGS "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level}")
    check_c_source_compiles("#include <features.h>
      #if __USE_FORTIFY_LEVEL < ${level}
      #error
      #endif
      int main(void) { return 0; }" ISOBIT_TAKES_FORTIFY_${level})
    if(ISOBIT_TAKES_FORTIFY_${level})
      target_compile_options(isobit_hardening INTERFACE -U_FORTIFY_SOURCE
                             -D_FORTIFY_SOURCE=${level})
      return()
    endif()
  endforeach()
  message(STATUS "hardening: the C library knows no FORTIFY")
endfunction()

if(ISOBIT_HARDEN)
  check_pie_supported(LANGUAGES C)
  # Of indirect jumps and returns: in every object, or the linker marks none.
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(control_flow -fcf-protection=full)
  else()
    set(control_flow -mbranch-protection=standard)
  endif()
  isobit_harden_compile(isobit_hardening ${control_flow} -fstack-protector-strong
                        -fstack-clash-protection)
  isobit_harden_compile(isobit_hardening_kernels ${control_flow})
  isobit_harden_fortify()
  isobit_harden_link(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)
endif()
