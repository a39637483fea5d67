/* The values that options choose from, and what options share. For options.c alone. */
#ifndef IB_OPTIONS_OPTION_CHOICES_H
#define IB_OPTIONS_OPTION_CHOICES_H

#include "catalog/augmentations.h"
#include "catalog/backends.h"
#include "catalog/datasets.h"
#include "options/options.h"

static const char LATER[] = "is not in this version";

/* A list of its own: a function that gives its rows. */
#define LIST(function, ...)                                                                        \
    static ib_choice function(size_t index) {                                                      \
        static const ib_choice ROWS[] = {__VA_ARGS__};                                             \
        return index < sizeof ROWS / sizeof ROWS[0] ? ROWS[index] : (ib_choice){0};                \
    }
/* The rows of a table of the catalogue, each the value of its number. */
#define CATALOG(function, type, row_at)                                                            \
    static ib_choice function(size_t index) {                                                      \
        const type *row = row_at(index);                                                           \
        return row == NULL ? (ib_choice){0} : (ib_choice){.name = row->name, .value = (int)index}; \
    }

CATALOG(model_choices, ib_model_info, ib_model_at)
CATALOG(dataset_choices, ib_dataset_info, ib_dataset_at)
CATALOG(optimizer_choices, ib_optimizer, ib_optimizer_at)
CATALOG(schedule_choices, ib_schedule, ib_schedule_at)
CATALOG(kernel_choices, ib_svm_kernel_info, ib_svm_kernel_at)
CATALOG(normalize_choices, ib_normalization, ib_normalization_at)
LIST(split_choices, {.name = "official", .value = IB_CHOOSE_OFFICIAL},
     {.name = "70-10-20", .value = IB_CHOOSE_70_10_20})
LIST(weight_choices, {.name = "balanced"})
LIST(gamma_choices, {.name = "scale"}, {.name = "auto"})
static ib_choice backend_choices(size_t index) {
    const ib_backend_name *row = index == 0 ? NULL : ib_backend_name_at(index - 1);
    if (index == 0)
        return (ib_choice){.name = "auto"};
    return row == NULL ? (ib_choice){0}
                       : (ib_choice){.name = row->name, .unlisted = !row->is_built};
}
LIST(isa_choices, {.name = "auto"}, {.name = "scalar"}, {.name = "avx2"}, {.name = "avx512"},
     {.name = "neon"})
LIST(math_choices, {.name = "exact", .value = 1},
     {.name = "fast", .refusal = LATER, .refusal_status = IB_ERROR_UNAVAILABLE})

static ib_status normal_augment(const char *text, const char *given_as, char **form,
                                ib_error *err) {
    int64_t amount[IB_AUGMENTATIONS];
    return ib_augment_parse(text, given_as, amount, form, err);
}

/* Groups of --help, and commands that share options. */
static const char DATA[] = "Data";
static const char EXPERIMENT[] = "Experiment (may change bits)";
static const char OPTIMIZER[] = "Optimiser (may change bits)";
static const char SVM[] = "Support vector machine (--model svm; may change bits)";
static const char MACHINE[] = "Machine (never changes bits)";
static const char SHARING[] = "Sharing the work";
static const char TRACKING[] = "Tracking (never changes bits)";
static const char OUTPUT[] = "Output";

enum {
    MODEL_USERS = IB_FOR_TRAIN | IB_FOR_TEST | IB_FOR_BENCH,
    DATA_USERS = IB_FOR_DATA | IB_FOR_TRAIN | IB_FOR_TEST | IB_FOR_HASH,
    DESCRIBERS = IB_FOR_EXPORT | IB_FOR_MODEL | IB_FOR_DESCRIBE,
    STUDY_USERS = IB_FOR_EXPERIMENT | IB_FOR_SWEEP | IB_FOR_REPORT,
    AGAIN = IB_FOR_COMPARE | IB_FOR_REPRODUCE,
    EVALUATION = IB_FOR_TRAIN | IB_FOR_TEST,
    EVALUATED = IB_FOR_TEST | IB_FOR_EXPORT,
    STEP_USERS = IB_FOR_TRAIN | IB_FOR_BENCH,
    TRACKED = IB_FOR_TRAIN | IB_FOR_SWEEP | IB_FOR_SYNC,
};

#endif
