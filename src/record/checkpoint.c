#include "record/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/number.h"
#include "base/sha256.h"
#include "record/record_file.h"
#include "record/seal.h"
#include "record/trace.h"

enum { FORMAT = 3, KEPT = 2, MAX_JSON_BYTES = 1 << 16 };

static const char FOLDER[] = "checkpoints";
static const char MODEL[] = ".model.safetensors";
static const char OPTIMIZER[] = ".optimizer.safetensors";
static const char JSON[] = ".json";

/* step-<N><suffix>, fresh memory. */
static char *name_of(uint64_t step, const char *suffix) {
    return ib_format("step-%012llu%s", (unsigned long long)step, suffix);
}

/* <folder>/step-<N><suffix>, fresh memory. */
static char *path_of(const ib_folder *folder, uint64_t step, const char *suffix) {
    return ib_format("%s/step-%012llu%s", folder->path, (unsigned long long)step, suffix);
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
    char digits[24]; /* those of 64 bits are 20 */
    length -= head + tail;
    if (length >= sizeof digits)
        return 0;
    memcpy(digits, name + head, length);
    digits[length] = '\0';
    return ib_parse_u64(digits, step) == 0;
}

typedef struct step_list {
    uint64_t *steps; /* in falling order; the caller frees them */
    size_t count;
} step_list;

static ib_status take_step(void *context, const char *name, ib_error *err) {
    step_list *list = context;
    uint64_t step;
    if (!is_named(name, JSON, &step))
        return IB_OK;
    uint64_t *more = realloc(list->steps, (list->count + 1) * sizeof *more);
    if (more == NULL)
        return ib_fail_memory(err);
    list->steps = more;
    more[list->count++] = step;
    return IB_OK;
}

static int newer_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* The steps of complete checkpoints. A folder that cannot be read is an error: its run must not
 * begin anew for that. */
static ib_status list_steps(const ib_folder *folder, step_list *list, ib_error *err) {
    *list = (step_list){0};
    ib_status status = ib_folder_visit(folder, take_step, list, err);
    if (list->count > 0)
        qsort(list->steps, list->count, sizeof *list->steps, newer_first);
    return status;
}

static int is_kept(const char *name, const step_list *kept) {
    uint64_t step;
    if (!is_named(name, JSON, &step) && !is_named(name, MODEL, &step) &&
        !is_named(name, OPTIMIZER, &step))
        return 0; /* what a killed process left half-written */
    for (size_t i = 0; i < kept->count; ++i)
        if (kept->steps[i] == step)
            return 1;
    return 0;
}

static int is_of_checkpoint(const char *name) {
    return strncmp(name, "step-", 5) == 0;
}

typedef struct removal {
    const ib_folder *folder;
    const step_list *kept;
    int json; /* only those */
} removal;

static ib_status remove_other(void *context, const char *name, ib_error *err) {
    const removal *r = context;
    uint64_t step;
    (void)err;
    if (is_of_checkpoint(name) && !is_kept(name, r->kept) &&
        (!r->json || is_named(name, JSON, &step)))
        unlinkat(r->folder->fd, name, 0);
    return IB_OK;
}

/* Two passes: without its JSON a checkpoint is none, whatever happens in between. */
static void remove_others(const ib_folder *folder, const step_list *kept) {
    for (int json = 1; json >= 0; --json)
        ib_folder_visit(folder, remove_other, &(removal){folder, kept, json}, NULL);
}

static ib_status check_name(void *context, const char *name, ib_error *err) {
    return is_of_checkpoint(name) ? ib_folder_check_file(context, name, O_RDONLY, err) : IB_OK;
}

ib_status ib_checkpoint_check_names(const ib_folder *run, ib_error *err) {
    ib_folder folder;
    IB_TRY(ib_folder_open_inner(run, FOLDER, 0, &folder, err));
    ib_status status =
        folder.path == NULL ? IB_OK : ib_folder_visit(&folder, check_name, &folder, err);
    ib_folder_close(&folder);
    return status;
}

void ib_checkpoint_remove(const ib_folder *run) {
    ib_folder folder;
    if (ib_folder_open_inner(run, FOLDER, 0, &folder, NULL) != IB_OK || folder.path == NULL)
        return;
    remove_others(&folder, &(step_list){0});
    unlinkat(run->fd, FOLDER, AT_REMOVEDIR);
    ib_folder_close(&folder);
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
    ib_json_uint(json, "metrics_bytes", checkpoint->metrics.bytes);
    ib_json_string(json, "metrics_sha256", checkpoint->metrics.sha256);
    ib_json_uint(json, "trace_bytes", checkpoint->trace.bytes);
    ib_json_string(json, "trace_sha256", checkpoint->trace.sha256);
    ib_json_string(json, "model_sha256", model_sha256);
    ib_json_string(json, "optimizer_sha256", optimizer_sha256);
}

static ib_status write_files(const ib_folder *folder, const char *experiment_sha256,
                             const ib_model *model, const ib_checkpoint *checkpoint,
                             ib_error *err) {
    uint64_t step = checkpoint->position.steps;
    char model_sha256[IB_SHA256_HEX_SIZE], optimizer_sha256[IB_SHA256_HEX_SIZE];
    char *model_name = name_of(step, MODEL);
    char *optimizer_name = name_of(step, OPTIMIZER);
    char *json_name = name_of(step, JSON);
    ib_sealing sealing = {0};
    ib_status status = IB_OK;
    if (model_name == NULL || optimizer_name == NULL || json_name == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = ib_model_save(model, folder, model_name, model_sha256, err);
    if (status == IB_OK)
        status =
            ib_model_save_optimizer(model, folder, optimizer_name, step, optimizer_sha256, err);
    if (status == IB_OK)
        status = ib_seal_open(&sealing, 0, err);
    if (status == IB_OK) {
        write_members(experiment_sha256, checkpoint, model_sha256, optimizer_sha256, &sealing.json);
        status = ib_seal_close(&sealing, err);
    }
    if (status == IB_OK)
        status = ib_write_file_in(folder, json_name, sealing.text.data, sealing.text.size, err);
    free(sealing.text.data);
    free(model_name);
    free(optimizer_name);
    free(json_name);
    return status;
}

ib_status ib_checkpoint_write(const ib_folder *run, const char *experiment_sha256,
                              const ib_model *model, const ib_checkpoint *checkpoint,
                              ib_error *err) {
    step_list kept = {0};
    ib_folder folder = {0};
    ib_status status = ib_folder_open_inner(run, FOLDER, 1, &folder, err);
    if (status == IB_OK)
        status = write_files(&folder, experiment_sha256, model, checkpoint, err);
    if (status != IB_OK)
        ib_fail_context(err, "the checkpoint after step %llu",
                        (unsigned long long)checkpoint->position.steps);
    if (folder.path != NULL && list_steps(&folder, &kept, NULL) == IB_OK) {
        kept.count = kept.count < KEPT ? kept.count : KEPT;
        remove_others(&folder, &kept);
    }
    free(kept.steps);
    ib_folder_close(&folder);
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

static int prefix_at(const json_t *object, const char *bytes, const char *sha256,
                     ib_prefix *prefix) {
    const char *hex = ib_json_text_at(object, sha256);
    if (!natural_at(object, bytes, &prefix->bytes) || hex == NULL ||
        strlen(hex) != (prefix->bytes == 0 && hex[0] == '\0' ? 0 : IB_SHA256_HEX_SIZE - 1))
        return 0;
    memcpy(prefix->sha256, hex, strlen(hex) + 1);
    return 1;
}

/* The sealed text as JSON; NULL when the seal is not that of the bytes before it. */
static ib_status unseal(const char *text, size_t size, json_t **object, ib_error *err) {
    *object = NULL;
    return ib_seal_look(text, size) == IB_SEAL_GOOD ? ib_json_parse(text, size, object, NULL, err)
                                                    : IB_OK;
}

static ib_status read_json(const char *path, const char *experiment_sha256, json_t **object,
                           ib_checkpoint *checkpoint, ib_error *err) {
    char *text = NULL;
    size_t size = 0;
    uint64_t format = 0, epoch = 0, step_in_epoch = 0, images = 0;
    ib_train_position *at = &checkpoint->position;
    IB_TRY(ib_read_file(path, MAX_JSON_BYTES, &text, &size, err));
    ib_status status = unseal(text, size, object, err);
    free(text);
    IB_TRY(status);
    if (*object == NULL)
        return damaged(path, "it is damaged: its SHA-256 is not that of its content", err);
    if (!natural_at(*object, "format", &format) || format != FORMAT)
        return damaged(path, "its format is not of this version", err);
    const char *experiment = ib_json_text_at(*object, "experiment_sha256");
    if (experiment == NULL || strcmp(experiment, experiment_sha256) != 0)
        return damaged(path, "it is of another experiment", err);
    if (!natural_at(*object, "step", &at->steps) || !natural_at(*object, "epoch", &epoch) ||
        !natural_at(*object, "step_in_epoch", &step_in_epoch) ||
        !natural_at(*object, "images", &images) ||
        !prefix_at(*object, "metrics_bytes", "metrics_sha256", &checkpoint->metrics) ||
        !prefix_at(*object, "trace_bytes", "trace_sha256", &checkpoint->trace) ||
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

/* model NULL: only checks them. */
static ib_status load_files(const json_t *object, const char *model_path,
                            const char *optimizer_path, ib_model *model, uint64_t *steps,
                            ib_error *err) {
    ib_safetensors weights = {0}, states = {0};
    ib_status status =
        open_checked(model_path, ib_json_text_at(object, "model_sha256"), &weights, err);
    if (status == IB_OK)
        status =
            open_checked(optimizer_path, ib_json_text_at(object, "optimizer_sha256"), &states, err);
    if (status == IB_OK && model != NULL)
        status = ib_model_check_settled_read(&weights, err);
    if (status == IB_OK && model != NULL)
        status = ib_model_check_settled_read(&states, err);
    if (status == IB_OK && model != NULL)
        status = ib_model_load_read(model, &weights, err);
    if (status == IB_OK && model != NULL)
        status = ib_model_load_optimizer_read(model, &states, steps, err);
    ib_safetensors_close(&weights);
    ib_safetensors_close(&states);
    return status;
}

/* model NULL: only checks them. */
static ib_status read_files(const ib_folder *folder, uint64_t step, const char *experiment_sha256,
                            ib_model *model, ib_checkpoint *checkpoint, ib_error *err) {
    char *json_path = path_of(folder, step, JSON), *model_path = path_of(folder, step, MODEL);
    char *optimizer_path = path_of(folder, step, OPTIMIZER);
    json_t *object = NULL;
    uint64_t steps = step;
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

/* *folder stays without a path where there are no checkpoints. */
static ib_status open_checkpoints(const char *run_directory, ib_folder *folder, step_list *list,
                                  ib_error *err) {
    ib_folder run;
    *folder = (ib_folder){0};
    *list = (step_list){0};
    IB_TRY(ib_folder_open(run_directory, &run, err));
    ib_status status = ib_folder_open_inner(&run, FOLDER, 0, folder, err);
    ib_folder_close(&run);
    return status == IB_OK && folder->path != NULL ? list_steps(folder, list, err) : status;
}

ib_status ib_checkpoint_read(const char *run_directory, const char *experiment_sha256,
                             ib_model *model, ib_checkpoint *checkpoint, ib_error *err) {
    step_list list;
    ib_folder folder;
    *checkpoint = (ib_checkpoint){0};
    ib_status status = open_checkpoints(run_directory, &folder, &list, err);
    if (status == IB_OK && list.count > 0)
        status = read_files(&folder, list.steps[0], experiment_sha256, model, checkpoint, err);
    free(list.steps);
    ib_folder_close(&folder);
    return status;
}

static ib_status check_prefix(const char *run_directory, const char *name, const ib_prefix *prefix,
                              ib_first_misfit *first_misfit, ib_error *err) {
    ib_sha256 hash;
    char *path = ib_path_join(run_directory, name);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_prefix_check(path, prefix, first_misfit, &hash, err);
    free(path);
    return status;
}

ib_status ib_checkpoint_check_prefixes(const char *run_directory, const ib_checkpoint *checkpoint,
                                       ib_error *err) {
    IB_TRY(check_prefix(run_directory, "metrics.jsonl", &checkpoint->metrics, ib_chain_first_misfit,
                        err));
    return check_prefix(run_directory, IB_TRACE_NAME, &checkpoint->trace, ib_trace_first_misfit,
                        err);
}

static ib_status check_one(const char *run_directory, const ib_folder *folder, uint64_t step,
                           const char *experiment_sha256, ib_error *err) {
    ib_checkpoint checkpoint = {0};
    ib_error why = {0};
    char *path = path_of(folder, step, JSON);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = read_files(folder, step, experiment_sha256, NULL, &checkpoint, &why);
    if (status == IB_OK)
        status = ib_checkpoint_check_prefixes(run_directory, &checkpoint, &why);
    if (status != IB_OK && ib_path_is_missing(path))
        status = IB_OK; /* the run goes on, and has removed it meanwhile */
    if (status != IB_OK)
        ib_error_pass(&why, err);
    ib_error_clear(&why);
    free(path);
    return status;
}

ib_status ib_checkpoint_check_all(const char *run_directory, const char *experiment_sha256,
                                  ib_error *err) {
    step_list list;
    ib_folder folder;
    ib_status status = open_checkpoints(run_directory, &folder, &list, err);
    for (size_t i = 0; status == IB_OK && i < list.count; ++i)
        status = check_one(run_directory, &folder, list.steps[i], experiment_sha256, err);
    free(list.steps);
    ib_folder_close(&folder);
    return status;
}
