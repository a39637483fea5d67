/* metrics.jsonl as it is read; record.c writes it. */
#ifndef IB_RECORD_METRIC_LINES_H
#define IB_RECORD_METRIC_LINES_H

#include <jansson.h>
#include <stdint.h>

#include "base/lines.h"
#include "base/status.h"
#include "record/run.h"

typedef struct ib_metric_line {
    const char *key;      /* good until the next line is read; NULL: the line is no metric */
    double value;         /* also NAN and infinities, as they were written */
    uint64_t step, epoch; /* 0: it does not say */
    int64_t time;         /* milliseconds since 1970; -1: it does not say */
} ib_metric_line;

typedef struct ib_metric_lines {
    ib_lines lines;
    json_t *json;
    int without_steps; /* the caller's: to pass over the many lines of the loss of each step */
} ib_metric_lines;

/* From an offset on, which the beginning of a line has; checked (run_files.h). The caller calls
 * ib_metric_lines_close, also after a failure. */
ib_status ib_metric_lines_open(const ib_run *run, uint64_t offset, ib_metric_lines *lines,
                               ib_error *err);
/* *there 0: there is no further line, or it is still being written. lines.offset is behind it. */
ib_status ib_metric_lines_next(ib_metric_lines *lines, ib_metric_line *line, int *there,
                               ib_error *err);
void ib_metric_lines_close(ib_metric_lines *lines);

/* A value as lines have it: a number, or a text where it is not finite. New; NULL: out of memory.
 */
json_t *ib_metric_value_json(double value);

#endif
