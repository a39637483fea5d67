/* The generated data set "digits": handwriting-like digits drawn from stroke outlines, for machines
 * without a network and for tests. Integer arithmetic and Philox alone, so that every machine,
 * compiler and optimisation level draws the same bytes. The rules: NUMERICS.md, "Digits". */
#ifndef IB_DATA_DIGITS_H
#define IB_DATA_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/dataset.h"

enum {
    IB_DIGITS_TRAIN_COUNT = 60000,
    IB_DIGITS_TEST_COUNT = 10000,
    IB_DIGITS_SIDE = 28,
    IB_DIGITS_PIXELS = IB_DIGITS_SIDE * IB_DIGITS_SIDE,
    IB_DIGITS_CLASSES = 10
};

/* One image and its label; part is 0 for training, 1 for test. */
void ib_digits_draw(unsigned part, uint32_t index, uint8_t pixels[IB_DIGITS_PIXELS]);
unsigned ib_digits_label(unsigned part, uint32_t index);

/* The whole idx file of one role in fresh memory; the caller frees *data. */
ib_status ib_digits_file(ib_file_role role, uint8_t **data, size_t *size, ib_error *err);

/* A stroke outline on a grid of 100 x 100, x to the right, y down; a little outside is allowed. A
 * stroke is a quadratic B-spline: it starts at its first point, ends at its last and is pulled
 * towards those between. A point written twice is a corner. */
typedef struct ib_digits_point {
    int8_t x, y;
} ib_digits_point;

enum { IB_DIGITS_PEN_UP = -100, IB_DIGITS_VARIANTS = 4, IB_DIGITS_MAX_POINTS = 24 };

/* One way of writing a digit; strokes are parted by a point with x = IB_DIGITS_PEN_UP. */
typedef struct ib_digits_outline {
    uint32_t count;
    ib_digits_point points[IB_DIGITS_MAX_POINTS];
} ib_digits_outline;

/* The outlines of each digit, [IB_DIGITS_CLASSES][IB_DIGITS_VARIANTS], all drawn equally often. */
extern const ib_digits_outline ib_digits_outlines[IB_DIGITS_CLASSES][IB_DIGITS_VARIANTS];

#endif
