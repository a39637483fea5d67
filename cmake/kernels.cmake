# The CPU kernels: the scalar reference (src/backend/cpu/ref) and the vector kernels
# (src/backend/cpu/kernels), each vector source compiled once per instruction set of the target.
# Sets ISOBIT_KERNEL_OBJECTS.

file(GLOB ref_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cpu/ref/*.c)
file(GLOB vector_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cpu/kernels/*.c)
set(ISOBIT_KERNEL_OBJECTS "")

function(isobit_add_kernels name sources definition)
  add_library(kernels_${name} OBJECT ${sources})
  target_compile_definitions(kernels_${name} PRIVATE ${definition})
  target_compile_options(kernels_${name} PRIVATE ${ARGN})
  target_link_libraries(kernels_${name} PRIVATE isobit_hardening_kernels)
  set(ISOBIT_KERNEL_OBJECTS ${ISOBIT_KERNEL_OBJECTS} $<TARGET_OBJECTS:kernels_${name}> PARENT_SCOPE)
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # The reference twice: with the hardware's FMA, and with our own for CPUs that lack one.
  isobit_add_kernels(ref "${ref_sources}" IB_REF_HARDWARE_FMA=1 -mfma)
  isobit_add_kernels(ref_soft "${ref_sources}" IB_REF_HARDWARE_FMA=0)
  isobit_add_kernels(avx2 "${vector_sources}" IB_ISA_AVX2=1 -mavx2 -mfma -mtune=haswell)
  isobit_add_kernels(avx512 "${vector_sources}" IB_ISA_AVX512=1
                     -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma
                     -mprefer-vector-width=512 -mtune=skylake-avx512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  isobit_add_kernels(ref "${ref_sources}" IB_REF_HARDWARE_FMA=1)
  isobit_add_kernels(neon "${vector_sources}" IB_ISA_NEON=1)
else()
  message(FATAL_ERROR "isobit knows x86_64 and aarch64, not ${CMAKE_SYSTEM_PROCESSOR}")
endif()
