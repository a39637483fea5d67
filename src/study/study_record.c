/* study.json: how a study stands. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "study/study_plan.h"

enum { STUDY_FORMAT = 1 };

static void write_needs(unsigned needs, ib_json *json) {
    unsigned bit;
    const char *name;
    ib_json_open(json, "needs", '[');
    for (size_t i = 0; (name = ib_need_name(i, &bit)) != NULL; ++i)
        if ((needs & bit) != 0)
            ib_json_string(json, NULL, name);
    ib_json_close(json, ']');
}

static ib_status write_cell(const ib_study_plan *plan, size_t index, ib_json *json, ib_error *err) {
    const ib_study_cell *cell = &plan->study->cells[index];
    const ib_study_run *run = &plan->runs[plan->run_of_cell[index]];
    const ib_option *option;
    ib_json_open(json, NULL, '{');
    ib_json_uint(json, "cell", index);
    ib_json_string(json, "group", plan->study->groups[cell->group].name);
    ib_json_string(json, "label", cell->label);
    ib_json_uint(json, "line", cell->line);
    ib_json_string(json, "experiment_sha256", run->experiment_sha256);
    ib_json_string(json, "backend", run->named_backend);
    ib_json_string(json, "state", ib_run_state_name(run->state));
    if (run->run_id != NULL && run->state != IB_RUN_NOT_HERE) {
        char *path = ib_path_join(plan->folders[run->folder].experiment, run->run_id);
        if (path == NULL)
            return ib_fail_memory(err);
        ib_json_string(json, "run", path);
        free(path);
    } else {
        ib_json_string(json, "run", NULL);
    }
    ib_json_string(json, "reason", run->state == IB_RUN_NOT_HERE ? run->obstacle : run->message);
    ib_json_bool(json, "changed", cell->changed);
    write_needs(cell->needs, json);
    ib_json_open(json, "options", '{');
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (ib_study_cell_uses(cell, i))
            ib_json_string(json, option->name, cell->texts[i]);
    ib_json_close(json, '}');
    ib_json_close(json, '}');
    return IB_OK;
}

static ib_status write_study(const ib_study_plan *plan, ib_json *json, ib_error *err) {
    const ib_study *study = plan->study;
    ib_json_open(json, NULL, '{');
    ib_json_int(json, "format", STUDY_FORMAT);
    ib_json_string(json, "study", study->name);
    ib_json_string(json, "title", study->title);
    ib_json_open(json, "files", '[');
    for (size_t i = 0; i < study->source_count; ++i) {
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "path", study->sources[i].path);
        ib_json_string(json, "sha256", study->sources[i].sha256);
        ib_json_close(json, '}');
    }
    ib_json_close(json, ']');
    ib_json_open(json, "overrides", '[');
    for (size_t i = 0; i < study->override_count; ++i)
        ib_json_string(json, NULL, study->overrides[i]);
    ib_json_close(json, ']');
    ib_json_uint(json, "runs", plan->run_count);
    ib_json_open(json, "cells", '[');
    for (size_t c = 0; c < study->cell_count; ++c)
        IB_TRY(write_cell(plan, c, json, err));
    ib_json_close(json, ']');
    ib_json_close(json, '}');
    fputc('\n', json->out);
    return IB_OK;
}

static ib_status open_folder(const ib_study_plan *plan, ib_folder *folder, ib_error *err) {
    char *directory = ib_path_join(plan->runs_dir, plan->study->name);
    ib_status status =
        directory == NULL ? ib_fail_memory(err) : ib_make_directories(directory, err);
    if (status == IB_OK)
        status = ib_folder_open(directory, folder, err);
    free(directory);
    return status;
}

ib_status ib_study_write(const ib_study_plan *plan, ib_error *err) {
    ib_folder folder;
    ib_atomic_file file;
    IB_TRY(open_folder(plan, &folder, err));
    ib_status status = ib_atomic_open_in(&file, &folder, "study.json", err);
    ib_folder_close(&folder);
    if (status != IB_OK)
        return status;
    ib_json json = {.out = file.stream, .indent = 2};
    status = write_study(plan, &json, err);
    if (status != IB_OK) {
        ib_atomic_abort(&file);
        return status;
    }
    return ib_atomic_commit(&file, err);
}

/* Opens and locks a file of the study's folder; waits for it. */
static ib_status take_lock(const ib_study_plan *plan, const char *name, int how, int *lock,
                           ib_error *err) {
    ib_folder folder;
    *lock = -1;
    IB_TRY(open_folder(plan, &folder, err));
    ib_status status = ib_folder_open_file(&folder, name, O_RDWR | O_CREAT, lock, err);
    int got = -1;
    while (status == IB_OK && (got = flock(*lock, how)) != 0 && errno == EINTR) {
    }
    if (status == IB_OK && got != 0) {
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno,
                               "cannot lock %s/%s: sweeps need a file system with locks",
                               folder.path, name);
        close(*lock);
        *lock = -1;
    }
    ib_folder_close(&folder);
    return status;
}

ib_status ib_study_hold(const ib_study_plan *plan, int *lock, ib_error *err) {
    return take_lock(plan, IB_STUDY_LOCK, LOCK_SH, lock, err);
}

ib_status ib_study_write_last(ib_study_plan *plan, const char *known, ib_error *err) {
    int lock;
    IB_TRY(take_lock(plan, ".study.lock", LOCK_EX, &lock, err));
    ib_status status = ib_study_plan_refresh_others(plan, known, err);
    if (status == IB_OK)
        status = ib_study_write(plan, err);
    close(lock);
    return status;
}
