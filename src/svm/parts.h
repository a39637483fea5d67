/* What the files of svm/ share. */
#ifndef IB_SVM_PARTS_H
#define IB_SVM_PARTS_H

#include "svm/svm.h"

/* Images with their sums and panels in one block of memory; rows stay the caller's. */
typedef struct ib_svm_packed {
    ib_svm_images images;
    ib_arena arena;
} ib_svm_packed;

ib_status ib_svm_pack(const uint8_t *const *rows, size_t count, size_t width, ib_svm_packed *packed,
                      ib_error *err);
/* The same as features: rows of a matrix. fill writes row i's, stride values apart. */
typedef struct ib_svm_matrix {
    void (*fill)(const void *context, size_t row, double *to, size_t stride);
    const void *context;
    size_t count, width;
} ib_svm_matrix;
ib_status ib_svm_pack_matrix(const ib_svm_ops *ops, const ib_svm_matrix *matrix,
                             ib_svm_packed *packed, ib_error *err);
/* As the options have it: bytes, or features by their table. */
ib_status ib_svm_pack_by(const ib_svm_options *options, const ib_svm_ops *ops,
                         const uint8_t *const *rows, size_t count, size_t width,
                         ib_svm_packed *packed, ib_error *err);
/* IB_ERROR_USAGE for images that are too wide. */
ib_status ib_svm_check_width(size_t width, ib_error *err);
void ib_svm_unpack(ib_svm_packed *packed);

static inline size_t ib_svm_padded(size_t count) {
    return (count + IB_SVM_PANEL - 1) / IB_SVM_PANEL * IB_SVM_PANEL;
}

/* The images from `first`, a multiple of the panel's size, on: at most `count`. */
static inline ib_svm_images ib_svm_panels(const ib_svm_images *all, size_t first, size_t count) {
    size_t left = all->count - first, bytes = IB_SVM_GROUP * ib_svm_groups(all->width);
    ib_svm_images some = {.count = left < count ? left : count, .width = all->width};
    if (all->features != NULL) {
        some.features = all->features + first;
        some.values = all->values + first * all->width;
        some.norms = all->norms + first;
        return some;
    }
    some.rows = all->rows + first;
    some.panels = all->panels + first * bytes;
    some.sums = all->sums + first;
    some.squares = all->squares + first;
    return some;
}

/* Kernel rows of one two-class problem. row gives the values of unknown `index` of class `part`
 * with both classes; they stay until the next call but one. */
typedef struct ib_svm_rows ib_svm_rows;
struct ib_svm_rows {
    void (*row)(ib_svm_rows *rows, int part, size_t index, const float *values[2]);
    /* What the solver knows when a row is asked for: lets a cache guess what comes next. */
    const ib_svm_part *parts;
    double middle;
};

/* Solves one problem. parts: f, beta, diagonal and bounds as for beta = 0; counts[2] without the
 * padding. On return beta is the solution. */
typedef struct ib_svm_problem {
    const ib_svm_ops *ops;
    ib_svm_rows *rows;
    ib_svm_part parts[2];
    size_t counts[2];
    double tolerance;
    ib_status (*should_stop)(void *context);
    void *context;
} ib_svm_problem;

/* Sets f and beta for the start, with a bound for each part. */
void ib_svm_begin(ib_svm_problem *problem, const double bounds[2]);
/* IB_ERROR_DIVERGED: the iterations ran out. Another status: should_stop said so. */
ib_status ib_svm_solve(ib_svm_problem *problem, ib_svm_pair *pair);

/* How kernel values are kept: chosen before training from the sizes and the memory allowed. */
typedef struct ib_svm_cache_plan {
    size_t lanes;       /* problems solved at the same time */
    int blocks;         /* 1: whole blocks; 0: single rows, least recently used ones dropped */
    size_t lane_floats; /* of one lane's memory */
    size_t lane_rows;   /* blocks 0: how many rows that is */
    size_t shared_floats;
    size_t points; /* of the largest problem */
} ib_svm_cache_plan;

ib_status ib_svm_plan_cache(const size_t *class_counts, size_t classes, size_t threads,
                            size_t cache_bytes, ib_svm_cache_plan *plan, ib_error *err);

/* Both classes of a problem, and the memory of one lane. */
typedef struct ib_svm_pair_data {
    const ib_svm_ops *ops;
    const ib_svm_kernel *kernel;
    const ib_svm_images *classes[2];
    const float *own[2]; /* blocks: each class with itself */
    float *memory;
    size_t row_limit; /* 0: whole blocks */
} ib_svm_pair_data;

/* The rows come from both blocks, or from a cache of row_limit rows, which needs the bookkeeping of
 * ib_svm_lru_bytes. */
typedef struct ib_svm_block_rows {
    ib_svm_rows base;
    const float *values[2][2]; /* [of part][with part] */
    size_t strides[2];         /* with part */
} ib_svm_block_rows;
void ib_svm_fill_blocks(const ib_svm_pair_data *data, ib_svm_block_rows *rows);

enum { IB_SVM_FETCH = 12 /* rows computed together: they cost little more than one */ };

typedef struct ib_svm_lru_slot {
    uint32_t point; /* of both classes in one numbering; UINT32_MAX: empty */
    uint32_t newer, older;
} ib_svm_lru_slot;

typedef struct ib_svm_lru_rows {
    ib_svm_rows base;
    const ib_svm_pair_data *data;
    ib_svm_lru_slot *slots;
    uint32_t *slot_of; /* of a point; UINT32_MAX: not kept */
    uint32_t newest, oldest;
    size_t strides[2], counts[2];
    size_t used, limit;
    float *fetched; /* rows on their way into slots */
} ib_svm_lru_rows;
/* Bytes for a pair of classes with so many points. */
size_t ib_svm_lru_bytes(size_t row_limit, size_t points);
void ib_svm_lru_begin(const ib_svm_pair_data *data, void *bookkeeping, ib_svm_lru_rows *rows);

#endif
