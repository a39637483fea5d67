/* A run of a study: the run that it is nested in, and the name that tells it from the others. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "mlflow/mlflow_send.h"
#include "record/record_file.h"

static int same_text(const char *a, const char *b) {
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The cell of this record: that which names it, else one of the same experiment; NULL: none. */
static const json_t *find_cell(const json_t *cells, const ib_run *record) {
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(cells); ++i) {
        const json_t *cell = json_array_get(cells, i);
        const char *run = ib_json_text_at(cell, "run");
        const char *slash = run == NULL ? NULL : strrchr(run, '/');
        if (slash != NULL && same_text(slash + 1, record->run_id))
            return cell;
        if (found == NULL &&
            same_text(ib_json_text_at(cell, "experiment_sha256"), record->experiment_sha256))
            found = cell;
    }
    return found;
}

/* "seed=1 lr=0.1": the options that not all cells have alike, or the cell's label; fresh memory. */
static char *cell_name(const json_t *cells, const json_t *cell) {
    const char *label = ib_json_text_at(cell, "label");
    char *text = strdup(label != NULL ? label : "");
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(cell, "options"), name, value) {
        int varies = 0;
        for (size_t i = 0; !varies && i < json_array_size(cells); ++i) {
            const json_t *other = json_object_get(json_array_get(cells, i), "options");
            varies = !json_equal(json_object_get(other, name), value);
        }
        if (!varies || text == NULL)
            continue;
        char *longer = ib_format("%s%s%s=%s", text, text[0] == '\0' ? "" : " ", name,
                                 json_string_value(value));
        free(text);
        text = longer;
    }
    return text;
}

static ib_status read_study(const ib_mlflow_sender *s, const char *name, json_t **object,
                            ib_error *err) {
    char *path = ib_path_join(s->names.study, name);
    ib_status status = path == NULL ? ib_fail_memory(err) : ib_json_file_read(path, object, err);
    free(path);
    return status;
}

static ib_status find_name(ib_mlflow_sender *s, ib_error *err) {
    json_t *study = NULL;
    IB_TRY(read_study(s, "study.json", &study, err));
    const json_t *cells = json_object_get(study, "cells");
    const json_t *cell = find_cell(cells, &s->run);
    ib_status status = IB_OK;
    if (cell != NULL) {
        s->cell = cell_name(cells, cell);
        if (s->cell == NULL)
            status = ib_fail_memory(err);
        else if (s->cell[0] == '\0') { /* nothing varies */
            free(s->cell);
            s->cell = NULL;
        }
    }
    json_decref(study);
    return status;
}

ib_status ib_mlflow_find_parent(ib_mlflow_sender *s, ib_error *err) {
    if (s->names.study == NULL || s->parent != NULL)
        return IB_OK;
    json_t *file = NULL;
    IB_TRY(read_study(s, "mlflow.json", &file, err));
    const char *parent = ib_json_text_at(
        json_object_get(json_object_get(file, "servers"), s->client->settings.uri), "run_id");
    ib_status status = IB_OK;
    if (parent != NULL) {
        s->parent = strdup(parent);
        status = s->parent == NULL ? ib_fail_memory(err) : IB_OK;
    }
    json_decref(file);
    if (status == IB_OK && s->cell == NULL && s->names.run == NULL)
        status = find_name(s, err);
    return status;
}
