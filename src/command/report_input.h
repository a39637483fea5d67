/* What a report is made from: a study with its records, or a folder of records as a study. */
#ifndef IB_COMMAND_REPORT_INPUT_H
#define IB_COMMAND_REPORT_INPUT_H

#include <jansson.h>

#include "command/command.h"
#include "report/build.h"
#include "study/study_plan.h"

/* Zero-initialise; the caller calls ib_report_material_close, also after a failure. */
typedef struct ib_report_material {
    ib_study study;
    ib_study_plan plan; /* of an experiment file */
    ib_report_input input;
    char *directory;    /* where the report goes without -o */
    char *runs_dir;     /* fresh memory; NULL: the command line's */
    json_t *study_json; /* as the last sweep left it; NULL: there is none */
    const char **overrides;
    ib_report_input_run *runs;
    size_t *run_of_cell;
    double *parameters, *flops;
    char **owned; /* texts and lists that the above point to */
    size_t owned_count;
    char *command, *source;
    ib_prices prices;
    ib_report_pricing pricing;
} ib_report_material;

/* The operand of the command line: an experiment file, the folder of a study, or a folder of
 * records. log gets notes. */
ib_status ib_report_gather(const ib_arguments *arguments, const ib_command_context *context,
                           ib_report_material *material, ib_error *err);
void ib_report_material_close(ib_report_material *material);

/* ---- parts --------------------------------------------------------------------------------------
 */

/* Keeps fresh memory until the material is closed; NULL when out of memory. */
void *ib_material_keep(ib_report_material *material, void *memory);
/* Adds a directory of a damaged record. */
ib_status ib_material_unreadable(ib_report_material *material, char *directory, ib_error *err);

/* Makes a study of the records below the directory. None: IB_ERROR_VERIFY. */
ib_status ib_report_gather_folder(const char *directory, ib_report_material *material,
                                  ib_error *err);

#endif
