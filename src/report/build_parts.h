/* What the files build*.c and findings.c share. */
#ifndef IB_REPORT_BUILD_PARTS_H
#define IB_REPORT_BUILD_PARTS_H

#include <jansson.h>

#include "report/build.h"
#include "report/records.h"

enum { IB_REPORT_TEXT = 64, IB_REPORT_MAX_GRID = 1 << 20 };

/* Everything at hand while a report is made. failed is set once memory ran out; what is made after
 * that is thrown away. */
typedef struct ib_builder {
    const ib_report_input *input;
    const ib_study *study;
    ib_report *report;
    ib_report_record *records; /* by run; directory NULL: none */
    size_t *config_of_cell;    /* cells that differ in the seed alone share a number */
    size_t config_count;
    const char *currency;                 /* of all costs; "": there is no price */
    size_t **published_of_cell;           /* indices into study->published */
    size_t *published_counts;             /* by cell */
    unsigned char varied[IB_MAX_OPTIONS]; /* options of which cells were given different values */
    int failed;
} ib_builder;

/* Passes a fresh text on; NULL becomes "out of memory". */
char *ib_keep(ib_builder *b, char *text);
char *ib_keep_copy(ib_builder *b, const char *text);
/* Room for one more; NULL and failed when out of memory. The new element is zero. */
void *ib_append(ib_builder *b, void *list_pointer, size_t *count, size_t size);
/* Puts more behind *text with separator between; *text NULL: more alone. */
void ib_extend(ib_builder *b, char **text, const char *separator, const char *more);

/* ---- dimensions ---------------------------------------------------------------------------------
 */

/* "batch size" for "batch-size". */
const char *ib_dimension_title(const char *dimension);
/* The value that a cell has in a dimension; "" where it means nothing. Fresh memory. */
char *ib_dimension_text(const ib_study *study, size_t cell, size_t epoch, const char *dimension);
/* The option's value, as on the command line, but "all" for 0 images; fresh memory. */
char *ib_option_text(const ib_option *option, const ib_config *config);

/* Different combinations of values of some dimensions, in order of appearance. */
typedef struct ib_tuples {
    size_t dimension_count, count;
    const char *const *dimensions;
    char **parts; /* [tuple][dimension] */
    json_t *index;
} ib_tuples;
/* "16, sgd" or, with names, "batch size 16, sgd". Fresh memory. */
char *ib_tuple_text(ib_builder *b, const ib_tuples *tuples, size_t tuple, int names);
/* "batch size, optimiser". Fresh memory. */
char *ib_tuples_title(ib_builder *b, const ib_tuples *tuples);

/* A cell in its place; epoch 0: as it ended. */
typedef struct ib_entry {
    size_t cell, epoch, panel, row, column, order;
} ib_entry;
typedef struct ib_bucket {
    const ib_entry *entries;
    size_t count;
} ib_bucket;
typedef struct ib_cross {
    ib_tuples panels, rows, columns;
    ib_entry *entries; /* sorted by place */
    size_t count;
} ib_cross;
typedef struct ib_axes {
    ib_text_list panels, rows, columns;
    const unsigned char *cells; /* which cells take part, by cell; NULL: all of the groups */
} ib_axes;

void ib_cross_make(ib_builder *b, const ib_report_item *item, const ib_axes *axes, ib_cross *cross);
void ib_cross_free(ib_cross *cross);
/* All entries of a place; an index of SIZE_MAX leaves it open from there on. */
ib_bucket ib_cross_bucket(const ib_cross *cross, size_t panel, size_t row, size_t column);

/* ---- values -------------------------------------------------------------------------------------
 */

int ib_run_is_finished(const ib_builder *b, size_t run);

/* Over the different runs of a bucket. */
typedef struct ib_statistics {
    size_t asked, count;                              /* runs, and those with a value */
    double mean, deviation, half_interval, low, high; /* NaN where it cannot be */
} ib_statistics;
ib_statistics ib_bucket_statistics(ib_builder *b, const ib_report_item *item, ib_bucket bucket,
                                   const ib_metric_info *metric);
ib_statistics ib_statistics_of(const double *values, size_t count);
/* The 97.5 % quantile of Student's t. */
double ib_student_t(size_t degrees);

/* The value of one cell; NaN: none. */
double ib_cell_value(ib_builder *b, const ib_report_item *item, size_t cell, size_t epoch,
                     const ib_metric_info *metric);

/* ours less the published value, 0 inside a range. */
double ib_published_difference(double ours, const ib_published *published);
/* The published values beside a bucket: indices into study->published; fresh memory. */
size_t *ib_bucket_published(ib_builder *b, ib_bucket bucket, const ib_metric_info *metric,
                            size_t *count);

/* The title with its unit, "test accuracy (%)". */
char *ib_metric_label(ib_builder *b, const ib_metric_info *metric);
/* Without the unit. */
char *ib_value_text(ib_builder *b, const ib_metric_info *metric, double value);
char *ib_difference_text(ib_builder *b, const ib_metric_info *metric, double value);
char *ib_published_text(ib_builder *b, const ib_published *published);

/* "2 of 12 runs are missing: ..." over the runs of a cross; NULL: none. Fresh memory. */
char *ib_missing_text(ib_builder *b, const ib_cross *cross);
/* "1 of 3 runs: not run: needs a GPU"; NULL: all are finished. Fresh memory. */
char *ib_bucket_remark(ib_builder *b, ib_bucket bucket);
/* The machines of a bucket's finished runs; fresh memory, "" where there are none. */
char *ib_bucket_machines(ib_builder *b, ib_bucket bucket);

/* "resnet18, batch size 16": what tells a cell's configuration from others; options in but are left
 * out. Fresh memory. */
char *ib_config_text(ib_builder *b, size_t cell, const ib_text_list *but);

/* Marks, by cell, the configuration that select chooses for each tuple of rows (and panels); what
 * has no value of that metric on all its finished runs is never chosen. Fresh memory. */
unsigned char *ib_best_cells(ib_builder *b, const ib_report_item *item, const ib_axes *axes);

/* ---- parts of the report ------------------------------------------------------------------------
 */

void ib_build_table(ib_builder *b, const ib_report_item *item);
void ib_build_figure(ib_builder *b, const ib_report_item *item);
void ib_build_findings(ib_builder *b);
/* What the study costs, and how busy its runs kept the machine. */
void ib_build_cost_findings(ib_builder *b);
/* Takes both texts, fresh memory. */
void ib_add_finding(ib_builder *b, char *text, char *basis);

/* "aws-c5.2xlarge, 0.34 USD per hour on demand, ..." for each price that these runs have, or why
 * they have none. Fresh memory. */
char *ib_prices_text(ib_builder *b, const ib_cross *cross);
/* Sentences below a table of resources: prices, energy, what records do not hold. */
void ib_note_resources(ib_builder *b, const ib_cross *cross, ib_report_table *table);

#endif
