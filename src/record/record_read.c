#include "record/record_read.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/input.h"
#include "base/sha256.h"
#include "record/chain.h"
#include "record/record_file.h"
#include "record/seal.h"
#include "record/trace.h"

enum { MAX_JSON_BYTES = 64 << 20 };

const char *const IB_RECORD_FILES[] = {"metrics.jsonl",
                                       "trace.bin",
                                       "resources.jsonl",
                                       "misclassified.json",
                                       "model.safetensors",
                                       "optimizer.safetensors",
                                       NULL};

int ib_record_is_beside(const char *name) {
    static const char *const NAMES[] = {"run.json", "mlflow.json", "model.onnx", "checkpoints"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; ++i)
        if (strcmp(name, NAMES[i]) == 0)
            return 1;
    return 0;
}

int ib_record_is_sealed(const json_t *record) {
    return json_integer_value(json_object_get(record, "format")) == IB_RECORD_FORMAT;
}

/* ---- what run.json says of itself ---------------------------------------------------------------
 */

static ib_status check_seal(const char *path, ib_seal seal, const json_t *record, ib_error *err) {
    const json_t *format = json_object_get(record, "format");
    if (seal == IB_SEAL_BROKEN)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: it was changed: its seal is not the SHA-256 of its content", path);
    int sealed = ib_record_is_sealed(record);
    if (seal == IB_SEAL_NONE && (sealed || json_object_get(record, "files") != NULL))
        return ib_fail(err, IB_ERROR_VERIFY, "%s: it was changed: it has no seal at its end", path);
    int unsealed = format == NULL || json_integer_value(format) == IB_RECORD_UNSEALED;
    if (seal == IB_SEAL_NONE ? !unsealed : !sealed)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: its format is not of this version", path);
    return IB_OK;
}

/* The configuration says 0 for as many images as there are. */
static int is_same_value(const char *key, const json_t *configured, const json_t *canonical) {
    int is_size = strcmp(key, "train_size") == 0 || strcmp(key, "test_size") == 0;
    if (is_size && json_is_integer(configured) && json_integer_value(configured) == 0)
        return 1;
    if (json_is_number(configured) && json_is_number(canonical))
        return json_number_value(configured) == json_number_value(canonical);
    return json_equal(configured, canonical);
}

static ib_status check_canonical(const char *path, const json_t *record, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    const char *text = ib_json_text_at(record, "canonical", NULL), *key;
    const char *experiment = ib_json_text_at(record, "experiment_sha256", NULL);
    const char *again = ib_json_text_at(record, "results", "experiment_sha256");
    json_t *configuration = json_object_get(record, "configuration"), *value;
    if (text == NULL || experiment == NULL)
        return IB_OK; /* whoever needs them says so */
    ib_sha256_bytes(text, strlen(text), hex);
    if (strcmp(hex, experiment) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: the canonical configuration has SHA-256 %s, but experiment_sha256 is "
                       "%s: the record was changed",
                       path, hex, experiment);
    if (again != NULL && strcmp(again, experiment) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: the record was changed: its results are of experiment_sha256 %s, it is "
                       "of %s",
                       path, again, experiment);
    json_t *canonical;
    ib_status status = ib_json_parse(text, strlen(text), &canonical, NULL, err);
    json_object_foreach(canonical, key, value) {
        const json_t *configured = json_object_get(configuration, key);
        if (status == IB_OK && configured != NULL && !is_same_value(key, configured, value))
            status = ib_fail(err, IB_ERROR_VERIFY,
                             "%s: the record was changed: %s of its configuration is not that of "
                             "the canonical form",
                             path, key);
    }
    json_decref(canonical);
    return status;
}

static ib_status check_accuracy(const char *path, const json_t *record, ib_error *err) {
    const json_t *accuracy = json_object_get(json_object_get(record, "results"), "test_accuracy");
    const json_t *rows = json_object_get(record, "confusion");
    double right = 0, all = 0;
    for (size_t r = 0; r < json_array_size(rows); ++r)
        for (size_t c = 0; c < json_array_size(json_array_get(rows, r)); ++c) {
            double n = json_number_value(json_array_get(json_array_get(rows, r), c));
            all += n;
            right += r == c ? n : 0;
        }
    if (!json_is_number(accuracy) || !(all > 0))
        return IB_OK;
    if (fabs(json_number_value(accuracy) - right / all) <= 1e-12)
        return IB_OK;
    return ib_fail(
        err, IB_ERROR_VERIFY,
        "%s: the record was changed: test_accuracy is %.17g, but by the confusion matrix "
        "%.17g",
        path, json_number_value(accuracy), right / all);
}

static ib_status parse(const char *path, const char *text, size_t size, json_t **record,
                       ib_error *err) {
    ib_json_problem why;
    IB_TRY(ib_json_parse(text, size, record, &why, err));
    if (*record == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, line %zu: not valid JSON: %s", path, why.line,
                       why.text);
    if (!json_is_object(*record))
        return ib_fail(err, IB_ERROR_VERIFY, "%s: the outermost value is not an object", path);
    return IB_OK;
}

static ib_status read_record(const char *path, json_t **record, ib_error *err) {
    char *text = NULL;
    size_t size = 0;
    if (!ib_path_exists(path))
        return IB_OK;
    IB_TRY(ib_read_file(path, MAX_JSON_BYTES, &text, &size, err));
    ib_seal seal = ib_seal_look(text, size);
    ib_status status = parse(path, text, size, record, err);
    free(text);
    if (status == IB_OK)
        status = check_seal(path, seal, *record, err);
    if (status == IB_OK)
        status = check_canonical(path, *record, err);
    if (status == IB_OK)
        status = check_accuracy(path, *record, err);
    return status;
}

ib_status ib_record_read(const char *directory, json_t **record, ib_error *err) {
    char *path = ib_path_join(directory, "run.json");
    *record = NULL;
    ib_status status = path == NULL ? ib_fail_memory(err) : read_record(path, record, err);
    free(path);
    if (status != IB_OK) {
        json_decref(*record);
        *record = NULL;
    }
    return status;
}

/* ---- its files ----------------------------------------------------------------------------------
 */

/* The SHA-256 that the record has of a file; NULL: none. *bytes NULL: not said. */
static const char *claim(const json_t *record, const char *name, const json_t **bytes) {
    const json_t *entry = json_object_get(json_object_get(record, "files"), name);
    const json_t *results = json_object_get(record, "results");
    *bytes = json_object_get(entry, "bytes");
    if (entry != NULL)
        return ib_json_text_at(entry, "sha256", NULL);
    if (strcmp(name, "model.safetensors") == 0)
        return ib_json_text_at(results, "model_sha256", NULL);
    if (strcmp(name, "optimizer.safetensors") == 0)
        return ib_json_text_at(results, "optimizer_sha256", NULL);
    return NULL;
}

int ib_record_names(const json_t *record, const char *name) {
    const json_t *bytes;
    return claim(record, name, &bytes) != NULL;
}

static ib_status check_bytes(const char *path, const char *sha256, const json_t *bytes,
                             ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    ib_contents file;
    if (!ib_path_exists(path)) /* the results alone do not say that the model is kept beside them */
        return bytes == NULL
                   ? IB_OK
                   : ib_fail(err, IB_ERROR_VERIFY, "%s is missing, but run.json names it", path);
    IB_TRY(ib_contents_open(path, IB_RECORDED_MOST, &file, err));
    ib_sha256_bytes(file.data, file.size, hex);
    size_t size = file.size;
    ib_contents_close(&file);
    if (bytes != NULL && json_integer_value(bytes) != (json_int_t)size)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s has %zu bytes, but run.json records %" JSON_INTEGER_FORMAT, path, size,
                       json_integer_value(bytes));
    if (strcmp(hex, sha256) != 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%s has SHA-256 %s, but run.json records %s", path,
                       hex, sha256);
    return IB_OK;
}

ib_status ib_record_check_file(const char *directory, const json_t *record, const char *name,
                               ib_error *err) {
    const json_t *bytes;
    const char *sha256 = claim(record, name, &bytes);
    if (sha256 == NULL)
        return IB_OK;
    char *path = ib_path_join(directory, name);
    ib_status status = path == NULL ? ib_fail_memory(err) : check_bytes(path, sha256, bytes, err);
    free(path);
    return status;
}

ib_status ib_record_check_files(const char *directory, const json_t *record, ib_error *err) {
    for (size_t i = 0; IB_RECORD_FILES[i] != NULL; ++i)
        IB_TRY(ib_record_check_file(directory, record, IB_RECORD_FILES[i], err));
    return IB_OK;
}

static ib_status check_lines(const char *path, ib_error *err) {
    ib_contents file;
    ib_sha256 hash;
    size_t offset = 0;
    if (!ib_path_exists(path))
        return ib_fail(err, IB_ERROR_VERIFY, "%s is missing", path);
    IB_TRY(ib_contents_open(path, IB_RECORDED_MOST, &file, err));
    ib_sha256_begin(&hash);
    ib_status status = IB_OK;
    if (!ib_chain_take_lines(&hash, (const char *)file.data, file.size, &offset))
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s, offset %zu: it was changed: this line is not what was written there",
                         path, offset);
    ib_contents_close(&file);
    return status;
}

ib_status ib_record_check_metrics(const char *directory, const json_t *record, ib_error *err) {
    static const char NAME[] = "metrics.jsonl";
    if (!ib_record_is_sealed(record))
        return IB_OK;
    char *path = ib_path_join(directory, NAME);
    ib_status status = path == NULL ? ib_fail_memory(err) : check_lines(path, err);
    free(path);
    return status == IB_OK ? ib_record_check_file(directory, record, NAME, err) : status;
}

ib_status ib_record_check_trace(const char *directory, const json_t *record, ib_error *err) {
    ib_trace *trace = NULL;
    IB_TRY(ib_trace_read(directory, &trace, err));
    ib_status status = IB_OK;
    if (trace != NULL && ib_record_is_sealed(record) && !ib_trace_is_chained(trace))
        status =
            ib_fail(err, IB_ERROR_VERIFY, "%s/%s: it was changed: its format is not the record's",
                    directory, IB_TRACE_NAME);
    ib_trace_free(trace);
    return status == IB_OK ? ib_record_check_file(directory, record, IB_TRACE_NAME, err) : status;
}
