/* From a study and its run records to what a report shows. Reads records only. */
#ifndef IB_REPORT_BUILD_H
#define IB_REPORT_BUILD_H

#include "base/status.h"
#include "report/records.h"
#include "report/report.h"
#include "study/study.h"

/* One run of the study and how it stands. Texts and lists are the caller's. */
typedef struct ib_report_input_run {
    const char *state;     /* "finished", "missing", "not run", ... */
    const char *reason;    /* NULL: none */
    const char *directory; /* of its record; NULL: there is none */
    const char **others;   /* directories of other finished records of the same experiment */
    size_t other_count;
    const char *experiment_sha256;
    char *text; /* "mnist cnn batch-size=32 seed=1" */
} ib_report_input_run;

typedef struct ib_report_input {
    const ib_study *study;
    const ib_report_input_run *runs;
    size_t run_count;
    const size_t *run_of_cell;
    const double *parameters, *flops; /* by cell; NaN: not known. NULL: no table asks for them */
    const ib_report_pricing *pricing; /* NULL: nothing asks for costs */
    const char *source, *command, *program;
    const char **unreadable; /* directories whose run.json is damaged */
    size_t unreadable_count;
} ib_report_input;

/* Whether a report of the study shows costs or energy: else nobody asked for prices. */
int ib_study_shows_costs(const ib_study *study);

/* The caller calls ib_report_free, also after a failure. */
ib_status ib_report_build(const ib_report_input *input, ib_report *report, ib_error *err);

#endif
