/* Register tiles of every size a file needs, from its own loop. Included once, after
 *   struct chain                              what a tile works on
 *   chain_tile(rows, vectors, const struct chain *)   always inlined
 * Makes chain_for(rows, columns): the tile of 1 to TALL_ROWS rows and two vectors (NEON: four), or
 * the 16 columns that are left of an odd multiple. */
#ifndef IB_CPU_CHAINS_H
#define IB_CPU_CHAINS_H

#include "conv.h"

typedef void chain_function(const struct chain *t);

#define CHAIN(rows, vectors)                                                                       \
    static void chain_##rows##x##vectors(const struct chain *t) {                                  \
        chain_tile(rows, vectors, t);                                                              \
    }
#define ENTRY(rows, vectors) [rows] = chain_##rows##x##vectors,
#define ROWS_TO_SIX(X, vectors)                                                                    \
    X(1, vectors) X(2, vectors) X(3, vectors) X(4, vectors) X(5, vectors) X(6, vectors)
#define ROWS_TO_TWELVE(X, vectors)                                                                 \
    X(7, vectors) X(8, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors)

#if defined(IB_ISA_AVX512)
ROWS_TO_SIX(CHAIN, 1)
ROWS_TO_TWELVE(CHAIN, 1)
ROWS_TO_SIX(CHAIN, 2)
ROWS_TO_TWELVE(CHAIN, 2)
static chain_function *const HALF_CHAINS[13] = {ROWS_TO_SIX(ENTRY, 1) ROWS_TO_TWELVE(ENTRY, 1)};
static chain_function *const CHAINS[13] = {ROWS_TO_SIX(ENTRY, 2) ROWS_TO_TWELVE(ENTRY, 2)};
#elif defined(IB_ISA_AVX2)
ROWS_TO_SIX(CHAIN, 2)
static chain_function *const CHAINS[13] = {ROWS_TO_SIX(ENTRY, 2)};
#else
ROWS_TO_SIX(CHAIN, 4)
static chain_function *const CHAINS[13] = {ROWS_TO_SIX(ENTRY, 4)};
#endif

static chain_function *chain_for(int64_t rows, int64_t columns) {
#if defined(IB_ISA_AVX512)
    if (columns < 2 * VL)
        return HALF_CHAINS[rows];
#endif
    (void)columns;
    return CHAINS[rows];
}

#endif
