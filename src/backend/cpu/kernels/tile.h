/* The register tile behind every matrix product here: convolutions, linear layers, their gradients.
 *
 *   out[i][j] = chain over k of fma(A[i][k], B[k][j], .)      i < rows, j < vectors * VL
 *
 * A is broadcast from memory, B is loaded as vectors, and each output has its own chain, in the
 * order of k: vectorised across outputs, never inside a chain. k runs through `runs` stretches of
 * `run_length`, so that a convolution needs no im2col: one run is one kernel row (kx, ci), which
 * is contiguous in an [h][w][c] image.
 *
 * Registers (AVX-512, 32): tall 12 x 2 = 24 accumulators + 2 of B + 1 broadcast; per k 2 loads and
 * 12 broadcasts feed 24 FMAs: 14 loads in 12 cycles of 2 FMA ports, under the 2 a cycle L1 gives.
 * Wide 6 x 4: 4 loads and 6 broadcasts for 24 FMAs. AVX2 (16): 6 x 2 = 12 + 2 + 1. NEON (32):
 * 5 x 4 or 10 x 2 = 20, because compilers load all broadcasts of a k early and spill 24.
 * Latency 4 x 2 ports needs 8 accumulators; both have more. */
#ifndef IB_CPU_TILE_H
#define IB_CPU_TILE_H

#include <stddef.h>

#include "simd.h"

struct tile {
    const float *a;
    ptrdiff_t a_row, a_k, a_run; /* floats between rows, k, runs */
    const float *b;
    ptrdiff_t b_k, b_run;
    int64_t runs, run_length;
    int carry; /* start from out instead of +0: the chain goes on */
};

enum { TILE_STRIDE = 64, TILE_FLOATS = 12 * TILE_STRIDE }; /* out[i] begins at i * TILE_STRIDE */

typedef void tile_function(const struct tile *tile, float *out);

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* rows and vectors are constants at each use: the loops over them vanish and acc lives in
 * registers. Rows are addressed from every third row by [base], [base + r], [base + 2r], because
 * twelve pointers would not fit the integer registers. */
ALWAYS_INLINE void tile_chain(const int rows, const int vectors, const struct tile *tile,
                              float *out) {
    vf acc[12][4];
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j)
            acc[i][j] = tile->carry ? v_load(out + i * TILE_STRIDE + j * VL) : v_zero();

    const ptrdiff_t row = tile->a_row, a_k = tile->a_k, b_k = tile->b_k;
    for (int64_t run = 0; run < tile->runs; ++run) {
        const float *base[4];
        for (int g = 0; g < (rows + 2) / 3; ++g)
            base[g] = tile->a + run * tile->a_run + 3 * g * row;
        const float *b = tile->b + run * tile->b_run;
        for (int64_t k = tile->run_length; k > 0; --k) {
            vf column[4];
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                column[j] = v_load(b + j * VL);
#pragma GCC unroll 12
            for (int i = 0; i < rows; ++i) {
                vf x = v_set1(base[i / 3][(i % 3) * row]);
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j)
                    acc[i][j] = v_fma(x, column[j], acc[i][j]);
            }
#pragma GCC unroll 4
            for (int g = 0; g < (rows + 2) / 3; ++g) {
                base[g] += a_k;
                __asm__("" : "+r"(base[g])); /* keeps the compiler from making 12 pointers of 4 */
            }
            b += b_k;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j)
            v_store(out + i * TILE_STRIDE + j * VL, acc[i][j]);
}

/* The tile for this many rows (1..12) and vectors (1, 2 or 4), from tile.c; NULL if none. */
tile_function *IB_KERNEL(ib_tile)(int rows, int vectors);

/* How a product of n columns (a multiple of 16) is cut: the widest column block, then its rows. */
struct tile_plan {
    int vectors, columns, rows;
};

/* tall: for many rows and weights that stay in L1 (convolutions). */
static inline struct tile_plan tile_plan_for(int64_t columns_left, int tall) {
    if (!tall && columns_left >= WIDE_VECTORS * VL)
        return (struct tile_plan){WIDE_VECTORS, WIDE_VECTORS * VL, WIDE_ROWS};
    if (columns_left >= TALL_VECTORS * VL)
        return (struct tile_plan){TALL_VECTORS, TALL_VECTORS * VL, TALL_ROWS};
    if (columns_left >= 2 * VL)
        return (struct tile_plan){2, 2 * VL, PAIR_TALL_ROWS};
    return (struct tile_plan){1, VL, 12};
}

#endif
