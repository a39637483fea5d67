/* One experiment: exactly the options that may change bits. Its canonical text is what
 * experiment_sha256 covers (options/canonical.h), so a field here is a field there; what says
 * where or how fast to compute, or what to write, is in other structures. */
#ifndef IB_CATALOG_EXPERIMENT_H
#define IB_CATALOG_EXPERIMENT_H

#include <stdint.h>

#include "catalog/models.h"
#include "catalog/normalizations.h"
#include "catalog/optimizers.h"
#include "catalog/schedules.h"
#include "catalog/svm_kernels.h"

typedef enum ib_split_choice { IB_CHOOSE_OFFICIAL, IB_CHOOSE_70_10_20 } ib_split_choice;

/* Strings are owned by whoever owns the structure; NULL where the option was not given. */
struct ib_experiment {
    int model;                          /* ib_model_kind */
    char *network;                      /* of IB_MODEL_FILE: the text of its file; else NULL */
    char *network_name;                 /* as it calls itself: "lenet5" */
    char *network_path;                 /* where it was read */
    char *dataset;                      /* "mnist" */
    int split;                          /* ib_split_choice */
    int64_t train_size;                 /* 0: all */
    int64_t validation_size, test_size; /* 0: all */
    int64_t epochs;                     /* 14 */
    int64_t batch_size;                 /* 64 */
    int optimizer;                      /* ib_optimizer_kind */
    double lr;               /* this and momentum, rho, betas, eps: defaults by optimiser */
    double gamma;            /* 0.7: lr factor for each epoch of schedule step */
    int schedule;            /* ib_schedule_kind */
    int64_t warmup;          /* 0: epochs before the schedule in which lr grows from step to step */
    double lr_min;           /* 0: where schedule cosine ends */
    double pct_start;        /* 0.3; this and the next two: of schedule onecycle */
    double div_factor;       /* 25 */
    double final_div_factor; /* 1e4 */
    double momentum;         /* 0 where the optimiser has none */
    int nesterov;            /* of sgd with momentum: look ahead along it */
    double label_smoothing;  /* 0: of the training loss, as torch.nn.CrossEntropyLoss */
    double ema;              /* 0: what the average of the weights keeps of itself a step */
    double weight_decay;     /* 0, L2 added to the gradient, as torch.optim */
    double rho;
    double beta1, beta2;
    double eps;
    int normalize;      /* ib_normalize_kind */
    char *augment;      /* "shift=2,flip": catalog/augmentations.h; NULL: images as they are */
    uint64_t seed;      /* 1 */
    char *init_model;   /* start from these weights instead of the seed's; hashed by content */
    int dry_run;        /* one training and one test batch */
    int svm_kernel;     /* ib_svm_kernel_kind; this and the next five: model svm only */
    double svm_c;       /* 1 */
    char *svm_gamma;    /* "scale", "auto" or a number */
    int64_t svm_degree; /* 3 */
    double svm_coef0;   /* 0 */
    char *class_weight; /* "balanced" or "1,2.5,..."; NULL: 1 for each class */
    double tolerance;   /* 0.001: greatest violation of the optimality conditions left */
};

/* "cnn", or how the network of a file is called. */
static inline const char *ib_experiment_model_name(const ib_experiment *experiment) {
    return experiment->network_name != NULL ? experiment->network_name
                                            : ib_model_kind_name((ib_model_kind)experiment->model);
}

#endif
