/* A trained network as an ONNX model: opset 17, IR version 8, weights inside. */
#ifndef IB_MODEL_ONNX_H
#define IB_MODEL_ONNX_H

#include <stdint.h>

#include "base/folder.h"
#include "base/input.h"
#include "base/sha256.h"
#include "model/model.h"

/* What the file's metadata says about the pixels it was trained on. */
typedef struct ib_onnx_notes {
    const ib_experiment *experiment; /* whose network it may be, where that is a file; or NULL */
    const char *normalize;           /* the value of --normalize */
    double mean, deviation; /* the input is (pixel / 255 - mean) / deviation; deviation 0: it is by
                               a table, and neither is written */
    const char *sha256;     /* of the model file, from who knows it; NULL: computed */
    ib_image_shape image;
    uint32_t classes;
} ib_onnx_notes;

typedef struct ib_onnx_written {
    char network[IB_NETWORK_MOST_NAME + 1]; /* "cnn" */
    uint64_t bytes;
    char sha256[IB_SHA256_HEX_SIZE]; /* of the ONNX file */
} ib_onnx_written;

/* Writes the network in the safetensors file model_path to path, atomically: input "input"
 * [N,channels,height,width], output "logits" [N,classes]. The network follows from names, types
 * and shapes of the tensors; a file that fits no network is IB_ERROR_VERIFY. Weights go from the
 * file's contents to the stream, so memory is not doubled. The same bytes for the same file, notes
 * and version. path: a name in the folder (folder.h), or, folder NULL, a path. written may be NULL.
 */
ib_status ib_onnx_write(const char *model_path, const ib_onnx_notes *notes, const ib_folder *folder,
                        const char *path, ib_onnx_written *written, ib_error *err);
/* The same of a file that was read already. */
ib_status ib_onnx_write_read(const ib_contents *contents, const ib_onnx_notes *notes,
                             const ib_folder *folder, const char *path, ib_onnx_written *written,
                             ib_error *err);

#endif
