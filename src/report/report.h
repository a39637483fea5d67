/* What a report shows, apart from how it is written: made from run records by build*.c, written as
 * HTML, Markdown, CSV and JSON by write_*.c, its figures drawn by figure_*.c on canvas*.c.
 * All texts are UTF-8 without markup and belong to the report. */
#ifndef IB_REPORT_REPORT_H
#define IB_REPORT_REPORT_H

#include <stddef.h>

#include "study/study.h"

/* A value as tables show it. text is never NULL ("" for an empty cell); value is what CSV and JSON
 * hold at full precision, NaN where the cell is a text only. */
typedef struct ib_report_value {
    char *text;
    double value;
} ib_report_value;

/* What a column is, so that writers can set it apart. */
typedef enum ib_column_role {
    IB_COLUMN_HEADING,    /* names the row: "batch size" */
    IB_COLUMN_OURS,       /* measured here */
    IB_COLUMN_PUBLISHED,  /* what others published */
    IB_COLUMN_DIFFERENCE, /* ours less published */
    IB_COLUMN_REMARK,     /* machine, source, state: a text */
    IB_COLUMN_SPREAD,     /* of the column before it over seeds: standard deviation, interval */
} ib_column_role;
typedef struct ib_report_column {
    char *name; /* with its unit where it has one: "training time (s)" */
    char *key;  /* for CSV and JSON: "train_seconds" */
    ib_column_role role;
} ib_report_column;
typedef struct ib_report_table {
    char *name, *title;
    char *note;    /* NULL: none */
    char *missing; /* a sentence: which runs are missing; NULL: none */
    ib_report_column *columns;
    size_t column_count;
    ib_report_value *values; /* [row][column] */
    size_t row_count;
} ib_report_table;

/* y with the band low..high over seeds (both y where there is one seed; NaN: no value). x is a
 * number, or the index into the panel's labels where it has them (bars). */
typedef struct ib_figure_point {
    double x, y, low, high;
    char *label; /* beside a point of a scatter; NULL: none */
} ib_figure_point;
typedef struct ib_figure_series {
    char *name;    /* "" where there is only one */
    int published; /* drawn apart: hollow, dashed */
    ib_figure_point *points;
    size_t count;
} ib_figure_series;
/* An image that was taken for another class. */
typedef struct ib_figure_image {
    unsigned char *pixels; /* row by row, a pixel's channels together; 0 is ground */
    size_t height, width, channels;
    unsigned actual, predicted;
    double probability; /* of the predicted class; NaN: not known (model svm) */
    size_t index;       /* in the test images */
} ib_figure_image;
typedef struct ib_figure_panel {
    char *title;   /* "" where there is only one */
    char *y_label; /* of usage, whose panels show different things; NULL: the figure's */
    /* curves, bars, scatter, cost, usage */
    ib_figure_series *series;
    size_t series_count;
    char **labels; /* of bars' groups along x */
    size_t label_count;
    /* heatmap, confusion: matrix[row][column], NaN where there is no value */
    char **row_labels, **column_labels;
    size_t row_count, column_count;
    double *matrix;
    /* misclassified */
    ib_figure_image *images;
    size_t image_count;
} ib_figure_panel;
typedef struct ib_report_figure {
    ib_report_kind kind;
    char *name, *title;
    char *note;              /* NULL: none */
    char *missing;           /* a sentence: which runs are missing; NULL: none */
    char *x_label, *y_label; /* with units: "training time (s)" */
    int percent;   /* y (of a scatter x too, of a heatmap the matrix) holds shares, shown as percent
                    */
    int log_scale; /* of y; of cost: of x */
    ib_figure_panel *panels; /* 0: there is no data, missing says why */
    size_t panel_count;
    int too_large;     /* for a page: it is not drawn */
    char *description; /* a sentence for those who cannot see it */
} ib_report_figure;

/* A sentence computed from the data, and what it was computed from. */
typedef struct ib_finding {
    char *text;
    char *basis; /* "mean over 3 seeds, validation accuracy" */
} ib_finding;

/* What was run where, and what can be checked: one line of the report's last section. */
typedef struct ib_report_run {
    char *cell;                             /* "batch-size 32, lr 1.0, seed 1" */
    char *state;                            /* "finished", "missing", ... */
    char *machine;                          /* "AMD EPYC, 2 threads, avx512" */
    char *run_id;                           /* "" where there is none */
    char *experiment_sha256, *model_sha256; /* "" where there is none */
} ib_report_run;

typedef struct ib_report {
    char *name, *title;
    char *description; /* NULL: none */
    char *source;      /* the experiment file or folder */
    char *command;     /* what makes this report again */
    char *program;     /* "isobit 0.1.0, NUMERICS 0.2" */
    char **machines;   /* what the runs ran on */
    size_t machine_count;
    size_t asked, finished; /* runs */
    ib_finding *findings;
    size_t finding_count;
    ib_report_table *tables;
    size_t table_count;
    ib_report_figure *figures;
    size_t figure_count;
    ib_report_run *runs;
    size_t run_count;
} ib_report;

/* The one text of a remark's column that says the same in each row, so that it need be
 * said only once; NULL: it does not. */
const char *ib_report_constant_remark(const ib_report_table *table, size_t column);
/* The first column from `column` on with such a text that is not empty; column_count: none. */
size_t ib_report_next_remark(const ib_report_table *table, size_t column);

int ib_report_is_drawn(const ib_report_figure *figure);

void ib_figure_images_free(ib_figure_image *images, size_t count);
/* Frees what the report owns; a zeroed report is allowed. */
void ib_report_free(ib_report *report);

#endif
