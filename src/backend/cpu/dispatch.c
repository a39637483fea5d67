/* Which kernel tables this build has and this machine can run. */
#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern const ib_cpu_kernels ib_cpu_kernels_ref;
#if defined(__x86_64__)
extern const ib_cpu_kernels ib_cpu_kernels_avx512;
extern const ib_cpu_kernels ib_cpu_kernels_avx2;
extern const ib_cpu_kernels ib_cpu_kernels_ref_soft;
#elif defined(__aarch64__)
extern const ib_cpu_kernels ib_cpu_kernels_neon;
#endif

const ib_cpu_kernels *const *ib_cpu_kernel_tables(void) {
    static const ib_cpu_kernels *const TABLES[] = {
#if defined(__x86_64__)
        &ib_cpu_kernels_avx512,
        &ib_cpu_kernels_avx2,
        &ib_cpu_kernels_ref,
        &ib_cpu_kernels_ref_soft,
#elif defined(__aarch64__)
        &ib_cpu_kernels_neon,
        &ib_cpu_kernels_ref,
#endif
        NULL,
    };
    return TABLES;
}

#if defined(__x86_64__)

/* The register state the operating system saves: without it, using the registers faults. */
static uint64_t saved_state(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

enum { STATE_YMM = 0x6, STATE_ZMM = 0xE6 };

int ib_cpu_supports(const ib_cpu_kernels *kernels) {
    unsigned a, b, c, d, b7 = 0, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        b7 = 0;
    uint64_t state = saved_state();
    int fma = (c & bit_FMA) && (c & bit_AVX) && (state & STATE_YMM) == STATE_YMM;
    int avx2 = fma && (b7 & bit_AVX2) && (b7 & bit_BMI2);
    unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if (kernels == &ib_cpu_kernels_avx512)
        return avx2 && (b7 & wide) == wide && (state & STATE_ZMM) == STATE_ZMM;
    if (kernels == &ib_cpu_kernels_avx2)
        return avx2;
    if (kernels == &ib_cpu_kernels_ref)
        return fma;
    return kernels == &ib_cpu_kernels_ref_soft;
}

#else

int ib_cpu_supports(const ib_cpu_kernels *kernels) {
    (void)kernels; /* every AArch64 CPU has NEON and FMA */
    return 1;
}

#endif
