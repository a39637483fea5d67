/* Many batches at a time: training steps whose results stay on the device until the last, and
 * evaluation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layer.h"

/* ---- training ---------------------------------------------------------------------------------
 */

static ib_status download_losses(ib_network *net, size_t first, size_t count, float *losses,
                                 ib_error *err) {
    ib_buffer part =
        ib_buffer_part(&net->step_losses, first * sizeof(float), count * sizeof(float));
    return net->backend->ops->download(net->backend, &part, losses, part.bytes, err);
}

/* Where results can be looked at at once, a loss that is not finite ends the step before its
 * update: the weights then still tell which of them it came from. */
static ib_status compute_step(ib_network *net, size_t at, const ib_pass *pass, size_t index,
                              const ib_update_scalars *scalars, ib_steps_result *result,
                              ib_error *err) {
    IB_TRY(ib_network_forward(net, at, pass, err));
    IB_TRY(ib_network_backward(net, pass, index, err));
    if (net->backend->info.immediate) {
        IB_TRY(download_losses(net, index, 1, result->losses + index, err));
        result->bad_loss = !isfinite(result->losses[index]);
    }
    return result->bad_loss ? IB_OK : ib_network_update(net, scalars, (uint32_t)index, err);
}

static ib_status one_step(ib_network *net, const ib_steps *s, size_t index, ib_steps_result *result,
                          ib_error *err) {
    const ib_step_scalars *scalars = &s->table[index];
    size_t at = scalars->at, rest = s->end - at;
    int64_t n = (int64_t)(rest < s->batch ? rest : s->batch);
    ib_pass pass = {.count = n,
                    .global = n,
                    .training = 1,
                    .dropout = s->dropout,
                    .seed = s->seed,
                    .step = scalars->step};
    ib_step_key key = {n, 1};
    int replayed = 0;
    IB_TRY(net->backend->ops->step_begin(net->backend, &key, index, &replayed, err));
    if (!replayed)
        IB_TRY(compute_step(net, at, &pass, index, &scalars->update, result, err));
    return net->backend->ops->step_end(net->backend, err);
}

/* Looks at the results of steps [first, last): the first bad one goes into result. */
static ib_status look(ib_network *net, size_t first, size_t last, ib_steps_result *result,
                      ib_error *err) {
    uint32_t bad = IB_NEVER_BAD;
    IB_TRY(download_losses(net, first, last - first, result->losses + first, err));
    IB_TRY(net->backend->ops->download(net->backend, &net->bad, &bad, sizeof bad, err));
    result->bad_step = bad < last ? bad : last;
    for (size_t i = first; i < last && i <= result->bad_step; ++i)
        if (!isfinite(result->losses[i])) {
            result->bad_step = i;
            result->bad_loss = 1;
            break;
        }
    return IB_OK;
}

/* An operand that is not finite, which a backend met in step `index`: a bad loss, as it would have
 * become. */
static ib_status met_bad(ib_network *net, size_t index, ib_steps_result *result, ib_status status,
                         ib_error *err) {
    if (status != IB_ERROR_DIVERGED)
        return status;
    snprintf(result->met, sizeof result->met, "%s", err == NULL ? "" : ib_error_text(err));
    ib_error_clear(err);
    result->done = index + 1;
    result->bad_step = index;
    result->bad_loss = 1;
    return download_losses(net, index, 1, result->losses + index, err);
}

ib_status ib_network_steps(ib_network *net, const ib_steps *steps, ib_steps_result *result,
                           ib_error *err) {
    static const uint32_t NEVER = IB_NEVER_BAD;
    const ib_backend_ops *ops = net->backend->ops;
    result->done = result->bad_step = 0;
    result->bad_loss = 0;
    result->met[0] = '\0';
    IB_TRY(ops->upload(net->backend, &net->bad, &NEVER, sizeof NEVER, err));
    IB_TRY(ops->step_table(net->backend, steps->table, steps->count, err));
    for (size_t i = 0; i < steps->count; ++i) {
        if (steps->stop != NULL && steps->stop(steps->stop_context))
            break;
        ib_status status = one_step(net, steps, i, result, err);
        if (status != IB_OK)
            return met_bad(net, i, result, status, err);
        result->done = i + 1;
        if (!net->backend->info.immediate)
            continue;
        IB_TRY(look(net, i, i + 1, result, err));
        if (result->bad_step <= i)
            return IB_OK;
    }
    return net->backend->info.immediate ? IB_OK : look(net, 0, result->done, result, err);
}

/* ---- evaluation -------------------------------------------------------------------------------
 */

/* What stays on the device until all batches are done. */
struct results {
    ib_buffer losses, classes, evidence;
};

static ib_status results_open(ib_network *net, size_t count, const ib_scores *scores,
                              struct results *r, ib_error *err) {
    const ib_backend_ops *ops = net->backend->ops;
    *r = (struct results){0};
    IB_TRY(ops->buffer_create(net->backend, count * sizeof(uint16_t), &r->classes, err));
    if (scores->losses != NULL)
        IB_TRY(ops->buffer_create(net->backend, count * sizeof(float), &r->losses, err));
    if (scores->evidence != NULL)
        IB_TRY(ops->buffer_create(net->backend, 2 * count * sizeof(float), &r->evidence, err));
    return IB_OK;
}

static void results_close(ib_network *net, struct results *r) {
    const ib_backend_ops *ops = net->backend->ops;
    ops->buffer_destroy(net->backend, &r->losses);
    ops->buffer_destroy(net->backend, &r->classes);
    ops->buffer_destroy(net->backend, &r->evidence);
}

static ib_buffer elements(const ib_buffer *whole, size_t first, size_t count, size_t bytes) {
    return whole->handle == NULL ? *whole : ib_buffer_part(whole, first * bytes, count * bytes);
}

static ib_status read_logits(ib_network *net, size_t count, float *logits, ib_error *err) {
    const ib_node *last = &net->nodes[net->node_count - 1];
    size_t stride = (size_t)ib_pad16(net->classes), classes = (size_t)net->classes;
    float *stored = malloc(count * stride * sizeof *stored);
    if (stored == NULL)
        return ib_fail_memory(err);
    ib_status status = net->backend->ops->download(net->backend, &last->y, stored,
                                                   count * stride * sizeof *stored, err);
    for (size_t i = 0; status == IB_OK && i < count; ++i)
        memcpy(logits + i * classes, stored + i * stride, classes * sizeof *logits);
    free(stored);
    return status;
}

static ib_status score_batch(ib_network *net, size_t index, size_t at, size_t count,
                             const struct results *r, const ib_scores *scores, ib_error *err) {
    ib_pass pass = {.count = (int64_t)count, .global = (int64_t)count};
    ib_step_key key = {(int64_t)count, 0};
    const ib_node *last = &net->nodes[net->node_count - 1];
    ib_loss loss = {pass.count, net->classes, 1.0f,
                    scores->losses != NULL || scores->evidence != NULL};
    ib_loss_operands p = {.logits = last->y,
                          .losses = elements(&r->losses, at, count, sizeof(float)),
                          .classes = elements(&r->classes, at, count, sizeof(uint16_t)),
                          .evidence = elements(&r->evidence, at, count, 2 * sizeof(float))};
    int replayed = 0;
    if (loss.labelled)
        p.labels = net->labels;
    IB_TRY(net->backend->ops->step_begin(net->backend, &key, index, &replayed, err));
    if (!replayed) {
        IB_TRY(ib_network_forward(net, at, &pass, err));
        net->backend->label = "loss";
        IB_TRY(ib_classify(net->backend, &loss, &p, err));
    }
    IB_TRY(net->backend->ops->step_end(net->backend, err));
    if (scores->logits == NULL)
        return IB_OK;
    return read_logits(net, count, scores->logits + at * (size_t)net->classes, err);
}

/* The step table of an evaluation. */
static ib_status announce_batches(ib_network *net, size_t count, size_t batch, ib_error *err) {
    size_t steps = (count + batch - 1) / batch;
    ib_step_scalars *table = calloc(steps, sizeof *table);
    if (table == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < steps; ++i)
        table[i].at = i * batch;
    ib_status status = net->backend->ops->step_table(net->backend, table, steps, err);
    free(table);
    return status;
}

static ib_status score(ib_network *net, size_t count, size_t batch, int (*stop)(void *),
                       void *stop_context, const struct results *r, const ib_scores *scores,
                       ib_error *err) {
    const ib_backend_ops *ops = net->backend->ops;
    IB_TRY(announce_batches(net, count, batch, err));
    for (size_t at = 0; at < count; at += batch) {
        size_t n = count - at < batch ? count - at : batch;
        if (stop != NULL && stop(stop_context))
            return ib_fail(err, IB_INTERRUPTED, "evaluation was stopped");
        IB_TRY(score_batch(net, at / batch, at, n, r, scores, err));
    }
    if (scores->classes != NULL)
        IB_TRY(ops->download(net->backend, &r->classes, scores->classes,
                             count * sizeof *scores->classes, err));
    if (scores->losses != NULL)
        IB_TRY(ops->download(net->backend, &r->losses, scores->losses,
                             count * sizeof *scores->losses, err));
    if (scores->evidence != NULL)
        IB_TRY(ops->download(net->backend, &r->evidence, scores->evidence,
                             2 * count * sizeof *scores->evidence, err));
    return IB_OK;
}

ib_status ib_network_evaluate(ib_network *net, size_t count, size_t batch, int (*stop)(void *),
                              void *stop_context, const ib_scores *scores, ib_error *err) {
    struct results r;
    if (count == 0)
        return IB_OK;
    ib_status status = results_open(net, count, scores, &r, err);
    if (status == IB_OK)
        status = score(net, count, batch, stop, stop_context, &r, scores, err);
    results_close(net, &r);
    return status;
}

/* ---- what is not finite -----------------------------------------------------------------------
 */

static ib_status is_finite(ib_network *net, const ib_parameter *p, const ib_buffer *part,
                           int *finite, ib_error *err) {
    size_t bytes = (size_t)p->floats * sizeof(float);
    float *values = malloc(bytes);
    if (values == NULL)
        return ib_fail_memory(err);
    ib_status status = net->backend->ops->download(net->backend, part, values, bytes, err);
    *finite = 1;
    for (int64_t i = 0; status == IB_OK && i < p->floats; ++i)
        *finite &= values[i] - values[i] == 0;
    free(values);
    return status;
}

ib_status ib_network_find_bad(ib_network *net, const char **bad, ib_error *err) {
    *bad = NULL;
    for (size_t i = 0; *bad == NULL && i < net->parameter_count; ++i) {
        const ib_parameter *p = &net->parameters[i];
        int finite = 1;
        if (p->dtype != IB_F32)
            continue;
        IB_TRY(is_finite(net, p, &p->part[0], &finite, err));
        if (!finite)
            *bad = p->name;
    }
    return IB_OK;
}

ib_status ib_network_find_updated_bad(ib_network *net, const char **bad, ib_error *err) {
    int certain = 0;
    *bad = NULL;
    for (size_t i = 0; i < net->parameter_count && !certain; ++i) {
        const ib_parameter *p = &net->parameters[i];
        int finite = 1;
        if (!p->trained)
            continue;
        IB_TRY(is_finite(net, p, &p->part[0], &finite, err));
        if (finite)
            continue;
        IB_TRY(is_finite(net, p, &p->part[1], &certain, err));
        if (certain || *bad == NULL)
            *bad = p->name;
    }
    return IB_OK;
}
