/* One resolved experiment configuration: what the option table (options.h) fills in. */
#ifndef IB_EXPERIMENT_CONFIG_H
#define IB_EXPERIMENT_CONFIG_H

#include <stdint.h>

#include "base/status.h"

typedef enum ib_model_kind {
    IB_MODEL_CNN,
    IB_MODEL_MLP,
    IB_MODEL_RESNET18,
    IB_MODEL_RESNET50,
    IB_MODEL_SVM
} ib_model_kind;
typedef enum ib_split_choice { IB_CHOOSE_OFFICIAL, IB_CHOOSE_70_10_20 } ib_split_choice;
typedef enum ib_optimizer_kind { IB_ADADELTA, IB_SGD, IB_ADAM } ib_optimizer_kind;
typedef enum ib_schedule_kind { IB_SCHEDULE_STEP, IB_SCHEDULE_CONSTANT } ib_schedule_kind;
typedef enum ib_normalize_kind {
    IB_NORMALIZE_DATASET,
    IB_NORMALIZE_UNIT,
    IB_NORMALIZE_HALF
} ib_normalize_kind;

typedef enum ib_svm_kernel_kind {
    IB_SVM_LINEAR,
    IB_SVM_POLY,
    IB_SVM_RBF,
    IB_SVM_SIGMOID
} ib_svm_kernel_kind;

/* Strings are owned by the configuration; NULL where the option was not given. */
typedef struct ib_config {
    /* what may change bits: covered by experiment_sha256 */
    int model;                          /* ib_model_kind */
    char *dataset;                      /* "mnist" */
    int split;                          /* ib_split_choice */
    int64_t train_size;                 /* 0: all */
    int64_t validation_size, test_size; /* 0: all */
    int64_t epochs;                     /* 14 */
    int64_t batch_size;                 /* 64 */
    int optimizer;                      /* ib_optimizer_kind */
    double lr;           /* default by optimizer: adadelta 1.0, sgd 0.01, adam 0.001 */
    double gamma;        /* 0.7: lr factor for each epoch of schedule step */
    int schedule;        /* ib_schedule_kind */
    double momentum;     /* sgd: 0 */
    double weight_decay; /* 0, L2 added to the gradient, as torch.optim */
    double rho;          /* adadelta: 0.9 */
    double beta1, beta2; /* adam: 0.9, 0.999 */
    double eps;          /* default by optimizer: adadelta 1e-6, adam 1e-8 */
    int normalize;       /* ib_normalize_kind */
    uint64_t seed;       /* 1 */
    char *init_model;    /* start from these weights instead of the seed's; hashed by content */
    int dry_run;         /* one training and one test batch */
    int svm_kernel;      /* ib_svm_kernel_kind; this and the next six: model svm only */
    double svm_c;        /* 1 */
    char *svm_gamma;     /* "scale", "auto" or a number */
    int64_t svm_degree;  /* poly: 3 */
    double svm_coef0;    /* poly, sigmoid: 0 */
    double tolerance;    /* 0.001: greatest violation of the optimality conditions left */

    /* what must not change bits */
    int64_t test_batch_size; /* 1000 */
    char *data_dir;          /* "data" */
    char *mirror;
    char *backend;    /* "auto", "cpu", "opencl", "cuda" */
    char *isa;        /* "auto", "scalar", "avx2", "avx512", "neon" */
    int64_t threads;  /* 0: every usable CPU */
    int64_t cache_mb; /* svm: 2048, MiB of kernel values */
    int no_accel;
    int exact;            /* --math exact: 1 */
    char *runs_dir;       /* "runs" */
    int64_t log_interval; /* 10 */
    int save_model;
    char *resume;             /* the directory of a run to go on with */
    int64_t checkpoint_every; /* steps; 0: only at the end of each epoch */
    double sample_period;     /* 1 s between two lines of resources.jsonl; 0: none */
    int trace;                /* hashes of every step into trace.bin */
    int onnx;                 /* export: an ONNX model */
    int libsvm;               /* export: LIBSVM's format */
    char *output;             /* export: the file to write */
    int json;
    char *hash_file;         /* "isobit-hashes.json" */
    int resume_runs;         /* sweep: go on with runs that were stopped */
    char *cells;             /* sweep: "svm-mnist,epochs"; NULL: all */
    char *shard;             /* sweep: "0/4" */
    int64_t shards;          /* sweep: how many there are; 0: not said */
    int64_t jobs;            /* sweep: runs at a time */
    double bench_seconds;    /* 5 */
    char *mlflow;            /* train, sweep: the server's address; NULL: MLFLOW_TRACKING_URI's */
    char *mlflow_experiment; /* NULL: MLFLOW_EXPERIMENT_NAME's, or as the record is named */
    char *mlflow_register;   /* the registered model to make a version of; NULL: none */
    char *mlflow_study;      /* train: the folder of the study that the run is of; NULL: none */
    double mlflow_wait;      /* seconds at the end of a run */
    char *to;                /* sync: the server's address */
    char *profile;           /* bench: where the trace goes */
    char *prices;            /* cost: "experiments/prices.yaml" */
    char *machine;           /* cost: the row of the price table for all runs */
    double watts;            /* cost: estimate energy by this power; 0: not */
    int measure;             /* describe: the floor of a step on this machine too */
} ib_config;

#endif
