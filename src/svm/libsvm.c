/* LIBSVM's model file: header lines "key value", then SV, then one line a support vector: its
 * coefficients against the other classes and its features as index:value, zeros left out. */
#include "svm/svm.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "tensor/safetensors.h"

static const char *const NAMES[] = {"linear", "polynomial", "rbf", "sigmoid"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };

static double feature(unsigned byte, double mean, double deviation) {
    return ((double)byte / 255.0 - mean) / deviation;
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void write_number(FILE *out, const char *key, double value) {
    char text[IB_DOUBLE_TEXT];
    ib_print_double(value, text);
    fprintf(out, "%s %s\n", key, text);
}

static void write_header(const ib_svm_model *model, FILE *out) {
    const ib_svm_options *options = &model->options;
    char text[IB_DOUBLE_TEXT];
    fprintf(out, "svm_type c_svc\nkernel_type %s\n", NAMES[options->kernel]);
    if (options->kernel == IB_SVM_POLY)
        fprintf(out, "degree %d\n", options->degree);
    if (options->kernel != IB_SVM_LINEAR)
        write_number(out, "gamma", options->gamma);
    if (options->kernel == IB_SVM_POLY || options->kernel == IB_SVM_SIGMOID)
        write_number(out, "coef0", options->coef0);
    fprintf(out, "nr_class %zu\ntotal_sv %zu\nrho", model->class_count, model->count);
    for (size_t p = 0; p < ib_svm_pair_count(model->class_count); ++p) {
        ib_print_double(model->pairs[p].rho, text);
        fprintf(out, " %s", text);
    }
    fputs("\nlabel", out);
    for (size_t a = 0; a < model->class_count; ++a)
        fprintf(out, " %u", model->labels[a]);
    fputs("\nnr_sv", out);
    for (size_t a = 0; a < model->class_count; ++a)
        fprintf(out, " %zu", model->class_support[a]);
    fputs("\nSV\n", out);
}

/* "k:value " of what is not 0. */
static void write_features(const ib_svm_model *model, const uint8_t *vector, FILE *out) {
    char text[IB_DOUBLE_TEXT];
    for (size_t k = 0; k < model->width; ++k) {
        double value = ib_pixel_table_feature(model->options.table, k, vector[k]);
        ib_print_double(value, text);
        if (value != 0)
            fprintf(out, "%zu:%s ", k + 1, text);
    }
}

ib_status ib_svm_write_libsvm(const ib_svm_model *model, const char *path, ib_error *err) {
    char table[256][IB_DOUBLE_TEXT], text[IB_DOUBLE_TEXT];
    int zero[256];
    for (unsigned v = 0; v < 256; ++v) {
        double value = feature(v, model->options.mean, model->options.deviation);
        zero[v] = value == 0;
        ib_print_double(value, table[v]);
    }
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    write_header(model, file.stream);
    for (size_t s = 0; s < model->count; ++s) {
        for (size_t other = 0; other + 1 < model->class_count; ++other) {
            ib_print_double(model->coefficients[other * model->count + s], text);
            fprintf(file.stream, "%s ", text);
        }
        const uint8_t *vector = model->vectors + s * model->width;
        if (model->options.table != NULL)
            write_features(model, vector, file.stream);
        for (size_t k = 0; k < model->width && model->options.table == NULL; ++k)
            if (!zero[vector[k]])
                fprintf(file.stream, "%zu:%s ", k + 1, table[vector[k]]);
        fputc('\n', file.stream);
    }
    return ib_atomic_commit(&file, err);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

typedef struct reading {
    const char *path;
    char *at; /* the rest of the text */
    size_t line;
    double table[256];
    int zero; /* the byte whose feature is 0, -1: none */
    ib_error *err;
} reading;

static ib_status wrong(const reading *r, const char *what) {
    return ib_fail(r->err, IB_ERROR_VERIFY, "%s, line %zu: %s", r->path, r->line, what);
}

/* The next line, cut off at its end; NULL at the end of the file. */
static char *next_line(reading *r) {
    if (r->at == NULL || *r->at == '\0')
        return NULL;
    ++r->line;
    return strsep(&r->at, "\n");
}

/* The next word of a line, NULL when there is none. */
static char *next_word(char **line) {
    char *word;
    while ((word = strsep(line, " \t\r")) != NULL)
        if (*word != '\0')
            return word;
    return NULL;
}

static int word_double(char **line, double *value) {
    const char *word = next_word(line);
    return word != NULL && ib_parse_double(word, value) == 0;
}

static int word_size(char **line, size_t limit, size_t *value) {
    const char *word = next_word(line);
    int64_t integer = 0;
    if (word == NULL || ib_parse_i64(word, &integer) != 0 || integer < 0 ||
        (uint64_t)integer > limit)
        return 0;
    *value = (size_t)integer;
    return 1;
}

/* What the header said, before there is a model. */
typedef struct header {
    ib_svm_options options;
    size_t classes, total, degree;
    double *rho; /* NULL: not read yet */
    size_t labels[IB_SVM_MOST_CLASSES], support[IB_SVM_MOST_CLASSES];
    int has_kernel, has_labels, has_support, out_of_memory;
} header;

static int read_sizes(char **line, size_t count, size_t limit, size_t *values) {
    for (size_t i = 0; i < count; ++i)
        if (!word_size(line, limit, &values[i]))
            return 0;
    return 1;
}

/* One line of the header; 0 when its values are wrong or its key is unknown. */
static int read_header_line(const char *key, char *line, header *h) {
    if (strcmp(key, "svm_type") == 0) {
        const char *type = next_word(&line);
        return type != NULL && strcmp(type, "c_svc") == 0;
    }
    if (strcmp(key, "kernel_type") == 0) {
        const char *name = next_word(&line);
        for (size_t i = 0; name != NULL && i < NAME_COUNT; ++i)
            if (strcmp(name, NAMES[i]) == 0) {
                h->options.kernel = (ib_svm_kernel_kind)i;
                h->has_kernel = 1;
                return 1;
            }
        return 0;
    }
    if (strcmp(key, "degree") == 0)
        return word_size(&line, 100, &h->degree) && h->degree >= 1;
    if (strcmp(key, "gamma") == 0)
        return word_double(&line, &h->options.gamma);
    if (strcmp(key, "coef0") == 0)
        return word_double(&line, &h->options.coef0);
    if (strcmp(key, "nr_class") == 0)
        return h->classes == 0 && word_size(&line, IB_SVM_MOST_CLASSES, &h->classes) &&
               h->classes >= 2;
    if (strcmp(key, "total_sv") == 0)
        return word_size(&line, INT32_MAX, &h->total) && h->total >= 2;
    if (strcmp(key, "label") == 0)
        return h->has_labels = h->classes > 0 &&
                               read_sizes(&line, h->classes, IB_SVM_MOST_CLASSES - 1, h->labels);
    if (strcmp(key, "nr_sv") == 0)
        return h->has_support =
                   h->classes > 0 && read_sizes(&line, h->classes, INT32_MAX, h->support);
    if (strcmp(key, "rho") != 0 || h->classes == 0 || h->rho != NULL)
        return 0;
    h->rho = calloc(ib_svm_pair_count(h->classes), sizeof *h->rho);
    for (size_t p = 0; h->rho != NULL && p < ib_svm_pair_count(h->classes); ++p)
        if (!word_double(&line, &h->rho[p]))
            return 0;
    h->out_of_memory = h->rho == NULL;
    return !h->out_of_memory;
}

static ib_status read_header(reading *r, header *h) {
    char *line;
    while ((line = next_line(r)) != NULL) {
        const char *key = next_word(&line);
        if (key != NULL && strcmp(key, "SV") == 0)
            break;
        if (key == NULL || !read_header_line(key, line, h))
            return h->out_of_memory
                       ? ib_fail_memory(r->err)
                       : wrong(r, "this is no line of the header of a c_svc model of LIBSVM");
    }
    if (!h->has_kernel || h->rho == NULL || !h->has_labels || !h->has_support || h->total == 0)
        return wrong(r, "the header lacks kernel_type, nr_class, total_sv, rho, label or nr_sv");
    size_t total = 0;
    /* Memory is asked for by the header: by one that the file cannot keep, none. */
    if (h->total > (r->at == NULL ? 0 : strlen(r->at) + 1) / (2 * (h->classes - 1)))
        return wrong(r, "the file is too short for the total_sv of its header");
    for (size_t a = 0; a < h->classes; ++a) {
        total += h->support[a];
        if (a > 0 && h->labels[a] <= h->labels[a - 1])
            return wrong(r, "the labels are not in ascending order: train on data sorted by label");
    }
    return total == h->total ? IB_OK : wrong(r, "nr_sv does not add up to total_sv");
}

/* The byte whose feature is nearest to value, -1 when it is further away than text is exact. */
static int byte_of(const reading *r, double value) {
    int low = 0, high = 255;
    while (low < high) {
        int middle = (low + high) / 2;
        if (r->table[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && value - r->table[low - 1] < r->table[low] - value)
        --low;
    double step = r->table[1] - r->table[0], away = value - r->table[low];
    return away < 1e-3 * step && away > -1e-3 * step ? low : -1;
}

static ib_status read_vector(reading *r, char *line, size_t s, ib_svm_model *model) {
    uint8_t *vector = model->vectors + s * model->width;
    size_t seen = 0, last = 0;
    for (size_t other = 0; other + 1 < model->class_count; ++other)
        if (!word_double(&line, &model->coefficients[other * model->count + s]))
            return wrong(r, "a coefficient is missing or no number");
    if (r->zero >= 0)
        memset(vector, r->zero, model->width);
    for (char *word; (word = next_word(&line)) != NULL; ++seen) {
        char *value = word;
        const char *index_text = strsep(&value, ":");
        int64_t index = 0;
        double number = 0;
        if (value == NULL || ib_parse_i64(index_text, &index) != 0 || index <= (int64_t)last ||
            (uint64_t)index > model->width || ib_parse_double(value, &number) != 0)
            return wrong(r, "a feature is not index:value with ascending indices up to the pixels");
        int byte = byte_of(r, number);
        if (byte < 0)
            return wrong(r, "a feature is none of the 256 values a pixel has: give the --normalize "
                            "and --dataset the model was trained with");
        vector[index - 1] = (uint8_t)byte;
        last = (size_t)index;
    }
    if (r->zero < 0 && seen < model->width)
        return wrong(r, "features left out are 0, which no pixel is: give the --normalize and "
                        "--dataset the model was trained with");
    return IB_OK;
}

static ib_status begin_model(const reading *r, const header *h, double mean, double deviation,
                             size_t width, ib_svm_model *model) {
    IB_TRY(ib_svm_model_open(h->classes, h->total, width, model, r->err));
    model->options = h->options;
    model->options.degree = (int)h->degree;
    model->options.mean = mean;
    model->options.deviation = deviation;
    for (size_t a = 0; a < h->classes; ++a) {
        model->labels[a] = (uint8_t)h->labels[a];
        model->class_support[a] = h->support[a];
    }
    for (size_t p = 0; p < ib_svm_pair_count(h->classes); ++p)
        model->pairs[p].rho = h->rho[p];
    return IB_OK;
}

static ib_status read_model(reading *r, double mean, double deviation, size_t width,
                            ib_svm_model *model) {
    header h = {.options = {.gamma_kind = IB_SVM_GAMMA_VALUE, .c = 1, .tolerance = 1e-3},
                .degree = 3};
    ib_status status = read_header(r, &h);
    if (status == IB_OK)
        status = begin_model(r, &h, mean, deviation, width, model);
    free(h.rho);
    IB_TRY(status);
    for (size_t s = 0; s < h.total; ++s) {
        char *line = next_line(r);
        if (line == NULL)
            return wrong(r, "the file ends before its last support vector");
        IB_TRY(read_vector(r, line, s, model));
    }
    return IB_OK;
}

ib_status ib_svm_parse_libsvm(ib_contents *contents, double mean, double deviation, size_t width,
                              ib_svm_model *model, ib_error *err) {
    *model = (ib_svm_model){0};
    char *text = (char *)contents->data;
    reading r = {.path = contents->path, .at = text, .zero = -1, .err = err};
    for (unsigned v = 0; v < 256; ++v) {
        r.table[v] = feature(v, mean, deviation);
        if (r.table[v] == 0)
            r.zero = (int)v;
    }
    ib_status status = strlen(text) != contents->size
                           ? wrong(&r, "there is a zero byte in it")
                           : read_model(&r, mean, deviation, width, model);
    if (status != IB_OK)
        ib_svm_model_close(model);
    return status;
}

ib_status ib_svm_read_libsvm(const char *path, double mean, double deviation, size_t width,
                             ib_svm_model *model, ib_error *err) {
    ib_contents contents;
    *model = (ib_svm_model){0};
    IB_TRY(ib_contents_open(path, IB_MODEL_FILE_MOST, &contents, err));
    ib_status status = ib_svm_parse_libsvm(&contents, mean, deviation, width, model, err);
    ib_contents_close(&contents);
    return status;
}
