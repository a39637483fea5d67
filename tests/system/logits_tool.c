/* Logits of every image of an idx file by the public API, for test_onnx.py.
 *   logits_tool MODEL.safetensors DATASET IMAGES OUTPUT   binary32, one a class and image */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "isobit/isobit.h"

enum { IDX_HEADER = 16, MOST_BYTES = 1 << 28 };

static int predict(ib_predictor *predictor, const char *images, size_t size, const char *output) {
    size_t count = (size - IDX_HEADER) / ib_predictor_image_bytes(predictor);
    size_t classes = ib_predictor_class_count(predictor);
    float *logits = calloc(count, classes * sizeof *logits);
    int good = logits != NULL;
    if (good && ib_predictor_predict(predictor, (const uint8_t *)images + IDX_HEADER, count, NULL,
                                     logits) != IB_OK) {
        fprintf(stderr, "%s\n", ib_predictor_error(predictor));
        good = 0;
    }
    good = good &&
           ib_write_file_atomic(output, logits, count * classes * sizeof *logits, NULL) == IB_OK;
    free(logits);
    return good ? 0 : 1;
}

int main(int argc, char **argv) {
    char message[256], *images = NULL;
    size_t size = 0;
    ib_predictor *predictor = NULL;
    if (argc != 5)
        return 2;
    ib_predictor_options options = {.dataset = argv[2]};
    if (ib_predictor_open(argv[1], &options, &predictor, message, sizeof message) != IB_OK) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    int code = 1;
    if (ib_read_file(argv[3], MOST_BYTES, &images, &size, NULL) == IB_OK && size > IDX_HEADER)
        code = predict(predictor, images, size, argv[4]);
    free(images);
    ib_predictor_close(predictor);
    return code;
}
