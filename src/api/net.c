/* The public library's networks: opening, training, what they answer, their files. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/net_options.h"
#include "api/parts.h"
#include "data/split.h"
#include "model/model_file.h"
#include "record/recorded.h"
#include "train/trainer.h"

_Static_assert((int)IB_SHA256_TEXT == (int)IB_SHA256_HEX_SIZE,
               "the header says how long a hash is");

struct ib_net {
    ib_device *device;
    const ib_data *data;
    ib_arguments arguments; /* of isobit train; the model points to the experiment */
    ib_network_file rows;   /* copied; none: the experiment names the network */
    ib_model *model;
    ib_split split;
    ib_train_position position;
    int ended; /* trained to the end, or failed */
    atomic_int stop;
    ib_error err;
};

/* ---- opening ----------------------------------------------------------------------------------
 */

static const ib_experiment *experiment_of(const ib_net *net) {
    return &net->arguments.config.experiment;
}

/* A model of the network, for training, without weights. The caller closes it, or gives it to
 * replace_model. */
static ib_status open_model(const ib_net *net, ib_model **model, ib_error *err) {
    const ib_experiment *experiment = experiment_of(net);
    const ib_dataset_info *info = net->data->dataset.info;
    size_t batch = (size_t)experiment->batch_size;
    if (net->rows.rows != NULL)
        return ib_model_open_network(net->device->backend, experiment, &net->rows, info, batch, 1,
                                     model, err);
    return ib_model_open(net->device->backend, experiment, info, batch, 1, model, err);
}

/* Training goes on from the position. */
static void replace_model(ib_net *net, ib_model *model, ib_train_position position) {
    ib_model_close(net->model);
    net->model = model;
    net->position = position;
    net->ended = 0;
}

/* The weights that training begins with: the file's, init-model's, or the seed's. */
static ib_status set_weights(ib_net *net, const ib_safetensors *file, ib_error *err) {
    const ib_experiment *experiment = experiment_of(net);
    if (file != NULL)
        return ib_model_load_read(net->model, file, err);
    if (experiment->init_model != NULL)
        return ib_model_load(net->model, experiment->init_model, err);
    return ib_model_initialize(net->model, experiment->seed, err);
}

/* file NULL: no model's file was given. */
static ib_status begin(ib_net *net, const ib_safetensors *file, ib_error *err) {
    const ib_dataset *dataset = &net->data->dataset;
    const ib_experiment *experiment = experiment_of(net);
    IB_TRY(ib_split_make((ib_split_kind)experiment->split, dataset->train_count,
                         dataset->test_count, experiment->seed, (size_t)experiment->train_size,
                         (size_t)experiment->test_size, &net->split, err));
    IB_TRY(ib_split_limit_validation(&net->split, (size_t)experiment->validation_size, err));
    if (ib_normalization_at((size_t)experiment->normalize)->by_pixel)
        return ib_fail(err, IB_ERROR_USAGE,
                       "option 'normalize': a net has no table of means and deviations for it; "
                       "predictors take the models of such runs");
    IB_TRY(open_model(net, &net->model, err));
    return set_weights(net, file, err);
}

/* The file was read once: what is hashed is what is used. Which network it is of the tensors say,
 * where it was not given. */
static ib_status begin_read(ib_net *net, const ib_contents *contents, int given, ib_error *err) {
    ib_experiment *experiment = &net->arguments.config.experiment;
    ib_model *model = NULL;
    ib_safetensors file;
    char sha256[IB_SHA256_HEX_SIZE];
    ib_sha256_bytes(contents->data, contents->size, sha256);
    IB_TRY(ib_adopt_beside(contents->path, sha256, IB_FOR_TEST, &net->arguments, NULL, NULL, err));
    if (!given) {
        IB_TRY(ib_open_model_read(contents, net->device->backend, experiment,
                                  net->data->dataset.info, 1, &model, err));
        ib_model_close(model);
    }
    IB_TRY(ib_safetensors_parse(contents, &file, err));
    ib_status status = begin(net, &file, err);
    ib_safetensors_close(&file);
    return status;
}

static ib_status begin_file(ib_net *net, const char *model, int given, ib_error *err) {
    ib_contents contents;
    char *path = NULL;
    if (experiment_of(net)->init_model != NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "option 'init-model': the weights are those of the model's file");
    ib_status status = ib_model_file_path(model, &path, err);
    if (status == IB_OK)
        status = ib_contents_open(path, IB_MODEL_FILE_MOST, &contents, err);
    if (status == IB_OK) {
        status = begin_read(net, &contents, given, err);
        ib_contents_close(&contents);
    }
    free(path);
    return status;
}

static ib_status open_net(ib_net *net, const ib_net_options *options, ib_error *err) {
    if (net->device->busy)
        return ib_fail(err, IB_ERROR_USAGE, "the device is training: its callback cannot use it");
    if (options->rows != NULL && options->network != NULL)
        return ib_fail(err, IB_ERROR_USAGE, "a network is given by name or by rows, not by both");
    IB_TRY(ib_net_options_parse(options->network, options->options, &net->arguments, err));
    if (options->rows != NULL)
        IB_TRY(ib_network_of_rows(options->rows, &net->rows, err));
    if (options->model == NULL)
        return begin(net, NULL, err);
    return begin_file(net, options->model, options->network != NULL || options->rows != NULL, err);
}

ib_status ib_net_open(ib_device *device, const ib_data *data, const ib_net_options *options,
                      ib_net **net, char *message, size_t message_size) {
    const ib_net_options defaults = {0};
    ib_guard guard;
    ib_error err = {0};
    ib_net *fresh = calloc(1, sizeof *fresh);
    ib_status status = IB_OK;
    ib_guard_enter(&guard);
    if (fresh == NULL) {
        status = ib_fail_memory(&err);
    } else {
        fresh->device = device;
        fresh->data = data;
        status = open_net(fresh, options != NULL ? options : &defaults, &err);
    }
    if (status != IB_OK) {
        ib_net_close(fresh);
        fresh = NULL;
    }
    ib_guard_leave(&guard);
    *net = fresh;
    return ib_tell(status, &err, message, message_size);
}

void ib_net_close(ib_net *net) {
    if (net == NULL)
        return;
    ib_model_close(net->model);
    ib_split_close(&net->split);
    ib_network_file_close(&net->rows);
    ib_arguments_free(&net->arguments);
    ib_error_clear(&net->err);
    free(net);
}

const char *ib_net_error(const ib_net *net) {
    return ib_error_text(&net->err);
}

/* What each call begins with; ib_guard_leave follows whatever it returns. */
static ib_status enter(ib_net *net, ib_guard *guard) {
    ib_guard_enter(guard);
    ib_error_clear(&net->err);
    if (net->device->busy)
        return ib_fail(&net->err, IB_ERROR_USAGE,
                       "the device is training: its callback cannot use it");
    return IB_OK;
}

/* ---- training ---------------------------------------------------------------------------------
 */

/* One call of ib_net_train. */
struct training {
    ib_net *net;
    ib_on_event *on_event;
    void *context;
    ib_guard *guard;
    ib_train_plan plan;
};

static ib_status on_begin(void *context, const ib_train_plan *plan, ib_error *err) {
    (void)err;
    ((struct training *)context)->plan = *plan;
    return IB_OK;
}

/* An event outside our floating-point environment. What stops is a flag that the trainer asks for
 * between steps, so that its position is where it can go on. */
static void tell(struct training *training, ib_event *event) {
    event->epochs = training->plan.epochs;
    event->steps_per_epoch = training->plan.steps_per_epoch;
    ib_guard_leave(training->guard);
    int stop = training->on_event(training->context, event);
    ib_guard_enter(training->guard);
    if (stop)
        atomic_store(&training->net->stop, 1);
}

static ib_status on_step(void *context, const ib_step_event *event, ib_error *err) {
    (void)err;
    tell(context, &(ib_event){.kind = IB_EVENT_STEP,
                              .epoch = event->epoch,
                              .step_in_epoch = event->step_in_epoch + 1,
                              .step = event->step,
                              .loss = (double)event->loss,
                              .learning_rate = event->learning_rate,
                              .seconds = event->train_seconds});
    return IB_OK;
}

static ib_result result_of(const ib_evaluation *evaluation) {
    return (ib_result){evaluation->count, evaluation->correct, evaluation->accuracy,
                       evaluation->loss};
}

static ib_status on_epoch(void *context, const ib_epoch_event *event, ib_error *err) {
    (void)err;
    const struct training *training = context;
    ib_result test = result_of(event->test), validation = {0};
    if (event->validation != NULL)
        validation = result_of(event->validation);
    tell(context, &(ib_event){.kind = IB_EVENT_EPOCH,
                              .epoch = event->epoch,
                              .step_in_epoch = training->plan.steps_per_epoch,
                              .step = event->epoch * training->plan.steps_per_epoch,
                              .loss = event->train_loss,
                              .learning_rate = event->learning_rate,
                              .seconds = event->train_seconds,
                              .test = &test,
                              .validation = event->validation != NULL ? &validation : NULL});
    return IB_OK;
}

/* Somebody looks at each step before the next one. */
static size_t one_step(void *context, const ib_train_position *position) {
    (void)context;
    (void)position;
    return 1;
}

static int on_stop(void *context) {
    return atomic_load(&((struct training *)context)->net->stop);
}

static ib_status train(ib_net *net, ib_on_event *on_event, void *context, ib_guard *guard) {
    struct training training = {net, on_event, context, guard, {0}};
    ib_train_observer observer = {.context = &training, .begin = on_begin, .stop = on_stop};
    ib_train_result trained;
    if (net->ended)
        return ib_fail(&net->err, IB_ERROR_USAGE,
                       "training has ended: load weights to begin anew, or open another network");
    if (on_event != NULL) {
        observer.step = on_step;
        observer.epoch = on_epoch;
        observer.steps_until = one_step;
    }
    net->device->busy = 1;
    ib_status status =
        ib_train(net->model, experiment_of(net), (size_t)experiment_of(net)->batch_size,
                 &net->data->dataset, &net->split, &net->position, &observer, &trained, &net->err);
    net->device->busy = 0;
    net->position = trained.position;
    net->ended = status != IB_INTERRUPTED;
    if (status == IB_INTERRUPTED)
        atomic_store(&net->stop, 0);
    ib_train_result_free(&trained);
    return status;
}

ib_status ib_net_train(ib_net *net, ib_on_event *on_event, void *context) {
    ib_guard guard;
    ib_status status = enter(net, &guard);
    if (status == IB_OK)
        status = train(net, on_event, context, &guard);
    ib_guard_leave(&guard);
    return status;
}

void ib_net_stop(ib_net *net) {
    atomic_store(&net->stop, 1);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static ib_status evaluate(ib_net *net, ib_subset which, ib_result *result, uint32_t *confusion) {
    const ib_split *split = &net->split;
    const struct {
        const uint32_t *indices;
        size_t count;
    } sets[] = {{split->test, split->test_count},
                {split->validation, split->validation_count},
                {split->train, split->train_count}};
    if ((size_t)which >= sizeof sets / sizeof sets[0])
        return ib_fail(&net->err, IB_ERROR_USAGE, "no set of images has the number %d", (int)which);
    ib_evaluation evaluation = {0};
    ib_status status = ib_evaluate(net->model, &net->data->dataset, sets[which].indices,
                                   sets[which].count, &evaluation, &net->err);
    if (status == IB_OK && result != NULL)
        *result = result_of(&evaluation);
    if (status == IB_OK && confusion != NULL)
        memcpy(confusion, evaluation.confusion,
               evaluation.classes * evaluation.classes * sizeof *confusion);
    ib_evaluation_free(&evaluation);
    return status;
}

ib_status ib_net_evaluate(ib_net *net, ib_subset which, ib_result *result, uint32_t *confusion) {
    ib_guard guard;
    ib_status status = enter(net, &guard);
    if (status == IB_OK)
        status = evaluate(net, which, result, confusion);
    ib_guard_leave(&guard);
    return status;
}

ib_status ib_net_predict(ib_net *net, const uint8_t *images, size_t count, uint16_t *classes,
                         float *logits) {
    ib_guard guard;
    ib_scores scores = {.classes = classes, .logits = logits};
    ib_status status = enter(net, &guard);
    if (status == IB_OK)
        status = ib_model_attach_images(net->model, images, NULL, count, &net->err);
    if (status == IB_OK)
        status = ib_model_evaluate(net->model, count, NULL, NULL, &scores, &net->err);
    ib_guard_leave(&guard);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------
 */

ib_status ib_net_save(ib_net *net, const char *path, char sha256[IB_SHA256_TEXT]) {
    ib_guard guard;
    ib_status status = enter(net, &guard);
    if (status == IB_OK && path == NULL && sha256 == NULL)
        status = ib_fail(&net->err, IB_ERROR_USAGE, "neither a path nor room for a hash");
    if (status == IB_OK)
        status = ib_model_save(net->model, NULL, path, sha256, &net->err);
    ib_guard_leave(&guard);
    return status;
}

ib_status ib_net_save_optimizer(ib_net *net, const char *path, char sha256[IB_SHA256_TEXT]) {
    ib_guard guard;
    ib_status status = enter(net, &guard);
    if (status == IB_OK && path == NULL && sha256 == NULL)
        status = ib_fail(&net->err, IB_ERROR_USAGE, "neither a path nor room for a hash");
    if (status == IB_OK)
        status =
            ib_model_save_optimizer(net->model, NULL, path, net->position.steps, sha256, &net->err);
    ib_guard_leave(&guard);
    return status;
}

/* Into a model begun anew, which has no optimiser state: the network stays as it was until all of
 * the file is good. */
static ib_status load(ib_net *net, const char *path) {
    ib_model *model = NULL;
    ib_status status = open_model(net, &model, &net->err);
    if (status == IB_OK)
        status = ib_model_load(model, path, &net->err);
    if (status == IB_OK)
        replace_model(net, model, (ib_train_position){0});
    else
        ib_model_close(model);
    return status;
}

ib_status ib_net_load(ib_net *net, const char *path) {
    ib_guard guard;
    ib_status status = enter(net, &guard);
    if (status == IB_OK)
        status = load(net, path);
    ib_guard_leave(&guard);
    return status;
}

static ib_status copy_weights(const ib_model *from, ib_model *to, ib_error *err) {
    for (size_t i = 0; i < ib_model_tensor_count(from); ++i) {
        const ib_tensor_info *info = ib_model_tensor(from, i);
        void *values = malloc((size_t)ib_shape_elements(&info->shape) * ib_dtype_size(info->dtype));
        ib_status status = values == NULL
                               ? ib_fail_memory(err)
                               : ib_model_read(from, i, ib_model_part(from, i), values, err);
        if (status == IB_OK)
            status = ib_model_write(to, i, IB_PART_VALUE, values, err);
        free(values);
        IB_TRY(status);
    }
    return IB_OK;
}

static ib_status load_optimizer(ib_net *net, const char *path) {
    ib_model *model = NULL;
    ib_train_position position;
    uint64_t steps = 0;
    ib_status status = open_model(net, &model, &net->err);
    if (status == IB_OK)
        status = copy_weights(net->model, model, &net->err);
    if (status == IB_OK)
        status = ib_model_load_optimizer(model, path, &steps, &net->err);
    if (status == IB_OK) {
        status =
            ib_train_position_after(experiment_of(net), &net->split, steps, &position, &net->err);
        if (status != IB_OK)
            ib_fail_context(&net->err, "%s", path);
    }
    if (status == IB_OK)
        replace_model(net, model, position);
    else
        ib_model_close(model);
    return status;
}

ib_status ib_net_load_optimizer(ib_net *net, const char *path) {
    ib_guard guard;
    ib_status status = enter(net, &guard);
    if (status == IB_OK)
        status = load_optimizer(net, path);
    ib_guard_leave(&guard);
    return status;
}
