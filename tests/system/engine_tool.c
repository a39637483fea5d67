/* Drives the engine step by step for test_torch.py: opens one model, reads commands from stdin and
 * answers each with one line, "ok ..." or "error STATUS message".
 *   engine_tool prepare DATA_DIR DATASET [MIRROR]
 *   engine_tool MODEL OPTIMIZER ISA THREADS CAPACITY DATA_DIR DATASET [KEY VALUE]...
 * MODEL: a name or FILE.yaml.
 * KEY: lr gamma momentum weight-decay rho beta1 beta2 eps nesterov seed epochs batch-size
 * train-size test-size schedule warmup lr-min pct-start div-factor final-div-factor
 * label-smoothing ema. FIRST counts images in the data set's joint numbering.
 *   describe                               parameters, tensors, isa
 *   initialize SEED
 *   load FILE | save FILE | save-state FILE STEPS
 *   read value|gradient FILE | feed FILE   gradients from a file of all parameters
 *   dropout 0|1
 *   gradients FIRST COUNT SEED STEP        answers the loss
 *   update LR STEP
 *   step FIRST COUNT SEED STEP LR          one step of ib_model_train; answers the loss
 *   predict FIRST COUNT FILE               "logits", "losses", "predictions" as tensors
 *   activations NODE COUNT FILE            of the last pass: the node's output "y" and, where it
 *                                          pools, "argmax", as stored
 *   evaluate FIRST COUNT                   by batches of CAPACITY; answers loss, correct and every
 *                                          cell of the confusion
 *   plant TENSOR ELEMENT VALUE             one weight, in PyTorch's numbering
 *   train                                  ib_train; answers "lr train_loss test_loss" an epoch
 *   rates STEPS STEPS_PER_EPOCH            the learning rates of the first steps
 *   isas                                   those this machine can run */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "catalog/optimizers.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "model/state.h"
#include "tensor/safetensors.h"
#include "train/trainer.h"

enum { MAX_TENSORS = 512, MAX_ARGUMENTS = 8, LINE = 16384 };

struct tool {
    ib_experiment experiment;
    ib_dataset dataset;
    ib_backend *backend;
    ib_model *model;
    uint16_t *labels;
    char *network; /* the text of a file of rows */
    char answer[LINE];
};

static void answer(struct tool *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void answer(struct tool *t, const char *format, ...) {
    size_t used = strlen(t->answer);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->answer + used, sizeof t->answer - used, format, arguments);
    va_end(arguments);
}

/* FIRST and COUNT as the images that the next call takes. Evaluation and training attach their own:
 * so this is done for each command. */
static ib_status take_batch(struct tool *t, const char *first, const char *count, size_t *n,
                            ib_error *err) {
    const ib_dataset *d = &t->dataset;
    ib_data_view view = {.part = {{d->values[IB_TRAIN_IMAGES], d->train_count},
                                  {d->values[IB_TEST_IMAGES], d->test_count}},
                         .labels = t->labels,
                         .image_bytes = d->image_bytes};
    size_t from = strtoull(first, NULL, 10);
    *n = strtoull(count, NULL, 10);
    if (from + *n > d->train_count + d->test_count || *n > 65536)
        return ib_fail(err, IB_ERROR_USAGE, "no such images");
    uint32_t *order = malloc((*n + 1) * sizeof *order);
    if (order == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < *n; ++i)
        order[i] = (uint32_t)(from + i);
    ib_status status = ib_model_attach(t->model, &view, err);
    if (status == IB_OK)
        status = ib_model_order(t->model, order, *n, err);
    free(order);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static ib_status read_part(struct tool *t, ib_tensor_part part, const char *path, ib_error *err) {
    ib_named_tensor tensors[MAX_TENSORS];
    void *values[MAX_TENSORS] = {0};
    size_t count = 0;
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && i < ib_model_tensor_count(t->model); ++i) {
        const ib_tensor_info *info = ib_model_tensor(t->model, i);
        if (part != IB_PART_VALUE && !info->trained)
            continue;
        values[count] =
            malloc((size_t)ib_shape_elements(&info->shape) * ib_dtype_size(info->dtype));
        tensors[count] = (ib_named_tensor){info->name, info->dtype, info->shape, values[count]};
        status = values[count] == NULL ? ib_fail_memory(err)
                                       : ib_model_read(t->model, i, part, values[count], err);
        ++count;
    }
    if (status == IB_OK)
        status = ib_safetensors_write(path, tensors, count, NULL, 0, NULL, err);
    for (size_t i = 0; i < count; ++i)
        free(values[i]);
    return status;
}

static ib_status feed(struct tool *t, const char *path, ib_error *err) {
    ib_safetensors file;
    IB_TRY(ib_safetensors_open(path, &file, err));
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && i < ib_model_tensor_count(t->model); ++i) {
        const ib_tensor_info *info = ib_model_tensor(t->model, i);
        const ib_named_tensor *found = ib_safetensors_find(&file, info->name);
        if (!info->trained)
            continue;
        if (found == NULL || found->dtype != IB_F32 ||
            ib_shape_elements(&found->shape) != ib_shape_elements(&info->shape))
            status = ib_fail(err, IB_ERROR_VERIFY, "%s: no tensor like %s", path, info->name);
        else
            status = ib_model_write(t->model, i, IB_PART_GRADIENT, found->data, err);
    }
    ib_safetensors_close(&file);
    return status;
}

static ib_status write_predictions(const ib_scores *scores, int64_t n, int64_t classes,
                                   const char *path, ib_error *err) {
    uint8_t *predictions = malloc((size_t)n + 1);
    if (predictions == NULL)
        return ib_fail_memory(err);
    for (int64_t i = 0; i < n; ++i)
        predictions[i] = (uint8_t)scores->classes[i];
    const ib_named_tensor tensors[] = {
        {"logits", IB_F32, {2, {n, classes}}, scores->logits},
        {"losses", IB_F32, {1, {n}}, scores->losses},
        {"predictions", IB_U8, {1, {n}}, predictions},
    };
    ib_status status = ib_safetensors_write(path, tensors, 3, NULL, 0, NULL, err);
    free(predictions);
    return status;
}

static ib_status predict(struct tool *t, size_t n, const char *path, ib_error *err) {
    size_t classes = ib_model_class_count(t->model);
    ib_scores scores = {.logits = malloc(n * classes * sizeof(float)),
                        .losses = malloc(n * sizeof(float)),
                        .classes = malloc(n * sizeof(uint16_t))};
    ib_status status = IB_OK;
    if (scores.logits == NULL || scores.losses == NULL || scores.classes == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = ib_model_evaluate(t->model, n, NULL, NULL, &scores, err);
    if (status == IB_OK)
        status = write_predictions(&scores, (int64_t)n, (int64_t)classes, path, err);
    free(scores.logits);
    free(scores.losses);
    free(scores.classes);
    return status;
}

static ib_status activations(struct tool *t, size_t index, size_t n, const char *path,
                             ib_error *err) {
    const ib_network *net = &t->model->network;
    if (index >= net->node_count || n == 0 || n > (size_t)net->capacity)
        return ib_fail(err, IB_ERROR_USAGE, "no such node or count");
    const ib_node *node = &net->nodes[index];
    size_t row = node->y_bytes, cells = node->extra_bytes;
    float *values = malloc(row * n);
    uint8_t *positions = malloc(cells * n + 1);
    ib_status status = values == NULL || positions == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = net->backend->ops->download(net->backend, &node->y, values, row * n, err);
    if (status == IB_OK && cells > 0)
        status = net->backend->ops->download(net->backend, &node->extra, positions, cells * n, err);
    const ib_named_tensor tensors[] = {
        {"y", IB_F32, {2, {(int64_t)n, (int64_t)(row / sizeof(float))}}, values},
        {"argmax", IB_U8, {2, {(int64_t)n, (int64_t)cells}}, positions},
    };
    if (status == IB_OK)
        status = ib_safetensors_write(path, tensors, cells > 0 ? 2 : 1, NULL, 0, NULL, err);
    free(values);
    free(positions);
    return status;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static void describe(struct tool *t) {
    answer(t, " %zu %zu %s %u", ib_model_parameter_count(t->model), ib_model_tensor_count(t->model),
           t->backend->info.isa, t->backend->info.threads);
    for (size_t i = 0; i < ib_model_tensor_count(t->model); ++i)
        answer(t, " %s", ib_model_tensor(t->model, i)->name);
}

static void list_isas(struct tool *t) {
    const char *isa;
    int supported = 0;
    for (size_t i = 0; (isa = ib_backend_isa_at(i, &supported)) != NULL; ++i)
        if (supported)
            answer(t, " %s", isa);
}

static void list_rates(struct tool *t, size_t steps, size_t steps_per_epoch) {
    for (size_t i = 0; i < steps; ++i)
        answer(t, " %.17g", ib_learning_rate(&t->experiment, i, steps_per_epoch));
}

static ib_status evaluate(struct tool *t, char **a, ib_error *err) {
    uint32_t first = (uint32_t)strtoul(a[1], NULL, 10);
    size_t count = strtoull(a[2], NULL, 10);
    uint32_t *indices = malloc(count * sizeof *indices);
    if (indices == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i)
        indices[i] = first + (uint32_t)i;
    ib_evaluation e = {0};
    ib_status status = ib_evaluate(t->model, &t->dataset, indices, count, &e, err);
    free(indices);
    if (status == IB_OK)
        answer(t, " %.17g %zu %.17g", e.loss, e.correct, e.accuracy);
    for (size_t i = 0; status == IB_OK && i < e.classes * e.classes; ++i)
        answer(t, " %" PRIu32, e.confusion[i]);
    ib_evaluation_free(&e);
    return status;
}

static ib_status plant(struct tool *t, char **a, ib_error *err) {
    for (size_t i = 0; i < ib_model_tensor_count(t->model); ++i) {
        const ib_tensor_info *info = ib_model_tensor(t->model, i);
        if (strcmp(info->name, a[1]) != 0)
            continue;
        size_t elements = (size_t)ib_shape_elements(&info->shape), at = strtoull(a[2], NULL, 10);
        float *values = at < elements ? malloc(elements * sizeof *values) : NULL;
        if (values == NULL)
            return ib_fail(err, IB_ERROR_USAGE, "no such element");
        ib_status status = ib_model_read(t->model, i, IB_PART_VALUE, values, err);
        values[at] = strtof(a[3], NULL);
        if (status == IB_OK)
            status = ib_model_write(t->model, i, IB_PART_VALUE, values, err);
        free(values);
        return status;
    }
    return ib_fail(err, IB_ERROR_USAGE, "no tensor %s", a[1]);
}

static ib_status on_epoch(void *context, const ib_epoch_event *event, ib_error *err) {
    (void)err;
    answer(context, " %.17g %.17g %.17g", event->learning_rate, event->train_loss,
           event->test->loss);
    return IB_OK;
}

static ib_status train(struct tool *t, ib_error *err) {
    const ib_experiment *c = &t->experiment;
    const ib_train_observer observer = {.context = t, .epoch = on_epoch};
    ib_train_result result = {0};
    ib_split split;
    IB_TRY(ib_split_make(IB_SPLIT_OFFICIAL, t->dataset.train_count, t->dataset.test_count, c->seed,
                         (size_t)c->train_size, (size_t)c->test_size, &split, err));
    ib_status status =
        ib_train(t->model, c, 1000, &t->dataset, &split, NULL, &observer, &result, err);
    ib_train_result_free(&result);
    ib_split_close(&split);
    return status;
}

static ib_status run_batch(struct tool *t, char **a, ib_error *err) {
    size_t n = 0, done = 0;
    float loss = 0;
    uint64_t seed = a[3] == NULL ? 0 : strtoull(a[3], NULL, 10);
    IB_TRY(take_batch(t, a[1], a[2], &n, err));
    if (strcmp(a[0], "predict") == 0)
        return predict(t, n, a[3], err);
    uint64_t step = strtoull(a[4], NULL, 10);
    if (strcmp(a[0], "gradients") == 0) {
        IB_TRY(ib_model_gradients(t->model, 0, n, seed, step, &loss, err));
    } else {
        double rate = strtod(a[5], NULL);
        ib_model_steps steps = {
            .end = n, .batch = n, .count = 1, .seed = seed, .step = step, .learning_rates = &rate};
        IB_TRY(ib_model_train(t->model, &steps, &loss, &done, err));
    }
    answer(t, " %.9g", (double)loss);
    return IB_OK;
}

static ib_status run_command(struct tool *t, char **a, int count, ib_error *err) {
    const char *name = a[0];
    if (strcmp(name, "describe") == 0)
        return describe(t), IB_OK;
    if (strcmp(name, "isas") == 0)
        return list_isas(t), IB_OK;
    if (strcmp(name, "rates") == 0 && count == 3)
        return list_rates(t, strtoull(a[1], NULL, 10), strtoull(a[2], NULL, 10)), IB_OK;
    if (strcmp(name, "train") == 0)
        return train(t, err);
    if (strcmp(name, "initialize") == 0 && count == 2)
        return ib_model_initialize(t->model, strtoull(a[1], NULL, 10), err);
    if (strcmp(name, "load") == 0 && count == 2)
        return ib_model_load(t->model, a[1], err);
    if (strcmp(name, "save") == 0 && count == 2)
        return ib_model_save(t->model, NULL, a[1], NULL, err);
    if (strcmp(name, "feed") == 0 && count == 2)
        return feed(t, a[1], err);
    if (strcmp(name, "dropout") == 0 && count == 2)
        return ib_model_set_dropout(t->model, atoi(a[1])), IB_OK;
    if (strcmp(name, "save-state") == 0 && count == 3)
        return ib_model_save_optimizer(t->model, NULL, a[1], strtoull(a[2], NULL, 10), NULL, err);
    if (strcmp(name, "read") == 0 && count == 3)
        return read_part(t, strcmp(a[1], "value") == 0 ? IB_PART_VALUE : IB_PART_GRADIENT, a[2],
                         err);
    if (strcmp(name, "update") == 0 && count == 3)
        return ib_model_update(t->model, strtod(a[1], NULL), strtoull(a[2], NULL, 10), err);
    if (strcmp(name, "activations") == 0 && count == 4)
        return activations(t, strtoull(a[1], NULL, 10), strtoull(a[2], NULL, 10), a[3], err);
    if (strcmp(name, "evaluate") == 0 && count == 3)
        return evaluate(t, a, err);
    if (strcmp(name, "plant") == 0 && count == 4)
        return plant(t, a, err);
    if ((strcmp(name, "predict") == 0 && count == 4) ||
        (strcmp(name, "gradients") == 0 && count == 5) || (strcmp(name, "step") == 0 && count == 6))
        return run_batch(t, a, err);
    return ib_fail(err, IB_ERROR_USAGE, "unknown command or wrong number of arguments: %s", name);
}

/* ---- start ------------------------------------------------------------------------------------
 */

static int set_option(ib_experiment *c, const char *key, const char *text) {
    const struct {
        const char *key;
        double *real;
        int64_t *whole;
    } rows[] = {
        {"lr", &c->lr, NULL},
        {"gamma", &c->gamma, NULL},
        {"momentum", &c->momentum, NULL},
        {"weight-decay", &c->weight_decay, NULL},
        {"rho", &c->rho, NULL},
        {"beta1", &c->beta1, NULL},
        {"beta2", &c->beta2, NULL},
        {"eps", &c->eps, NULL},
        {"label-smoothing", &c->label_smoothing, NULL},
        {"ema", &c->ema, NULL},
        {"lr-min", &c->lr_min, NULL},
        {"pct-start", &c->pct_start, NULL},
        {"div-factor", &c->div_factor, NULL},
        {"final-div-factor", &c->final_div_factor, NULL},
        {"warmup", NULL, &c->warmup},
        {"epochs", NULL, &c->epochs},
        {"batch-size", NULL, &c->batch_size},
        {"train-size", NULL, &c->train_size},
        {"test-size", NULL, &c->test_size},
    };
    if (strcmp(key, "nesterov") == 0) {
        c->nesterov = text[0] != '0';
        return 1;
    }
    const ib_schedule *schedule;
    for (size_t i = 0; strcmp(key, "schedule") == 0 && (schedule = ib_schedule_at(i)) != NULL; ++i)
        if (strcmp(schedule->name, text) == 0)
            return c->schedule = (int)i, 1;
    if (strcmp(key, "seed") == 0) {
        c->seed = strtoull(text, NULL, 10);
        return 1;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
        if (strcmp(key, rows[i].key) == 0) {
            if (rows[i].real != NULL)
                *rows[i].real = strtod(text, NULL);
            else
                *rows[i].whole = strtoll(text, NULL, 10);
            return 1;
        }
    return 0;
}

/* A name, or a file of rows. */
static ib_status set_model(struct tool *t, const char *name, ib_error *err) {
    size_t length = strlen(name), size;
    t->experiment.model = IB_MODEL_CNN;
    if (length > 5 && strcmp(name + length - 5, ".yaml") == 0) {
        t->experiment.model = IB_MODEL_FILE;
        IB_TRY(ib_read_file(name, 1 << 20, &t->network, &size, err));
        t->experiment.network = t->network;
        t->experiment.network_path = (char *)(uintptr_t)name;
        return IB_OK;
    }
    while (t->experiment.model < IB_MODEL_RESNET50 &&
           strcmp(ib_model_kind_name((ib_model_kind)t->experiment.model), name) != 0)
        ++t->experiment.model;
    return IB_OK;
}

static int optimizer_of(const char *name) {
    for (size_t i = 0; ib_optimizer_at(i) != NULL; ++i)
        if (strcmp(ib_optimizer_at(i)->name, name) == 0)
            return (int)i;
    return IB_SGD;
}

static double default_of(int optimizer, const char *option) {
    const char *text = ib_optimizer_default((ib_optimizer_kind)optimizer, option);
    return text == NULL ? 0 : strtod(text, NULL);
}

static ib_status open_tool(struct tool *t, int argc, char **argv, ib_error *err) {
    int optimizer = optimizer_of(argv[2]);
    t->experiment = (ib_experiment){
        .optimizer = optimizer,
        .lr = default_of(optimizer, "lr"),
        .eps = default_of(optimizer, "eps"),
        .gamma = 0.7,
        .rho = default_of(optimizer, "rho"),
        .beta1 = default_of(optimizer, "beta1"),
        .beta2 = default_of(optimizer, "beta2"),
        .weight_decay = default_of(optimizer, "weight-decay"),
        .schedule = IB_SCHEDULE_STEP,
        .pct_start = 0.3,
        .div_factor = 25,
        .final_div_factor = 1e4,
        .epochs = 1,
        .batch_size = 64,
        .seed = 1,
    };
    IB_TRY(set_model(t, argv[1], err));
    for (int i = 8; i < argc; i += 2)
        if (i + 1 == argc || !set_option(&t->experiment, argv[i], argv[i + 1]))
            return ib_fail(err, IB_ERROR_USAGE, "unknown option %s", argv[i]);
    ib_backend_options options = {"cpu", argv[3], (unsigned)atoi(argv[4])};
    IB_TRY(ib_dataset_open(argv[6], argv[7], &t->dataset, err));
    IB_TRY(ib_dataset_labels(&t->dataset, &t->labels, err));
    IB_TRY(ib_backend_open(&options, &t->backend, err));
    /* PyTorch's example normalises every data set by these two. */
    return ib_model_open(t->backend, &t->experiment, ib_dataset_find("mnist"),
                         (size_t)atoi(argv[5]), 1, &t->model, err);
}

static void close_tool(struct tool *t) {
    ib_model_close(t->model);
    ib_backend_close(t->backend);
    ib_dataset_close(&t->dataset);
    free(t->labels);
    free(t->network);
}

static void serve(struct tool *t) {
    char line[LINE];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *arguments[MAX_ARGUMENTS + 1] = {0}, *rest = NULL;
        int count = 0;
        for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < MAX_ARGUMENTS;
             word = strtok_r(NULL, " \n", &rest))
            arguments[count++] = word;
        if (count == 0)
            continue;
        ib_error err = {0};
        t->answer[0] = '\0';
        ib_status status = run_command(t, arguments, count, &err);
        if (status == IB_OK)
            printf("ok%s\n", t->answer);
        else
            printf("error %d %s\n", (int)status, ib_error_text(&err));
        fflush(stdout);
        ib_error_clear(&err);
    }
}

int main(int argc, char **argv) {
    struct tool tool = {0};
    ib_error err = {0};
    ib_status status;
    if (argc >= 4 && argc <= 5 && strcmp(argv[1], "prepare") == 0) {
        status = ib_dataset_prepare(argv[2], argv[3], argv[4], NULL, &err);
        if (status != IB_OK)
            fprintf(stderr, "engine_tool: %s\n", ib_error_text(&err));
        ib_error_clear(&err);
        return (int)status;
    }
    if (argc < 8) {
        fprintf(stderr, "usage: engine_tool prepare DATA_DIR DATASET [MIRROR]\n"
                        "       engine_tool MODEL OPTIMIZER ISA THREADS CAPACITY DATA_DIR DATASET "
                        "[KEY VALUE]...\n");
        return IB_ERROR_USAGE;
    }
    status = open_tool(&tool, argc, argv, &err);
    if (status == IB_OK)
        serve(&tool);
    else
        fprintf(stderr, "engine_tool: %s\n", ib_error_text(&err));
    ib_error_clear(&err);
    close_tool(&tool);
    return (int)status;
}
