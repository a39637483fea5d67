/* Reading what run records and the hash file say. */
#ifndef IB_RUN_RECORD_FILE_H
#define IB_RUN_RECORD_FILE_H

#include <jansson.h>

#include "base/status.h"

/* A JSON file whose outermost value is an object. Not there: *object is NULL and IB_OK. Not
 * readable or not JSON: IB_ERROR_VERIFY naming the line. The caller calls json_decref. */
ib_status ib_json_file_read(const char *path, json_t **object, ib_error *err);

/* The text at object.key, or object.key.inner with inner not NULL; NULL when there is none. */
const char *ib_json_text_at(const json_t *object, const char *key, const char *inner);

#endif
