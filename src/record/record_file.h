/* Reading what run records and the hash file say. */
#ifndef IB_RECORD_RECORD_FILE_H
#define IB_RECORD_RECORD_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "base/json_value.h"
#include "base/status.h"

enum { IB_JSON_FILE_MOST = 64 << 20 }; /* bytes */

/* A JSON file whose outermost value is an object. Not there: *object is NULL and IB_OK. Not
 * JSON: IB_ERROR_VERIFY naming the line. The caller calls json_decref. */
ib_status ib_json_file_read(const char *path, json_t **object, ib_error *err);
/* The same of a file's text that has been read. */
ib_status ib_json_file_parse(const char *path, const char *text, size_t size, json_t **object,
                             ib_error *err);

/* The text at object.key; NULL: there is none. */
const char *ib_json_text_at(const json_t *object, const char *key);

/* A number; NAN: there is none. */
double ib_json_number_of(const json_t *value);
double ib_json_number_at(const json_t *object, const char *key);

/* A number as JSON, an integer where it is whole; new. NULL: it is not finite, or out of memory. */
json_t *ib_json_number(double value);

/* What a run's data are like, from the object that says so: "data" of run.json, or
 * misclassified.json, which names no classes. Records from before there were other data sets name
 * nothing: 10 classes of grey images of 28 x 28. All 0: something that no data set has. */
typedef struct ib_recorded_shape {
    size_t classes, height, width, channels;
} ib_recorded_shape;
ib_recorded_shape ib_recorded_shape_of(const json_t *data);

#endif
