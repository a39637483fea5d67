/* Run records side by side. Reads records only. */
#ifndef IB_REPORT_COMPARE_H
#define IB_REPORT_COMPARE_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

typedef struct ib_comparison {
    size_t count;
    char **directories; /* of the runs */
    json_t **records;   /* run.json */
    json_t **canonical; /* parsed */
} ib_comparison;

/* Reads the records of these run directories (or their run.json). Not there or damaged:
 * IB_ERROR_VERIFY. Zero-initialise; the caller closes, also after a failure. */
ib_status ib_comparison_open(const char *const *runs, size_t count, ib_comparison *comparison,
                             ib_error *err);
void ib_comparison_close(ib_comparison *comparison);

/* Of the finished runs: how many pairs next to each other in one experiment_sha256 have the same
 * results, and the first two that have not. */
typedef struct ib_agreement {
    size_t same;
    int conflict; /* first and second, indices of runs, have other results */
    size_t first, second;
} ib_agreement;
ib_status ib_comparison_agreement(const ib_comparison *comparison, ib_agreement *agreement,
                                  ib_error *err);
/* The first member of results, or of the record, in which two runs differ; NULL: none. */
const char *ib_comparison_differing_result(const json_t *a, const json_t *b);

/* The first line of metrics.jsonl in which two runs differ: a new object with key, step, epoch, a
 * and b, or JSON null where none does or one run has no such file. */
ib_status ib_comparison_metrics(const ib_comparison *comparison, size_t first, size_t second,
                                json_t **metric, ib_error *err);

/* A table for people. */
ib_status ib_comparison_print(const ib_comparison *comparison, FILE *out, ib_error *err);
/* A new object with runs and differences; NULL: out of memory. */
json_t *ib_comparison_json(const ib_comparison *comparison);

#endif
