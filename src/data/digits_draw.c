/* Drawing one digit, and the generated idx files. All arithmetic is on integers: "Q8" means units
 * of 1/256, "Q16" of 1/65536. Shifts round down; divisions round towards zero, as C17 has it. */
#include "data/digits.h"

#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "data/idx.h"

enum {
    DIGITS_SEED = 28, /* part of the data set's definition */
    Q8 = 256,
    Q16 = 65536,
    BEZIER_PIECES = 4,
};

/* Which random elements decide what; never renumbered. A spread takes a pair of elements. */
enum {
    ELEMENT_LABEL = 0,
    ELEMENT_VARIANT = 1,
    PAIR_ANGLE = 1,
    PAIR_SHEAR = 2,
    PAIR_WIDTH = 3,
    PAIR_HEIGHT = 4,
    PAIR_SHIFT_X = 5,
    PAIR_SHIFT_Y = 6,
    PAIR_PEN = 7,
    ELEMENT_INK = 16,
    ELEMENT_BLUR = 17,
    ELEMENT_GRAIN = 18,
    PAIR_JITTER = 16,     /* + 2 * point + (0 for x, 1 for y) */
    ELEMENT_NOISE = 1024, /* + pixel / 4, byte pixel % 4 */
};

typedef struct point {
    int64_t x, y;
} point;

/* floor(value / 2^bits); a plain >> of a negative number is up to the compiler. */
static int64_t shift_down(int64_t value, unsigned bits) {
    return value >= 0 ? value >> bits : ~(~value >> bits);
}

/* A triangular random number in [-limit, limit]: the sum of two uniform ones. */
static int64_t spread(const ib_rng *rng, uint64_t pair, uint32_t limit) {
    return (int64_t)ib_rng_below(rng, 2 * pair, limit + 1) +
           (int64_t)ib_rng_below(rng, 2 * pair + 1, limit + 1) - (int64_t)limit;
}

static ib_rng rng_of(unsigned part, uint32_t index) {
    return ib_rng_make(DIGITS_SEED, IB_STREAM_DIGITS, part, index);
}

unsigned ib_digits_label(unsigned part, uint32_t index) {
    ib_rng rng = rng_of(part, index);
    return ib_rng_below(&rng, ELEMENT_LABEL, IB_DIGITS_CLASSES);
}

/* From the 100 x 100 grid (Q8, origin in its middle) to pixels (Q8). */
typedef struct placement {
    int64_t xx, xy, yx, yy; /* Q16 pixels a grid unit */
    int64_t shift_x, shift_y;
} placement;

/* rotation x shear x scale, in pixels a grid unit. Sine and cosine are Taylor polynomials: enough
 * for 0.4 radians. */
static placement random_placement(const ib_rng *rng) {
    int64_t angle = spread(rng, PAIR_ANGLE, 26214);          /* 0.40 radians */
    int64_t shear = spread(rng, PAIR_SHEAR, 26214) - 6554;   /* 0.40, leaning right by 0.10 */
    int64_t width = 10158 + spread(rng, PAIR_WIDTH, 4588);   /* 0.155 +- 0.070 */
    int64_t height = 11796 + spread(rng, PAIR_HEIGHT, 3932); /* 0.180 +- 0.060 */
    int64_t square = shift_down(angle * angle, 16);
    int64_t sine = angle - shift_down(square * angle, 16) / 6;
    int64_t cosine = Q16 - square / 2 + shift_down(square * square, 16) / 24;

    int64_t sheared = shift_down(shear * height, 16);
    placement place = {
        .xx = shift_down(cosine * width, 16),
        .xy = shift_down(cosine * sheared - sine * height, 16),
        .yx = shift_down(sine * width, 16),
        .yy = shift_down(sine * sheared + cosine * height, 16),
        .shift_x = IB_DIGITS_SIDE / 2 * Q8 + spread(rng, PAIR_SHIFT_X, 896), /* 3.5 pixels */
        .shift_y = IB_DIGITS_SIDE / 2 * Q8 + spread(rng, PAIR_SHIFT_Y, 768), /* 3 pixels */
    };
    return place;
}

/* The outline's points, jittered and placed. A corner's two points move together. */
static void place_points(const ib_rng *rng, const ib_digits_outline *outline, point *points) {
    placement place = random_placement(rng);
    for (uint32_t i = 0; i < outline->count; ++i) {
        ib_digits_point from = outline->points[i];
        if (i > 0 && from.x == outline->points[i - 1].x && from.y == outline->points[i - 1].y) {
            points[i] = points[i - 1];
            continue;
        }
        int64_t x = (from.x - 50) * Q8 + spread(rng, PAIR_JITTER + 2 * i, 10 * Q8);
        int64_t y = (from.y - 50) * Q8 + spread(rng, PAIR_JITTER + 2 * i + 1, 10 * Q8);
        points[i].x = shift_down(place.xx * x + place.xy * y, 16) + place.shift_x;
        points[i].y = shift_down(place.yx * x + place.yy * y, 16) + place.shift_y;
    }
}

/* The squared distance (Q16) of every pixel centre to the nearest stroke, as far as it matters. */
typedef struct canvas {
    int64_t reach; /* the pen's outer radius, Q8 */
    int64_t nearest[IB_DIGITS_PIXELS];
} canvas;

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static void draw_line(canvas *on, point a, point b) {
    int64_t dx = b.x - a.x, dy = b.y - a.y;
    int64_t length2 = dx * dx + dy * dy;
    int64_t inverse = length2 > 0 ? ((int64_t)1 << 40) / length2 : 0;
    int64_t left = clamp(shift_down((dx < 0 ? b.x : a.x) - on->reach, 8), 0, IB_DIGITS_SIDE);
    int64_t right = clamp(shift_down((dx < 0 ? a.x : b.x) + on->reach, 8) + 1, 0, IB_DIGITS_SIDE);
    int64_t top = clamp(shift_down((dy < 0 ? b.y : a.y) - on->reach, 8), 0, IB_DIGITS_SIDE);
    int64_t bottom = clamp(shift_down((dy < 0 ? a.y : b.y) + on->reach, 8) + 1, 0, IB_DIGITS_SIDE);
    for (int64_t row = top; row < bottom; ++row) {
        for (int64_t column = left; column < right; ++column) {
            int64_t px = column * Q8 + Q8 / 2 - a.x, py = row * Q8 + Q8 / 2 - a.y;
            /* how far along the line the nearest point lies, Q16 */
            int64_t along = clamp(px * dx + py * dy, 0, length2) * inverse >> 24;
            int64_t ex = px - shift_down(dx * along, 16), ey = py - shift_down(dy * along, 16);
            int64_t distance2 = ex * ex + ey * ey;
            int64_t *nearest = &on->nearest[row * IB_DIGITS_SIDE + column];
            if (distance2 < *nearest)
                *nearest = distance2;
        }
    }
}

static point middle(point a, point b) {
    return (point){shift_down(a.x + b.x, 1), shift_down(a.y + b.y, 1)};
}

static void draw_bezier(canvas *on, point from, point control, point to) {
    point last = from;
    for (int64_t k = 1; k <= BEZIER_PIECES; ++k) {
        int64_t m = BEZIER_PIECES - k;
        point next = {shift_down(m * m * from.x + 2 * k * m * control.x + k * k * to.x, 4),
                      shift_down(m * m * from.y + 2 * k * m * control.y + k * k * to.y, 4)};
        draw_line(on, last, next);
        last = next;
    }
}

static void draw_stroke(canvas *on, const point *points, uint32_t count) {
    point at = points[0];
    for (uint32_t i = 1; i + 1 < count; ++i) {
        point end = middle(points[i], points[i + 1]);
        if (i == 1) { /* straight up to the first midpoint */
            point start = middle(points[0], points[1]);
            draw_line(on, at, start);
            at = start;
        }
        draw_bezier(on, at, points[i], end);
        at = end;
    }
    draw_line(on, at, points[count - 1]);
}

/* 1 2 1 twice over, mixed in with this weight (of 256); ink has a margin of one empty pixel. */
static void blur(const int32_t *ink, int32_t weight, int32_t *out) {
    enum { STRIDE = IB_DIGITS_SIDE + 2 };
    for (int row = 0; row < IB_DIGITS_SIDE; ++row) {
        for (int column = 0; column < IB_DIGITS_SIDE; ++column) {
            const int32_t *p = ink + (row + 1) * STRIDE + column + 1;
            int32_t sum = 4 * p[0] + 2 * (p[-1] + p[1] + p[-STRIDE] + p[STRIDE]) + p[-STRIDE - 1] +
                          p[-STRIDE + 1] + p[STRIDE - 1] + p[STRIDE + 1];
            out[row * IB_DIGITS_SIDE + column] = (16 * p[0] * (256 - weight) + sum * weight) >> 12;
        }
    }
}

/* Distances to grey: full ink inside the pen, fading over its soft edge, blurred, grained. */
static void develop(const ib_rng *rng, const canvas *from, int64_t pen, uint8_t *pixels) {
    int32_t ink[(IB_DIGITS_SIDE + 2) * (IB_DIGITS_SIDE + 2)] = {0};
    int32_t grey[IB_DIGITS_PIXELS];
    int64_t full = 208 + ib_rng_below(rng, ELEMENT_INK, 48);
    int64_t outer2 = from->reach * from->reach, inner2 = pen * pen;
    for (int i = 0; i < IB_DIGITS_PIXELS; ++i) {
        if (from->nearest[i] >= outer2)
            continue;
        int64_t edge = from->nearest[i] < inner2 ? outer2 - inner2 : outer2 - from->nearest[i];
        ink[(i / IB_DIGITS_SIDE + 1) * (IB_DIGITS_SIDE + 2) + i % IB_DIGITS_SIDE + 1] =
            (int32_t)(full * edge / (outer2 - inner2));
    }
    blur(ink, (int32_t)ib_rng_below(rng, ELEMENT_BLUR, 160), grey);
    uint32_t grain = ib_rng_below(rng, ELEMENT_GRAIN, 80);
    for (int i = 0; i < IB_DIGITS_PIXELS; i += 4) {
        if ((grey[i] | grey[i + 1] | grey[i + 2] | grey[i + 3]) == 0) {
            memset(pixels + i, 0, 4); /* empty paper stays empty */
            continue;
        }
        uint32_t noise = ib_rng_word(rng, ELEMENT_NOISE + (uint64_t)i / 4);
        for (int k = 0; k < 4; ++k) {
            uint32_t loss = (noise >> 8 * k & 255) * grain; /* of 65536 */
            pixels[i + k] = (uint8_t)((uint32_t)grey[i + k] * (Q16 - loss) >> 16);
        }
    }
}

void ib_digits_draw(unsigned part, uint32_t index, uint8_t pixels[IB_DIGITS_PIXELS]) {
    ib_rng rng = rng_of(part, index);
    uint32_t label = ib_rng_below(&rng, ELEMENT_LABEL, IB_DIGITS_CLASSES);
    uint32_t variant = ib_rng_below(&rng, ELEMENT_VARIANT, IB_DIGITS_VARIANTS);
    const ib_digits_outline *outline = &ib_digits_outlines[label][variant];
    point points[IB_DIGITS_MAX_POINTS];
    place_points(&rng, outline, points);

    int64_t pen = 205 + spread(&rng, PAIR_PEN, 130); /* full ink up to 0.3 to 1.3 pixels */
    canvas on = {.reach = pen + 230};                /* then a soft edge of 0.9 pixels */
    for (int i = 0; i < IB_DIGITS_PIXELS; ++i)
        on.nearest[i] = INT64_MAX;
    uint32_t start = 0;
    for (uint32_t i = 0; i <= outline->count; ++i) {
        if (i == outline->count || outline->points[i].x == IB_DIGITS_PEN_UP) {
            draw_stroke(&on, points + start, i - start);
            start = i + 1;
        }
    }
    develop(&rng, &on, pen, pixels);
}

ib_status ib_digits_file(ib_file_role role, uint8_t **data, size_t *size, ib_error *err) {
    unsigned part = role == IB_TEST_IMAGES || role == IB_TEST_LABELS;
    int images = ib_is_image_role(role);
    uint32_t count = part ? IB_DIGITS_TEST_COUNT : IB_DIGITS_TRAIN_COUNT;
    *data = malloc(IB_IDX_MOST_HEADER + (size_t)count * (images ? IB_DIGITS_PIXELS : 1));
    if (*data == NULL)
        return ib_fail_memory(err);
    ib_image_shape image = {.channels = 1, .height = IB_DIGITS_SIDE, .width = IB_DIGITS_SIDE};
    size_t header =
        ib_idx_write_header(*data, image, images ? IB_IDX_IMAGES : IB_IDX_LABELS, count);
    *size = header + (size_t)count * (images ? IB_DIGITS_PIXELS : 1);
    for (uint32_t i = 0; i < count; ++i) {
        if (images)
            ib_digits_draw(part, i, *data + header + (size_t)i * IB_DIGITS_PIXELS);
        else
            (*data)[header + i] = (uint8_t)ib_digits_label(part, i);
    }
    return IB_OK;
}
