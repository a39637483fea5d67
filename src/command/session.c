#include "command/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "monitor/resources_read.h"
#include "record/recorded.h"

_Static_assert((int)IB_CHOOSE_OFFICIAL == (int)IB_SPLIT_OFFICIAL &&
                   (int)IB_CHOOSE_70_10_20 == (int)IB_SPLIT_70_10_20,
               "the option's values are the split's");

/* Support vector machines need all images at once. */
static size_t memory_for_data(const ib_config *config) {
    ib_limits limits;
    ib_memory_use machine;
    if (config->experiment.model == IB_MODEL_SVM)
        return SIZE_MAX;
    if (config->machine.data_memory > 0)
        return (size_t)config->machine.data_memory << 20;
    ib_limits_read("", &limits);
    return ib_read_memory("", &limits, &machine) ? (size_t)(machine.total / 2) : SIZE_MAX;
}

ib_status ib_session_open(const ib_config *config, ib_session *session, ib_error *err) {
    ib_backend_options options = {.backend =
                                      config->machine.no_accel ? "cpu" : config->machine.backend,
                                  .isa = config->machine.isa,
                                  .threads = (unsigned)config->machine.threads};
    IB_TRY(ib_backend_open(&options, &session->backend, err));
    IB_TRY(ib_dataset_open_within(config->data.dir, config->experiment.dataset,
                                  memory_for_data(config), &session->dataset, err));
    const ib_dataset *dataset = &session->dataset;
    IB_TRY(ib_split_make((ib_split_kind)config->experiment.split, dataset->train_count,
                         dataset->test_count, config->experiment.seed,
                         (size_t)config->experiment.train_size,
                         (size_t)config->experiment.test_size, &session->split, err));
    return ib_split_limit_validation(&session->split, (size_t)config->experiment.validation_size,
                                     err);
}

ib_status ib_session_make_table(const ib_config *config, ib_session *session, ib_error *err) {
    const ib_split *split = &session->split;
    if (!ib_normalization_at((size_t)config->experiment.normalize)->by_pixel)
        return IB_OK;
    return ib_pixel_table_make(&session->dataset, split->train, split->train_count, &session->table,
                               err);
}

ib_status ib_session_read_table(const char *model_path, ib_session *session, ib_error *err) {
    char *path = ib_pixel_table_path(model_path);
    ib_status status = path == NULL ? ib_fail_memory(err)
                                    : ib_pixel_table_read(path, session->dataset.image_bytes,
                                                          &session->table, err);
    free(path);
    return status;
}

size_t ib_session_test_batch(const ib_config *config, const ib_session *session) {
    /* Results do not depend on it, memory does: larger chunks than this gain nothing. */
    enum { LARGEST_USEFUL = 128 };
    size_t batch = (size_t)config->machine.test_batch_size;
    if (batch > LARGEST_USEFUL)
        batch = LARGEST_USEFUL;
    return batch < session->split.test_count ? batch : session->split.test_count;
}

ib_status ib_check_model_memory(const ib_model *model, ib_error *err) {
    ib_network_memory m = ib_model_memory(model);
    double needed = (double)m.parameters + (double)m.gradients + (double)m.optimizer +
                    (double)m.activations + (double)m.activation_gradients;
    ib_limits limits;
    ib_memory_use machine;
    ib_limits_read("", &limits);
    if (!ib_read_memory("", &limits, &machine) || needed <= (double)machine.total)
        return IB_OK;
    return ib_fail(err, IB_ERROR_USAGE,
                   "training this network needs %.1f GB for a batch of this size, and there are "
                   "%.1f GB here: take a smaller --batch-size",
                   1e-9 * needed, 1e-9 * (double)machine.total);
}

ib_status ib_session_open_model(const ib_config *config, int training, ib_session *session,
                                ib_error *err) {
    /* In training, evaluation goes through the training batch's memory. */
    size_t batch =
        training ? (size_t)config->experiment.batch_size : ib_session_test_batch(config, session);
    const ib_dataset_info *info = session->dataset.info;
    IB_TRY(ib_model_open(session->backend, &config->experiment, info, batch, training,
                         &session->model, err));
    if (!training)
        return IB_OK;
    if (ib_model_needs_table(session->model))
        IB_TRY(ib_model_standardize(session->model, &session->table, err));
    IB_TRY(ib_check_model_memory(session->model, err));
    if (config->experiment.init_model != NULL) {
        ib_status status = ib_model_load_read(session->model, &session->init, err);
        ib_safetensors_close(&session->init);
        return status;
    }
    return ib_model_initialize(session->model, config->experiment.seed, err);
}

void ib_session_close(ib_session *session) {
    if (session->model != NULL)
        ib_model_close(session->model);
    ib_safetensors_close(&session->init);
    ib_pixel_table_close(&session->table);
    ib_split_close(&session->split);
    ib_dataset_close(&session->dataset);
    if (session->backend != NULL)
        ib_backend_close(session->backend);
    *session = (ib_session){0};
}

ib_status ib_identify(const ib_config *config, ib_session *session, char **experiment,
                      char **canonical, char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    *experiment = ib_format("%s-%s", config->experiment.dataset,
                            ib_experiment_model_name(&config->experiment));
    if (*experiment == NULL)
        return ib_fail_memory(err);
    ib_experiment_inputs inputs = {.train_count = session->split.train_count,
                                   .test_count = session->split.test_count};
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        inputs.data_sha256[role] = session->dataset.sha256[role];
    inputs.imported = session->dataset.info->imported ? session->dataset.info : NULL;
    char init_sha256[IB_SHA256_HEX_SIZE];
    if (config->experiment.init_model != NULL) {
        if (!ib_path_exists(config->experiment.init_model))
            return ib_fail(err, IB_ERROR_VERIFY, "--init-model: there is no file %s",
                           config->experiment.init_model);
        ib_safetensors *init = &session->init;
        ib_safetensors_close(init);
        IB_TRY(ib_safetensors_open(config->experiment.init_model, init, err));
        ib_sha256_bytes(init->own.data, init->own.size, init_sha256);
        IB_TRY(ib_check_beside(config->experiment.init_model, init_sha256, err));
        inputs.init_model_sha256 = init_sha256;
    }
    char *network = NULL;
    IB_TRY(ib_network_identify(&config->experiment, &inputs.model, &network, err));
    inputs.network = network;
    ib_status status = ib_canonical(config, &inputs, canonical, hex, err);
    free(network);
    return status;
}

/* VmHWM, because ru_maxrss keeps the peak of the process that called exec. */
uint64_t ib_peak_rss_bytes(void) {
    FILE *stream = fopen("/proc/self/status", "re");
    char *line = NULL;
    size_t capacity = 0;
    uint64_t bytes = 0;
    while (stream != NULL && getline(&line, &capacity, stream) >= 0)
        if (strncmp(line, "VmHWM:", 6) == 0)
            bytes = strtoull(line + 6, NULL, 10) * 1024;
    free(line);
    if (stream != NULL)
        fclose(stream);
    struct rusage usage;
    if (bytes == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        bytes = (uint64_t)usage.ru_maxrss * 1024;
    return bytes;
}

uint64_t ib_file_bytes(const ib_folder *folder, const char *name) {
    struct stat info;
    return fstatat(folder->fd, name, &info, 0) == 0 ? (uint64_t)info.st_size : 0;
}
