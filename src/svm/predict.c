/* Decisions: a few support vectors against some images at a time; the kernel values, shared by all
 * pairs, are added to the sums of each pair while they are in the cache. */
#include "svm/parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/fpenv.h"

enum { ROWS = 48, IMAGES = 4 * IB_SVM_PANEL };

typedef struct prediction {
    const ib_svm_ops *ops;
    const ib_svm_model *model;
    ib_svm_kernel kernel;
    ib_svm_packed vectors, images;
    const uint8_t **rows;
    uint8_t *classes;  /* or NULL */
    double *decisions; /* or NULL */
    double *sums;      /* of every thread */
} prediction;

/* For IMAGES images, the share of a class's vectors in the decision against another class: others
 * are numbered as coefficients' rows are. Of the thread that `sums` belongs to. */
static double *sums_of(const prediction *p, double *sums, size_t class_index, size_t other) {
    return sums + (class_index * (p->model->class_count - 1) + other) * IMAGES;
}

static size_t sums_size(const ib_svm_model *model) {
    return model->class_count * (model->class_count - 1) * IMAGES;
}

static void add_rows(const prediction *p, size_t class_index, size_t first, size_t count,
                     const float *values, double *sums) {
    const ib_svm_model *model = p->model;
    for (size_t r = 0; r < count; ++r)
        for (size_t other = 0; other + 1 < model->class_count; ++other) {
            double coefficient = model->coefficients[other * model->count + first + r];
            double *sum = sums_of(p, sums, class_index, other);
            const float *row = values + r * IMAGES;
            if (coefficient == 0)
                continue;
            for (size_t c = 0; c < IMAGES; ++c)
                sum[c] = sum[c] + coefficient * (double)row[c];
        }
}

/* The first class with most votes. */
static void decide(const prediction *p, double *sums, size_t first, size_t count) {
    const ib_svm_model *model = p->model;
    size_t pairs = ib_svm_pair_count(model->class_count);
    for (size_t c = 0; c < count; ++c) {
        unsigned votes[IB_SVM_MOST_CLASSES] = {0};
        size_t pair = 0, best = 0;
        for (size_t a = 0; a < model->class_count; ++a)
            for (size_t b = a + 1; b < model->class_count; ++b, ++pair) {
                double decision = (sums_of(p, sums, a, b - 1)[c] + sums_of(p, sums, b, a)[c]) -
                                  model->pairs[pair].rho;
                ++votes[decision > 0 ? a : b];
                if (p->decisions != NULL)
                    p->decisions[(first + c) * pairs + pair] = decision;
            }
        for (size_t a = 1; a < model->class_count; ++a)
            best = votes[a] > votes[best] ? a : best;
        if (p->classes != NULL)
            p->classes[first + c] = model->labels[best];
    }
}

/* Item n: the n-th IMAGES images. */
static void images_item(void *context, size_t item, unsigned thread) {
    const prediction *p = context;
    const ib_svm_model *model = p->model;
    double *sums = p->sums + thread * sums_size(model);
    ib_svm_images images = ib_svm_panels(&p->images.images, item * IMAGES, IMAGES);
    float values[ROWS * IMAGES] = {0};
    memset(sums, 0, sums_size(model) * sizeof *sums);
    size_t s = 0;
    for (size_t a = 0; a < model->class_count; ++a)
        for (size_t end = s + model->class_support[a]; s < end;) {
            size_t rows = end - s < ROWS ? end - s : ROWS;
            ib_svm_block block = {.rows = &p->vectors.images,
                                  .columns = &images,
                                  .first_row = s,
                                  .row_count = rows,
                                  .out = values,
                                  .stride = IMAGES};
            p->ops->kernel_block(&p->kernel, &block);
            add_rows(p, a, s, rows, values, sums);
            s += rows;
        }
    decide(p, sums, item * IMAGES, images.count);
}

static ib_status predict(ib_host *host, prediction *p, const uint8_t *const *images, size_t count,
                         ib_error *err) {
    const ib_svm_model *model = p->model;
    if (count == 0)
        return IB_OK;
    if (model->table_sha256[0] != '\0' && model->options.table == NULL)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "the model needs the table of its pixels' means and deviations");
    p->ops = host->svm;
    p->kernel = ib_svm_kernel_of(&model->options, model->width);
    p->rows = calloc(model->count, sizeof *p->rows);
    p->sums = calloc(host->threads * sums_size(model), sizeof *p->sums);
    if (p->rows == NULL || p->sums == NULL) {
        free(p->rows);
        free(p->sums);
        return ib_fail_memory(err);
    }
    for (size_t s = 0; s < model->count; ++s)
        p->rows[s] = model->vectors + s * model->width;
    ib_fp_state saved = ib_fp_enter();
    ib_status status = ib_svm_pack_by(&model->options, p->ops, p->rows, model->count, model->width,
                                      &p->vectors, err);
    if (status == IB_OK)
        status =
            ib_svm_pack_by(&model->options, p->ops, images, count, model->width, &p->images, err);
    if (status == IB_OK)
        host->run(host, (count + IMAGES - 1) / IMAGES, images_item, p);
    ib_fp_leave(saved);
    ib_svm_unpack(&p->images);
    ib_svm_unpack(&p->vectors);
    free(p->sums);
    free(p->rows);
    return status;
}

ib_status ib_svm_predict(ib_host *host, const ib_svm_model *model, const uint8_t *const *images,
                         size_t count, uint8_t *classes, ib_error *err) {
    prediction p = {.model = model, .classes = classes};
    return predict(host, &p, images, count, err);
}

ib_status ib_svm_decide(ib_host *host, const ib_svm_model *model, const uint8_t *const *images,
                        size_t count, double *decisions, ib_error *err) {
    prediction p = {.model = model, .decisions = decisions};
    return predict(host, &p, images, count, err);
}
