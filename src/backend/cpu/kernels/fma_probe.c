/* The roofline's ceiling: 24 independent chains of FMAs in registers, more than latency x ports. */
#include "../cpu.h"
#include "simd.h"

enum { CHAINS = VL == 8 ? 12 : 24 };

double IB_KERNEL(ib_fma_probe)(int64_t iterations);
double IB_KERNEL(ib_fma_probe)(int64_t iterations) {
    vf acc[CHAINS], x = v_set1(1.0000001f), y = v_set1(1e-7f);
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; ++i)
        acc[i] = v_set1((float)i);
    for (int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; ++i)
            acc[i] = v_fma(acc[i], x, y);
    }
    vf sum = acc[0];
    for (int i = 1; i < CHAINS; ++i)
        sum = v_add(sum, acc[i]);
    float lanes[VL];
    v_store(lanes, sum);
    volatile float sink = lanes[0];
    (void)sink;
    return 2.0 * VL * CHAINS * (double)iterations;
}
