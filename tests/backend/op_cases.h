/* One table of operation cases. Every case runs on every instruction set and thread count and is
 * compared with the scalar reference bit for bit (test_ops.c), and its hash with the committed one
 * on other compilers and CPUs (numerics/numerics.c).
 *
 * Fills, all of settled values (and -0, which a kernel may meet as a zero): PLAIN looks like
 * training (half zeros, some of them -0); WILD spreads exponents from 2^-40 to 2^40; in VANISH all
 * are about 2^-40, so that every product settles. FLAT is PLAIN with an input image of rectangles
 * of one value, whose zeros differ in sign (convolutions only): outputs repeat. BRINK has many
 * values at 2^-40 and about 2^-20, so that products lie at 2^-80 and 2^-40: what settling has to
 * decide. SMOOTH is positive and without zeros, for differences. */
#ifndef TESTS_BACKEND_OP_CASES_H
#define TESTS_BACKEND_OP_CASES_H

#include "backend/backend.h"

enum fill { PLAIN, WILD, VANISH, FLAT, BRINK, SMOOTH };

/* Dropout of a case: probability in percent; AT_WORD sets the threshold to the very word of one
 * element, which must be kept. */
enum { AT_WORD = -1 };

struct conv_case {
    int n, h, w, ci, co, kh, kw, stride, pad, relu, pool, dropout;
    enum fill fill;
};

static const struct conv_case CONV_CASES[] = {
    /* the layers of the CNN */
    {2, 28, 28, 1, 32, 3, 3, 1, 0, 1, 0, 0, PLAIN},
    {9, 28, 28, 1, 32, 3, 3, 1, 0, 1, 0, 0, WILD},
    {1, 26, 26, 32, 64, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {2, 26, 26, 32, 64, 3, 3, 1, 0, 1, 1, 0, WILD},
    /* one channel in, as first layer: kernels, strides, padding */
    {1, 9, 9, 1, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {2, 9, 7, 1, 16, 2, 2, 1, 0, 1, 0, 0, PLAIN},
    {7, 11, 13, 1, 8, 3, 3, 1, 1, 0, 0, 0, WILD},
    {8, 12, 10, 1, 10, 4, 4, 2, 2, 1, 0, 0, PLAIN},
    {9, 13, 11, 1, 32, 5, 5, 2, 2, 0, 0, 0, PLAIN},
    {2, 17, 15, 1, 64, 7, 7, 2, 3, 1, 0, 0, WILD},
    {1, 16, 16, 1, 80, 5, 5, 3, 2, 0, 0, 0, PLAIN},
    {17, 6, 5, 1, 16, 3, 2, 1, 1, 1, 0, 0, PLAIN},
    {24, 5, 6, 1, 16, 2, 3, 1, 0, 0, 0, 0, VANISH},
    {3, 8, 8, 1, 80, 3, 4, 1, 2, 0, 0, 0, VANISH},
    {2, 15, 15, 1, 16, 3, 3, 1, 1, 1, 1, 50, PLAIN},
    {3, 10, 10, 1, 20, 5, 5, 1, 0, 1, 1, 0, PLAIN},
    /* one pixel, one position, one column of positions */
    {1, 1, 1, 16, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 1, 1, 3, 10, 1, 1, 1, 0, 1, 0, 0, WILD},
    {2, 3, 3, 16, 16, 3, 3, 1, 0, 0, 0, 0, PLAIN},
    {2, 2, 2, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {2, 1, 19, 16, 16, 1, 3, 1, 0, 0, 0, 0, PLAIN},
    {2, 19, 1, 16, 16, 3, 1, 1, 0, 0, 0, 0, PLAIN},
    /* channel counts that are padded */
    {1, 7, 7, 3, 8, 3, 3, 1, 0, 1, 0, 0, PLAIN},
    {2, 7, 6, 3, 10, 3, 3, 1, 1, 0, 0, 0, WILD},
    {7, 5, 5, 20, 10, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {8, 6, 5, 3, 20, 2, 2, 1, 1, 0, 0, 0, PLAIN},
    {9, 5, 5, 20, 20, 3, 3, 2, 1, 1, 0, 0, PLAIN},
    {1, 6, 6, 20, 80, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    /* kernels and strides, with the gradient of the input */
    {1, 9, 9, 16, 32, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {2, 9, 9, 16, 16, 1, 1, 2, 0, 1, 0, 0, PLAIN},
    {2, 10, 10, 16, 16, 1, 1, 3, 0, 0, 0, 0, WILD},
    {2, 8, 7, 16, 32, 2, 2, 1, 0, 1, 0, 0, PLAIN},
    {2, 8, 7, 16, 16, 2, 2, 2, 0, 0, 0, 0, PLAIN},
    {2, 9, 8, 16, 16, 2, 2, 3, 1, 0, 0, 0, PLAIN},
    {2, 9, 8, 32, 16, 3, 3, 2, 1, 1, 0, 0, WILD},
    {2, 10, 9, 16, 32, 3, 3, 3, 2, 0, 0, 0, PLAIN},
    {2, 9, 10, 16, 16, 4, 4, 1, 3, 1, 0, 0, PLAIN},
    {2, 11, 10, 16, 16, 4, 4, 3, 1, 0, 0, 0, PLAIN},
    {1, 11, 12, 16, 32, 5, 5, 1, 2, 1, 0, 0, PLAIN},
    {1, 12, 12, 16, 16, 5, 5, 2, 3, 0, 0, 0, WILD},
    {1, 13, 13, 16, 16, 7, 7, 1, 3, 1, 0, 0, PLAIN},
    {1, 14, 13, 16, 16, 7, 7, 3, 3, 0, 0, 0, PLAIN},
    {2, 9, 12, 16, 16, 2, 5, 2, 1, 0, 0, 0, PLAIN},
    {2, 12, 9, 16, 16, 5, 2, 1, 1, 0, 0, 0, PLAIN},
    /* over one segment of 576 terms: 64 x 9 is just one, 80 x 9 and 32 x 25 are not */
    {1, 6, 6, 64, 16, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {1, 6, 6, 80, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {1, 6, 6, 16, 80, 3, 3, 1, 1, 0, 0, 0, WILD},
    {1, 6, 6, 80, 80, 3, 3, 1, 0, 1, 0, 0, PLAIN},
    {1, 8, 8, 32, 32, 5, 5, 1, 2, 0, 0, 0, PLAIN},
    {1, 8, 8, 64, 64, 5, 5, 2, 2, 0, 0, 0, PLAIN},
    {1, 4, 4, 128, 16, 3, 3, 1, 1, 0, 0, 0, WILD},
    /* widths around the 6 and 12 pixels of a tile */
    {1, 3, 5, 16, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 3, 6, 16, 32, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 3, 7, 16, 48, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 3, 11, 16, 64, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 3, 12, 16, 80, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 3, 13, 48, 96, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 3, 25, 16, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    /* pooled and not sparse: other kernels, padding, strides, channel counts, odd outputs */
    {2, 9, 9, 16, 10, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 8, 8, 16, 8, 3, 3, 1, 0, 1, 1, 0, PLAIN},
    {2, 9, 9, 3, 20, 3, 3, 1, 1, 1, 1, 50, WILD},
    {2, 8, 9, 16, 32, 3, 3, 1, 1, 1, 1, 25, PLAIN},
    {2, 10, 9, 16, 16, 3, 3, 2, 1, 1, 1, 0, PLAIN},
    {2, 9, 10, 32, 16, 2, 2, 1, 0, 1, 1, 25, PLAIN},
    {1, 11, 11, 16, 64, 5, 5, 1, 2, 1, 1, 25, PLAIN},
    {1, 9, 9, 20, 80, 5, 5, 1, 0, 1, 1, 0, WILD},
    {9, 7, 6, 16, 16, 2, 2, 1, 0, 1, 1, 25, VANISH},
    {7, 4, 4, 16, 16, 1, 1, 1, 0, 1, 1, 50, PLAIN},
    {2, 5, 5, 16, 48, 1, 1, 1, 0, 1, 1, AT_WORD, PLAIN},
    {1, 2, 2, 16, 16, 1, 1, 1, 0, 1, 1, 0, PLAIN},
    /* pooled 3x3 without padding: gradients by lists */
    {1, 4, 4, 16, 16, 3, 3, 1, 0, 1, 1, 0, PLAIN},
    {2, 8, 8, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {2, 8, 8, 16, 32, 3, 3, 1, 0, 1, 1, 0, WILD},
    {2, 9, 9, 16, 64, 3, 3, 1, 0, 1, 1, 50, PLAIN},
    {2, 9, 8, 20, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {2, 8, 9, 32, 16, 3, 3, 1, 0, 1, 1, 0, PLAIN},
    {2, 10, 11, 32, 32, 3, 3, 1, 0, 1, 1, 25, WILD},
    {2, 11, 10, 32, 48, 3, 3, 1, 0, 1, 1, 50, PLAIN},
    {1, 12, 12, 48, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 9, 9, 48, 48, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 8, 8, 64, 64, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 8, 8, 32, 80, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 7, 7, 16, 80, 3, 3, 1, 0, 1, 1, 0, WILD},
    {1, 7, 7, 80, 80, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 6, 6, 16, 128, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 20, 38, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {1, 37, 7, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {2, 6, 6, 32, 32, 3, 3, 1, 0, 1, 1, AT_WORD, PLAIN},
    {9, 6, 6, 32, 32, 3, 3, 1, 0, 1, 1, 25, VANISH},
    /* pooled, with pixels that repeat: also wider than 64, padded, strided, with odd outputs */
    {1, 26, 26, 32, 64, 3, 3, 1, 0, 1, 1, 25, FLAT},
    {8, 12, 13, 16, 16, 3, 3, 1, 0, 1, 1, 0, FLAT},
    {2, 10, 11, 20, 48, 3, 3, 1, 1, 1, 1, 25, FLAT},
    {1, 7, 66, 16, 16, 3, 3, 1, 0, 1, 1, 0, FLAT},
    {1, 7, 64, 16, 32, 3, 2, 1, 0, 1, 1, 0, FLAT},
    {2, 11, 11, 16, 80, 5, 5, 1, 2, 1, 1, 25, FLAT},
    {9, 12, 9, 16, 16, 1, 1, 1, 0, 1, 1, 0, FLAT},
    {1, 10, 10, 16, 16, 3, 3, 2, 1, 1, 1, 0, FLAT},
    {1, 10, 10, 80, 16, 3, 3, 1, 0, 1, 1, 0, FLAT},
    {2, 12, 12, 1, 16, 3, 3, 1, 0, 1, 1, 0, FLAT},
    /* pooled, whole passes of 64, 32 and 16 channels by lists: one segment and more, padding, odd
     * widths, two columns, pixels that repeat; enough images for an item each */
    {12, 8, 8, 32, 64, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {12, 7, 9, 16, 128, 3, 3, 1, 1, 1, 1, 0, PLAIN},
    {12, 3, 5, 16, 32, 3, 3, 1, 1, 1, 1, 0, PLAIN},
    {12, 2, 2, 80, 32, 3, 3, 1, 1, 1, 1, 0, PLAIN},
    {12, 6, 7, 20, 64, 5, 4, 1, 2, 1, 1, 0, WILD},
    {12, 4, 5, 64, 64, 3, 3, 1, 0, 1, 1, 0, PLAIN},
    {12, 5, 5, 80, 64, 3, 3, 1, 1, 1, 1, 0, PLAIN},
    {12, 5, 4, 16, 64, 3, 3, 1, 0, 1, 1, 0, VANISH},
    {12, 3, 2, 16, 64, 1, 1, 1, 0, 1, 1, 0, PLAIN},
    {12, 13, 12, 32, 64, 3, 3, 1, 0, 1, 1, 25, FLAT},
    {12, 12, 14, 48, 192, 2, 3, 1, 1, 1, 1, 0, FLAT},
    /* batches: partial leaves, trees of 3, 4, 5, 7 and 8 leaves */
    {7, 5, 5, 16, 16, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {8, 5, 5, 16, 16, 3, 3, 1, 1, 1, 0, 0, WILD},
    {9, 5, 5, 16, 16, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {17, 4, 4, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {24, 4, 4, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {25, 4, 4, 16, 16, 3, 3, 1, 1, 0, 0, 0, WILD},
    {40, 3, 3, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {52, 3, 3, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {64, 3, 3, 16, 16, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {9, 6, 6, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {17, 4, 4, 32, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {24, 5, 4, 32, 16, 3, 3, 1, 0, 1, 1, 50, WILD},
    {33, 4, 4, 32, 32, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {52, 4, 4, 32, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {64, 4, 4, 32, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {24, 4, 4, 16, 16, 3, 3, 1, 1, 0, 0, 0, VANISH},
    {9, 5, 5, 20, 16, 2, 2, 2, 1, 1, 0, 0, VANISH},
    {2, 7, 7, 64, 80, 3, 3, 1, 1, 0, 0, 0, VANISH},
    /* weight-gradient chains of 8, 4, 2 and 1 samples: up to 128, 256, 512, more positions */
    {9, 8, 16, 1, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 3, 43, 1, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 16, 16, 1, 16, 1, 1, 1, 0, 0, 0, 0, WILD},
    {9, 1, 257, 1, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 16, 32, 1, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 19, 27, 1, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {3, 34, 33, 1, 16, 2, 2, 1, 0, 0, 0, 0, PLAIN},
    {9, 14, 14, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {9, 20, 20, 32, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {9, 20, 20, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    /* unpooled, over the batch: the shapes of ResNets, where many channels meet few pixels */
    {3, 7, 7, 64, 64, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {3, 7, 7, 64, 128, 3, 3, 2, 1, 0, 0, 0, PLAIN},
    {9, 7, 7, 64, 128, 1, 1, 2, 0, 0, 0, 0, PLAIN},
    {9, 7, 7, 64, 256, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {3, 4, 4, 128, 128, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {3, 4, 4, 128, 256, 3, 3, 2, 1, 1, 0, 0, PLAIN},
    {20, 4, 4, 128, 64, 1, 1, 2, 0, 0, 0, 0, WILD},
    {3, 2, 2, 256, 256, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {20, 2, 2, 128, 64, 3, 3, 2, 1, 0, 0, 0, PLAIN},
    {33, 2, 2, 64, 96, 1, 1, 2, 0, 1, 0, 0, PLAIN},
    {3, 1, 1, 512, 512, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {33, 1, 1, 256, 128, 3, 3, 1, 1, 0, 0, 0, WILD},
    {20, 1, 1, 512, 192, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 1, 1, 1024, 80, 1, 1, 1, 0, 1, 0, 0, PLAIN},
    {33, 1, 1, 80, 1168, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {9, 28, 28, 1, 64, 7, 7, 2, 3, 0, 0, 0, PLAIN},
    {33, 9, 8, 1, 48, 7, 7, 2, 3, 0, 0, 0, WILD},
    {20, 10, 18, 1, 16, 15, 13, 3, 3, 1, 0, 0, PLAIN},
    /* segments that begin inside a tap, taps that are missing at the begin or end of one, pixels
     * without any tap */
    {33, 3, 3, 80, 48, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {20, 2, 3, 208, 16, 3, 3, 1, 1, 1, 0, 0, WILD},
    {9, 3, 2, 16, 208, 3, 3, 2, 1, 0, 0, 0, PLAIN},
    {20, 2, 2, 112, 48, 5, 5, 1, 2, 0, 0, 0, PLAIN},
    {9, 1, 2, 176, 144, 5, 5, 1, 2, 1, 0, 0, PLAIN},
    {3, 6, 5, 48, 112, 5, 5, 2, 2, 0, 0, 0, WILD},
    {20, 5, 6, 16, 32, 2, 2, 4, 0, 0, 0, 0, PLAIN},
    {9, 7, 4, 32, 16, 4, 5, 3, 3, 1, 0, 0, PLAIN},
    {33, 1, 1, 96, 32, 7, 7, 1, 3, 0, 0, 0, PLAIN},
    {1, 33, 34, 16, 16, 33, 33, 1, 0, 0, 0, 0, PLAIN},
    {2, 33, 2, 16, 32, 32, 2, 1, 1, 0, 0, 0, PLAIN},
    {24, 2, 2, 208, 16, 3, 3, 2, 1, 0, 0, 0, VANISH},
    {25, 1, 1, 640, 32, 3, 3, 1, 1, 1, 0, 0, VANISH},
    /* rows of the batch around tiles and chunks; one and two column blocks, and a half */
    {1, 1, 1, 16, 16, 3, 3, 1, 1, 0, 0, 0, WILD},
    {13, 1, 1, 32, 48, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {97, 1, 1, 32, 32, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {109, 1, 2, 16, 48, 2, 2, 1, 1, 0, 0, 0, PLAIN},
    {12, 3, 3, 32, 16, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {5, 9, 11, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {9, 12, 11, 32, 48, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {3, 33, 32, 16, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    /* samples of more than 1024 positions: two stretches and three, which begin inside a row; by
     * tiles, over the batch, with one channel and a stride, by lists */
    {2, 40, 34, 1, 16, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {9, 34, 33, 1, 16, 1, 1, 1, 0, 0, 0, 0, BRINK},
    {3, 48, 47, 1, 32, 3, 3, 1, 0, 0, 0, 0, PLAIN},
    {9, 36, 35, 16, 16, 2, 2, 1, 1, 0, 0, 0, PLAIN},
    {2, 47, 49, 16, 32, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {3, 70, 72, 1, 16, 3, 3, 2, 1, 0, 0, 0, PLAIN},
    {2, 94, 91, 1, 48, 5, 5, 2, 2, 0, 0, 0, BRINK},
    {2, 36, 40, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {9, 35, 34, 32, 16, 3, 3, 1, 0, 1, 1, 0, BRINK},
    {1, 48, 50, 16, 32, 3, 3, 1, 0, 1, 1, 25, FLAT},
    {2, 40, 41, 3, 8, 5, 5, 1, 2, 1, 1, 0, PLAIN},
    {2, 1, 2049, 16, 16, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {1, 36, 34, 16, 16, 3, 3, 1, 0, 1, 1, 0, PLAIN},
    /* what settles and what does not */
    {9, 28, 28, 1, 32, 3, 3, 1, 0, 1, 0, 0, BRINK},
    {9, 12, 12, 1, 16, 3, 3, 1, 1, 0, 0, 0, BRINK},
    {2, 26, 26, 32, 64, 3, 3, 1, 0, 1, 1, 25, BRINK},
    {9, 8, 8, 20, 10, 3, 3, 1, 1, 1, 1, 50, BRINK},
    {12, 7, 9, 16, 128, 3, 3, 1, 1, 1, 1, 0, BRINK},
    {9, 7, 7, 64, 64, 3, 3, 1, 1, 0, 0, 0, BRINK},
    {9, 7, 7, 64, 128, 3, 3, 2, 1, 1, 0, 0, BRINK},
    {9, 1, 1, 512, 80, 3, 3, 1, 1, 0, 0, 0, BRINK},
    {33, 2, 2, 80, 48, 1, 1, 2, 0, 0, 0, 0, BRINK},
};

/* Without bias and mask: the convolutions of a ResNet, at few channels where they are large. */
static const struct conv_case BARE_CONV_CASES[] = {
    {2, 28, 28, 1, 64, 7, 7, 2, 3, 0, 0, 0, PLAIN},
    {2, 7, 7, 64, 64, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {2, 7, 7, 64, 128, 3, 3, 2, 1, 0, 0, 0, WILD},
    {2, 7, 7, 64, 128, 1, 1, 2, 0, 0, 0, 0, PLAIN},
    {9, 4, 4, 32, 64, 3, 3, 2, 1, 0, 0, 0, PLAIN},
    {9, 2, 2, 64, 48, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {17, 2, 2, 48, 64, 3, 3, 2, 1, 0, 0, 0, WILD},
    {9, 1, 1, 128, 64, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {17, 1, 1, 64, 256, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {2, 7, 7, 256, 64, 1, 1, 1, 0, 0, 0, 0, PLAIN},
    {2, 4, 4, 20, 10, 3, 3, 1, 1, 1, 0, 0, PLAIN},
    {24, 2, 2, 16, 32, 3, 3, 1, 1, 0, 0, 0, VANISH},
    {32, 1, 1, 512, 16, 3, 3, 1, 1, 0, 0, 0, PLAIN},
    {9, 28, 28, 1, 64, 7, 7, 2, 3, 0, 0, 0, BRINK},
    {9, 7, 7, 64, 64, 3, 3, 1, 1, 0, 0, 0, BRINK},
    {9, 4, 4, 128, 80, 3, 3, 2, 1, 0, 0, 0, BRINK},
    {17, 1, 1, 208, 96, 3, 3, 1, 1, 0, 0, 0, BRINK},
    {9, 2, 2, 64, 48, 1, 1, 1, 0, 0, 0, 0, BRINK},
    {2, 37, 36, 16, 48, 3, 3, 1, 1, 0, 0, 0, PLAIN},
};

struct linear_case {
    int n, in, out, relu, dropout;
    enum fill fill;
};

static const struct linear_case LINEAR_CASES[] = {
    /* the layers of the models */
    {9, 9216, 128, 1, 50, PLAIN},
    {9, 784, 512, 1, 20, PLAIN},
    {9, 512, 512, 1, 20, PLAIN},
    {64, 128, 10, 0, 0, PLAIN},
    {64, 512, 10, 0, 0, PLAIN},
    /* sizes around vectors, tiles and segments */
    {1, 1, 1, 0, 0, PLAIN},
    {2, 1, 17, 1, 0, PLAIN},
    {9, 17, 1, 0, 0, WILD},
    {7, 15, 15, 1, 50, PLAIN},
    {7, 16, 16, 0, 0, PLAIN},
    {7, 17, 33, 1, 25, WILD},
    {8, 31, 31, 0, 0, PLAIN},
    {9, 130, 65, 1, 50, PLAIN},
    {6, 47, 63, 0, 0, WILD},
    {12, 48, 64, 1, 0, PLAIN},
    {13, 49, 79, 1, 25, PLAIN},
    {5, 96, 81, 1, 50, PLAIN},
    {17, 100, 97, 1, 0, PLAIN},
    {2, 575, 20, 0, 0, WILD},
    {2, 576, 20, 1, 0, PLAIN},
    {2, 577, 20, 0, 0, PLAIN},
    {7, 1152, 10, 1, 0, PLAIN},
    {7, 1153, 130, 1, 25, WILD},
    {3, 20, 575, 1, 0, PLAIN},
    {3, 20, 576, 0, 0, PLAIN},
    {3, 20, 577, 1, 25, WILD},
    {2, 10, 1153, 0, 0, PLAIN},
    {2, 1729, 3, 0, 0, PLAIN},
    /* batches: trees of 3, 4, 5, 7, 8, 15 and 32 leaves */
    {17, 50, 40, 1, 25, PLAIN},
    {24, 50, 40, 0, 0, WILD},
    {25, 50, 40, 1, 0, PLAIN},
    {40, 50, 40, 0, 0, PLAIN},
    {52, 50, 40, 1, 50, WILD},
    {64, 60, 70, 1, 50, PLAIN},
    {117, 30, 20, 0, 0, PLAIN},
    {256, 20, 20, 1, 25, PLAIN},
    {130, 70, 24, 1, 50, PLAIN},
    {191, 33, 20, 1, 0, PLAIN},
    {200, 65, 40, 0, 0, WILD},
    {67, 40, 600, 1, 50, PLAIN},
    /* dropout of more than one group of 64 words a row, at one very word */
    {5, 16, 200, 1, 50, PLAIN},
    {9, 16, 64, 1, 50, PLAIN},
    {3, 16, 100, 1, AT_WORD, PLAIN},
    {2, 16, 128, 1, AT_WORD, PLAIN},
    {3, 16, 102, 1, AT_WORD, PLAIN},
    {3, 16, 104, 1, AT_WORD, PLAIN},
    {3, 16, 106, 1, AT_WORD, PLAIN},
    {4, 16, 128, 1, AT_WORD, PLAIN},
    {3, 16, 128, 1, AT_WORD, PLAIN},
    {8, 16, 64, 1, AT_WORD, PLAIN},
    /* signs of zeros */
    {9, 33, 20, 0, 0, VANISH},
    {25, 20, 40, 1, 25, VANISH},
    {2, 1153, 40, 0, 0, VANISH},
    {2, 40, 1153, 1, 0, VANISH},
    /* what settles and what does not */
    {9, 784, 512, 1, 20, BRINK},
    {64, 128, 10, 0, 0, BRINK},
    {130, 70, 24, 1, 50, BRINK},
    {9, 1153, 577, 0, 0, BRINK},
};

/* spread: greatest magnitude of a logit; 0: all equal. */
struct softmax_case {
    int n, classes;
    float spread;
    float smoothing; /* 0: none */
};

static const struct softmax_case SOFTMAX_CASES[] = {
    {1, 1, 3.0f},     {1, 10, 3.0f},    {2, 10, 0.0f},    {7, 10, 20.0f},   {8, 10, 1e-30f},
    {9, 10, 3.0f},    {17, 10, 90.0f},  {24, 10, 3.0f},   {25, 10, 200.0f}, {52, 10, 3.0f},
    {64, 10, 8.0f},   {100, 10, 1e30f}, {9, 2, 3.0f},     {9, 16, 3.0f},    {9, 17, 3.0f},
    {3, 100, 30.0f},  {2, 256, 3.0f},   {2000, 10, 2.0f}, {3000, 2, 40.0f}, {64, 10, 28.0f},
    {64, 10, 2e-12f}, {999, 2, 30.0f},  {64, 2, 1e-12f},  {1, 256, 30.0f},  {64, 10, 0x1p-40f},
    {1, 10, 32.0f},
};

struct update_case {
    ib_optimizer_kind kind;
    float momentum, weight_decay;
    int count; /* a multiple of 16 */
    int steps;
    enum fill fill;
    int at_bounds; /* every hyper-parameter as small as it may be */
    int nesterov;
};

static const struct update_case UPDATE_CASES[] = {
    {IB_ADADELTA, 0, 0, 16, 3, PLAIN, 0},
    {IB_ADADELTA, 0, 0, 4096, 2, PLAIN, 0},
    {IB_ADADELTA, 0, 1e-4f, 4112, 2, PLAIN, 0},
    {IB_ADADELTA, 0, 0, 12304, 2, WILD, 0},
    {IB_ADADELTA, 0, 0, 1024, 2, VANISH, 0},
    {IB_ADADELTA, 0, 0.1f, 1024, 300, VANISH, 0},
    {IB_SGD, 0, 0, 16, 3, PLAIN, 0},
    {IB_SGD, 0, 5e-4f, 4080, 2, PLAIN, 0},
    {IB_SGD, 0, 0, 4112, 2, WILD, 0},
    {IB_SGD, 0.9f, 0, 48, 3, PLAIN, 0},
    {IB_SGD, 0.9f, 5e-4f, 8208, 2, WILD, 0},
    {IB_SGD, 0.5f, 0, 1024, 300, VANISH, 0},
    {IB_ADAM, 0, 0, 16, 3, PLAIN, 0},
    {IB_ADAM, 0, 1e-3f, 4112, 2, PLAIN, 0},
    {IB_ADAM, 0, 0, 12304, 2, WILD, 0},
    {IB_ADAM, 0, 0, 1024, 300, VANISH, 0},
    {IB_ADADELTA, 0, 0, 4112, 40, BRINK, 0},
    {IB_ADADELTA, 0, 0.1f, 4112, 3, BRINK, 0},
    {IB_ADADELTA, 0, 0x1p-40f, 4112, 40, BRINK, 1},
    {IB_SGD, 0, 0, 4112, 3, BRINK, 0},
    {IB_SGD, 0.9f, 5e-4f, 4112, 40, BRINK, 0},
    {IB_SGD, 0x1p-40f, 0x1p-40f, 4112, 3, BRINK, 1},
    {IB_ADAM, 0, 0, 4112, 40, BRINK, 0},
    {IB_ADAM, 0, 1e-3f, 4112, 3, BRINK, 0},
    {IB_ADAM, 0, 0x1p-40f, 4112, 40, BRINK, 1},
    {IB_SGD, 0.9f, 5e-4f, 4112, 3, PLAIN, 0, 1},
    {IB_SGD, 0.9f, 0, 4112, 40, BRINK, 0, 1},
    {IB_SGD, 0x1p-40f, 0x1p-40f, 4112, 3, BRINK, 1, 1},
    {IB_ADAMW, 0, 0, 48, 3, PLAIN, 0},
    {IB_ADAMW, 0, 0.01f, 4112, 2, WILD, 0},
    {IB_ADAMW, 0, 0.1f, 1024, 300, VANISH, 0},
    {IB_ADAMW, 0, 0.01f, 4112, 40, BRINK, 0},
    {IB_ADAMW, 0, 0x1p-40f, 4112, 40, BRINK, 1},
};

/* stride: floats between images. */
struct load_case {
    int n, pixels, stride;
};

static const struct load_case LOAD_CASES[] = {
    {9, 784, 784}, {2, 784, 800}, {1, 1, 1}, {7, 7, 16}, {3, 49, 64}, {17, 17, 17}, {2, 15, 16},
};

/* add: another image is added; second: the output has two readers. Training, then evaluation. */
struct norm_case {
    int n, pixels, channels, relu, add, second;
    enum fill fill;
};

static const struct norm_case NORM_CASES[] = {
    {2, 196, 64, 1, 0, 0, PLAIN},  {8, 49, 64, 1, 1, 1, PLAIN},   {9, 49, 48, 0, 0, 0, WILD},
    {17, 4, 128, 1, 1, 0, PLAIN},  {32, 1, 512, 1, 0, 0, PLAIN},  {33, 1, 80, 0, 1, 1, WILD},
    {1, 1, 16, 1, 0, 0, PLAIN},    {1, 7, 20, 1, 1, 0, PLAIN},    {3, 5, 10, 1, 0, 1, PLAIN},
    {25, 16, 32, 1, 0, 0, WILD},   {64, 4, 16, 1, 1, 1, PLAIN},   {52, 9, 33, 0, 0, 1, PLAIN},
    {24, 6, 16, 1, 0, 0, VANISH},  {117, 1, 16, 1, 1, 0, PLAIN},  {9, 128, 16, 1, 0, 0, PLAIN},
    {9, 129, 16, 1, 0, 0, PLAIN},  {9, 257, 16, 1, 1, 0, PLAIN},  {9, 513, 16, 1, 0, 0, WILD},
    {3, 1025, 16, 0, 0, 0, PLAIN}, {12, 300, 32, 1, 0, 1, PLAIN}, {256, 1, 32, 1, 0, 0, PLAIN},
    {9, 1100, 16, 1, 1, 1, BRINK}, {2, 5121, 16, 1, 0, 0, PLAIN}, {3, 4096, 16, 0, 0, 1, BRINK},
    {8, 49, 64, 1, 1, 1, BRINK},   {9, 49, 48, 0, 0, 0, BRINK},   {33, 1, 80, 0, 1, 0, BRINK},
    {17, 4, 32, 1, 0, 0, BRINK},   {2, 1, 16, 0, 0, 0, BRINK},    {3, 1, 16, 0, 0, 0, BRINK},
};

/* Max-pool 3x3 of stride 2, then the mean over pixels. second: as above. */
struct pool_case {
    int n, h, w, channels, second;
    enum fill fill;
};

static const struct pool_case POOL_CASES[] = {
    {2, 14, 14, 64, 0, PLAIN}, {9, 14, 14, 64, 1, WILD}, {1, 1, 1, 16, 0, PLAIN},
    {2, 1, 2, 16, 1, PLAIN},   {2, 2, 2, 20, 1, PLAIN},  {3, 3, 2, 10, 0, PLAIN},
    {2, 5, 7, 48, 1, WILD},    {7, 8, 9, 80, 0, PLAIN},  {2, 6, 6, 16, 1, VANISH},
    {9, 14, 14, 64, 1, BRINK}, {9, 7, 8, 48, 0, BRINK},
};

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#include "op_cases_layers.h"

#endif
