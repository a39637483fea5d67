/* Matrix products by tiles, with the segments of NUMERICS.md. */
#ifndef IB_CPU_PRODUCT_H
#define IB_CPU_PRODUCT_H

#include "../cpu.h"
#include "tile.h"

static inline int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* One chain over terms [first, last) of a tile's k, which may begin and end inside a run. */
static inline void chain_of_terms(tile_function *function, const struct tile *whole, int64_t first,
                                  int64_t last, float *out) {
    for (int64_t k = first; k < last;) {
        int64_t run = k / whole->run_length, offset = k % whole->run_length;
        struct tile piece = *whole;
        piece.a += run * whole->a_run + offset * whole->a_k;
        piece.b += run * whole->b_run + offset * whole->b_k;
        piece.carry = k > first || whole->carry;
        if (offset == 0 && last - k >= whole->run_length) {
            piece.runs = (last - k) / whole->run_length;
            k += piece.runs * whole->run_length;
        } else {
            piece.runs = 1;
            piece.run_length = smaller(whole->run_length - offset, last - k);
            k += piece.run_length;
        }
        function(&piece, out);
    }
}

/* out = the dot products over all of the tile's terms: chains of IB_SEGMENT, added in order. */
static inline void dot_products(tile_function *function, int rows, int columns,
                                const struct tile *tile, float *out) {
    int64_t terms = tile->runs * tile->run_length;
    if (terms <= IB_SEGMENT) {
        function(tile, out);
        return;
    }
    float segment[TILE_FLOATS];
    chain_of_terms(function, tile, 0, IB_SEGMENT, out);
    for (int64_t first = IB_SEGMENT; first < terms; first += IB_SEGMENT) {
        chain_of_terms(function, tile, first, smaller(first + IB_SEGMENT, terms), segment);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; j += VL) {
                float *total = out + i * TILE_STRIDE + j;
                v_store(total, v_add(v_load(total), v_load(segment + i * TILE_STRIDE + j)));
            }
    }
}

#endif
