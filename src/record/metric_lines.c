#include "record/metric_lines.h"

#include <math.h>
#include <string.h>

#include "base/number.h"
#include "record/record_file.h"
#include "record/run_files.h"

static const char STEP[] = "{\"key\":\"train_loss\"";

ib_status ib_metric_lines_open(const ib_run *run, uint64_t offset, ib_metric_lines *lines,
                               ib_error *err) {
    *lines = (ib_metric_lines){0};
    return ib_run_lines_open(run, "metrics.jsonl", offset, &lines->lines, err);
}

void ib_metric_lines_close(ib_metric_lines *lines) {
    ib_lines_close(&lines->lines);
    json_decref(lines->json);
    lines->json = NULL;
}

static const struct {
    const char *text;
    double value;
} NOT_FINITE[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};

/* 0: it is no value. */
static int take_value(const json_t *json, double *value) {
    const char *text = json_string_value(json);
    *value = json_number_value(json);
    for (size_t i = 0; text != NULL && i < sizeof NOT_FINITE / sizeof NOT_FINITE[0]; ++i)
        if (strcmp(text, NOT_FINITE[i].text) == 0) {
            *value = NOT_FINITE[i].value;
            return 1;
        }
    return json_is_number(json);
}

static uint64_t natural_at(const json_t *object, const char *key) {
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

ib_status ib_metric_lines_next(ib_metric_lines *lines, ib_metric_line *line, int *there,
                               ib_error *err) {
    const char *text;
    size_t size;
    *line = (ib_metric_line){.time = -1};
    *there = 0;
    do
        IB_TRY(ib_lines_next(&lines->lines, &text, &size, err));
    while (lines->without_steps && text != NULL && size >= sizeof STEP - 1 &&
           memcmp(text, STEP, sizeof STEP - 1) == 0);
    json_decref(lines->json);
    lines->json = NULL;
    if (text != NULL)
        IB_TRY(ib_json_parse(text, size, &lines->json, NULL, err));
    const json_t *time = json_object_get(lines->json, "timestamp");
    *there = text != NULL;
    *line = (ib_metric_line){.step = natural_at(lines->json, "step"),
                             .epoch = natural_at(lines->json, "epoch"),
                             .time = json_is_integer(time) ? json_integer_value(time) : -1};
    if (take_value(json_object_get(lines->json, "value"), &line->value))
        line->key = ib_json_text_at(lines->json, "key");
    return IB_OK;
}

json_t *ib_metric_value_json(double value) {
    return isfinite(value) ? ib_json_number(value)
                           : json_string(isnan(value) ? "NaN"
                                         : value > 0  ? "Infinity"
                                                      : "-Infinity");
}
