/* Sending while the run writes: one thread that the training neither feels nor waits for. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "mlflow/mlflow_send.h"

enum { NICENESS = 10 };
static const double SEND_SECONDS = 3, LONGEST_PAUSE = 60;

struct ib_mlflow_live {
    ib_mlflow_client *client;
    char *directory, *study, *experiment, *registered; /* NULL for none */
    ib_mlflow_names names;                             /* of the texts above */
    int is_study;                                      /* directory is a study's */
    struct stat seen;                                  /* study.json as it was sent last */
    cpu_set_t cpus;
    int has_cpus;
    FILE *log;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int ended;   /* the record is complete */
    int refused; /* said, and given up */
    ib_mlflow_sender sender;
    ib_mlflow_sent sent;
    double started, cpu_seconds;
    ib_error failure; /* why the last pass did not succeed */
};

static double thread_cpu_seconds(void) {
    struct timespec used = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

/* Off the compute threads' CPUs' fast lane: any CPU that the process may use, at a low priority. */
static void stand_back(const ib_mlflow_live *live) {
    if (live->has_cpus)
        sched_setaffinity(0, sizeof live->cpus, &live->cpus);
    id_t self = (id_t)syscall(SYS_gettid);
    errno = 0;
    int now = getpriority(PRIO_PROCESS, self);
    if (errno == 0)
        setpriority(PRIO_PROCESS, self, now + NICENESS > 19 ? 19 : now + NICENESS);
}

/* Until the record is complete or so many seconds have passed. Returns whether it is. */
static int wait_for_end(ib_mlflow_live *live, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    long long nanoseconds = until.tv_nsec + (long long)(seconds * 1e9);
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    pthread_mutex_lock(&live->mutex);
    while (!live->ended && pthread_cond_timedwait(&live->changed, &live->mutex, &until) == 0) {
    }
    int ended = live->ended;
    pthread_mutex_unlock(&live->mutex);
    return ended;
}

static void say(const ib_mlflow_live *live, const char *what) {
    fprintf(live->log, "isobit: MLflow: %s; the run goes on, and isobit sync sends it later\n",
            what);
    fflush(live->log);
}

/* How much CPU this thread took, for the record. */
static void note_cost(ib_mlflow_live *live) {
    live->cpu_seconds = thread_cpu_seconds();
    if (live->sender.cursor.state == NULL)
        return;
    json_t *cost = json_pack("{s:f,s:f}", "cpu_seconds", live->cpu_seconds, "seconds",
                             ib_seconds() - live->started);
    if (ib_mlflow_state_set(&live->sender.cursor, "live", cost, NULL) == IB_OK)
        ib_mlflow_cursor_save(&live->sender.cursor, NULL);
}

/* A study may have several sweeps, so that none of them keeps its lock. What another one is sending
 * is sent; only the last word must be ours. */
static ib_status study_pass(ib_mlflow_live *live, int last, ib_error *err) {
    struct stat now = {0};
    char *path = ib_path_join(live->directory, "study.json");
    if (path == NULL)
        return ib_fail_memory(err);
    int found = stat(path, &now) == 0;
    free(path);
    if (!last && found && now.st_ino == live->seen.st_ino &&
        now.st_mtim.tv_sec == live->seen.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == live->seen.st_mtim.tv_nsec)
        return IB_OK;
    for (;;) {
        IB_TRY(ib_mlflow_send_study(live->client, live->directory, live->names.experiment, 0,
                                    &live->sent, err));
        if (!live->sent.busy)
            live->seen = now;
        if (!live->sent.busy || !last)
            return IB_OK;
        live->client->transient = 1;
        if (ib_mlflow_too_late(live->client))
            return ib_fail(err, IB_ERROR_RUNTIME, "another process is sending this study");
        const struct timespec nap = {0, 20000000};
        nanosleep(&nap, NULL);
    }
}

static ib_status pass(ib_mlflow_live *live, int last, int *opened, ib_error *err) {
    if (live->is_study)
        return study_pass(live, last, err);
    if (!*opened) {
        IB_TRY(ib_mlflow_sender_open(live->client, live->directory, &live->names, 0, &live->sent,
                                     &live->sender, err));
        if (live->sent.busy)
            return ib_fail(err, IB_ERROR_RUNTIME, "another process is sending this run");
        *opened = 1;
    }
    return ib_mlflow_sender_pass(&live->sender, err);
}

static void *send_all(void *context) {
    ib_mlflow_live *live = context;
    int opened = 0, said = 0;
    double pause = 0;
    stand_back(live);
    for (;;) {
        int last = wait_for_end(live, pause * live->client->settings.scale);
        ib_error_clear(&live->failure);
        ib_status status = pass(live, last, &opened, &live->failure);
        if (status != IB_OK && !live->client->transient) {
            live->refused = 1;
            say(live, ib_error_text(&live->failure));
            break;
        }
        if (status != IB_OK && !said) {
            say(live, ib_error_text(&live->failure));
            said = 1;
        }
        if (last)
            break;
        double longer = 2 * pause < LONGEST_PAUSE ? 2 * pause : LONGEST_PAUSE;
        pause = status == IB_OK || pause == 0 ? SEND_SECONDS : longer;
    }
    note_cost(live);
    return NULL;
}

static void free_live(ib_mlflow_live *live) {
    ib_mlflow_sender_close(&live->sender);
    ib_mlflow_close(live->client);
    ib_error_clear(&live->failure);
    free(live->directory);
    free(live->study);
    free(live->experiment);
    free(live->registered);
    free(live);
}

/* Signals are the main thread's. */
static int start_thread(ib_mlflow_live *live) {
    pthread_condattr_t attributes;
    sigset_t all, before;
    pthread_mutex_init(&live->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&live->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&live->thread, NULL, send_all, live);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

static int take_copy(char **to, const char *text) {
    *to = text == NULL ? NULL : strdup(text);
    return text == NULL || *to != NULL;
}

static int take_names(ib_mlflow_live *live, const ib_mlflow_live_options *options) {
    live->names = options->names;
    if (!take_copy(&live->directory, options->directory) ||
        !take_copy(&live->study, options->names.study) ||
        !take_copy(&live->experiment, options->names.experiment) ||
        !take_copy(&live->registered, options->names.registered))
        return 0;
    live->names.study = live->study;
    live->names.experiment = live->experiment;
    live->names.registered = live->registered;
    live->names.run = NULL;
    return 1;
}

void ib_mlflow_live_start(const ib_mlflow_live_options *options, ib_mlflow_live **live) {
    *live = NULL;
    ib_error err = {0};
    ib_mlflow_live *fresh = calloc(1, sizeof *fresh);
    ib_status status = fresh == NULL ? ib_fail_memory(&err) : IB_OK;
    if (status == IB_OK) {
        fresh->log = options->log;
        fresh->has_cpus = options->cpus != NULL;
        if (fresh->has_cpus)
            fresh->cpus = *options->cpus;
        fresh->started = ib_seconds();
        fresh->is_study = options->is_study;
        if (!take_names(fresh, options))
            status = ib_fail_memory(&err);
    }
    if (status == IB_OK)
        status = ib_mlflow_open(options->uri, options->environment, &fresh->client, &err);
    if (status == IB_OK && !start_thread(fresh))
        status = ib_fail(&err, IB_ERROR_RUNTIME, "cannot start a thread");
    if (status == IB_OK) {
        *live = fresh;
    } else {
        fprintf(options->log, "isobit: MLflow: %s; the run goes on without\n", ib_error_text(&err));
        if (fresh != NULL)
            free_live(fresh);
    }
    ib_error_clear(&err);
}

int ib_mlflow_live_end(ib_mlflow_live *live, double seconds) {
    if (live == NULL)
        return 0;
    ib_mlflow_limit(live->client, seconds);
    pthread_mutex_lock(&live->mutex);
    live->ended = 1;
    pthread_cond_signal(&live->changed);
    pthread_mutex_unlock(&live->mutex);
    pthread_join(live->thread, NULL);
    if (live->failure.status != IB_OK && !live->refused)
        fprintf(live->log,
                "isobit: MLflow: not everything was sent (%s); isobit sync %s --to %s sends the "
                "rest\n",
                ib_error_text(&live->failure), live->directory, ib_mlflow_server(live->client));
    int sent = live->failure.status == IB_OK;
    pthread_cond_destroy(&live->changed);
    pthread_mutex_destroy(&live->mutex);
    free_live(live);
    return sent;
}
