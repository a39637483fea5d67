#include "study/study_plan.h"

#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/text_stream.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "options/canonical.h"

/* ---- what this machine lacks --------------------------------------------------------------------
 */

/* Tries a backend once; the answer is kept. */
static ib_status probe_backend(ib_study_plan *plan, const char *backend, const char *isa,
                               const ib_backend_probe **answer, ib_error *err) {
    for (size_t i = 0; i < plan->probe_count; ++i) {
        *answer = &plan->probes[i];
        if (strcmp((*answer)->backend, backend) == 0 && strcmp((*answer)->isa, isa) == 0)
            return IB_OK;
    }
    ib_backend_probe *probes = realloc(plan->probes, (plan->probe_count + 1) * sizeof *probes);
    if (probes == NULL)
        return ib_fail_memory(err);
    plan->probes = probes;
    ib_backend_probe *fresh = &probes[plan->probe_count++];
    *fresh = (ib_backend_probe){.backend = backend, .isa = isa};
    *answer = fresh;
    ib_backend_options options = {.backend = backend, .isa = isa, .threads = 1};
    ib_backend *opened = NULL;
    ib_error why = {0};
    if (ib_backend_open(&options, &opened, &why) == IB_OK) {
        fresh->name = strdup(opened->info.name);
        ib_backend_close(opened);
    } else {
        fresh->obstacle = strdup(ib_error_text(&why));
    }
    int is_memory = ib_error_is_memory(&why) || (fresh->name == NULL && fresh->obstacle == NULL);
    ib_error_clear(&why);
    return is_memory ? ib_fail_memory(err) : IB_OK;
}

static const char *unmet_need(unsigned needs, int has_gpu) {
    if ((needs & IB_NEED_APPLE_GPU) != 0)
        return "needs an Apple GPU, for which isobit has no backend";
    if ((needs & IB_NEED_MIXED_PRECISION) != 0)
        return "needs mixed precision: isobit computes in binary32 with one exact result";
    if ((needs & IB_NEED_PIN_MEMORY) != 0)
        return "needs pinned host memory, which is for copies to a GPU: nothing is copied here";
    if ((needs & IB_NEED_GPU) != 0 && !has_gpu)
        return "needs a GPU, and neither cuda nor opencl is available here";
    return NULL;
}

static ib_status find_obstacle(ib_study_plan *plan, const ib_study_cell *cell, ib_study_run *run,
                               ib_error *err) {
    const ib_config *config = &cell->arguments.config;
    const ib_backend_probe *own = NULL, *gpu = NULL;
    int has_gpu = 0;
    if ((cell->needs & IB_NEED_GPU) != 0) {
        static const char *const GPUS[] = {"cuda", "opencl"};
        for (size_t i = 0; i < 2; ++i) {
            IB_TRY(probe_backend(plan, GPUS[i], "auto", &gpu, err));
            has_gpu |= gpu->obstacle == NULL;
        }
    }
    IB_TRY(probe_backend(plan, config->machine.backend, config->machine.isa, &own, err));
    const char *why = unmet_need(cell->needs, has_gpu);
    if (why == NULL)
        why = own->obstacle;
    run->obstacle = why != NULL ? strdup(why) : NULL;
    run->backend = strdup(own->name != NULL ? own->name : config->machine.backend);
    int named = strcmp(config->machine.backend, "auto") != 0;
    if (named)
        run->named_backend = strdup(config->machine.backend);
    if (run->backend == NULL || (why != NULL && run->obstacle == NULL) ||
        (named && run->named_backend == NULL))
        return ib_fail_memory(err);
    return IB_OK;
}

/* ---- identity -----------------------------------------------------------------------------------
 */

/* experiment_sha256 from what is pinned about the data set: its files need not be there. */
static ib_status identify_with(const ib_study_cell *cell, const ib_dataset_info *info,
                               ib_study_run *run, ib_error *err) {
    const ib_config *config = &cell->arguments.config;
    ib_split counts;
    IB_TRY(ib_split_count((ib_split_kind)config->experiment.split, info->train_count,
                          info->test_count, (size_t)config->experiment.train_size,
                          (size_t)config->experiment.test_size, &counts, err));
    IB_TRY(ib_split_limit_validation(&counts, (size_t)config->experiment.validation_size, err));
    ib_experiment_inputs inputs = {.train_count = counts.train_count,
                                   .test_count = counts.test_count,
                                   .imported = info->imported ? info : NULL};
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        inputs.data_sha256[role] = info->sha256[role];
    char init_sha256[IB_SHA256_HEX_SIZE];
    if (config->experiment.init_model != NULL) {
        if (!ib_path_exists(config->experiment.init_model))
            return ib_fail(err, IB_ERROR_VERIFY, "init-model: there is no file %s",
                           config->experiment.init_model);
        IB_TRY(ib_sha256_file(config->experiment.init_model, init_sha256, err));
        inputs.init_model_sha256 = init_sha256;
    }
    char *canonical = NULL, *network = NULL;
    IB_TRY(ib_network_identify(&config->experiment, &inputs.model, &network, err));
    inputs.network = network;
    ib_status status = ib_canonical(config, &inputs, &canonical, run->experiment_sha256, err);
    free(canonical);
    free(network);
    return status;
}

static ib_status identify(const ib_study_plan *plan, const ib_study_cell *cell, ib_study_run *run,
                          ib_error *err) {
    ib_dataset_description data;
    IB_TRY(
        ib_dataset_describe(plan->data_dir, cell->arguments.config.experiment.dataset, &data, err));
    ib_status status = identify_with(cell, data.info, run, err);
    ib_dataset_description_close(&data);
    return status;
}

static ib_status find_folder(ib_study_plan *plan, const ib_config *config, size_t *folder,
                             ib_error *err) {
    char *name = ib_format("%s-%s", config->experiment.dataset,
                           ib_experiment_model_name(&config->experiment));
    if (name == NULL)
        return ib_fail_memory(err);
    for (*folder = 0; *folder < plan->folder_count; ++*folder)
        if (strcmp(plan->folders[*folder].experiment, name) == 0) {
            free(name);
            return IB_OK;
        }
    ib_record_index *folders =
        realloc(plan->folders, (plan->folder_count + 1) * sizeof *plan->folders);
    char *directory = ib_path_join(plan->runs_dir, name);
    if (folders != NULL)
        plan->folders = folders;
    if (folders == NULL || directory == NULL) {
        free(name);
        free(directory);
        return ib_fail_memory(err);
    }
    folders[plan->folder_count++] = (ib_record_index){.experiment = name, .directory = directory};
    return IB_OK;
}

static void free_run(ib_study_run *run) {
    free(run->named_backend);
    free(run->backend);
    free(run->obstacle);
    free(run->run_id);
    free(run->message);
    *run = (ib_study_run){0};
}

/* An earlier run that is this one too; NULL: none. */
static ib_study_run *same_run(const ib_study_plan *plan, const ib_study_run *run) {
    for (size_t i = 0; i < plan->run_count; ++i) {
        ib_study_run *other = &plan->runs[i];
        if (strcmp(other->experiment_sha256, run->experiment_sha256) == 0 &&
            strcmp(other->backend, run->backend) == 0 &&
            (other->obstacle == NULL) == (run->obstacle == NULL) &&
            (run->obstacle == NULL || strcmp(run->obstacle, other->obstacle) == 0))
            return other;
    }
    return NULL;
}

static ib_status add_cell(ib_study_plan *plan, size_t c, ib_error *err) {
    const ib_study_cell *cell = &plan->study->cells[c];
    ib_study_run fresh = {.first_cell = c};
    ib_status status = identify(plan, cell, &fresh, err);
    if (status != IB_OK)
        ib_fail_context(err, "%s:%zu", plan->study->sources[0].path, cell->line);
    if (status == IB_OK)
        status = find_obstacle(plan, cell, &fresh, err);
    if (status == IB_OK)
        status = find_folder(plan, &cell->arguments.config, &fresh.folder, err);
    if (status != IB_OK) {
        free_run(&fresh);
        return status;
    }
    ib_study_run *same = same_run(plan, &fresh);
    plan->run_of_cell[c] = same != NULL ? (size_t)(same - plan->runs) : plan->run_count;
    if (same == NULL) {
        plan->runs[plan->run_count++] = fresh;
        return IB_OK;
    }
    if (same->named_backend == NULL) {
        same->named_backend = fresh.named_backend;
        fresh.named_backend = NULL;
    }
    free_run(&fresh);
    return IB_OK;
}

ib_status ib_study_plan_make(const ib_study *study, const char *runs_dir, const char *data_dir,
                             ib_study_plan *plan, ib_error *err) {
    *plan = (ib_study_plan){.study = study, .runs_dir = runs_dir, .data_dir = data_dir};
    plan->runs = calloc(study->cell_count, sizeof *plan->runs);
    plan->run_of_cell = calloc(study->cell_count, sizeof *plan->run_of_cell);
    if (plan->runs == NULL || plan->run_of_cell == NULL)
        return ib_fail_memory(err);
    for (size_t c = 0; c < study->cell_count; ++c)
        IB_TRY(add_cell(plan, c, err));
    return IB_OK;
}

void ib_study_plan_close(ib_study_plan *plan) {
    for (size_t i = 0; i < plan->run_count; ++i)
        free_run(&plan->runs[i]);
    for (size_t i = 0; i < plan->folder_count; ++i)
        ib_record_index_close(&plan->folders[i]);
    for (size_t i = 0; i < plan->probe_count; ++i) {
        free(plan->probes[i].name);
        free(plan->probes[i].obstacle);
    }
    free(plan->runs);
    free(plan->run_of_cell);
    free(plan->folders);
    free(plan->probes);
    *plan = (ib_study_plan){0};
}

/* ---- how runs stand -----------------------------------------------------------------------------
 */

static ib_status set_state(const ib_study_plan *plan, ib_study_run *run, ib_error *err) {
    const ib_found_run *found = ib_record_index_find(&plan->folders[run->folder],
                                                     run->experiment_sha256, run->named_backend);
    /* What a cell needs and lacks here makes a run that was done without it another one. */
    const ib_study_cell *cell = &plan->study->cells[run->first_cell];
    if (run->obstacle != NULL && (cell->needs != 0 || found == NULL)) {
        run->state = IB_RUN_NOT_HERE;
        return IB_OK;
    }
    free(run->run_id);
    run->run_id = NULL;
    run->state = found != NULL ? found->state : IB_RUN_MISSING;
    if (found == NULL)
        return IB_OK; /* a message of a run that left no record stays */
    free(run->message);
    run->message = found->message != NULL ? strdup(found->message) : NULL;
    run->run_id = strdup(found->run_id);
    return run->run_id == NULL || (found->message != NULL && run->message == NULL)
               ? ib_fail_memory(err)
               : IB_OK;
}

ib_status ib_study_plan_refresh_others(ib_study_plan *plan, const char *known, ib_error *err) {
    for (size_t i = 0; i < plan->folder_count; ++i)
        IB_TRY(ib_record_index_refresh(&plan->folders[i], err));
    for (size_t i = 0; i < plan->run_count; ++i)
        if (known == NULL || !known[i])
            IB_TRY(set_state(plan, &plan->runs[i], err));
    return IB_OK;
}

ib_status ib_study_plan_refresh(ib_study_plan *plan, ib_error *err) {
    return ib_study_plan_refresh_others(plan, NULL, err);
}

ib_status ib_study_run_refresh(ib_study_plan *plan, ib_study_run *run, ib_error *err) {
    IB_TRY(ib_record_index_refresh(&plan->folders[run->folder], err));
    return set_state(plan, run, err);
}

ib_status ib_study_run_has_data(const ib_study_plan *plan, const ib_study_run *run, int *all,
                                ib_error *err) {
    const char *dataset = plan->study->cells[run->first_cell].arguments.config.experiment.dataset;
    ib_dataset_description data;
    IB_TRY(ib_dataset_describe(plan->data_dir, dataset, &data, err));
    ib_status status = IB_OK;
    *all = 1;
    for (int role = 0; *all && role < IB_FILE_ROLES; ++role) {
        char *path = ib_format("%s/%s/%s", plan->data_dir, dataset,
                               ib_dataset_file_name(data.info, (ib_file_role)role));
        *all = path != NULL && ib_path_exists(path);
        if (path == NULL)
            status = ib_fail_memory(err);
        free(path);
    }
    ib_dataset_description_close(&data);
    return status;
}

/* ---- in words -----------------------------------------------------------------------------------
 */

void ib_study_cell_print(const ib_study *study, size_t index, FILE *out) {
    const ib_study_cell *cell = &study->cells[index];
    const ib_config *config = &cell->arguments.config;
    const ib_option *option;
    fprintf(out, "%s %s", config->experiment.dataset,
            ib_experiment_model_name(&config->experiment));
    if (cell->label != NULL)
        fprintf(out, " [%s]", cell->label);
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if (cell->origins[i] != IB_FROM_CELL || !ib_study_cell_uses(cell, i) ||
            strcmp(option->name, "dataset") == 0 || strcmp(option->name, "model") == 0)
            continue;
        fprintf(out, " %s=%s", option->name, cell->texts[i]);
    }
}

char *ib_study_cell_text(const ib_study *study, size_t index) {
    ib_text_stream text;
    if (ib_text_open(&text, NULL) != IB_OK)
        return NULL;
    ib_study_cell_print(study, index, text.stream);
    return ib_text_close(&text, NULL) == IB_OK ? text.data : NULL;
}
