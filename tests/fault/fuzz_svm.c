/* libFuzzer: any bytes as LIBSVM's model file (from the second byte on, the first one says how
 * features are scaled) or, where they begin otherwise, as a safetensors file with a support vector
 * machine. What is accepted must predict. */
#include "backend/backend.h"
#include "fuzz_files.h"
#include "svm/svm.h"

enum { WIDTH = 16, IMAGES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A table like the one that the model says it was trained with. */
static void give_table(ib_svm_model *model, ib_pixel_table *table) {
    static double mean[IB_SVM_MAX_WIDTH], deviation[IB_SVM_MAX_WIDTH];
    for (size_t k = 0; k < model->width; ++k) {
        mean[k] = (double)(k % 200);
        deviation[k] = (double)(k % 5) * 20;
    }
    *table = (ib_pixel_table){.pixels = model->width, .mean = mean, .deviation = deviation};
    memcpy(table->sha256, model->table_sha256, sizeof table->sha256);
    require(ib_svm_give_table(model, table, "table", NULL) == IB_OK, "its table does not fit");
}

static void use(ib_svm_model *model) {
    ib_pixel_table table;
    static ib_backend *backend;
    static uint8_t pixels[IMAGES][IB_SVM_MAX_WIDTH];
    const uint8_t *images[IMAGES];
    uint8_t classes[IMAGES];
    size_t support = 0;
    ib_backend_options options = {"cpu", "scalar", 1};
    if (backend == NULL) {
        require(ib_backend_open(&options, &backend, NULL) == IB_OK, "no backend");
        for (size_t i = 0; i < sizeof pixels; ++i)
            pixels[i / IB_SVM_MAX_WIDTH][i % IB_SVM_MAX_WIDTH] = (uint8_t)(i * 37);
    }
    for (size_t i = 0; i < IMAGES; ++i)
        images[i] = pixels[i];
    for (size_t a = 0; a < model->class_count; ++a)
        support += model->class_support[a];
    require(support == model->count, "vectors of no class");
    if (model->table_sha256[0] != '\0')
        give_table(model, &table);
    require(ib_svm_predict(backend->host, model, images, IMAGES, classes, NULL) == IB_OK,
            "no prediction");
    for (size_t i = 0; i < IMAGES; ++i)
        require(memchr(model->labels, classes[i], model->class_count) != NULL,
                "a class that is none");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const double MEAN[] = {0, 0.1307, 0.5}, DEVIATION[] = {1, 0.3081, 0.5};
    ib_svm_model model = {0};
    ib_error err = {0};
    int is_text = size > 0 && data[0] < 3;
    char *path = fuzz_write("model", data + is_text, size - (size_t)is_text);
    ib_status status =
        is_text ? ib_svm_read_libsvm(path, MEAN[data[0]], DEVIATION[data[0]], WIDTH, &model, &err)
                : ib_svm_load(path, &model, &err);
    if (status == IB_OK)
        use(&model);
    else
        require(err.message != NULL && model.vectors == NULL, "a refusal without a reason");
    ib_svm_model_close(&model);
    ib_error_clear(&err);
    free(path);
    return 0;
}
