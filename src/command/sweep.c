/* isobit sweep: runs what is missing of a study. */
#include "command/command.h"
#include "command/missing_data.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/threads.h"
#include "command/sweep_job.h"
#include "command/tracking.h"
#include "data/dataset.h"
#include "record/checkpoint.h"
#include "study/shard.h"
#include "study/study_plan.h"

/* Where a run is in this sweep. */
typedef enum place {
    SETTLED, /* nothing is left to do here: finished, diverged, failed, not for this machine */
    TO_DO,
    BUSY, /* another process has it: looked at again later */
    RUNNING,
    ELSEWHERE,  /* another shard's */
    OTHER_CELLS /* of a group that --cells does not name */
} place;

typedef struct sweep {
    const ib_config *config;
    const ib_command_context *context;
    ib_study_plan plan;
    ib_shard shard;
    place *places;
    char **failed_before; /* run id of a failed record that was there at the start, or NULL */
    double *retry_at;
    ib_sweep_job *jobs;
    size_t job_count, running;
    size_t all, settled, failed; /* of this shard */
    double drawn, spent;         /* spent: seconds of the runs done here */
    size_t done_here;
    int drawn_width;
    int signal_sent;
    char *storage;           /* why nothing more can be written; NULL: it can */
    int lock;                /* that this process works on the study; -1: not yet, or no more */
    ib_mlflow_live *tracker; /* NULL: the study is not tracked */
} sweep;

static const double POLL_SECONDS = 0.02, RETRY_SECONDS = 0.5, REDRAW_SECONDS = 1;

/* ---- lines for people ---------------------------------------------------------------------------
 */

static void clear_progress(sweep *s) {
    if (s->drawn_width == 0)
        return;
    fprintf(s->context->bar, "\r%*s\r", s->drawn_width, "");
    s->drawn_width = 0;
    s->drawn = 0;
}

static void draw_progress(sweep *s) {
    double now = ib_seconds();
    if (!s->context->log_is_terminal || now - s->drawn < REDRAW_SECONDS)
        return;
    clear_progress(s);
    s->drawn = now;
    s->drawn_width = fprintf(s->context->log, "%s: %zu of %zu done, %zu failed, %zu running",
                             s->plan.study->name, s->settled, s->all, s->failed, s->running);
    if (s->done_here > 0) {
        double mean = s->spent / (double)s->done_here;
        long left = (long)(mean * (double)(s->all - s->settled) / (double)s->job_count + 0.5);
        s->drawn_width += fprintf(s->context->log, ", ETA %ld:%02ld:%02ld", left / 3600,
                                  left / 60 % 60, left % 60);
    }
    fflush(s->context->log);
}

static void print_settled(sweep *s, const ib_study_run *run, double seconds) {
    if (s->config->output.json)
        return;
    clear_progress(s);
    FILE *out = s->context->out;
    fprintf(out, "[%zu/%zu] %s  ", s->settled, s->all, ib_run_state_name(run->state));
    ib_study_cell_print(s->plan.study, run->first_cell, out);
    fprintf(out, "  %.1f s", seconds);
    if (run->state == IB_RUN_FINISHED && run->run_id != NULL)
        fprintf(out, "  %s/%s", s->plan.folders[run->folder].directory, run->run_id);
    else if (run->message != NULL)
        fprintf(out, ": %s", run->message);
    fputc('\n', out);
    fflush(out);
}

/* ---- settling -----------------------------------------------------------------------------------
 */

static int is_settled(const ib_study_run *run) {
    return run->state == IB_RUN_FINISHED || run->state == IB_RUN_DIVERGED ||
           run->state == IB_RUN_NOT_HERE;
}

/* A run that was killed when all was written but its end may have left its checkpoints. */
static void remove_checkpoints(const sweep *s, const ib_study_run *run) {
    char *directory = run->run_id == NULL
                          ? NULL
                          : ib_path_join(s->plan.folders[run->folder].directory, run->run_id);
    ib_folder record;
    if (directory != NULL && ib_folder_open(directory, &record, NULL) == IB_OK) {
        ib_checkpoint_remove(&record);
        ib_folder_close(&record);
    }
    free(directory);
}

static void settle(sweep *s, size_t r) {
    const ib_study_run *run = &s->plan.runs[r];
    if (run->state == IB_RUN_FINISHED)
        remove_checkpoints(s, run);
    s->places[r] = SETTLED;
    ++s->settled;
    s->failed += run->state != IB_RUN_FINISHED && run->state != IB_RUN_NOT_HERE;
}

/* Errors that every further run would meet as well. They are known by the text that ib_fail_errno
 * ends with, which is this C library's. */
static int is_storage_error(const char *text) {
    static const int ERRORS[] = {ENOSPC, EDQUOT, EFBIG, EROFS, EIO};
    for (size_t i = 0; text != NULL && i < sizeof ERRORS / sizeof ERRORS[0]; ++i)
        if (strstr(text, strerror(ERRORS[i])) != NULL)
            return 1;
    return 0;
}

static ib_status job_ended(sweep *s, ib_sweep_job *job, int code, ib_error *err) {
    size_t r = job->run;
    ib_study_run *run = &s->plan.runs[r];
    double seconds = ib_seconds() - job->started;
    char *words = ib_sweep_last_words(job);
    ib_status status = ib_study_run_refresh(&s->plan, run, err);
    --s->running;
    s->places[r] = TO_DO;
    if (status != IB_OK || run->state == IB_RUN_FINISHED || run->state == IB_RUN_DIVERGED) {
        settle(s, r);
    } else if (code != 0 && is_storage_error(words)) {
        free(s->storage);
        s->storage = words;
        words = NULL;
    } else if (!s->signal_sent) {
        run->state = IB_RUN_FAILED;
        free(run->message);
        run->message =
            words != NULL && words[0] != '\0'
                ? strdup(words)
                : ib_format("the process ended with %d and left no finished record", code);
        settle(s, r);
    }
    if (status == IB_OK && s->places[r] == SETTLED) {
        s->spent += seconds;
        ++s->done_here;
        print_settled(s, run, seconds);
    }
    free(words);
    ib_sweep_job_close(job);
    return status;
}

/* ---- claiming -----------------------------------------------------------------------------------
 */

/* Takes the run's lock and looks again: it may have been done meanwhile, or somebody may be at it
 * without a lock (isobit train). With IB_OK and *lock >= 0 it is ours to do. */
static ib_status claim(sweep *s, size_t r, int *lock, char **go_on, ib_error *err) {
    ib_study_run *run = &s->plan.runs[r];
    int live = 0;
    IB_TRY(ib_sweep_lock(&s->plan, run, lock, err));
    s->retry_at[r] = ib_seconds() + RETRY_SECONDS;
    s->places[r] = BUSY;
    if (*lock < 0)
        return IB_OK;
    ib_status status = ib_study_run_refresh(&s->plan, run, err);
    /* Another sweep has just tried it in vain: once is enough. */
    int failed_since =
        status == IB_OK && run->state == IB_RUN_FAILED && run->run_id != NULL &&
        (s->failed_before[r] == NULL || strcmp(s->failed_before[r], run->run_id) != 0);
    if (status == IB_OK && (is_settled(run) || failed_since)) {
        settle(s, r);
        print_settled(s, run, 0);
    } else if (status == IB_OK) {
        clear_progress(s);
        status = ib_sweep_leftovers(&s->plan, run, s->config->sweep.resume, s->context->log, go_on,
                                    &live, err);
    }
    if (status != IB_OK || s->places[r] == SETTLED || live) {
        close(*lock);
        *lock = -1;
    }
    return status;
}

/* The next run worth a look: what nobody has, then what others had. SIZE_MAX: none now. */
static size_t next_run(const sweep *s) {
    double now = ib_seconds();
    for (size_t r = 0; r < s->plan.run_count; ++r)
        if (s->places[r] == TO_DO)
            return r;
    for (size_t r = 0; r < s->plan.run_count; ++r)
        if (s->places[r] == BUSY && s->retry_at[r] <= now)
            return r;
    return SIZE_MAX;
}

static ib_status fill_slot(sweep *s, size_t slot, ib_error *err) {
    size_t r;
    while ((r = next_run(s)) != SIZE_MAX) {
        int lock = -1;
        char *go_on = NULL; /* a record to go on with */
        ib_status status = claim(s, r, &lock, &go_on, err);
        if (status != IB_OK || lock < 0) {
            free(go_on);
            IB_TRY(status);
            continue;
        }
        cpu_set_t cpus;
        unsigned share = 0;
        if (s->job_count > 1)
            share = ib_sweep_share_cpus((unsigned)slot, (unsigned)s->job_count, &cpus);
        status = ib_sweep_start(&s->plan, r, go_on, lock, share > 0 ? &cpus : NULL, share,
                                &s->jobs[slot], err);
        free(go_on);
        IB_TRY(status);
        s->places[r] = RUNNING;
        ++s->running;
        return IB_OK;
    }
    return IB_OK;
}

/* ---- the loop -----------------------------------------------------------------------------------
 */

static int stop_signal(const sweep *s) {
    return s->context->signal_number == NULL ? 0 : (int)*s->context->signal_number;
}

static void pass_signal_on(sweep *s) {
    int number = stop_signal(s);
    if (number == 0 || s->signal_sent)
        return;
    s->signal_sent = 1;
    for (size_t slot = 0; slot < s->job_count; ++slot)
        if (s->jobs[slot].pid > 0)
            kill(s->jobs[slot].pid, number);
}

static int work_left(const sweep *s) {
    for (size_t r = 0; r < s->plan.run_count; ++r)
        if (s->places[r] == TO_DO || s->places[r] == BUSY)
            return 1;
    return 0;
}

static ib_status look_after_slot(sweep *s, size_t slot, ib_error *err) {
    ib_sweep_job *job = &s->jobs[slot];
    int ended = 0, code = 0;
    if (job->pid > 0) {
        IB_TRY(ib_sweep_poll(job, &ended, &code, err));
        if (!ended)
            return IB_OK;
        IB_TRY(job_ended(s, job, code, err));
        if (s->storage == NULL)
            IB_TRY(ib_study_write(&s->plan, err));
    }
    if (s->signal_sent || s->storage != NULL)
        return IB_OK;
    return fill_slot(s, slot, err);
}

/* Whatever happened, no process is left behind. */
static void end_jobs(sweep *s, int number) {
    for (size_t slot = 0; slot < s->job_count; ++slot) {
        ib_sweep_job *job = &s->jobs[slot];
        if (job->pid <= 0)
            continue;
        int ended = 0, code = 0;
        kill(job->pid, number);
        const struct timespec pause = {0, (long)(POLL_SECONDS * 1e9)};
        while (ib_sweep_poll(job, &ended, &code, NULL) == IB_OK && !ended)
            nanosleep(&pause, NULL);
        ib_sweep_job_close(job);
    }
    s->running = 0;
}

static ib_status work(sweep *s, ib_error *err) {
    const struct timespec pause = {0, (long)(POLL_SECONDS * 1e9)};
    ib_status status = IB_OK;
    for (;;) {
        pass_signal_on(s);
        for (size_t slot = 0; status == IB_OK && slot < s->job_count; ++slot)
            status = look_after_slot(s, slot, err);
        if (status != IB_OK) {
            end_jobs(s, SIGTERM);
            return status;
        }
        if (s->running == 0 && (s->signal_sent || s->storage != NULL || !work_left(s)))
            return IB_OK;
        draw_progress(s);
        nanosleep(&pause, NULL);
    }
}

/* ---- beginning and end --------------------------------------------------------------------------
 */

static const char *dataset_of(const sweep *s, size_t run) {
    const ib_study_cell *cell = &s->plan.study->cells[s->plan.runs[run].first_cell];
    return cell->arguments.config.experiment.dataset;
}

/* Verifies each data set that a run to do needs, before anything is started. */
static ib_status check_data(const sweep *s, ib_error *err) {
    for (size_t r = 0; r < s->plan.run_count; ++r) {
        const char *name = dataset_of(s, r);
        int checked = s->places[r] != TO_DO;
        for (size_t earlier = 0; earlier < r && !checked; ++earlier)
            checked = s->places[earlier] == TO_DO && strcmp(dataset_of(s, earlier), name) == 0;
        ib_dataset dataset;
        if (checked)
            continue;
        IB_TRY(ib_get_missing_set(s->plan.data_dir, name, s->config, s->context, err));
        IB_TRY(ib_dataset_open(s->plan.data_dir, name, &dataset, err));
        ib_dataset_close(&dataset);
    }
    return IB_OK;
}

/* Sets chosen[group] for each group that --cells names; without it, for all. */
static ib_status choose_groups(const sweep *s, char *chosen, ib_error *err) {
    const ib_study *study = s->plan.study;
    const char *names = s->config->sweep.cells;
    memset(chosen, names == NULL, study->group_count);
    while (names != NULL && *names != '\0') {
        size_t length = strcspn(names, ","), group = 0;
        while (group < study->group_count &&
               (strlen(study->groups[group].name) != length ||
                strncmp(study->groups[group].name, names, length) != 0))
            ++group;
        if (group == study->group_count)
            return ib_fail(err, IB_ERROR_USAGE,
                           "--cells: %s has no group of cells \"%.*s\"; its first is \"%s\" "
                           "(isobit experiment check %s lists them)",
                           study->name, (int)length, names, study->groups[0].name,
                           study->sources[0].path);
        chosen[group] = 1;
        names += length + (names[length] == ',');
    }
    return IB_OK;
}

/* A run is chosen when one of its cells is. */
static ib_status leave_out_other_cells(sweep *s, ib_error *err) {
    const ib_study *study = s->plan.study;
    char *chosen = malloc(study->group_count);
    if (chosen == NULL)
        return ib_fail_memory(err);
    ib_status status = choose_groups(s, chosen, err);
    for (size_t r = 0; r < s->plan.run_count; ++r)
        s->places[r] = OTHER_CELLS;
    for (size_t c = 0; c < study->cell_count; ++c)
        if (chosen[study->cells[c].group])
            s->places[s->plan.run_of_cell[c]] = TO_DO;
    free(chosen);
    return status;
}

static ib_status prepare(sweep *s, ib_error *err) {
    size_t count = s->plan.run_count;
    s->places = calloc(count, sizeof *s->places);
    s->failed_before = calloc(count, sizeof *s->failed_before);
    s->retry_at = calloc(count, sizeof *s->retry_at);
    s->job_count = (size_t)s->config->sweep.jobs;
    s->jobs = calloc(s->job_count, sizeof *s->jobs);
    if (s->places == NULL || s->failed_before == NULL || s->retry_at == NULL || s->jobs == NULL)
        return ib_fail_memory(err);
    for (size_t slot = 0; slot < s->job_count; ++slot)
        s->jobs[slot] = (ib_sweep_job){.lock = -1, .log = -1};
    IB_TRY(leave_out_other_cells(s, err));
    for (size_t r = 0; r < count; ++r) {
        const ib_study_run *run = &s->plan.runs[r];
        if (s->places[r] == OTHER_CELLS)
            continue;
        if (r % s->shard.count != s->shard.index) {
            s->places[r] = ELSEWHERE;
            continue;
        }
        ++s->all;
        if (is_settled(run)) {
            settle(s, r);
            continue;
        }
        if (run->state == IB_RUN_FAILED && (s->failed_before[r] = strdup(run->run_id)) == NULL)
            return ib_fail_memory(err);
    }
    if (!s->config->output.json && s->settled > 0)
        fprintf(s->context->out, "%s: %zu of %zu runs need nothing more\n", s->plan.study->name,
                s->settled, s->all);
    IB_TRY(check_data(s, err));
    IB_TRY(ib_study_hold(&s->plan, &s->lock, err));
    return ib_study_write(&s->plan, err);
}

/* study.json as this process leaves it. */
static ib_status write_last(sweep *s, ib_error *err) {
    char *known = calloc(s->plan.run_count, 1);
    if (known == NULL)
        return ib_fail_memory(err);
    for (size_t r = 0; r < s->plan.run_count; ++r)
        known[r] = s->places[r] == SETTLED;
    ib_status status = ib_study_write_last(&s->plan, known, err);
    free(known);
    return status;
}

static void print_end(const sweep *s) {
    size_t counts[IB_RUN_NOT_HERE + 1] = {0};
    size_t elsewhere = 0, left_out = 0;
    for (size_t r = 0; r < s->plan.run_count; ++r) {
        if (s->places[r] == ELSEWHERE)
            ++elsewhere;
        else if (s->places[r] == OTHER_CELLS)
            ++left_out;
        else
            ++counts[s->plan.runs[r].state];
    }
    FILE *out = s->context->out;
    if (s->config->output.json) {
        ib_json json = {.out = out};
        ib_json_open(&json, NULL, '{');
        ib_json_string(&json, "study", s->plan.study->name);
        ib_json_uint(&json, "runs", s->all);
        ib_json_uint(&json, "finished", counts[IB_RUN_FINISHED]);
        ib_json_uint(&json, "failed", s->failed);
        ib_json_uint(&json, "not_run", counts[IB_RUN_NOT_HERE]);
        ib_json_uint(&json, "done_here", s->done_here);
        ib_json_uint(&json, "other_shards", elsewhere);
        ib_json_uint(&json, "other_cells", left_out);
        ib_json_double(&json, "total_seconds", ib_seconds() - s->context->start_seconds);
        ib_json_close(&json, '}');
        fputc('\n', out);
        return;
    }
    for (size_t r = 0; r < s->plan.run_count; ++r)
        if (s->places[r] == SETTLED && s->plan.runs[r].state == IB_RUN_NOT_HERE) {
            fputs("not run  ", out);
            ib_study_cell_print(s->plan.study, s->plan.runs[r].first_cell, out);
            fprintf(out, ": %s\n", s->plan.runs[r].obstacle);
        }
    fprintf(out, "%s: %zu of %zu runs finished, %zu failed, %zu not run here", s->plan.study->name,
            counts[IB_RUN_FINISHED], s->all, s->failed, counts[IB_RUN_NOT_HERE]);
    if (elsewhere > 0)
        fprintf(out, "; %zu are other shards'", elsewhere);
    if (left_out > 0)
        fprintf(out, "; %zu are of other cells", left_out);
    fprintf(out, "; %s/%s/study.json\n", s->plan.runs_dir, s->plan.study->name);
}

static ib_status outcome(const sweep *s, ib_error *err) {
    int number = stop_signal(s);
    if (number != 0)
        return ib_fail(err, number == SIGTERM ? IB_TERMINATED : IB_INTERRUPTED,
                       "stopped by %s with %zu of %zu runs left: the same command goes on",
                       number == SIGTERM ? "SIGTERM" : "SIGINT", s->all - s->settled, s->all);
    if (s->storage != NULL)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "the sweep stopped with %zu of %zu runs left, because nothing more can be "
                       "written: %s. Make room; the same command goes on",
                       s->all - s->settled, s->all, s->storage);
    if (s->failed > 0)
        return ib_fail(err, IB_ERROR_RUNTIME, "%zu of %zu runs failed or diverged", s->failed,
                       s->all);
    return IB_OK;
}

static void close_sweep(sweep *s) {
    for (size_t r = 0; s->failed_before != NULL && r < s->plan.run_count; ++r)
        free(s->failed_before[r]);
    free(s->failed_before);
    free(s->places);
    free(s->retry_at);
    free(s->jobs);
    free(s->storage);
    ib_study_plan_close(&s->plan);
}

static ib_status run(sweep *s, ib_error *err) {
    unsigned usable = ib_usable_cpus();
    if (s->config->sweep.jobs > usable)
        return ib_fail(err, IB_ERROR_USAGE, "--jobs %lld is more than the %u usable CPUs",
                       (long long)s->config->sweep.jobs, usable);
    IB_TRY(ib_study_plan_refresh(&s->plan, err));
    IB_TRY(prepare(s, err));
    ib_tracking_study_start(s->config, s->context, &s->plan, &s->tracker);
    s->context->look_at_signals(1);
    ib_status status = work(s, err);
    s->context->look_at_signals(0); /* no process of ours is left */
    clear_progress(s);
    if (status != IB_OK && is_storage_error(ib_error_text(err))) {
        free(s->storage);
        s->storage = strdup(ib_error_text(err));
        return s->storage == NULL ? status : outcome(s, err);
    }
    IB_TRY(status);
    if (s->storage == NULL) /* who was told to stop waits for nobody */
        IB_TRY(stop_signal(s) != 0 ? ib_study_write(&s->plan, err) : write_last(s, err));
    print_end(s);
    return outcome(s, err);
}

ib_status ib_command_sweep(ib_arguments *arguments, const ib_command_context *context,
                           ib_error *err) {
    const ib_config *config = &arguments->config;
    sweep s = {.config = config, .context = context, .lock = -1};
    ib_study study;
    IB_TRY(ib_tracking_check(config, context, err));
    IB_TRY(ib_shard_choose(config->sweep.shard, (size_t)config->sweep.shards, context->environment,
                           &s.shard, err));
    ib_status status = ib_study_read(arguments->words[0], arguments->words + 1,
                                     arguments->word_count - 1, context->environment, &study, err);
    if (status == IB_OK)
        status =
            ib_study_plan_make(&study, config->record.runs_dir, config->data.dir, &s.plan, err);
    if (status == IB_OK)
        ib_tracking_prepare(config, context, &s.plan);
    if (status == IB_OK)
        status = run(&s, err);
    if (s.lock >= 0)
        close(s.lock);
    ib_tracking_study_end(config, context, &s.plan, s.tracker);
    close_sweep(&s);
    ib_study_close(&study);
    return status;
}
