/* The case table goes on: operations on elements, generic pools, layers without bias, parts of a
 * larger batch, the pieces of a normalisation, and what a batch begins and ends with. Included by
 * op_cases.h. */
#ifndef TESTS_BACKEND_OP_CASES_LAYERS_H
#define TESTS_BACKEND_OP_CASES_LAYERS_H

/* ReLU forward and backward, addition. in_place: y is x, dx is dy, the sum its first term. Counts
 * around vectors and the 4096 floats of a work item. */
struct elementwise_case {
    int count, in_place;
    enum fill fill;
};

static const struct elementwise_case ELEMENTWISE_CASES[] = {
    {16, 0, PLAIN},   {32, 1, WILD},     {48, 0, BRINK},    {4080, 0, WILD},
    {4096, 1, PLAIN}, {4112, 0, BRINK},  {8192, 1, BRINK},  {12304, 0, PLAIN},
    {40976, 1, WILD}, {1024, 0, VANISH}, {1024, 1, VANISH},
};

/* Images of padded channels, of one, of one pixel (features); odd sizes; rows of more than one
 * group of 64 words. percent: as below AT_WORD. first: the sample of the global batch it begins at.
 */
struct dropout_case {
    int n, pixels, channels, percent, first, in_place;
    enum fill fill;
};

static const struct dropout_case DROPOUT_CASES[] = {
    {1, 1, 1, 50, 0, 0, PLAIN},      {3, 1, 10, 25, 0, 1, WILD},
    {9, 1, 128, 50, 0, 0, PLAIN},    {5, 1, 200, 50, 8, 0, BRINK},
    {2, 1, 1000, 20, 1, 1, PLAIN},   {2, 49, 16, 25, 0, 0, PLAIN},
    {3, 35, 20, 50, 0, 1, WILD},     {2, 144, 64, 25, 16, 0, PLAIN},
    {7, 9, 1, 50, 0, 0, PLAIN},      {1, 169, 33, 50, 24, 0, BRINK},
    {9, 64, 16, 10, 8, 1, VANISH},   {2, 1, 128, AT_WORD, 0, 0, PLAIN},
    {2, 6, 10, AT_WORD, 8, 0, WILD}, {17, 4, 5, 75, 40, 0, PLAIN},
    {3, 7, 31, 0, 0, 0, PLAIN},      {4, 1, 64, AT_WORD, 3, 1, PLAIN},
};

struct flatten_case {
    int n, pixels, channels;
    enum fill fill;
};

static const struct flatten_case FLATTEN_CASES[] = {
    {1, 1, 1, PLAIN},   {2, 1, 20, WILD},  {3, 9, 1, PLAIN},    {2, 144, 64, PLAIN},
    {9, 35, 10, BRINK}, {7, 25, 16, WILD}, {1, 169, 33, PLAIN}, {5, 16, 16, VANISH},
    {4, 17, 15, PLAIN}, {2, 784, 3, WILD}, {17, 4, 5, PLAIN},
};

/* Max-pool of any kernel, stride and padding. second: the output has two readers. */
struct max_pool_case {
    int n, h, w, channels, kernel, stride, pad, second;
    enum fill fill;
};

static const struct max_pool_case MAX_POOL_CASES[] = {
    {2, 7, 5, 16, 1, 1, 0, 0, PLAIN},    {2, 9, 8, 20, 1, 2, 0, 1, WILD},
    {3, 8, 8, 32, 2, 2, 0, 0, PLAIN},    {2, 9, 7, 10, 2, 2, 0, 1, WILD},
    {9, 6, 6, 48, 2, 1, 0, 0, PLAIN},    {2, 5, 6, 16, 2, 1, 1, 1, PLAIN},
    {2, 7, 8, 33, 2, 3, 1, 0, BRINK},    {2, 6, 6, 16, 3, 3, 0, 0, PLAIN},
    {2, 8, 7, 20, 3, 1, 1, 1, WILD},     {2, 9, 9, 64, 3, 2, 0, 0, PLAIN},
    {7, 5, 5, 16, 3, 1, 0, 0, BRINK},    {2, 10, 9, 16, 4, 2, 1, 0, PLAIN},
    {2, 9, 10, 80, 4, 4, 2, 1, PLAIN},   {2, 7, 7, 16, 4, 3, 0, 0, WILD},
    {2, 11, 12, 16, 5, 1, 2, 0, PLAIN},  {2, 11, 9, 20, 5, 2, 1, 1, BRINK},
    {1, 5, 5, 16, 5, 5, 0, 0, PLAIN},    {2, 12, 7, 16, 5, 4, 2, 1, VANISH},
    {1, 1, 1, 16, 2, 2, 1, 0, PLAIN},    {2, 3, 3, 1, 2, 2, 0, 0, PLAIN},
    {1, 16, 16, 16, 15, 1, 7, 0, PLAIN}, {2, 26, 26, 16, 2, 2, 0, 0, FLAT},
    {2, 4, 15, 16, 2, 5, 0, 1, WILD},
};

/* Average-pool, likewise. */
static const struct max_pool_case AVERAGE_POOL_CASES[] = {
    {2, 8, 8, 20, 2, 2, 0, 0, PLAIN},   {2, 9, 7, 10, 2, 2, 0, 1, WILD},
    {3, 7, 5, 16, 1, 1, 0, 0, PLAIN},   {2, 8, 7, 33, 3, 1, 1, 1, BRINK},
    {2, 9, 9, 64, 3, 2, 0, 0, VANISH},  {2, 10, 9, 16, 4, 2, 1, 1, PLAIN},
    {1, 16, 16, 16, 15, 1, 7, 0, WILD}, {9, 5, 5, 48, 5, 5, 0, 0, BRINK},
    {2, 11, 12, 1, 5, 3, 2, 0, PLAIN},  {1, 40, 40, 16, 32, 8, 4, 1, PLAIN},
    {2, 4, 15, 16, 2, 5, 0, 1, WILD},   {1, 1, 1, 16, 2, 2, 1, 0, PLAIN},
};

/* labels, losses, evidence: whether they are given. ties: the greatest logit is there twice. */
struct classify_case {
    int n, classes, labels, losses, evidence, ties;
};

static const struct classify_case CLASSIFY_CASES[] = {
    {1, 1, 0, 0, 0, 0},    {1, 10, 1, 1, 1, 0},   {9, 10, 0, 0, 1, 1},  {64, 10, 1, 1, 1, 1},
    {7, 2, 1, 0, 1, 1},    {17, 16, 1, 1, 0, 1},  {17, 17, 0, 0, 0, 1}, {3, 100, 1, 1, 1, 1},
    {2, 1000, 1, 1, 1, 0}, {200, 26, 0, 0, 1, 0}, {33, 47, 1, 0, 0, 1},
};

struct tree_case {
    int leaves, width;
    enum fill fill;
};

static const struct tree_case TREE_CASES[] = {
    {1, 16, PLAIN},  {2, 16, WILD},   {3, 48, PLAIN},   {4, 32, BRINK},  {5, 16, PLAIN},
    {6, 80, WILD},   {7, 16, PLAIN},  {8, 4096, PLAIN}, {9, 4112, WILD}, {13, 16, BRINK},
    {31, 16, PLAIN}, {32, 16, PLAIN}, {33, 16, WILD},   {5, 48, VANISH}, {125, 32, PLAIN},
};

/* Images of several channels, from both parts of the attached data, in some order, with repeats.
 * first: images in the first part; labels: attached and asked for. */
struct images_case {
    int n, pixels, channels, stride, first, second, labels;
    int height; /* of augmented images */
    int amount[IB_AUGMENTATIONS];
    int at; /* position in the global batch of the first */
};

static const struct images_case IMAGES_CASES[] = {
    {1, 1, 1, 1, 1, 0, 1},        {9, 784, 1, 784, 7, 5, 1},   {9, 784, 1, 800, 3, 9, 0},
    {2, 1024, 3, 16384, 4, 4, 1}, {7, 35, 3, 560, 0, 6, 1},    {3, 9, 16, 144, 2, 2, 1},
    {5, 25, 2, 400, 6, 0, 0},     {17, 48, 4, 768, 11, 13, 1}, {2, 15, 1, 16, 1, 1, 1},
    {64, 16, 3, 256, 40, 30, 1},
};

/* Augmented: each by itself, as much as goes, then together; a row, a column and a pixel; a part of
 * a larger batch. */
static const struct images_case AUGMENT_CASES[] = {
    {9, 784, 1, 784, 7, 5, 1, 28, {3}, 0},
    {9, 784, 1, 800, 7, 5, 1, 28, {0, 466034}, 0},
    {33, 130, 1, 130, 3, 2, 0, 10, {0, 1 << 23}, 0},
    {9, 784, 1, 784, 7, 5, 1, 28, {0, 0, 6554}, 0},
    {17, 70, 1, 70, 5, 5, 0, 7, {0, 0, 58982}, 0},
    {9, 784, 1, 784, 7, 5, 1, 28, {0, 0, 0, 1}, 0},
    {9, 784, 1, 784, 7, 5, 1, 28, {0, 0, 0, 0, 8}, 0},
    {5, 1024, 3, 16384, 4, 4, 1, 32, {4, 699051, 13107, 1, 8}, 64},
    {8, 35, 16, 560, 4, 4, 1, 5, {1024, 1 << 23, 58982, 1, 3}, 8},
    {7, 19, 2, 304, 2, 2, 0, 1, {2, 1 << 23, 6554, 1, 1}, 0},
    {7, 19, 1, 32, 2, 2, 0, 19, {2, 1 << 23, 6554, 1, 1024}, 0},
    {7, 1, 1, 16, 2, 2, 0, 1, {1, 1 << 23, 6554, 1, 1}, 0},
};

/* Without bias and mask. */
static const struct linear_case BARE_LINEAR_CASES[] = {
    {1, 1, 1, 0, 0, PLAIN},     {9, 784, 512, 0, 0, PLAIN}, {7, 17, 33, 1, 0, WILD},
    {17, 100, 97, 0, 0, PLAIN}, {2, 577, 20, 1, 25, PLAIN}, {25, 50, 40, 0, 0, WILD},
    {3, 20, 577, 0, 0, PLAIN},  {64, 60, 70, 1, 50, BRINK}, {9, 33, 20, 0, 0, VANISH},
    {130, 70, 24, 0, 0, PLAIN},
};

/* A part of a larger batch, from sample LATE_FIRST on: what dropout draws. */
enum { LATE_FIRST = 40 };

static const struct conv_case LATE_CONV_CASES[] = {
    {2, 26, 26, 32, 64, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {9, 9, 9, 3, 20, 3, 3, 1, 1, 1, 1, 50, WILD},
    {7, 8, 8, 16, 16, 3, 3, 1, 0, 1, 1, 25, PLAIN},
    {2, 12, 12, 1, 16, 3, 3, 1, 0, 1, 1, 50, FLAT},
    {2, 5, 5, 16, 48, 1, 1, 1, 0, 1, 1, AT_WORD, PLAIN},
};

static const struct linear_case LATE_LINEAR_CASES[] = {
    {9, 784, 512, 1, 20, PLAIN}, {5, 16, 200, 1, 50, WILD}, {3, 16, 100, 1, AT_WORD, PLAIN},
    {17, 50, 40, 1, 25, BRINK},  {1, 16, 1, 1, 50, PLAIN},
};

/* The loss of a batch and its gradient, also of many classes. */
static const struct softmax_case LOSS_CASES[] = {
    {1, 10, 3.0f},  {9, 10, 3.0f},   {64, 10, 8.0f},  {52, 47, 20.0f},
    {17, 26, 2.0f}, {100, 2, 60.0f}, {3, 1000, 4.0f}, {64, 10, 0x1p-40f},
};

/* The same with smoothed targets, the last by the least of shares. */
static const struct softmax_case SMOOTH_LOSS_CASES[] = {
    {1, 10, 3.0f, 0.1f},   {9, 10, 90.0f, 0.1f},   {64, 10, 8.0f, 0.3f}, {17, 26, 2.0f, 1.0f},
    {3, 1000, 4.0f, 0.1f}, {64, 10, 2e-12f, .1f},  {52, 2, 28.0f, 0.5f}, {64, 10, 0x1p-40f, 0.2f},
    {64, 10, 32.0f, 0.1f}, {9, 1000, 3.0f, 1e-6f},
};

/* The moving average of weights over some steps. */
struct average_case {
    int count, steps;
    float share;
    enum fill fill;
};

static const struct average_case AVERAGE_CASES[] = {
    {16, 3, 0.001f, PLAIN},     {4096, 2, 0.1f, WILD},      {4112, 9, 0.5f, BRINK},
    {12304, 2, 0x1p-24f, WILD}, {4112, 9, 0x1p-40f, BRINK}, {1024, 300, 0.3f, VANISH},
    {48, 2, 1.0f, PLAIN},
};

/* The normalisation in pieces: sums, deviations, apply; gradients, input. */
static const struct norm_case NORM_PARTS_CASES[] = {
    {2, 196, 64, 1, 0, 0, PLAIN}, {8, 49, 64, 1, 1, 1, PLAIN},   {9, 49, 48, 0, 0, 0, WILD},
    {17, 4, 128, 1, 1, 0, PLAIN}, {33, 1, 80, 0, 1, 1, WILD},    {1, 1, 16, 1, 0, 0, PLAIN},
    {3, 5, 10, 1, 0, 1, PLAIN},   {25, 16, 32, 1, 0, 0, WILD},   {64, 4, 16, 1, 1, 1, PLAIN},
    {24, 6, 16, 1, 0, 0, VANISH}, {3, 1025, 16, 0, 0, 0, PLAIN}, {9, 1100, 16, 1, 1, 1, BRINK},
    {52, 9, 33, 0, 0, 1, PLAIN},  {17, 4, 32, 1, 0, 0, BRINK},
};

#endif
