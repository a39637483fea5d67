#include "record/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/number.h"
#include "base/sha256.h"
#include "record/record_file.h"

enum { FORMAT = 2, KEPT = 2, MAX_JSON_BYTES = 1 << 16 };

static const char FOLDER[] = "checkpoints";
static const char MODEL[] = ".model.safetensors";
static const char OPTIMIZER[] = ".optimizer.safetensors";
static const char JSON[] = ".json";
static const char SEAL[] = ",\"sha256\":\"";

/* <folder>/step-<N><suffix>, fresh memory. */
static char *path_of(const char *folder, uint64_t step, const char *suffix) {
    return ib_format("%s/step-%012llu%s", folder, (unsigned long long)step, suffix);
}

/* ---- the folder ---------------------------------------------------------------------------------
 */

/* The step in "step-<N><suffix>"; 0 when the name is another. */
static int is_named(const char *name, const char *suffix, uint64_t *step) {
    static const char PREFIX[] = "step-";
    size_t length = strlen(name), tail = strlen(suffix), head = sizeof PREFIX - 1;
    if (length <= head + tail || strncmp(name, PREFIX, head) != 0 ||
        strcmp(name + length - tail, suffix) != 0)
        return 0;
    char *digits = strndup(name + head, length - head - tail);
    int good = digits != NULL && ib_parse_u64(digits, step) == 0;
    free(digits);
    return good;
}

/* The newest steps of complete checkpoints, in falling order; at most KEPT. A folder that is not
 * there has none; one that cannot be read is an error: its run must not begin anew for that. */
static ib_status newest_steps(const char *folder, uint64_t steps[KEPT], size_t *count,
                              ib_error *err) {
    *count = 0;
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    if (directory == NULL && errno != ENOENT)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", folder);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        uint64_t step;
        if (!is_named(entry->d_name, JSON, &step))
            continue;
        size_t at = *count < KEPT ? (*count)++ : KEPT;
        for (; at > 0 && steps[at - 1] < step; --at)
            if (at < KEPT)
                steps[at] = steps[at - 1];
        if (at < KEPT)
            steps[at] = step;
    }
    if (directory != NULL)
        closedir(directory);
    return IB_OK;
}

static int is_kept(const char *name, const uint64_t *steps, size_t count) {
    uint64_t step;
    if (!is_named(name, JSON, &step) && !is_named(name, MODEL, &step) &&
        !is_named(name, OPTIMIZER, &step))
        return 0; /* what a killed process left half-written */
    for (size_t i = 0; i < count; ++i)
        if (steps[i] == step)
            return 1;
    return 0;
}

/* Two passes: without its JSON a checkpoint is none, whatever happens in between. */
static void remove_others(const char *folder, const uint64_t *steps, size_t count) {
    for (int json = 1; json >= 0; --json) {
        DIR *directory = opendir(folder);
        const struct dirent *entry;
        uint64_t step;
        while (directory != NULL && (entry = readdir(directory)) != NULL) {
            if (strncmp(entry->d_name, "step-", 5) != 0 || is_kept(entry->d_name, steps, count) ||
                (json && !is_named(entry->d_name, JSON, &step)))
                continue;
            char *path = ib_path_join(folder, entry->d_name);
            if (path != NULL)
                unlink(path);
            free(path);
        }
        if (directory != NULL)
            closedir(directory);
    }
}

void ib_checkpoint_remove(const char *run_directory) {
    char *folder = ib_path_join(run_directory, FOLDER);
    if (folder == NULL)
        return;
    remove_others(folder, NULL, 0);
    rmdir(folder);
    free(folder);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void write_members(const char *experiment_sha256, const ib_checkpoint *checkpoint,
                          const char *model_sha256, const char *optimizer_sha256, ib_json *json) {
    const ib_train_position *at = &checkpoint->position;
    ib_json_int(json, "format", FORMAT);
    ib_json_string(json, "experiment_sha256", experiment_sha256);
    ib_json_uint(json, "step", at->steps);
    ib_json_uint(json, "epoch", at->epoch);
    ib_json_uint(json, "step_in_epoch", at->step_in_epoch);
    ib_json_double(json, "learning_rate", at->learning_rate);
    ib_json_double(json, "loss_sum", at->loss_sum);
    ib_json_double(json, "train_seconds", at->train_seconds);
    ib_json_double(json, "total_seconds", checkpoint->total_seconds);
    ib_json_uint(json, "images", at->images);
    ib_json_uint(json, "metrics_bytes", checkpoint->metrics_bytes);
    ib_json_string(json, "model_sha256", model_sha256);
    ib_json_string(json, "optimizer_sha256", optimizer_sha256);
}

/* One line of JSON whose last member, sha256, is of all bytes before it. */
static ib_status sealed_text(const char *experiment_sha256, const ib_checkpoint *checkpoint,
                             const char *model_sha256, const char *optimizer_sha256, char **text,
                             ib_error *err) {
    size_t size = 0;
    char hex[IB_SHA256_HEX_SIZE];
    *text = NULL;
    FILE *out = open_memstream(text, &size);
    if (out == NULL)
        return ib_fail_memory(err);
    ib_json json = {.out = out};
    ib_json_open(&json, NULL, '{');
    write_members(experiment_sha256, checkpoint, model_sha256, optimizer_sha256, &json);
    ib_status status = fflush(out) != 0 ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        ib_sha256_bytes(*text, size, hex);
    ib_json_string(&json, "sha256", status == IB_OK ? hex : NULL);
    ib_json_close(&json, '}');
    fputc('\n', out);
    int failed = ferror(out);
    if ((fclose(out) != 0 || failed) && status == IB_OK)
        status = ib_fail_memory(err);
    return status;
}

static ib_status write_files(const char *folder, const char *experiment_sha256,
                             const ib_model *model, const ib_checkpoint *checkpoint,
                             ib_error *err) {
    uint64_t step = checkpoint->position.steps;
    char model_sha256[IB_SHA256_HEX_SIZE], optimizer_sha256[IB_SHA256_HEX_SIZE];
    char *model_path = path_of(folder, step, MODEL);
    char *optimizer_path = path_of(folder, step, OPTIMIZER);
    char *json_path = path_of(folder, step, JSON), *text = NULL;
    ib_status status = IB_OK;
    if (model_path == NULL || optimizer_path == NULL || json_path == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = ib_model_save(model, model_path, model_sha256, err);
    if (status == IB_OK)
        status = ib_model_save_optimizer(model, optimizer_path, step, optimizer_sha256, err);
    if (status == IB_OK)
        status =
            sealed_text(experiment_sha256, checkpoint, model_sha256, optimizer_sha256, &text, err);
    if (status == IB_OK)
        status = ib_write_file_atomic(json_path, text, strlen(text), err);
    free(text);
    free(model_path);
    free(optimizer_path);
    free(json_path);
    return status;
}

ib_status ib_checkpoint_write(const char *run_directory, const char *experiment_sha256,
                              const ib_model *model, const ib_checkpoint *checkpoint,
                              ib_error *err) {
    uint64_t steps[KEPT] = {0};
    char *folder = ib_path_join(run_directory, FOLDER);
    if (folder == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_make_directories(folder, err);
    if (status == IB_OK)
        status = write_files(folder, experiment_sha256, model, checkpoint, err);
    if (status != IB_OK)
        ib_fail_context(err, "the checkpoint after step %llu",
                        (unsigned long long)checkpoint->position.steps);
    size_t count = 0;
    if (newest_steps(folder, steps, &count, NULL) == IB_OK)
        remove_others(folder, steps, count);
    free(folder);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static ib_status damaged(const char *path, const char *why, ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: %s; remove the .json of this checkpoint to go on from the one before it, "
                   "or, if it is the only one, from the beginning",
                   path, why);
}

static int number_at(const json_t *object, const char *key, double *value) {
    const json_t *found = json_object_get(object, key);
    *value = json_number_value(found);
    return json_is_number(found);
}

static int natural_at(const json_t *object, const char *key, uint64_t *value) {
    const json_t *found = json_object_get(object, key);
    *value = (uint64_t)json_integer_value(found);
    return json_is_integer(found) && json_integer_value(found) >= 0;
}

/* The sealed text as JSON; NULL when the seal is not that of the bytes before it. */
static json_t *unseal(const char *text, size_t size) {
    char hex[IB_SHA256_HEX_SIZE];
    json_error_t why;
    const char *seal = NULL;
    for (const char *next = text; (next = strstr(next, SEAL)) != NULL; ++next)
        seal = next;
    if (seal == NULL || strlen(seal) != sizeof SEAL - 1 + 64 + 3)
        return NULL;
    ib_sha256_bytes(text, (size_t)(seal - text), hex);
    if (memcmp(seal + sizeof SEAL - 1, hex, 64) != 0)
        return NULL;
    return ib_json_parse(text, size, &why);
}

static ib_status read_json(const char *path, const char *experiment_sha256, json_t **object,
                           ib_checkpoint *checkpoint, ib_error *err) {
    char *text = NULL;
    size_t size = 0;
    uint64_t format = 0, epoch = 0, step_in_epoch = 0, images = 0;
    ib_train_position *at = &checkpoint->position;
    IB_TRY(ib_read_file(path, MAX_JSON_BYTES, &text, &size, err));
    *object = unseal(text, size);
    free(text);
    if (*object == NULL)
        return damaged(path, "it is damaged: its SHA-256 is not that of its content", err);
    if (!natural_at(*object, "format", &format) || format != FORMAT)
        return damaged(path, "its format is not of this version", err);
    const char *experiment = ib_json_text_at(*object, "experiment_sha256", NULL);
    if (experiment == NULL || strcmp(experiment, experiment_sha256) != 0)
        return damaged(path, "it is of another experiment", err);
    if (!natural_at(*object, "step", &at->steps) || !natural_at(*object, "epoch", &epoch) ||
        !natural_at(*object, "step_in_epoch", &step_in_epoch) ||
        !natural_at(*object, "images", &images) ||
        !natural_at(*object, "metrics_bytes", &checkpoint->metrics_bytes) ||
        !number_at(*object, "learning_rate", &at->learning_rate) ||
        !number_at(*object, "loss_sum", &at->loss_sum) ||
        !number_at(*object, "train_seconds", &at->train_seconds) ||
        !number_at(*object, "total_seconds", &checkpoint->total_seconds) || epoch == 0)
        return damaged(path, "a member is missing", err);
    at->epoch = (size_t)epoch;
    at->step_in_epoch = (size_t)step_in_epoch;
    at->images = (size_t)images;
    return IB_OK;
}

/* Reads the file once: what is hashed is what is loaded. */
static ib_status open_checked(const char *path, const char *recorded, ib_safetensors *file,
                              ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    if (!ib_path_exists(path))
        return damaged(path, "it is missing", err);
    ib_contents contents;
    IB_TRY(ib_contents_open(path, IB_MODEL_FILE_MOST, &contents, err));
    ib_sha256_bytes(contents.data, contents.size, hex);
    ib_status status =
        recorded == NULL || strcmp(hex, recorded) != 0
            ? damaged(path, "it is damaged: its SHA-256 is not the one recorded", err)
            : ib_safetensors_parse(&contents, file, err);
    if (status == IB_OK)
        file->own = contents;
    else
        ib_contents_close(&contents);
    return status;
}

static ib_status load_files(const json_t *object, const char *model_path,
                            const char *optimizer_path, ib_model *model, uint64_t *steps,
                            ib_error *err) {
    ib_safetensors weights = {0}, states = {0};
    ib_status status =
        open_checked(model_path, ib_json_text_at(object, "model_sha256", NULL), &weights, err);
    if (status == IB_OK)
        status = open_checked(optimizer_path, ib_json_text_at(object, "optimizer_sha256", NULL),
                              &states, err);
    if (status == IB_OK)
        status = ib_model_check_settled_read(&weights, err);
    if (status == IB_OK)
        status = ib_model_check_settled_read(&states, err);
    if (status == IB_OK)
        status = ib_model_load_read(model, &weights, err);
    if (status == IB_OK)
        status = ib_model_load_optimizer_read(model, &states, steps, err);
    ib_safetensors_close(&weights);
    ib_safetensors_close(&states);
    return status;
}

static ib_status read_files(const char *folder, uint64_t step, const char *experiment_sha256,
                            ib_model *model, ib_checkpoint *checkpoint, ib_error *err) {
    char *json_path = path_of(folder, step, JSON), *model_path = path_of(folder, step, MODEL);
    char *optimizer_path = path_of(folder, step, OPTIMIZER);
    json_t *object = NULL;
    uint64_t steps = 0;
    ib_status status = IB_OK;
    if (json_path == NULL || model_path == NULL || optimizer_path == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = read_json(json_path, experiment_sha256, &object, checkpoint, err);
    if (status == IB_OK)
        status = load_files(object, model_path, optimizer_path, model, &steps, err);
    if (status == IB_OK && (steps != step || checkpoint->position.steps != step))
        status = damaged(json_path, "its name and its files are of different steps", err);
    json_decref(object);
    free(json_path);
    free(model_path);
    free(optimizer_path);
    return status;
}

ib_status ib_checkpoint_read(const char *run_directory, const char *experiment_sha256,
                             ib_model *model, ib_checkpoint *checkpoint, ib_error *err) {
    uint64_t steps[KEPT] = {0};
    *checkpoint = (ib_checkpoint){0};
    char *folder = ib_path_join(run_directory, FOLDER);
    if (folder == NULL)
        return ib_fail_memory(err);
    size_t count = 0;
    ib_status status = newest_steps(folder, steps, &count, err);
    if (status == IB_OK && count > 0)
        status = read_files(folder, steps[0], experiment_sha256, model, checkpoint, err);
    free(folder);
    return status;
}
