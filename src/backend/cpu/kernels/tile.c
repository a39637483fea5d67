#include "tile.h"

#define TILE(rows, vectors)                                                                        \
    static void tile_##rows##x##vectors(const struct tile *tile, float *out) {                     \
        tile_chain(rows, vectors, tile, out);                                                      \
    }
#define TILES_OF_SIX(X, vectors)                                                                   \
    X(1, vectors) X(2, vectors) X(3, vectors) X(4, vectors) X(5, vectors) X(6, vectors)
#define TILES_TO_TWELVE(X, vectors)                                                                \
    X(7, vectors) X(8, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors)

TILES_OF_SIX(TILE, 1)
TILES_TO_TWELVE(TILE, 1)
TILES_OF_SIX(TILE, 2)
#if !defined(IB_ISA_AVX2)
TILES_TO_TWELVE(TILE, 2)
TILES_OF_SIX(TILE, 4)
#endif

#define ENTRY(rows, vectors) [vectors][rows] = tile_##rows##x##vectors,

static tile_function *const TILES[5][13] = {TILES_OF_SIX(ENTRY, 1) TILES_TO_TWELVE(ENTRY, 1)
                                                TILES_OF_SIX(ENTRY, 2)
#if !defined(IB_ISA_AVX2)
                                                    TILES_TO_TWELVE(ENTRY, 2) TILES_OF_SIX(ENTRY, 4)
#endif
};

tile_function *IB_KERNEL(ib_tile)(int rows, int vectors) {
    return TILES[vectors][rows];
}
