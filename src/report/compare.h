/* Run records side by side. Reads records only. */
#ifndef IB_REPORT_COMPARE_H
#define IB_REPORT_COMPARE_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"
#include "record/run.h"

typedef struct ib_comparison {
    size_t count;
    ib_run *runs;            /* each with its canonical form */
    const ib_run **finished; /* of them, those of one experiment next to each other */
    size_t finished_count;
} ib_comparison;

/* Reads the records of these run directories (or their run.json). Not there or damaged:
 * IB_ERROR_VERIFY. Zero-initialise; the caller closes, also after a failure. */
ib_status ib_comparison_open(const char *const *runs, size_t count, ib_comparison *comparison,
                             ib_error *err);
void ib_comparison_close(ib_comparison *comparison);

/* The first two records of one experiment_sha256 whose results differ. 0: there are none. */
int ib_comparison_conflict(const ib_comparison *comparison, size_t *first, size_t *second);
/* How many pairs next to each other in one experiment have the same results. */
size_t ib_comparison_agreements(const ib_comparison *comparison);
/* The first member of results, or of the record, in which two runs differ; NULL: none. */
const char *ib_comparison_differing_result(const ib_run *a, const ib_run *b);

/* The first line of metrics.jsonl in which two runs differ: a new object with key, step, epoch, a
 * and b, or JSON null where none does. */
ib_status ib_comparison_metrics(const ib_run *a, const ib_run *b, json_t **found, ib_error *err);

/* A table for people. */
ib_status ib_comparison_print(const ib_comparison *comparison, FILE *out, ib_error *err);
/* A new object with runs and differences; NULL: out of memory. */
json_t *ib_comparison_json(const ib_comparison *comparison);

#endif
