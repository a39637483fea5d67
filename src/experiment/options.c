#include "experiment/options.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(ib_config, member)
#define UNBOUNDED  1e30

static const char LATER[] = "is not in this version";

static const ib_choice MODELS[] = {
    {.name = "cnn", .value = IB_MODEL_CNN},
    {.name = "mlp", .value = IB_MODEL_MLP},
    {.name = "resnet18", .value = IB_MODEL_RESNET18},
    {.name = "resnet50", .value = IB_MODEL_RESNET50},
    {.name = "svm", .refusal = LATER, .refusal_status = IB_ERROR_USAGE},
    {.name = NULL},
};
/* The data catalogue is of a higher rank; a test keeps the two lists equal. */
static const ib_choice DATASETS[] = {
    {.name = "mnist"}, {.name = "fashion-mnist"}, {.name = "digits"}, {.name = NULL}};
static const ib_choice SPLITS[] = {
    {.name = "official", .value = IB_CHOOSE_OFFICIAL},
    {.name = "70-10-20", .value = IB_CHOOSE_70_10_20},
    {.name = NULL},
};
static const ib_choice OPTIMIZER_CHOICES[] = {
    {.name = "adadelta", .value = IB_ADADELTA},
    {.name = "sgd", .value = IB_SGD},
    {.name = "adam", .value = IB_ADAM},
    {.name = NULL},
};
static const ib_choice SCHEDULES[] = {
    {.name = "step", .value = IB_SCHEDULE_STEP},
    {.name = "constant", .value = IB_SCHEDULE_CONSTANT},
    {.name = NULL},
};
static const ib_choice NORMALIZATIONS[] = {
    {.name = "dataset", .value = IB_NORMALIZE_DATASET},
    {.name = "unit", .value = IB_NORMALIZE_UNIT},
    {.name = "half", .value = IB_NORMALIZE_HALF},
    {.name = NULL},
};
static const ib_choice BACKENDS[] = {
    {.name = "auto"},
    {.name = "cpu"},
    {.name = "opencl", .unlisted = 1},
    {.name = "cuda", .unlisted = 1},
    {.name = NULL},
};
static const ib_choice ISAS[] = {
    {.name = "auto"},   {.name = "scalar"}, {.name = "avx2"},
    {.name = "avx512"}, {.name = "neon"},   {.name = NULL},
};
static const ib_choice MATHS[] = {
    {.name = "exact", .value = 1},
    {.name = "fast", .refusal = LATER, .refusal_status = IB_ERROR_UNAVAILABLE},
    {.name = NULL},
};

static const char DATA[] = "Data";
static const char EXPERIMENT[] = "Experiment (may change bits)";
static const char OPTIMIZER[] = "Optimiser (may change bits)";
static const char MACHINE[] = "Machine (never changes bits)";
static const char OUTPUT[] = "Output";

enum {
    MODEL_USERS = IB_FOR_TRAIN | IB_FOR_TEST | IB_FOR_BENCH,
    DATA_USERS = IB_FOR_DATA | IB_FOR_TRAIN | IB_FOR_TEST | IB_FOR_HASH,
    EVALUATION = IB_FOR_TRAIN | IB_FOR_TEST,
    STEP_USERS = IB_FOR_TRAIN | IB_FOR_BENCH,
};

static const ib_option OPTIONS[] = {
    {.name = "dataset",
     .kind = IB_OPTION_NAME,
     .offset = AT(dataset),
     .default_text = "mnist",
     .choices = DATASETS,
     .commands = DATA_USERS,
     .arithmetic = 1,
     .placeholder = "NAME",
     .group = DATA,
     .help = "which images to use"},
    {.name = "data-dir",
     .kind = IB_OPTION_STRING,
     .offset = AT(data_dir),
     .default_text = "data",
     .commands = DATA_USERS,
     .environment = "ISOBIT_DATA_DIR",
     .placeholder = "DIR",
     .group = DATA,
     .help = "where data sets are kept, each in a folder of its name"},
    {.name = "mirror",
     .kind = IB_OPTION_STRING,
     .offset = AT(mirror),
     .commands = IB_FOR_DATA,
     .environment = "ISOBIT_MIRROR",
     .placeholder = "URL|DIR",
     .group = DATA,
     .help = "the only source to get files from: <mirror>/<dataset>/<file>, .gz or plain; "
             "without it the public mirrors are tried in order"},
    {.name = "split",
     .kind = IB_OPTION_CHOICE,
     .offset = AT(split),
     .default_text = "official",
     .choices = SPLITS,
     .commands = EVALUATION,
     .arithmetic = 1,
     .placeholder = "NAME",
     .group = DATA,
     .help = "official: the data set's own training and test images; 70-10-20: all images merged, "
             "permuted by the seed and cut into training, validation and test"},
    {.name = "train-size",
     .kind = IB_OPTION_INT,
     .offset = AT(train_size),
     .default_text = "0",
     .minimum = 0,
     .maximum = 1e9,
     .commands = IB_FOR_TRAIN,
     .arithmetic = 1,
     .placeholder = "N",
     .group = DATA,
     .help = "train on the first N images of the training part (0: all)"},
    {.name = "test-size",
     .kind = IB_OPTION_INT,
     .offset = AT(test_size),
     .default_text = "0",
     .minimum = 0,
     .maximum = 1e9,
     .commands = EVALUATION,
     .arithmetic = 1,
     .placeholder = "N",
     .group = DATA,
     .help = "test on the first N images of the test part (0: all)"},
    {.name = "normalize",
     .kind = IB_OPTION_CHOICE,
     .offset = AT(normalize),
     .default_text = "dataset",
     .choices = NORMALIZATIONS,
     .commands = EVALUATION,
     .arithmetic = 1,
     .placeholder = "NAME",
     .group = DATA,
     .help = "pixels v/255 less the data set's mean, by its deviation (dataset), as they are "
             "(unit), or scaled to -1..1 (half)"},

    {.name = "model",
     .kind = IB_OPTION_CHOICE,
     .offset = AT(model),
     .default_text = "cnn",
     .choices = MODELS,
     .commands = MODEL_USERS | IB_FOR_DESCRIBE,
     .arithmetic = 1,
     .placeholder = "NAME",
     .group = EXPERIMENT,
     .help = "the network; 'isobit test' finds it out from the file unless it is given"},
    {.name = "epochs",
     .kind = IB_OPTION_INT,
     .offset = AT(epochs),
     .default_text = "14",
     .minimum = 1,
     .maximum = 1e6,
     .commands = IB_FOR_TRAIN,
     .arithmetic = 1,
     .placeholder = "N",
     .group = EXPERIMENT,
     .help = "passes over the training images"},
    {.name = "batch-size",
     .kind = IB_OPTION_INT,
     .offset = AT(batch_size),
     .default_text = "64",
     .minimum = 1,
     .maximum = 65536,
     .commands = STEP_USERS | IB_FOR_DESCRIBE,
     .arithmetic = 1,
     .placeholder = "N",
     .group = EXPERIMENT,
     .help = "images of one optimiser step"},
    {.name = "seed",
     .kind = IB_OPTION_UINT64,
     .offset = AT(seed),
     .default_text = "1",
     .commands = EVALUATION,
     .arithmetic = 1,
     .placeholder = "N",
     .group = EXPERIMENT,
     .help = "decides initial weights, order, dropout and the 70-10-20 split"},
    {.name = "init-model",
     .kind = IB_OPTION_STRING,
     .offset = AT(init_model),
     .commands = IB_FOR_TRAIN,
     .placeholder = "FILE",
     .group = EXPERIMENT,
     .help = "start from these weights instead of the seed's (hashed by content)"},
    {.name = "dry-run",
     .kind = IB_OPTION_FLAG,
     .offset = AT(dry_run),
     .commands = IB_FOR_TRAIN,
     .arithmetic = 1,
     .group = EXPERIMENT,
     .help = "one training batch and one test batch; writes no run record"},

    {.name = "optimizer",
     .kind = IB_OPTION_CHOICE,
     .offset = AT(optimizer),
     .default_text = "adadelta",
     .choices = OPTIMIZER_CHOICES,
     .commands = STEP_USERS | IB_FOR_DESCRIBE,
     .arithmetic = 1,
     .placeholder = "NAME",
     .group = OPTIMIZER,
     .help = "as torch.optim defines it"},
    {.name = "lr",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(lr),
     .optimizer_defaults = {[IB_ADADELTA] = "1.0", [IB_SGD] = "0.01", [IB_ADAM] = "0.001"},
     .minimum = 0,
     .maximum = UNBOUNDED,
     .commands = STEP_USERS,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "learning rate of the first epoch"},
    {.name = "gamma",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(gamma),
     .default_text = "0.7",
     .minimum = 0,
     .maximum = UNBOUNDED,
     .commands = IB_FOR_TRAIN,
     .only_with_step = 1,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "the learning rate's factor after each epoch (--schedule step only)"},
    {.name = "schedule",
     .kind = IB_OPTION_CHOICE,
     .offset = AT(schedule),
     .default_text = "step",
     .choices = SCHEDULES,
     .commands = IB_FOR_TRAIN,
     .arithmetic = 1,
     .placeholder = "NAME",
     .group = OPTIMIZER,
     .help = "how the learning rate changes from epoch to epoch"},
    {.name = "momentum",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(momentum),
     .optimizer_defaults = {[IB_SGD] = "0"},
     .minimum = 0,
     .maximum = 1,
     .maximum_excluded = 1,
     .commands = STEP_USERS | IB_FOR_DESCRIBE,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "of sgd"},
    {.name = "weight-decay",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(weight_decay),
     .default_text = "0",
     .minimum = 0,
     .maximum = UNBOUNDED,
     .commands = STEP_USERS,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "this times the weight is added to its gradient"},
    {.name = "rho",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(rho),
     .optimizer_defaults = {[IB_ADADELTA] = "0.9"},
     .minimum = 0,
     .maximum = 1,
     .commands = STEP_USERS,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "decay of adadelta's averages"},
    {.name = "beta1",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(beta1),
     .optimizer_defaults = {[IB_ADAM] = "0.9"},
     .minimum = 0,
     .maximum = 1,
     .maximum_excluded = 1,
     .commands = STEP_USERS,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "decay of adam's first moment"},
    {.name = "beta2",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(beta2),
     .optimizer_defaults = {[IB_ADAM] = "0.999"},
     .minimum = 0,
     .maximum = 1,
     .maximum_excluded = 1,
     .commands = STEP_USERS,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "decay of adam's second moment"},
    {.name = "eps",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(eps),
     .optimizer_defaults = {[IB_ADADELTA] = "1e-6", [IB_ADAM] = "1e-8"},
     .minimum = 1e-30,
     .maximum = UNBOUNDED,
     .commands = STEP_USERS,
     .arithmetic = 1,
     .placeholder = "X",
     .group = OPTIMIZER,
     .help = "keeps the denominator from zero"},

    {.name = "backend",
     .kind = IB_OPTION_NAME,
     .offset = AT(backend),
     .default_text = "auto",
     .choices = BACKENDS,
     .commands = MODEL_USERS | IB_FOR_DESCRIBE,
     .placeholder = "NAME",
     .group = MACHINE,
     .help = "what computes"},
    {.name = "isa",
     .kind = IB_OPTION_NAME,
     .offset = AT(isa),
     .default_text = "auto",
     .choices = ISAS,
     .commands = MODEL_USERS | IB_FOR_DESCRIBE,
     .environment = "ISOBIT_ISA",
     .placeholder = "NAME",
     .group = MACHINE,
     .help = "instruction set of the cpu backend; auto takes the widest"},
    {.name = "threads",
     .kind = IB_OPTION_INT,
     .offset = AT(threads),
     .default_text = "0",
     .minimum = 0,
     .maximum = 1024,
     .commands = MODEL_USERS | IB_FOR_DESCRIBE,
     .placeholder = "N",
     .group = MACHINE,
     .help = "threads of the cpu backend (0: one for each usable CPU)"},
    {.name = "no-accel",
     .aliases = {"no-cuda", "no-mps"},
     .kind = IB_OPTION_FLAG,
     .offset = AT(no_accel),
     .commands = MODEL_USERS,
     .group = MACHINE,
     .help = "use the cpu backend even where there is an accelerator"},
    {.name = "math",
     .kind = IB_OPTION_CHOICE,
     .offset = AT(exact),
     .default_text = "exact",
     .choices = MATHS,
     .commands = MODEL_USERS,
     .placeholder = "NAME",
     .group = MACHINE,
     .help = "exact: the same bits on every machine"},
    {.name = "test-batch-size",
     .kind = IB_OPTION_INT,
     .offset = AT(test_batch_size),
     .default_text = "1000",
     .minimum = 1,
     .maximum = 65536,
     .commands = EVALUATION,
     .placeholder = "N",
     .group = MACHINE,
     .help = "images evaluated at a time"},

    {.name = "runs-dir",
     .kind = IB_OPTION_STRING,
     .offset = AT(runs_dir),
     .default_text = "runs",
     .commands = IB_FOR_TRAIN,
     .placeholder = "DIR",
     .group = OUTPUT,
     .help = "where run records are written: <DIR>/<dataset>-<model>/<run-id>/"},
    {.name = "log-interval",
     .kind = IB_OPTION_INT,
     .offset = AT(log_interval),
     .default_text = "10",
     .minimum = 1,
     .maximum = 1e9,
     .commands = IB_FOR_TRAIN,
     .placeholder = "N",
     .group = OUTPUT,
     .help = "report the loss every N steps"},
    {.name = "save-model",
     .kind = IB_OPTION_FLAG,
     .offset = AT(save_model),
     .commands = IB_FOR_TRAIN,
     .group = OUTPUT,
     .help = "also write ./<dataset>_<model>_<N>epochs.safetensors"},
    {.name = "hash-file",
     .kind = IB_OPTION_STRING,
     .offset = AT(hash_file),
     .default_text = "isobit-hashes.json",
     .commands = IB_FOR_HASH,
     .placeholder = "FILE",
     .group = OUTPUT,
     .help = "the file that keeps recorded hashes; made to be committed"},
    {.name = "seconds",
     .kind = IB_OPTION_DOUBLE,
     .offset = AT(bench_seconds),
     .default_text = "5",
     .minimum = 0.01,
     .maximum = 3600,
     .commands = IB_FOR_BENCH,
     .placeholder = "X",
     .group = OUTPUT,
     .help = "how long to measure"},
    {.name = "profile",
     .kind = IB_OPTION_STRING,
     .offset = AT(profile),
     .commands = IB_FOR_BENCH,
     .placeholder = "FILE",
     .group = OUTPUT,
     .help = "step, ops: write a timeline of one step for Chrome or Perfetto"},
    {.name = "measure",
     .kind = IB_OPTION_FLAG,
     .offset = AT(measure),
     .commands = IB_FOR_DESCRIBE,
     .group = OUTPUT,
     .help = "measure this machine and print the floor of a training step"},
    {.name = "json",
     .kind = IB_OPTION_FLAG,
     .offset = AT(json),
     .commands = MODEL_USERS | IB_FOR_DEVICES | IB_FOR_DESCRIBE,
     .group = OUTPUT,
     .help = "print one JSON object as the last line of standard output, and nothing else there"},
};

enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };
_Static_assert((int)OPTION_COUNT <= (int)IB_MAX_OPTIONS, "raise IB_MAX_OPTIONS");

/* Names of the design whose work is still to come: refused with a better message than a typo. */
static const char *const LATER_OPTIONS[] = {
    "resume", "checkpoint-every", "trace", "device", "kernel", "C",  "svm-gamma", "degree",
    "coef0",  "cache-mb",         "shard", "jobs",   "for",    "to", NULL,
};

const ib_option *ib_option_at(size_t index) {
    return index < OPTION_COUNT ? &OPTIONS[index] : NULL;
}

size_t ib_option_index(const ib_option *option) {
    return (size_t)(option - OPTIONS);
}

static int same(const char *name, const char *text, size_t length) {
    return name != NULL && strlen(name) == length && memcmp(name, text, length) == 0;
}

const ib_option *ib_option_find(const char *name, size_t length) {
    for (size_t i = 0; i < OPTION_COUNT; ++i) {
        if (same(OPTIONS[i].name, name, length))
            return &OPTIONS[i];
        for (size_t a = 0; a < IB_MAX_ALIASES; ++a)
            if (same(OPTIONS[i].aliases[a], name, length))
                return &OPTIONS[i];
    }
    return NULL;
}

int ib_option_is_later(const char *name, size_t length) {
    for (size_t i = 0; LATER_OPTIONS[i] != NULL; ++i)
        if (same(LATER_OPTIONS[i], name, length))
            return 1;
    return 0;
}

static int by_optimizer(const ib_option *option) {
    for (size_t i = 0; i < IB_OPTIMIZERS; ++i)
        if (option->optimizer_defaults[i] != NULL)
            return 1;
    return 0;
}

int ib_option_applies(const ib_option *option, const ib_config *config) {
    if (by_optimizer(option) && option->optimizer_defaults[config->optimizer] == NULL)
        return 0;
    return !option->only_with_step || config->schedule == IB_SCHEDULE_STEP;
}

const char *ib_option_default(const ib_option *option, int optimizer) {
    return by_optimizer(option) ? option->optimizer_defaults[optimizer] : option->default_text;
}
