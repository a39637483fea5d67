#include "command/rerun.h"
#include "command/missing_data.h"

#include <stdlib.h>
#include <string.h>

#include "command/session.h"
#include "train/trainer.h"

typedef struct state {
    const ib_command_context *context;
    const ib_model *model;
    ib_rerun *rerun;
} state;

static ib_status take(const ib_model *model, ib_rerun *rerun, ib_error *err) {
    if (rerun->tensor >= ib_model_tensor_count(model))
        return ib_fail(err, IB_ERROR_VERIFY, "the model has no tensor %zu", rerun->tensor);
    const ib_tensor_info *info = ib_model_tensor(model, rerun->tensor);
    size_t bytes = (size_t)ib_shape_elements(&info->shape) * ib_dtype_size(info->dtype);
    rerun->elements = bytes / sizeof *rerun->bits;
    rerun->bits = malloc(bytes);
    if (rerun->bits == NULL)
        return ib_fail_memory(err);
    return ib_model_read(model, rerun->tensor, rerun->part, rerun->bits, err);
}

static ib_status on_step(void *context, const ib_step_event *event, ib_error *err) {
    state *s = context;
    if (event->step != s->rerun->step)
        return IB_OK;
    s->rerun->loss = event->loss;
    return take(s->model, s->rerun, err);
}

/* The model is wanted as it is right after that step. */
static size_t on_steps_until(void *context, const ib_train_position *position) {
    const state *s = context;
    return (size_t)(s->rerun->step - position->steps);
}

static int on_stop(void *context) {
    const state *s = context;
    int signalled = s->context->signal_number != NULL && *s->context->signal_number != 0;
    return s->rerun->bits != NULL || signalled;
}

static ib_status train(const ib_config *config, const ib_command_context *context,
                       ib_session *session, ib_rerun *rerun, ib_error *err) {
    state s = {context, session->model, rerun};
    ib_train_observer observer = {
        .context = &s, .step = on_step, .steps_until = on_steps_until, .stop = on_stop};
    if (rerun->step == 0)
        return take(session->model, rerun, err);
    ib_train_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return ib_fail_memory(err);
    ib_status status =
        ib_train(session->model, &config->experiment, (size_t)config->machine.test_batch_size,
                 &session->dataset, &session->split, NULL, &observer, result, err);
    ib_train_result_free(result);
    free(result);
    if (rerun->bits != NULL && (status == IB_OK || status == IB_INTERRUPTED))
        return IB_OK;
    if (status == IB_OK)
        return ib_fail(err, IB_ERROR_VERIFY, "the experiment ends before step %llu",
                       (unsigned long long)rerun->step);
    return status;
}

ib_status ib_rerun_to(const ib_config *config, const ib_command_context *context,
                      const char *experiment_sha256, ib_rerun *rerun, ib_error *err) {
    ib_session session = {0};
    char *experiment = NULL, *canonical = NULL;
    char hex[IB_SHA256_HEX_SIZE];
    ib_status status = ib_get_missing_data(config, context, err);
    if (status == IB_OK)
        status = ib_session_open(config, &session, err);
    if (status == IB_OK)
        status = ib_identify(config, &session, &experiment, &canonical, hex, err);
    if (status == IB_OK && strcmp(hex, experiment_sha256) != 0)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "the data set or the file of --init-model is not the one of that run");
    if (status == IB_OK)
        status = ib_session_make_table(config, &session, err);
    if (status == IB_OK)
        status = ib_session_open_model(config, 1, &session, err);
    if (status == IB_OK) {
        const ib_backend_info *info = &session.backend->info;
        snprintf(rerun->machine, sizeof rerun->machine, "%s, %s, %u threads", info->name, info->isa,
                 info->threads);
        status = train(config, context, &session, rerun, err);
    }
    free(experiment);
    free(canonical);
    ib_session_close(&session);
    return status;
}
