#include "command/train_svm.h"
#include "command/missing_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "base/threads.h"
#include "command/metrics_text.h"
#include "command/tracking.h"
#include "record/mistakes_file.h"
#include "record/record.h"
#include "tensor/safetensors.h"

/* One training run while it goes on. */
typedef struct svm_run {
    const ib_config *config;
    const ib_command_context *context;
    ib_session session;
    unsigned usable_cpus;
    cpu_set_t cpu_set;
    const cpu_set_t *cpus; /* &cpu_set, or NULL */
    ib_tracker *tracker;   /* NULL: the run is not tracked */
    ib_record *record;
    char *experiment;
    char *canonical;
    char experiment_sha256[IB_SHA256_HEX_SIZE];
    ib_svm_options options;
    ib_svm_set set;
    const uint8_t **images; /* of set */
    uint8_t *labels;
    double weights[IB_SVM_MOST_CLASSES]; /* of set, where classes have their own */
    ib_svm_model model;
    ib_evaluation test, validation;
    double fit_seconds;
} svm_run;

/* ---- options and data ---------------------------------------------------------------------------
 */

static ib_svm_options options_of(const ib_config *config, const ib_dataset_info *info) {
    ib_svm_options options = {.kernel = (ib_svm_kernel_kind)config->experiment.svm_kernel,
                              .gamma_kind = IB_SVM_GAMMA_VALUE,
                              .c = config->experiment.svm_c,
                              .coef0 = config->experiment.svm_coef0,
                              .tolerance = config->experiment.tolerance,
                              .degree = (int)config->experiment.svm_degree,
                              .cache_bytes = (size_t)config->machine.cache_mb << 20};
    if (strcmp(config->experiment.svm_gamma, "scale") == 0)
        options.gamma_kind = IB_SVM_GAMMA_SCALE;
    else if (strcmp(config->experiment.svm_gamma, "auto") == 0)
        options.gamma_kind = IB_SVM_GAMMA_AUTO;
    else
        ib_parse_double(config->experiment.svm_gamma, &options.gamma);
    ib_normalization_choose(ib_normalization_at((size_t)config->experiment.normalize), info->mean,
                            info->standard_deviation, &options.mean, &options.deviation);
    return options;
}

/* Pointers to the pixels of some images, fresh memory. */
static const uint8_t **pixels_of(const ib_dataset *dataset, const uint32_t *indices, size_t count) {
    const uint8_t **images = calloc(count, sizeof *images);
    for (size_t i = 0; images != NULL && i < count; ++i)
        images[i] = ib_dataset_pixels(dataset, indices[i]);
    return images;
}

/* One weight a class of the data set, in the order of labels. */
static ib_status read_weights(const char *text, const ib_dataset_info *info, double *weights,
                              ib_error *err) {
    char *words = strdup(text), *rest = words, *word;
    size_t count = 0;
    if (words == NULL)
        return ib_fail_memory(err);
    while ((word = strsep(&rest, ",")) != NULL && count < info->classes)
        ib_parse_double(word, &weights[count++]);
    int fits = count == info->classes && word == NULL;
    free(words);
    return fits ? IB_OK
                : ib_fail(err, IB_ERROR_USAGE, "--class-weight %s: %s has %u classes", text,
                          info->name, info->classes);
}

static ib_status choose_weights(svm_run *run, ib_error *err) {
    const char *text = run->config->experiment.class_weight;
    if (text == NULL)
        return IB_OK;
    if (strcmp(text, "balanced") == 0)
        ib_svm_balance(&run->set, run->weights);
    else
        IB_TRY(read_weights(text, run->session.dataset.info, run->weights, err));
    run->set.weights = run->weights;
    return IB_OK;
}

static ib_status prepare(svm_run *run, ib_error *err) {
    const ib_session *session = &run->session;
    size_t count = session->split.train_count;
    if (session->dataset.info->classes > IB_SVM_MOST_CLASSES)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s has %u classes: a support vector machine takes up to %d, a network more",
                       session->dataset.info->name, session->dataset.info->classes,
                       (int)IB_SVM_MOST_CLASSES);
    run->images = pixels_of(&session->dataset, session->split.train, count);
    run->labels = calloc(count, 1);
    if (run->images == NULL || run->labels == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i)
        run->labels[i] = (uint8_t)ib_dataset_label(&session->dataset, session->split.train[i]);
    run->set = (ib_svm_set){.count = count,
                            .width = session->dataset.image_bytes,
                            .images = run->images,
                            .labels = run->labels};
    IB_TRY(choose_weights(run, err));
    run->options = options_of(run->config, session->dataset.info);
    run->options.table = session->table.pixels > 0 ? &session->table : NULL;
    return ib_svm_check(&run->options, &run->set, err);
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

static ib_status evaluate(const ib_session *session, const ib_svm_model *model,
                          const uint32_t *indices, size_t count, ib_evaluation *evaluation,
                          ib_error *err) {
    IB_TRY(ib_evaluation_begin(evaluation, session->dataset.info->classes, err));
    const uint8_t **images = pixels_of(&session->dataset, indices, count);
    uint8_t *classes = calloc(count, 1);
    double start = ib_seconds();
    ib_status status =
        images == NULL || classes == NULL
            ? ib_fail_memory(err)
            : ib_svm_predict(session->backend->host, model, images, count, classes, err);
    evaluation->seconds = ib_seconds() - start;
    for (size_t i = 0; status == IB_OK && i < count; ++i)
        ib_evaluation_count(evaluation, (ib_mistake){.index = indices[i],
                                                     .actual = (uint16_t)ib_dataset_label(
                                                         &session->dataset, indices[i]),
                                                     .predicted = classes[i]});
    free(images);
    free(classes);
    return status;
}

ib_status ib_svm_file_kind_of(const ib_contents *contents, ib_svm_file_kind *kind, ib_error *err) {
    static const char BEGIN[] = "svm_type";
    *kind = IB_NO_SVM;
    if (contents->size >= sizeof BEGIN && memcmp(contents->data, BEGIN, sizeof BEGIN - 1) == 0) {
        *kind = IB_SVM_LIBSVM;
        return IB_OK;
    }
    ib_safetensors file;
    IB_TRY(ib_safetensors_parse(contents, &file, err));
    if (ib_safetensors_find(&file, "support_vectors") != NULL)
        *kind = IB_SVM_SAFETENSORS;
    ib_safetensors_close(&file);
    return IB_OK;
}

ib_status ib_svm_open_file(const ib_contents *contents, ib_session *session, ib_svm_model *model,
                           ib_error *err) {
    IB_TRY(ib_svm_load_read(contents, model, err));
    if (model->table_sha256[0] == '\0')
        return IB_OK;
    char *path = ib_pixel_table_path(contents->path);
    ib_status status = path == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = ib_pixel_table_read(path, model->width, &session->table, err);
    if (status == IB_OK)
        status = ib_svm_give_table(model, &session->table, path, err);
    free(path);
    if (status != IB_OK)
        ib_svm_model_close(model);
    return status;
}

ib_status ib_svm_test_file(ib_contents *contents, ib_svm_file_kind kind, const ib_config *config,
                           ib_session *session, ib_evaluation *test, size_t *vectors,
                           ib_error *err) {
    const ib_dataset_info *info = session->dataset.info;
    size_t width = session->dataset.image_bytes;
    const char *path = contents->path;
    ib_svm_model model;
    double mean, deviation;
    const ib_normalization *choice = ib_normalization_at((size_t)config->experiment.normalize);
    ib_normalization_choose(choice, info->mean, info->standard_deviation, &mean, &deviation);
    if (kind == IB_SVM_LIBSVM && choice->by_pixel)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s is LIBSVM's and has no table for --normalize %s: test the run's own "
                       "model",
                       path, choice->name);
    if (kind == IB_SVM_LIBSVM)
        IB_TRY(ib_svm_parse_libsvm(contents, mean, deviation, width, &model, err));
    else
        IB_TRY(ib_svm_open_file(contents, session, &model, err));
    *vectors = model.count;
    ib_status status = IB_OK;
    if (model.width != width)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s: its images have %zu pixels, not %zu", path,
                         model.width, width);
    else if (model.labels[model.class_count - 1] >= info->classes)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s: it knows a class %d, but %s has %u", path,
                         model.labels[model.class_count - 1], info->name, info->classes);
    if (status == IB_OK)
        status =
            evaluate(session, &model, session->split.test, session->split.test_count, test, err);
    ib_svm_model_close(&model);
    return status;
}

/* ---- training -----------------------------------------------------------------------------------
 */

static ib_status should_stop(void *context, ib_error *err) {
    const svm_run *run = context;
    int number = run->context->signal_number == NULL ? 0 : (int)*run->context->signal_number;
    if (number == 0)
        return IB_OK;
    int terminated = number == SIGTERM;
    return ib_fail(err, terminated ? IB_TERMINATED : IB_INTERRUPTED,
                   "stopped by %s while fitting: the run is not finished",
                   terminated ? "SIGTERM" : "SIGINT");
}

static void show_progress(void *context, size_t done, size_t all) {
    const svm_run *run = context;
    if (run->context->log_is_terminal)
        fprintf(run->context->bar, "\rpair %zu/%zu%s", done, all, done == all ? "\n" : "");
}

static ib_status begin_record(svm_run *run, ib_error *err) {
    ib_record_start start = {.configuration = run->config,
                             .runs_dir = run->config->record.runs_dir,
                             .sample_period = run->config->record.sample_period,
                             .experiment = run->experiment,
                             .canonical = run->canonical,
                             .experiment_sha256 = run->experiment_sha256,
                             .dataset = &run->session.dataset,
                             .split = &run->session.split,
                             .table = run->options.table,
                             .backend = &run->session.backend->info,
                             .usable_cpus = run->usable_cpus};
    if (run->record == NULL) {
        IB_TRY(ib_record_begin(&start, &run->record, err));
        ib_record_watch(run->record, run->context->start_seconds, run->cpus);
        return IB_OK;
    }
    fprintf(run->context->log,
            "%s: a support vector machine has no checkpoints and is fitted "
            "from the beginning\n",
            ib_record_directory(run->record));
    IB_TRY(ib_record_continue(run->record, &start, &(ib_prefix){0}, 0, err));
    ib_record_watch(run->record, run->context->start_seconds, run->cpus);
    return IB_OK;
}

static ib_status fit_and_test(svm_run *run, ib_error *err) {
    ib_svm_observer observer = {run, should_stop, show_progress};
    double start = ib_seconds();
    IB_TRY(ib_svm_train(run->session.backend->host, &run->options, &run->set, &observer,
                        &run->model, err));
    run->fit_seconds = ib_seconds() - start;
    const ib_split *split = &run->session.split;
    IB_TRY(evaluate(&run->session, &run->model, split->test, split->test_count, &run->test, err));
    if (split->validation_count == 0)
        return IB_OK;
    return evaluate(&run->session, &run->model, split->validation, split->validation_count,
                    &run->validation, err);
}

static ib_status save(svm_run *run, ib_run_results *results, ib_error *err) {
    static const char NAME[] = "model.safetensors";
    const ib_folder *folder = ib_record_folder(run->record);
    IB_TRY(ib_svm_save(&run->model, folder, NAME, results->model_sha256, err));
    results->model_bytes = ib_file_bytes(folder, NAME);
    return ib_mistakes_write(&run->test.mistakes, &run->session.dataset, 0, folder, err);
}

/* Curves have one point: a support vector machine has no epochs. */
static ib_status record_metrics(const svm_run *run, ib_error *err) {
    IB_TRY(ib_record_metric(run->record, "train_seconds", run->fit_seconds, 1, 1, err));
    IB_TRY(ib_record_metric(run->record, "test_accuracy", run->test.accuracy, 1, 1, err));
    if (run->validation.count == 0)
        return IB_OK;
    return ib_record_metric(run->record, "validation_accuracy", run->validation.accuracy, 1, 1,
                            err);
}

static void fill_results(const svm_run *run, ib_run_results *results, ib_svm_results *svm,
                         double *objectives) {
    *svm = (ib_svm_results){.support_vectors = run->model.count,
                            .gamma = run->model.options.gamma,
                            .predict_seconds = run->test.seconds,
                            .pair_count = ib_svm_pair_count(run->model.class_count),
                            .objectives = objectives};
    for (size_t p = 0; p < svm->pair_count; ++p) {
        objectives[p] = run->model.pairs[p].objective;
        svm->objective += objectives[p];
        svm->iterations += run->model.pairs[p].iterations;
    }
    results->experiment_sha256 = run->experiment_sha256;
    results->test_accuracy = run->test.accuracy;
    results->validation = run->validation.count > 0 ? &run->validation : NULL;
    results->train_seconds = run->fit_seconds;
    results->images_per_second = (double)run->set.count / run->fit_seconds;
    results->peak_rss_bytes = ib_peak_rss_bytes();
    results->backend = &run->session.backend->info;
    results->exact = run->config->machine.exact;
    results->run_dir = ib_record_directory(run->record);
    results->svm = svm;
    results->total_seconds = ib_seconds() - run->context->start_seconds;
}

static void print_summary(const svm_run *run, const ib_run_results *results) {
    FILE *out = run->context->out;
    const ib_svm_results *svm = results->svm;
    fprintf(out, "\nTest set: Accuracy: %zu/%zu (%.0f%%)\n\n", run->test.correct, run->test.count,
            100 * run->test.accuracy);
    ib_metrics_print(results->metrics, &run->test, out);
    fprintf(out, "\nExperiment         %s\n", run->experiment);
    fprintf(out, "Test accuracy      %.2f %% (%zu of %zu)\n", 100 * results->test_accuracy,
            run->test.correct, run->test.count);
    fprintf(out, "Macro F1           %.4f\n", results->metrics->macro.f1);
    fprintf(out, "Support vectors    %llu of %zu images, %llu iterations, dual objective %.6f\n",
            (unsigned long long)svm->support_vectors, run->set.count,
            (unsigned long long)svm->iterations, svm->objective);
    fprintf(out, "Fit time           %.2f s, prediction %.2f s (%.2f s in all)\n",
            results->train_seconds, svm->predict_seconds, results->total_seconds);
    fprintf(out, "Computed by        %s, %s, %u thread%s\n", results->backend->name,
            results->backend->isa, results->backend->threads,
            results->backend->threads == 1 ? "" : "s");
    fprintf(out, "model_sha256       %s\n", results->model_sha256);
    fprintf(out, "experiment_sha256  %s\n", results->experiment_sha256);
    fprintf(out, "Run record         %s\n", results->run_dir);
}

static ib_status save_beside(const svm_run *run, ib_error *err) {
    char *path = ib_format("./%s_svm.safetensors", run->config->experiment.dataset);
    if (path == NULL)
        return ib_fail_memory(err);
    char *table = ib_pixel_table_path(path);
    ib_status status = table == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && run->options.table != NULL)
        status = ib_pixel_table_write(run->options.table, NULL, table, err);
    if (status == IB_OK)
        status = ib_svm_save(&run->model, NULL, path, NULL, err);
    if (status == IB_OK && !run->config->output.json)
        fprintf(run->context->out, "Saved model        %s\n", path);
    free(table);
    free(path);
    return status;
}

static ib_status train_and_save(svm_run *run, ib_error *err) {
    ib_metrics metrics = {0};
    ib_svm_results svm = {0};
    double *objectives = NULL;
    ib_run_results results = {.metrics = &metrics};
    ib_status status = fit_and_test(run, err);
    if (status == IB_OK)
        status = save(run, &results, err);
    if (status == IB_OK)
        status = record_metrics(run, err);
    if (status == IB_OK)
        status = ib_metrics_compute(run->test.confusion, run->test.classes, &metrics, err);
    if (status == IB_OK) {
        objectives = calloc(ib_svm_pair_count(run->model.class_count), sizeof *objectives);
        status = objectives == NULL ? ib_fail_memory(err) : IB_OK;
    }
    if (status == IB_OK) {
        fill_results(run, &results, &svm, objectives);
        status = ib_record_finish(run->record, IB_OK, NULL, &results, &run->test, err);
    } else { /* the first error is the one to tell */
        ib_record_finish(run->record, status, ib_error_text(err), NULL, NULL, NULL);
    }
    if (status == IB_OK && !run->config->output.json)
        print_summary(run, &results);
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
    free(objectives);
    return status;
}

static ib_status run_all(svm_run *run, const char *experiment_sha256, ib_error *err) {
    IB_TRY(ib_get_missing_data(run->config, run->context, err));
    IB_TRY(ib_session_open(run->config, &run->session, err));
    IB_TRY(ib_session_make_table(run->config, &run->session, err));
    IB_TRY(prepare(run, err));
    IB_TRY(ib_identify(run->config, &run->session, &run->experiment, &run->canonical,
                       run->experiment_sha256, err));
    if (experiment_sha256 != NULL && strcmp(experiment_sha256, run->experiment_sha256) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "experiment_sha256 would be %s, but the record has %s: the data set is not "
                       "the one of that run",
                       run->experiment_sha256, experiment_sha256);
    run->context->look_at_signals(1);
    IB_TRY(begin_record(run, err));
    ib_tracking_start(run->config, run->context, run->record, run->cpus, &run->tracker);
    return train_and_save(run, err);
}

ib_status ib_run_train_svm(const ib_config *config, const ib_command_context *context,
                           const ib_train_target *target, ib_error *err) {
    svm_run run = {.config = config,
                   .context = context,
                   .usable_cpus = ib_usable_cpus(),
                   .record = target->record};
    run.cpus = ib_allowed_cpus(&run.cpu_set);
    ib_status status = run_all(&run, target->experiment_sha256, err);
    ib_tracking_end(config, run.tracker);
    ib_svm_model_close(&run.model);
    ib_evaluation_free(&run.test);
    ib_evaluation_free(&run.validation);
    free(run.images);
    free(run.labels);
    if (run.record != target->record)
        ib_record_close(run.record);
    free(run.experiment);
    free(run.canonical);
    ib_session_close(&run.session);
    return status;
}
