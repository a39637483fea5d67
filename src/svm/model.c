/* The trained model in memory. */
#include "svm/svm.h"

#include <stdlib.h>
#include <string.h>

ib_status ib_svm_model_open(size_t class_count, size_t count, size_t width, ib_svm_model *model,
                            ib_error *err) {
    *model = (ib_svm_model){.class_count = class_count, .count = count, .width = width};
    model->vectors = calloc(count, width);
    model->indices = calloc(count, sizeof *model->indices);
    model->coefficients = calloc(count * (class_count - 1), sizeof *model->coefficients);
    model->pairs = calloc(ib_svm_pair_count(class_count), sizeof *model->pairs);
    if (model->vectors != NULL && model->indices != NULL && model->coefficients != NULL &&
        model->pairs != NULL)
        return IB_OK;
    ib_svm_model_close(model);
    return ib_fail_memory(err);
}

void ib_svm_model_close(ib_svm_model *model) {
    free(model->vectors);
    free(model->indices);
    free(model->coefficients);
    free(model->pairs);
    *model = (ib_svm_model){0};
}

ib_status ib_svm_give_table(ib_svm_model *model, const ib_pixel_table *table, const char *path,
                            ib_error *err) {
    if (strcmp(model->table_sha256, table->sha256) != 0 || model->width != table->pixels)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s has SHA-256 %s, but the model was trained with the table of %s", path,
                       table->sha256, model->table_sha256);
    model->options.table = table;
    return IB_OK;
}
