/* isobit train: from a configuration to a trained model and its record. */
#include "command/train_run.h"
#include "command/missing_data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/threads.h"
#include "command/metrics_text.h"
#include "command/progress.h"
#include "command/session.h"
#include "command/tracking.h"
#include "command/train_svm.h"
#include "record/checkpoint.h"
#include "record/mistakes_file.h"
#include "record/trace.h"
#include "train/trainer.h"

/* One training run while it goes on. */
typedef struct train_run {
    const ib_config *config;
    const ib_command_context *context;
    ib_session session;
    unsigned usable_cpus;
    cpu_set_t cpu_set;
    const cpu_set_t *cpus; /* &cpu_set, or NULL */
    ib_tracker *tracker;   /* NULL: the run is not tracked */
    ib_progress progress;
    ib_train_plan plan;
    ib_record *record;      /* NULL in a dry run */
    ib_trace_writer *trace; /* NULL without --trace */
    char *experiment;       /* "mnist-cnn" */
    char *canonical;
    char experiment_sha256[IB_SHA256_HEX_SIZE];
    ib_checkpoint from; /* where the run goes on; the beginning for a new one */
    double out_flushed; /* ib_seconds() */
} train_run;

/* PyTorch's lines go to a pipe or file as they come; on a terminal that shows the bar too, only
 * the results of each epoch. */
static int prints_steps(const train_run *run) {
    return !run->config->output.json &&
           !(run->progress.out != NULL && run->context->out_is_terminal);
}

static ib_status on_begin(void *context, const ib_train_plan *plan, ib_error *err) {
    (void)err;
    train_run *run = context;
    run->plan = *plan;
    ib_progress_begin(&run->progress, plan);
    return IB_OK;
}

static int on_stop(void *context) {
    const train_run *run = context;
    return run->context->signal_number != NULL && *run->context->signal_number != 0;
}

/* Of all parts of the run so far. */
static double total_seconds(const train_run *run) {
    return run->from.total_seconds + (ib_seconds() - run->context->start_seconds);
}

static ib_status write_checkpoint(const train_run *run, const ib_train_position *position,
                                  ib_error *err) {
    ib_checkpoint checkpoint = {.position = *position, .total_seconds = total_seconds(run)};
    IB_TRY(ib_record_metrics_position(run->record, &checkpoint.metrics, err));
    if (run->trace != NULL) {
        IB_TRY(ib_trace_sync(run->trace, &checkpoint.trace, err));
        ib_record_take_trace(run->record, &checkpoint.trace);
    }
    return ib_checkpoint_write(ib_record_folder(run->record), run->experiment_sha256,
                               run->session.model, &checkpoint, err);
}

/* After the last epoch the run's own files follow at once: no checkpoint is needed. */
static ib_status on_position(void *context, const ib_train_position *position, ib_error *err) {
    const train_run *run = context;
    uint64_t every = (uint64_t)run->config->record.checkpoint_every;
    int epoch_ended = position->step_in_epoch == 0;
    if (run->record == NULL || position->epoch > run->plan.epochs ||
        (!epoch_ended && (every == 0 || position->steps % every != 0)))
        return IB_OK;
    return write_checkpoint(run, position, err);
}

/* A trace needs the model after every step, a checkpoint at its own; losses are logged as they
 * come.
 */
static size_t on_steps_until(void *context, const ib_train_position *position) {
    const train_run *run = context;
    size_t every = (size_t)run->config->record.checkpoint_every;
    size_t log = (size_t)run->config->record.log_interval;
    size_t until = run->trace != NULL ? 1 : log - position->step_in_epoch % log;
    if (every > 0 && every - position->steps % every < until)
        until = every - position->steps % every;
    return until;
}

/* What the run ends with when a signal stopped it, after its checkpoint. */
static ib_status stopped(const train_run *run, const ib_train_position *position, ib_error *err) {
    int terminated = *run->context->signal_number == SIGTERM;
    const char *name = terminated ? "SIGTERM" : "SIGINT";
    ib_status status = terminated ? IB_TERMINATED : IB_INTERRUPTED;
    unsigned long long step = (unsigned long long)position->steps;
    if (run->record == NULL)
        return ib_fail(err, status, "stopped by %s after step %llu", name, step);
    IB_TRY(write_checkpoint(run, position, err));
    return ib_fail(err, status,
                   "stopped by %s after step %llu (epoch %zu): the run is not finished; go on with "
                   "isobit train --resume %s",
                   name, step, position->epoch, ib_record_directory(run->record));
}

/* What the example of PyTorch prints, letter by letter. */
static void print_step(train_run *run, const ib_step_event *event) {
    FILE *out = run->context->out;
    double percent = 100.0 * (double)event->step_in_epoch / (double)run->plan.steps_per_epoch;
    fprintf(out, "Train Epoch: %zu [%zu/%zu (%.0f%%)]\tLoss: %.6f\n", event->epoch,
            event->images_seen, run->plan.train_count, percent, (double)event->loss);
    double now = ib_seconds();
    if (now - run->out_flushed > 0.5) { /* somebody may be reading along */
        fflush(out);
        run->out_flushed = now;
    }
}

static ib_status on_step(void *context, const ib_step_event *event, ib_error *err) {
    train_run *run = context;
    if (run->trace != NULL)
        IB_TRY(ib_trace_step(run->trace, event->step, event->loss, err));
    if (event->step_in_epoch % (size_t)run->config->record.log_interval == 0) {
        if (run->record != NULL)
            IB_TRY(ib_record_metric(run->record, "train_loss", (double)event->loss, event->step,
                                    event->epoch, err));
        if (prints_steps(run))
            print_step(run, event);
    }
    ib_progress_step(&run->progress, event);
    return IB_OK;
}

static void print_evaluation(FILE *out, const char *name, const ib_evaluation *evaluation) {
    fprintf(out, "\n%s set: Average loss: %.4f, Accuracy: %zu/%zu (%.0f%%)\n\n", name,
            evaluation->loss, evaluation->correct, evaluation->count, 100.0 * evaluation->accuracy);
}

static ib_status record_epoch(train_run *run, const ib_epoch_event *event, ib_error *err) {
    uint64_t step = (uint64_t)event->epoch * run->plan.steps_per_epoch;
    const struct {
        const char *key;
        double value;
    } metrics[] = {
        {"epoch_train_loss", event->train_loss},
        {"learning_rate", event->learning_rate},
        {"train_seconds", event->train_seconds},
        {"test_loss", event->test->loss},
        {"test_accuracy", event->test->accuracy},
        {"validation_loss", event->validation == NULL ? 0 : event->validation->loss},
        {"validation_accuracy", event->validation == NULL ? 0 : event->validation->accuracy},
    };
    size_t count = sizeof metrics / sizeof metrics[0] - (event->validation == NULL ? 2 : 0);
    for (size_t i = 0; i < count; ++i)
        IB_TRY(ib_record_metric(run->record, metrics[i].key, metrics[i].value, step, event->epoch,
                                err));
    return ib_record_flush(run->record, err);
}

static ib_status on_epoch(void *context, const ib_epoch_event *event, ib_error *err) {
    train_run *run = context;
    ib_progress_clear(&run->progress);
    if (!run->config->output.json) {
        if (event->validation != NULL)
            print_evaluation(run->context->out, "Validation", event->validation);
        print_evaluation(run->context->out, "Test", event->test);
        fflush(run->context->out);
    }
    return run->record == NULL ? IB_OK : record_epoch(run, event, err);
}

/* A new record, or the one that goes on, with the model as its newest checkpoint has it. */
static ib_status begin_record(train_run *run, ib_error *err) {
    ib_record_start start = {.configuration = run->config,
                             .runs_dir = run->config->record.runs_dir,
                             .sample_period = run->config->record.sample_period,
                             .experiment = run->experiment,
                             .canonical = run->canonical,
                             .experiment_sha256 = run->experiment_sha256,
                             .dataset = &run->session.dataset,
                             .split = &run->session.split,
                             .table = run->session.table.pixels > 0 ? &run->session.table : NULL,
                             .backend = &run->session.backend->info,
                             .usable_cpus = run->usable_cpus};
    if (run->record == NULL) {
        IB_TRY(ib_record_begin(&start, &run->record, err));
        ib_record_watch(run->record, run->context->start_seconds, run->cpus);
        return IB_OK;
    }
    IB_TRY(ib_checkpoint_read(ib_record_directory(run->record), run->experiment_sha256,
                              run->session.model, &run->from, err));
    IB_TRY(ib_checkpoint_check_prefixes(ib_record_directory(run->record), &run->from, err));
    IB_TRY(
        ib_record_continue(run->record, &start, &run->from.metrics, run->from.total_seconds, err));
    ib_record_watch(run->record, run->context->start_seconds, run->cpus);
    fprintf(run->context->log, "going on after step %llu of %s\n",
            (unsigned long long)run->from.position.steps, ib_record_directory(run->record));
    return IB_OK;
}

/* Into the record, or in a dry run only the hashes of what would be written. */
static ib_status save(train_run *run, const ib_train_result *trained, ib_run_results *results,
                      ib_error *err) {
    const ib_model *model = run->session.model;
    const ib_folder *folder = run->record == NULL ? NULL : ib_record_folder(run->record);
    const char *model_name = folder == NULL ? NULL : "model.safetensors";
    const char *optimizer_name = folder == NULL ? NULL : "optimizer.safetensors";
    if (folder != NULL)
        IB_TRY(ib_mistakes_write(&trained->test.mistakes, &run->session.dataset, 1, folder, err));
    ib_dataset_release_pixels(&run->session.dataset); /* saving copies tensors: do not add up */
    IB_TRY(ib_model_save(model, folder, model_name, results->model_sha256, err));
    IB_TRY(ib_model_save_optimizer(model, folder, optimizer_name, trained->position.steps,
                                   results->optimizer_sha256, err));
    results->model_bytes = folder == NULL ? 0 : ib_file_bytes(folder, model_name);
    return IB_OK;
}

static void fill_results(const train_run *run, const ib_train_result *trained,
                         ib_run_results *results) {
    results->experiment_sha256 = run->experiment_sha256;
    results->test_accuracy = trained->test.accuracy;
    results->test_loss = trained->test.loss;
    results->validation = trained->has_validation ? &trained->validation : NULL;
    results->train_seconds = trained->position.train_seconds;
    results->images_per_second =
        trained->position.train_seconds > 0
            ? (double)trained->position.images / trained->position.train_seconds
            : 0;
    results->peak_rss_bytes = ib_peak_rss_bytes();
    results->backend = &run->session.backend->info;
    results->exact = run->config->machine.exact;
    results->run_dir = run->record == NULL ? NULL : ib_record_directory(run->record);
    results->total_seconds = total_seconds(run);
}

static void print_summary(const train_run *run, const ib_train_result *trained,
                          const ib_run_results *results) {
    FILE *out = run->context->out;
    ib_metrics_print(results->metrics, &trained->test, out);
    fprintf(out, "\nExperiment         %s, seed %llu, %zu epoch%s\n", run->experiment,
            (unsigned long long)run->config->experiment.seed, run->plan.epochs,
            run->plan.epochs == 1 ? "" : "s");
    fprintf(out, "Test accuracy      %.2f %% (%zu of %zu)\n", 100 * results->test_accuracy,
            trained->test.correct, trained->test.count);
    fprintf(out, "Test loss          %.6f\n", results->test_loss);
    fprintf(out, "Training time      %.2f s, %.0f images/s (%.2f s in all)\n",
            results->train_seconds, results->images_per_second, results->total_seconds);
    fprintf(out, "Computed by        %s, %s, %u thread%s\n", results->backend->name,
            results->backend->isa, results->backend->threads,
            results->backend->threads == 1 ? "" : "s");
    fprintf(out, "model_sha256       %s\n", results->model_sha256);
    fprintf(out, "optimizer_sha256   %s\n", results->optimizer_sha256);
    fprintf(out, "experiment_sha256  %s\n", results->experiment_sha256);
    fprintf(out, "Run record         %s\n",
            results->run_dir != NULL ? results->run_dir : "none: this was a dry run");
}

static ib_status finish_record(const train_run *run, const ib_run_results *results,
                               const ib_train_result *trained, ib_error *err) {
    ib_prefix trace;
    if (run->trace != NULL) {
        IB_TRY(ib_trace_sync(run->trace, &trace, err));
        ib_record_take_trace(run->record, &trace);
    }
    IB_TRY(ib_record_finish(run->record, IB_OK, NULL, results, &trained->test, err));
    ib_checkpoint_remove(ib_record_folder(run->record));
    return IB_OK;
}

/* --save-model: the file that PyTorch's example writes, under a name that says what it is. */
static ib_status save_beside(const train_run *run, ib_error *err) {
    char *path = ib_format("./%s_%s_%lldepochs.safetensors", run->config->experiment.dataset,
                           ib_experiment_model_name(&run->config->experiment),
                           (long long)run->config->experiment.epochs);
    if (path == NULL)
        return ib_fail_memory(err);
    char *table = ib_pixel_table_path(path);
    ib_status status = table == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && run->session.table.pixels > 0)
        status = ib_pixel_table_write(&run->session.table, NULL, table, err);
    if (status == IB_OK)
        status = ib_model_save(run->session.model, NULL, path, NULL, err);
    if (status == IB_OK && !run->config->output.json)
        fprintf(run->context->out, "Saved model        %s\n", path);
    free(table);
    free(path);
    return status;
}

static ib_status train_and_save(train_run *run, ib_error *err) {
    ib_train_observer observer = {.context = run,
                                  .begin = on_begin,
                                  .step = on_step,
                                  .epoch = on_epoch,
                                  .steps_until = on_steps_until,
                                  .position = on_position,
                                  .stop = on_stop};
    ib_train_result *trained = calloc(1, sizeof *trained);
    if (trained == NULL)
        return ib_fail_memory(err);
    ib_metrics metrics = {0};
    ib_run_results results = {.metrics = &metrics};
    ib_status status = ib_train(run->session.model, &run->config->experiment,
                                (size_t)run->config->machine.test_batch_size, &run->session.dataset,
                                &run->session.split, &run->from.position, &observer, trained, err);
    ib_progress_clear(&run->progress);
    if (status == IB_INTERRUPTED)
        status = stopped(run, &trained->position, err);
    if (status == IB_OK)
        status = save(run, trained, &results, err);
    if (status == IB_OK)
        status = ib_metrics_compute(trained->test.confusion, trained->test.classes, &metrics, err);
    if (status == IB_OK)
        fill_results(run, trained, &results);
    if (status == IB_OK && run->record != NULL) {
        status = finish_record(run, &results, trained, err);
    } else if (run->record != NULL) {
        ib_trace_close(run->trace); /* before the record says how long it is */
        run->trace = NULL;
        /* the first error is the one to tell */
        ib_record_finish(run->record, status, ib_error_text(err), NULL, NULL, NULL);
    }
    if (status == IB_OK && !run->config->output.json)
        print_summary(run, trained, &results);
    if (status == IB_OK && run->config->record.save_model)
        status = save_beside(run, err);
    if (status == IB_OK && run->config->output.json) {
        ib_json json = {.out = run->context->out};
        ib_json_open(&json, NULL, '{');
        ib_results_write(&results, &json);
        ib_json_close(&json, '}');
        fputc('\n', run->context->out);
    }
    ib_metrics_free(&metrics);
    ib_train_result_free(trained);
    free(trained);
    return status;
}

static ib_status check_experiment(const train_run *run, const char *expected, ib_error *err) {
    if (expected == NULL || strcmp(expected, run->experiment_sha256) == 0)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "experiment_sha256 would be %s, but the record has %s: the data set or the file "
                   "of --init-model is not the one of that run",
                   run->experiment_sha256, expected);
}

static ib_status run_all(train_run *run, const char *experiment_sha256, ib_error *err) {
    const ib_config *config = run->config;
    IB_TRY(ib_get_missing_data(config, run->context, err));
    IB_TRY(ib_session_open(config, &run->session, err));
    IB_TRY(ib_identify(config, &run->session, &run->experiment, &run->canonical,
                       run->experiment_sha256, err));
    IB_TRY(check_experiment(run, experiment_sha256, err));
    IB_TRY(ib_session_make_table(config, &run->session, err));
    IB_TRY(ib_session_open_model(config, 1, &run->session, err));
    run->context->look_at_signals(1);
    if (!config->experiment.dry_run)
        IB_TRY(begin_record(run, err));
    ib_tracking_start(config, run->context, run->record, run->cpus, &run->tracker);
    if (config->record.trace && run->record != NULL)
        IB_TRY(ib_trace_open(ib_record_folder(run->record), run->session.model, &run->from.trace,
                             &run->trace, err));
    return train_and_save(run, err);
}

ib_status ib_train_run(const ib_config *config, const ib_command_context *context,
                       const ib_train_target *target, ib_error *err) {
    if (config->record.save_model && access(".", W_OK) != 0)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "--save-model writes to the current directory, which is not writable: go "
                       "to another, or leave --save-model out");
    IB_TRY(ib_tracking_check(config, context, err));
    if (config->experiment.model == IB_MODEL_SVM)
        return ib_run_train_svm(config, context, target, err);
    train_run run = {.config = config,
                     .context = context,
                     .usable_cpus = ib_usable_cpus(),
                     .record = target->record};
    run.cpus = ib_allowed_cpus(&run.cpu_set);
    run.progress.out = context->log_is_terminal ? context->bar : NULL;
    run.progress.use_escapes = context->use_escapes;
    ib_status status = run_all(&run, target->experiment_sha256, err);
    ib_trace_close(run.trace);
    ib_tracking_end(config, run.tracker);
    if (run.record != target->record)
        ib_record_close(run.record);
    free(run.experiment);
    free(run.canonical);
    ib_session_close(&run.session);
    return status;
}
