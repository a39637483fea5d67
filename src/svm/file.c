/* The trained model as a safetensors file, whose tensors are named after the attributes of
 * scikit-learn's SVC. */
#include "svm/svm.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "tensor/safetensors.h"

static const char *const KERNELS[] = {"linear", "poly", "rbf", "sigmoid"};
enum { KERNEL_COUNT = sizeof KERNELS / sizeof KERNELS[0] };

/* Instead of mean and deviation: the SHA-256 of the file of a table. */
static const char TABLE[] = "normalization";

/* ---- writing ------------------------------------------------------------------------------------
 */

enum { PARAMETERS = 6 };
static const char *const PARAMETER_NAMES[PARAMETERS] = {"C",     "coef0", "deviation",
                                                        "gamma", "mean",  "tolerance"};

static int is_replaced(const ib_svm_model *model, size_t parameter) {
    return model->table_sha256[0] != '\0' && (strcmp(PARAMETER_NAMES[parameter], "mean") == 0 ||
                                              strcmp(PARAMETER_NAMES[parameter], "deviation") == 0);
}

static void list_parameters(ib_svm_options *options, double *parameters[PARAMETERS]) {
    parameters[0] = &options->c;
    parameters[1] = &options->coef0;
    parameters[2] = &options->deviation;
    parameters[3] = &options->gamma;
    parameters[4] = &options->mean;
    parameters[5] = &options->tolerance;
}

ib_status ib_svm_save(const ib_svm_model *model, const ib_folder *folder, const char *path,
                      char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    int64_t n = (int64_t)model->count, k = (int64_t)model->class_count;
    int64_t pairs = (int64_t)ib_svm_pair_count(model->class_count);
    int32_t classes[IB_SVM_MOST_CLASSES], support[IB_SVM_MOST_CLASSES];
    double *intercepts = calloc((size_t)pairs, sizeof *intercepts);
    if (intercepts == NULL)
        return ib_fail_memory(err);
    for (int64_t p = 0; p < pairs; ++p)
        intercepts[p] = 0.0 - model->pairs[p].rho;
    for (int64_t a = 0; a < k; ++a) {
        classes[a] = model->labels[a];
        support[a] = (int32_t)model->class_support[a];
    }
    const ib_named_tensor tensors[] = {
        {"classes", IB_I32, {1, {k}}, classes},
        {"dual_coef", IB_F64, {2, {k - 1, n}}, model->coefficients},
        {"intercept", IB_F64, {1, {pairs}}, intercepts},
        {"n_support", IB_I32, {1, {k}}, support},
        {"support", IB_I32, {1, {n}}, model->indices},
        {"support_vectors", IB_U8, {2, {n, (int64_t)model->width}}, model->vectors},
    };
    ib_svm_options options = model->options;
    double *parameters[PARAMETERS];
    char texts[PARAMETERS][IB_DOUBLE_TEXT], degree[16];
    const char *metadata[PARAMETERS + 3][2] = {
        {"model", "svm"}, {"kernel", KERNELS[options.kernel]}, {"degree", degree}};
    snprintf(degree, sizeof degree, "%d", options.degree);
    list_parameters(&options, parameters);
    size_t entries = 3;
    for (size_t i = 0; i < PARAMETERS; ++i) {
        ib_print_double(*parameters[i], texts[i]);
        if (is_replaced(model, i))
            continue;
        metadata[entries][0] = PARAMETER_NAMES[i];
        metadata[entries++][1] = texts[i];
    }
    if (model->table_sha256[0] != '\0') {
        metadata[entries][0] = TABLE;
        metadata[entries++][1] = model->table_sha256;
    }
    ib_status status =
        ib_safetensors_write_in(folder, path, tensors, sizeof tensors / sizeof tensors[0],
                                (const char *const(*)[2])metadata, entries, hex, err);
    free(intercepts);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

typedef struct loading {
    const char *path;
    ib_safetensors file;
    ib_error *err;
} loading;

static ib_status wrong(const loading *l, const char *what) {
    return ib_fail(l->err, IB_ERROR_VERIFY, "%s is no support vector machine of isobit: %s",
                   l->path, what);
}

/* The metadata's text for a key, NULL when there is none. */
static const char *metadata_of(const loading *l, const char *key) {
    for (size_t i = 0; i < l->file.metadata_count; ++i)
        if (strcmp(l->file.metadata[i][0], key) == 0)
            return l->file.metadata[i][1];
    return NULL;
}

static int is_sha256(const char *text) {
    return strlen(text) == IB_SHA256_HEX_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == IB_SHA256_HEX_SIZE - 1;
}

static ib_status read_options(const loading *l, ib_svm_model *result) {
    ib_svm_options *options = &result->options;
    double *parameters[PARAMETERS];
    const char *model = metadata_of(l, "model"), *kernel = metadata_of(l, "kernel");
    const char *degree = metadata_of(l, "degree"), *table = metadata_of(l, TABLE);
    int64_t integer = 0;
    *options = (ib_svm_options){.gamma_kind = IB_SVM_GAMMA_VALUE};
    if (model == NULL || strcmp(model, "svm") != 0 || kernel == NULL || degree == NULL)
        return wrong(l, "its metadata does not say so");
    size_t found = 0;
    while (found < KERNEL_COUNT && strcmp(KERNELS[found], kernel) != 0)
        ++found;
    if (found == KERNEL_COUNT)
        return wrong(l, "the metadata's kernel is unknown");
    options->kernel = (ib_svm_kernel_kind)found;
    if (ib_parse_i64(degree, &integer) != 0 || integer < 1 || integer > 100)
        return wrong(l, "the metadata's degree is no integer from 1 to 100");
    options->degree = (int)integer;
    if (table != NULL && !is_sha256(table))
        return wrong(l, "the metadata's normalization is no SHA-256");
    if (table != NULL)
        memcpy(result->table_sha256, table, sizeof result->table_sha256);
    list_parameters(options, parameters);
    options->deviation = 1;
    for (size_t i = 0; i < PARAMETERS; ++i) {
        if (is_replaced(result, i))
            continue;
        const char *text = metadata_of(l, PARAMETER_NAMES[i]);
        if (text == NULL || ib_parse_double(text, parameters[i]) != 0)
            return wrong(l, PARAMETER_NAMES[i]);
    }
    return options->deviation > 0 ? IB_OK : wrong(l, "its deviation is not above 0");
}

static const void *tensor_of(const loading *l, const char *name, ib_dtype dtype, int64_t rows,
                             int64_t columns) {
    const ib_named_tensor *t = ib_safetensors_find(&l->file, name);
    int rank = columns < 0 ? 1 : 2;
    if (t == NULL || t->dtype != dtype || t->shape.rank != rank || t->shape.extent[0] != rows ||
        (rank == 2 && t->shape.extent[1] != columns))
        return NULL;
    return t->data;
}

static int all_finite(const double *values, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (values[i] - values[i] != 0)
            return 0;
    return 1;
}

static ib_status read_tensors(const loading *l, ib_svm_model *model) {
    const ib_named_tensor *vectors = ib_safetensors_find(&l->file, "support_vectors");
    const ib_named_tensor *classes = ib_safetensors_find(&l->file, "classes");
    if (vectors == NULL || vectors->dtype != IB_U8 || vectors->shape.rank != 2 || classes == NULL ||
        classes->dtype != IB_I32 || classes->shape.rank != 1)
        return wrong(l, "it lacks support_vectors or classes");
    int64_t n = vectors->shape.extent[0], width = vectors->shape.extent[1];
    int64_t k = classes->shape.extent[0];
    if (k < 2 || k > IB_SVM_MOST_CLASSES || n < 2 || n > INT32_MAX || width < 1 ||
        width > IB_SVM_MAX_WIDTH)
        return wrong(l, "the shape of support_vectors or classes");
    int64_t pairs = k * (k - 1) / 2;
    const double *coefficients = tensor_of(l, "dual_coef", IB_F64, k - 1, n);
    const double *intercepts = tensor_of(l, "intercept", IB_F64, pairs, -1);
    const int32_t *support = tensor_of(l, "n_support", IB_I32, k, -1);
    const uint32_t *indices = tensor_of(l, "support", IB_I32, n, -1);
    const int32_t *labels = classes->data;
    if (coefficients == NULL || intercepts == NULL || support == NULL || indices == NULL)
        return wrong(l, "the type or shape of dual_coef, intercept, n_support or support");
    if (!all_finite(coefficients, (size_t)(n * (k - 1))) || !all_finite(intercepts, (size_t)pairs))
        return wrong(l, "dual_coef or intercept is not finite");
    int64_t total = 0;
    for (int64_t a = 0; a < k; ++a) {
        if (labels[a] < 0 || labels[a] >= IB_SVM_MOST_CLASSES ||
            (a > 0 && labels[a] <= labels[a - 1]))
            return wrong(l, "classes are not labels in ascending order");
        if (support[a] < 0)
            return wrong(l, "n_support is negative");
        total += support[a];
    }
    if (total != n)
        return wrong(l, "n_support does not add up to the support vectors");
    ib_svm_model said = *model;
    IB_TRY(ib_svm_model_open((size_t)k, (size_t)n, (size_t)width, model, l->err));
    model->options = said.options;
    memcpy(model->table_sha256, said.table_sha256, sizeof model->table_sha256);
    memcpy(model->vectors, vectors->data, (size_t)(n * width));
    memcpy(model->indices, indices, (size_t)n * sizeof *indices);
    memcpy(model->coefficients, coefficients, (size_t)(n * (k - 1)) * sizeof *coefficients);
    for (int64_t a = 0; a < k; ++a) {
        model->labels[a] = (uint8_t)labels[a];
        model->class_support[a] = (size_t)support[a];
    }
    for (int64_t p = 0; p < pairs; ++p)
        model->pairs[p].rho = 0.0 - intercepts[p];
    return IB_OK;
}

ib_status ib_svm_load_read(const ib_contents *contents, ib_svm_model *model, ib_error *err) {
    *model = (ib_svm_model){0};
    loading l = {.path = contents->path, .err = err};
    IB_TRY(ib_safetensors_parse(contents, &l.file, err));
    ib_status status = read_options(&l, model);
    if (status == IB_OK)
        status = read_tensors(&l, model);
    ib_safetensors_close(&l.file);
    if (status != IB_OK)
        *model = (ib_svm_model){0};
    return status;
}

ib_status ib_svm_load(const char *path, ib_svm_model *model, ib_error *err) {
    ib_contents contents;
    *model = (ib_svm_model){0};
    IB_TRY(ib_contents_open(path, IB_MODEL_FILE_MOST, &contents, err));
    ib_status status = ib_svm_load_read(&contents, model, err);
    ib_contents_close(&contents);
    return status;
}
