/* The safetensors file format, strictly: one byte sequence for one set of tensors. */
#ifndef IB_TENSOR_SAFETENSORS_H
#define IB_TENSOR_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/folder.h"
#include "base/input.h"
#include "base/sha256.h"
#include "tensor/tensor.h"

/* The format's limit for the header's JSON and padding. */
#define IB_SAFETENSORS_MAX_HEADER 100000000
/* What is read of a model's file at most, of any format. */
#define IB_MODEL_FILE_MOST ((size_t)4 << 30)

/* One tensor to write, or one read: data then points into its contents. */
typedef struct ib_named_tensor {
    const char *name;
    ib_dtype dtype;
    ib_shape shape;
    const void *data;
} ib_named_tensor;

/* Writes atomically, tensors ordered by dtype size (descending), then by name; JSON without spaces,
 * header padded with spaces to a multiple of 8. metadata: count pairs key, value (may be 0; written
 * in the order given). hex (may be NULL) receives the SHA-256 of the file. Rank > IB_MAX_RANK,
 * duplicate or empty names are IB_ERROR_USAGE. No file or part of one is left after a failure. */
ib_status ib_safetensors_write(const char *path, const ib_named_tensor *tensors, size_t count,
                               const char *const (*metadata)[2], size_t metadata_count,
                               char hex[IB_SHA256_HEX_SIZE], ib_error *err);
/* The same in a folder that is held open (folder.h); NULL: path is one. */
ib_status ib_safetensors_write_in(const ib_folder *folder, const char *path,
                                  const ib_named_tensor *tensors, size_t count,
                                  const char *const (*metadata)[2], size_t metadata_count,
                                  char hex[IB_SHA256_HEX_SIZE], ib_error *err);

/* Gives the bytes of tensors whose data is NULL, one at a time, so that a file needs the memory of
 * its largest tensor only. values holds them; index is the tensor's place in the array given. */
typedef struct ib_tensor_reader {
    void *context;
    ib_status (*read)(void *context, size_t index, void *values, ib_error *err);
} ib_tensor_reader;

/* As ib_safetensors_write_in, without metadata; path NULL: only the SHA-256. */
ib_status ib_safetensors_write_read(const ib_folder *folder, const char *path,
                                    const ib_named_tensor *tensors, size_t count,
                                    const ib_tensor_reader *reader, char hex[IB_SHA256_HEX_SIZE],
                                    ib_error *err);

/* The same bytes without a file: only their SHA-256. */
ib_status ib_safetensors_hash(const ib_named_tensor *tensors, size_t count,
                              char hex[IB_SHA256_HEX_SIZE], ib_error *err);

/* An open file. Names and data live as long as it and its contents do. */
typedef struct ib_safetensors {
    const char *path;         /* the caller's */
    ib_contents own;          /* empty where the caller has them */
    ib_named_tensor *tensors; /* in file order */
    size_t count;
    char *(*metadata)[2];
    size_t metadata_count;
} ib_safetensors;

/* Any departure from the format is IB_ERROR_VERIFY, naming the file and the offset or tensor; so is
 * a file whose tensors are not aligned for their dtype (the format's own writers align them), which
 * makes every data pointer good to read through. The caller closes it. */
ib_status ib_safetensors_open(const char *path, ib_safetensors *file, ib_error *err);
/* The same of a file that was read, and perhaps hashed, already; contents outlive *file. */
ib_status ib_safetensors_parse(const ib_contents *contents, ib_safetensors *file, ib_error *err);
void ib_safetensors_close(ib_safetensors *file);
const ib_named_tensor *ib_safetensors_find(const ib_safetensors *file, const char *name);

#endif
