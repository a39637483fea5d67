/* From options to a kernel function, and images in the layout its operations want. */
#include "svm/parts.h"

#include <stdlib.h>
#include <string.h>

ib_svm_kernel ib_svm_kernel_of(const ib_svm_options *options, size_t width) {
    double step = 1.0 / (255.0 * options->deviation);
    ib_svm_kernel kernel = {.kind = options->kernel,
                            .degree = options->degree,
                            .gamma = options->gamma,
                            .coef0 = options->coef0,
                            .scale = step * step,
                            .mean = 255.0 * options->mean};
    kernel.centre = (double)width * (kernel.mean * kernel.mean);
    kernel.factor = kernel.gamma * kernel.scale;
    return kernel;
}

double ib_svm_scale_gamma(const ib_svm_options *options, const ib_svm_set *set) {
    uint64_t sum = 0, squares = 0;
    if (options->table != NULL) { /* each pixel that is not constant has variance 1 */
        size_t varying = ib_pixel_table_varying(options->table);
        return varying > 0 ? 1.0 / (double)varying : 0.0;
    }
    for (size_t i = 0; i < set->count; ++i)
        for (size_t k = 0; k < set->width; ++k) {
            unsigned v = set->images[i][k];
            sum += v;
            squares += v * v;
        }
    double n = (double)set->count * (double)set->width;
    double mean = (double)sum / n, step = 1.0 / (255.0 * options->deviation);
    double variance = ((double)squares / n - mean * mean) * (step * step);
    return variance > 0 ? 1.0 / ((double)set->width * variance) : 0.0;
}

static void fill_panels(const ib_svm_images *images, uint8_t *panels, int32_t *sums,
                        int32_t *squares) {
    for (size_t i = 0; i < images->count; ++i) {
        const uint8_t *row = images->rows[i];
        uint8_t *to = panels + (i / IB_SVM_PANEL * IB_SVM_PANEL * ib_svm_groups(images->width) +
                                i % IB_SVM_PANEL) *
                                   IB_SVM_GROUP;
        int32_t sum = 0, square = 0;
        for (size_t k = 0; k < images->width; k += IB_SVM_GROUP) {
            size_t left = images->width - k;
            memcpy(to, row + k, left < IB_SVM_GROUP ? left : IB_SVM_GROUP); /* zeros stay behind */
            to += IB_SVM_PANEL * IB_SVM_GROUP;
        }
        for (size_t k = 0; k < images->width; ++k) {
            sum += row[k];
            square += row[k] * row[k];
        }
        sums[i] = sum;
        squares[i] = square;
    }
}

ib_status ib_svm_check_width(size_t width, ib_error *err) {
    if (width >= 1 && width <= IB_SVM_MAX_WIDTH)
        return IB_OK;
    return ib_fail(err, IB_ERROR_USAGE,
                   "a support vector machine takes images of at most %d bytes, whose products are "
                   "exact in 32 bits; these have %zu",
                   IB_SVM_MAX_WIDTH, width);
}

ib_status ib_svm_pack(const uint8_t *const *rows, size_t count, size_t width, ib_svm_packed *packed,
                      ib_error *err) {
    *packed = (ib_svm_packed){0};
    IB_TRY(ib_svm_check_width(width, err));
    size_t padded = ib_svm_padded(count), bytes = IB_SVM_GROUP * ib_svm_groups(width);
    if (padded > SIZE_MAX / 2 / IB_SVM_MAX_WIDTH)
        return ib_fail_memory(err);
    size_t sum_bytes = padded * sizeof(int32_t);
    IB_TRY(ib_arena_open(ib_arena_cost(padded * bytes) + 2 * ib_arena_cost(sum_bytes),
                         &packed->arena, err));
    void *panels = NULL, *sums = NULL, *squares = NULL;
    ib_status status = ib_arena_take(&packed->arena, padded * bytes, &panels, err);
    if (status == IB_OK)
        status = ib_arena_take(&packed->arena, sum_bytes, &sums, err);
    if (status == IB_OK)
        status = ib_arena_take(&packed->arena, sum_bytes, &squares, err);
    if (status != IB_OK) {
        ib_svm_unpack(packed);
        return status;
    }
    packed->images = (ib_svm_images){.count = count,
                                     .width = width,
                                     .rows = rows,
                                     .panels = panels,
                                     .sums = sums,
                                     .squares = squares};
    fill_panels(&packed->images, panels, sums, squares);
    return IB_OK;
}

/* ---- features -----------------------------------------------------------------------------------
 */

ib_status ib_svm_pack_matrix(const ib_svm_ops *ops, const ib_svm_matrix *matrix,
                             ib_svm_packed *packed, ib_error *err) {
    size_t count = matrix->count, width = matrix->width, padded = ib_svm_padded(count);
    *packed = (ib_svm_packed){0};
    IB_TRY(ib_svm_check_width(width, err));
    if (padded > SIZE_MAX / 4 / sizeof(double) / IB_SVM_MAX_WIDTH)
        return ib_fail_memory(err);
    size_t value_bytes = padded * width * sizeof(double), norm_bytes = padded * sizeof(double);
    size_t row_bytes = padded * sizeof(const double *);
    IB_TRY(ib_arena_open(ib_arena_cost(value_bytes) + ib_arena_cost(norm_bytes) +
                             ib_arena_cost(row_bytes),
                         &packed->arena, err));
    void *memory = NULL, *norms = NULL, *rows = NULL;
    ib_status status = ib_arena_take(&packed->arena, value_bytes, &memory, err);
    if (status == IB_OK)
        status = ib_arena_take(&packed->arena, norm_bytes, &norms, err);
    if (status == IB_OK)
        status = ib_arena_take(&packed->arena, row_bytes, &rows, err);
    if (status != IB_OK) {
        ib_svm_unpack(packed);
        return status;
    }
    double *values = memory;
    const double **features = rows;
    for (size_t i = 0; i < count; ++i) {
        double *to = values + i / IB_SVM_PANEL * IB_SVM_PANEL * width + i % IB_SVM_PANEL;
        matrix->fill(matrix->context, i, to, IB_SVM_PANEL);
        features[i] = to;
    }
    packed->images = (ib_svm_images){
        .count = count, .width = width, .features = features, .values = values, .norms = norms};
    ops->norms(&packed->images, norms);
    return IB_OK;
}

typedef struct by_table {
    const ib_pixel_table *table;
    const uint8_t *const *rows;
} by_table;

static void fill_by_table(const void *context, size_t row, double *to, size_t stride) {
    const by_table *by = context;
    const ib_pixel_table *table = by->table;
    for (size_t k = 0; k < table->pixels; ++k)
        to[k * stride] = ib_pixel_table_feature(table, k, by->rows[row][k]);
}

ib_status ib_svm_pack_by(const ib_svm_options *options, const ib_svm_ops *ops,
                         const uint8_t *const *rows, size_t count, size_t width,
                         ib_svm_packed *packed, ib_error *err) {
    if (options->table == NULL)
        return ib_svm_pack(rows, count, width, packed, err);
    by_table by = {options->table, rows};
    return ib_svm_pack_matrix(ops, &(ib_svm_matrix){fill_by_table, &by, count, width}, packed, err);
}

void ib_svm_unpack(ib_svm_packed *packed) {
    ib_arena_close(&packed->arena);
    *packed = (ib_svm_packed){0};
}
