/* The floating-point environment of exact mode: round to nearest even, denormals kept. */
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

typedef struct ib_fp_state {
    uint64_t control;
} ib_fp_state;

/* Sets the environment for this thread and returns the old one for ib_fp_leave. */
static inline ib_fp_state ib_fp_enter(void) {
    ib_fp_state old = {0};
#if defined(__x86_64__)
    old.control = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1F80u); /* all exceptions masked, nearest, no FTZ, no DAZ */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(old.control));
    __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));
#endif
    return old;
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
