/* An experiment file: a study of many runs, read and checked as a whole. docs/experiment-files.md
 * describes the format. Values of options go through the option table (options.h): the same names,
 * ranges and messages as on the command line, with "file:line: key: " in front. */
#ifndef IB_STUDY_STUDY_H
#define IB_STUDY_STUDY_H

#include <stddef.h>
#include <stdio.h>

#include "base/sha256.h"
#include "base/status.h"
#include "base/yaml.h"
#include "catalog/metrics.h"
#include "options/options.h"

enum {
    IB_STUDY_MAX_CELLS = 4096,
    IB_STUDY_MAX_SEEDS = 1000,
    IB_STUDY_MAX_PUBLISHED = 4096,
    IB_STUDY_MAX_NAME = 64,
};

/* What a cell needs beyond the CPU backend. Bits; ib_need_name gives their spelling. */
typedef enum ib_need {
    IB_NEED_GPU = 1 << 0,
    IB_NEED_APPLE_GPU = 1 << 1,
    IB_NEED_MIXED_PRECISION = 1 << 2,
    IB_NEED_PIN_MEMORY = 1 << 3,
} ib_need;
const char *ib_need_name(size_t index, unsigned *bit); /* NULL past the end */

/* Where a cell has an option's value from. What is given for many cells at once (FROM_BASE,
 * FROM_COMMAND) is left out where it means nothing, momentum for adam say; what names one cell
 * must mean something there. */
typedef enum ib_study_origin { IB_FROM_CELL, IB_FROM_BASE, IB_FROM_COMMAND } ib_study_origin;

/* One run that the study asks for. Texts belong to the study. */
typedef struct ib_study_cell {
    size_t group;
    const char *label; /* of its row; NULL: none */
    size_t line;
    unsigned needs;
    const char *texts[IB_MAX_OPTIONS];     /* as written, by option row; NULL: not given */
    unsigned char origins[IB_MAX_OPTIONS]; /* ib_study_origin of each text */
    ib_arguments arguments;                /* of `isobit train`, resolved */
    int changed; /* by key=value or an extending file: not the configuration that was published */
} ib_study_cell;

typedef struct ib_study_group {
    const char *name;
    const char *title; /* NULL: none */
    size_t line, first_cell, cell_count;
} ib_study_group;

/* A figure that somebody published, and the cells it stands beside. */
typedef struct ib_published {
    const ib_metric_info *metric;
    double low, high; /* equal unless a range was published */
    const char *source;
    const char *machine; /* what it was measured on; NULL: not said */
    size_t epoch;        /* 0: at the end of training */
    size_t line;
    size_t *cells; /* indices, in order */
    size_t cell_count;
} ib_published;

typedef struct ib_text_list {
    const char **items;
    size_t count;
} ib_text_list;

/* A kind of table or figure: which keys it takes. */
typedef enum ib_report_kind {
    IB_TABLE_GRID,
    IB_TABLE_EPOCHS,
    IB_TABLE_BEST,
    IB_TABLE_CONFIGURATION,
    IB_TABLE_RESOURCES,
    IB_FIGURE_CURVES,
    IB_FIGURE_BARS,
    IB_FIGURE_HEATMAP,
    IB_FIGURE_SCATTER,
    IB_FIGURE_CONFUSION,
    IB_FIGURE_MISCLASSIFIED,
    IB_FIGURE_COST,
    IB_FIGURE_USAGE,
} ib_report_kind;

/* A table or figure that the report is to hold. Dimensions are names of options, or "seed",
 * "epoch", "cells" (the group) or "label". */
typedef struct ib_report_item {
    ib_report_kind kind;
    int is_figure;
    const char *name, *title;
    const char *note;  /* NULL: none */
    const char *scale; /* "linear" or "log" */
    size_t line;
    size_t *groups; /* indices; all groups when the file names none */
    size_t group_count;
    ib_text_list rows, columns, panels; /* dimensions */
    ib_text_list values;                /* metrics */
    const ib_yaml_node *relative_to; /* what the cell differs in that speedup refers to, or NULL */
} ib_report_item;

typedef struct ib_study_source {
    char *path;
    char sha256[IB_SHA256_HEX_SIZE];
} ib_study_source;

typedef struct ib_study {
    const char *name, *title, *description; /* the last two may be NULL */
    const char *select;                     /* the metric that chooses; NULL: nothing is chosen */
    ib_study_group *groups;
    size_t group_count;
    ib_study_cell *cells;
    size_t cell_count;
    ib_published *published;
    size_t published_count;
    ib_report_item *items;
    size_t item_count;
    ib_study_source sources[2]; /* the file, then what it extends */
    size_t source_count;
    const char *const *overrides; /* key=value words; the caller's */
    size_t override_count;
    ib_yaml documents[2]; /* texts point into these */
    char **owned;         /* texts made here */
    size_t owned_count;
} ib_study;

/* Reads and checks a file. Every refusal is IB_ERROR_USAGE. overrides are
 * key=value words that must outlive the study. environment as for ib_arguments_parse: a variable
 * wins over the file. The caller calls ib_study_close, also after a failure. */
ib_status ib_study_read(const char *path, const char *const *overrides, size_t override_count,
                        char *(*environment)(const char *name), ib_study *study, ib_error *err);
/* The same from memory, where a file cannot extend another one. */
ib_status ib_study_parse(const char *name, const char *bytes, size_t size,
                         const char *const *overrides, size_t override_count, ib_study *study,
                         ib_error *err);
void ib_study_close(ib_study *study);

/* The format as a JSON Schema (draft 2020-12), for editors. */
ib_status ib_study_schema(FILE *out, ib_error *err);

/* The kind's name in files; figures have kinds of their own. */
const char *ib_report_kind_name(ib_report_kind kind);
/* Whether two configurations have the same value of an option that means something for both. */
int ib_option_same(const ib_option *option, const ib_config *a, const ib_config *b);

/* Whether the cell's option was given and means something for it. */
int ib_study_cell_uses(const ib_study_cell *cell, size_t option);
/* Whether an experiment file may set this option (base), and cross it (grid, rows). */
int ib_option_in_study(const ib_option *option);
int ib_option_in_grid(const ib_option *option);

#endif
