/* The floating-point environment of exact mode: round to nearest even. */
#ifndef IB_BASE_FPENV_H
#define IB_BASE_FPENV_H

#include <stdint.h>

#if defined(__FAST_MATH__)
#error "isobit must not be built with -ffast-math: it defines the order of every operation"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "isobit needs float expressions evaluated in float (FLT_EVAL_METHOD 0)"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __SIZEOF_POINTER__ != 8
#error "isobit needs a 64-bit little-endian target"
#endif

/* Exact arithmetic meets no denormal (NUMERICS.md, section 1), so that these give the same bits.
 * The last two are for tests: flush denormals, both as results and as operands; flush results only,
 * where the CPU can tell them apart, so that ib_fp_met_denormal sees every one. */
typedef enum ib_fp_mode { IB_FP_KEEP, IB_FP_FLUSH, IB_FP_WATCH } ib_fp_mode;

typedef struct ib_fp_state {
    uint64_t control;
} ib_fp_state;

/* Sets the environment for this thread and returns the old one for ib_fp_leave. */
static inline ib_fp_state ib_fp_enter_as(ib_fp_mode mode) {
    ib_fp_state old = {0};
#if defined(__x86_64__)
    const unsigned ftz = 0x8000u, daz = 0x0040u;
    unsigned control = 0x1F80u; /* all exceptions masked and clear, nearest */
    if (mode != IB_FP_KEEP)
        control |= mode == IB_FP_FLUSH ? ftz | daz : ftz;
    old.control = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(control);
#elif defined(__aarch64__)
    const uint64_t fz = (uint64_t)1 << 24; /* both at once */
    __asm__ volatile("mrs %0, fpcr" : "=r"(old.control));
    __asm__ volatile("msr fpcr, %0" ::"r"(mode == IB_FP_KEEP ? (uint64_t)0 : fz));
    if (mode != IB_FP_KEEP)
        __asm__ volatile("msr fpsr, %0" ::"r"((uint64_t)0));
#else
    (void)mode;
#endif
    return old;
}

static inline ib_fp_state ib_fp_enter(void) {
    return ib_fp_enter_as(IB_FP_KEEP);
}

/* Has this thread taken or yielded a denormal since it entered IB_FP_WATCH? */
static inline int ib_fp_met_denormal(void) {
#if defined(__x86_64__)
    return (__builtin_ia32_stmxcsr() & 0x12u) != 0; /* denormal operand, underflow */
#elif defined(__aarch64__)
    uint64_t status;
    __asm__ volatile("mrs %0, fpsr" : "=r"(status));
    return (status & 0x88u) != 0; /* input denormal, underflow */
#else
    return 0;
#endif
}

static inline void ib_fp_leave(ib_fp_state old) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)old.control);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" ::"r"(old.control));
#else
    (void)old;
#endif
}

#endif
