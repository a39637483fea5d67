/* Support vector classification of byte images.
 *
 * For two classes, with y_i = +1 for images of the first and -1 for the second, the dual problem of
 * C-SVC in the signed unknowns b_i = y_i alpha_i is
 *
 *     minimise    1/2 sum_ij b_i b_j K(x_i, x_j) - sum_i y_i b_i
 *     subject to  sum_i b_i = 0,   0 <= b_i <= C where y_i = +1,   -C <= b_i <= 0 where y_i = -1
 *
 * and the decision function is f(x) = sum_i b_i K(x_i, x) - rho: the first class where f > 0. With
 * F_i = y_i - sum_j b_j K(x_i, x_j), the point is optimal when no F_i of a b_i that may grow
 * exceeds an F_j of a b_j that may shrink; the solver stops when none does by more than the
 * tolerance.
 *
 * More classes: one such problem for each pair, and the class with most votes. NUMERICS.md,
 * "Support vector machines", defines every operation; results do not depend on threads, cache or
 * instruction set. */
#ifndef IB_SVM_SVM_H
#define IB_SVM_SVM_H

#include <stddef.h>
#include <stdint.h>

#include "backend/host.h"
#include "base/arena.h"
#include "base/folder.h"
#include "base/input.h"
#include "base/sha256.h"
#include "base/status.h"
#include "data/pixel_table.h"

enum { IB_SVM_MOST_CLASSES = 256 /* labels are bytes */ };

typedef enum ib_svm_gamma_kind {
    IB_SVM_GAMMA_SCALE, /* 1 / (features * variance of all training features) */
    IB_SVM_GAMMA_AUTO,  /* 1 / features */
    IB_SVM_GAMMA_VALUE
} ib_svm_gamma_kind;

/* What is asked for. Byte v is the feature (v / 255 - mean) / deviation; with a table, which is the
 * caller's and outlives every use, (v - mean of the pixel) / deviation of the pixel, and 0 where
 * that deviation is 0. */
typedef struct ib_svm_options {
    ib_svm_kernel_kind kernel;
    ib_svm_gamma_kind gamma_kind;
    double c, gamma, coef0, tolerance, mean, deviation;
    const ib_pixel_table *table; /* NULL: mean and deviation are of all pixels */
    int degree;
    size_t cache_bytes; /* for kernel values, more is never used */
} ib_svm_options;

/* Images with labels; the rows are the caller's and outlive every use. */
typedef struct ib_svm_set {
    size_t count, width;
    const uint8_t *const *images;
    const uint8_t *labels;
    const double *weights; /* of C, by label; NULL: 1 */
} ib_svm_set;

/* One two-class problem's outcome. */
typedef struct ib_svm_pair {
    double objective, rho;
    uint64_t iterations;
    size_t support;
} ib_svm_pair;

/* Support vectors ordered by class, within a class as in the training set. coefficients as LIBSVM
 * has them: [classes - 1][count]; vector s of class a has for class b > a the coefficient of row
 * b - 1, for b < a that of row b. pairs in the order (0,1), (0,2) ... (1,2) ... */
typedef struct ib_svm_model {
    ib_svm_options options; /* gamma_kind is IB_SVM_GAMMA_VALUE */
    size_t class_count, count, width;
    uint8_t labels[IB_SVM_MOST_CLASSES]; /* ascending, class_count of them */
    size_t class_support[IB_SVM_MOST_CLASSES];
    uint8_t *vectors;                      /* [count][width] */
    char table_sha256[IB_SHA256_HEX_SIZE]; /* of the file of its table; empty: it needs none */
    uint32_t *indices;                     /* in the training set; 0 when the file had none */
    double *coefficients;
    ib_svm_pair *pairs; /* class_count * (class_count - 1) / 2 */
} ib_svm_model;

/* Checks the options against the data: everything that would otherwise be found during training.
 * IB_ERROR_USAGE with what to change. */
ib_status ib_svm_check(const ib_svm_options *options, const ib_svm_set *set, ib_error *err);

/* should_stop(context) is asked between problems and now and then inside; not NULL: a status other
 * than IB_OK ends training with it. progress(context, done, all) after each problem, on any thread,
 * one at a time. */
typedef struct ib_svm_observer {
    void *context;
    ib_status (*should_stop)(void *context, ib_error *err);
    void (*progress)(void *context, size_t done, size_t all);
} ib_svm_observer;

/* Trains on all pairs of the classes present; observer may be NULL. On failure *model is zero.
 * The caller calls ib_svm_model_close. */
ib_status ib_svm_train(ib_host *host, const ib_svm_options *options, const ib_svm_set *set,
                       const ib_svm_observer *observer, ib_svm_model *model, ib_error *err);

/* classes[i]: the label of images[i]. */
ib_status ib_svm_predict(ib_host *host, const ib_svm_model *model, const uint8_t *const *images,
                         size_t count, uint8_t *classes, ib_error *err);
/* decisions: [count][pairs]. */
ib_status ib_svm_decide(ib_host *host, const ib_svm_model *model, const uint8_t *const *images,
                        size_t count, double *decisions, ib_error *err);

void ib_svm_model_close(ib_svm_model *model);
/* Room for count vectors; options, labels and counts are the caller's to fill. */
ib_status ib_svm_model_open(size_t class_count, size_t count, size_t width, ib_svm_model *model,
                            ib_error *err);

/* The safetensors file. path: a name in the folder (folder.h), or, folder NULL, a path; not NULL.
 * hex (may be NULL) gets its SHA-256. */
ib_status ib_svm_save(const ib_svm_model *model, const ib_folder *folder, const char *path,
                      char hex[IB_SHA256_HEX_SIZE], ib_error *err);
/* IB_ERROR_VERIFY with the reason for a file that is no such model. */
ib_status ib_svm_load(const char *path, ib_svm_model *model, ib_error *err);
/* The same of a file that was read already. */
ib_status ib_svm_load_read(const ib_contents *contents, ib_svm_model *model, ib_error *err);
/* Gives a model that was read the table that it needs, which outlives it; IB_ERROR_VERIFY naming
 * path, the table's file, for another one. Until then it does not predict. */
ib_status ib_svm_give_table(ib_svm_model *model, const ib_pixel_table *table, const char *path,
                            ib_error *err);

/* LIBSVM's model file. Reading needs the mean and deviation the model was trained with: every
 * feature must be one of the 256 values that a byte can have. */
ib_status ib_svm_write_libsvm(const ib_svm_model *model, const char *path, ib_error *err);
ib_status ib_svm_read_libsvm(const char *path, double mean, double deviation, size_t width,
                             ib_svm_model *model, ib_error *err);
/* The same of a file that was read already; its contents are cut into words. */
ib_status ib_svm_parse_libsvm(ib_contents *contents, double mean, double deviation, size_t width,
                              ib_svm_model *model, ib_error *err);

/* Weights by which all classes of a set weigh alike: images / (classes * images of the class), 0
 * for labels that it has not. */
void ib_svm_balance(const ib_svm_set *set, double weights[IB_SVM_MOST_CLASSES]);

/* The kernel function that the options and the training set make. */
ib_svm_kernel ib_svm_kernel_of(const ib_svm_options *options, size_t width);
/* gamma for 'scale': 1 / (width * variance); 0 where the variance is 0. */
double ib_svm_scale_gamma(const ib_svm_options *options, const ib_svm_set *set);

static inline size_t ib_svm_pair_count(size_t classes) {
    return classes * (classes - 1) / 2;
}

#endif
