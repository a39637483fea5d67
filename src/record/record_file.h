/* Reading what run records and the hash file say. */
#ifndef IB_RECORD_RECORD_FILE_H
#define IB_RECORD_RECORD_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "base/json_value.h"
#include "base/status.h"

/* A JSON file whose outermost value is an object. Not there: *object is NULL and IB_OK. Not
 * JSON: IB_ERROR_VERIFY naming the line. The caller calls json_decref. */
ib_status ib_json_file_read(const char *path, json_t **object, ib_error *err);

/* The text at object.key, or object.key.inner with inner not NULL; NULL when there is none. */
const char *ib_json_text_at(const json_t *object, const char *key, const char *inner);

/* What a run's data are like, from the object that says so: "data" of run.json, or
 * misclassified.json, which names no classes. Records from before there were other data sets name
 * nothing: 10 classes of grey images of 28 x 28. All 0: something that no data set has. */
typedef struct ib_recorded_shape {
    size_t classes, height, width, channels;
} ib_recorded_shape;
ib_recorded_shape ib_recorded_shape_of(const json_t *data);

#endif
