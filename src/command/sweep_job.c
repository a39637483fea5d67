#include "command/sweep_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "base/threads.h"
#include "record/run_files.h"

/* ---- locks and leftovers ------------------------------------------------------------------------
 */

static ib_status open_lock(const ib_study_plan *plan, const ib_study_run *run, int *fd,
                           ib_error *err) {
    const char *directory = plan->folders[run->folder].directory;
    ib_folder folder, locks = {0};
    *fd = -1;
    IB_TRY(ib_make_directories(directory, err));
    IB_TRY(ib_folder_open(directory, &folder, err));
    ib_status status = ib_folder_open_inner(&folder, ".locks", 1, &locks, err);
    char *name = ib_format("%s-%s.lock", run->experiment_sha256, run->backend);
    if (status == IB_OK && name == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = ib_folder_open_file(&locks, name, O_RDWR | O_CREAT, fd, err);
    free(name);
    ib_folder_close(&locks);
    ib_folder_close(&folder);
    return status;
}

ib_status ib_sweep_lock(const ib_study_plan *plan, const ib_study_run *run, int *lock,
                        ib_error *err) {
    int fd;
    *lock = -1;
    IB_TRY(open_lock(plan, run, &fd, err));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *lock = fd;
        return IB_OK;
    }
    ib_status status = errno == EWOULDBLOCK
                           ? IB_OK
                           : ib_fail_errno(err, IB_ERROR_RUNTIME, errno,
                                           "cannot lock %s/.locks/%s-%s.lock: sweeps need a file "
                                           "system with locks",
                                           plan->folders[run->folder].directory,
                                           run->experiment_sha256, run->backend);
    close(fd);
    return status;
}

/* Both folders' names are on the disk before anything is begun in the record's place. */
static ib_status move_into(const ib_folder *from, const ib_folder *to, const char *name,
                           ib_error *err) {
    if (renameat(from->fd, name, to->fd, name) != 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot move %s/%s to %s", from->path,
                             name, to->path);
    IB_TRY(ib_folder_sync(to, err));
    return ib_folder_sync(from, err);
}

static ib_status move_aside(const ib_record_index *index, const char *run_id, FILE *log,
                            ib_error *err) {
    ib_folder folder, aside = {0};
    IB_TRY(ib_folder_open(index->directory, &folder, err));
    ib_status status = ib_folder_open_inner(&folder, ".set-aside", 1, &aside, err);
    if (status == IB_OK)
        status = move_into(&folder, &aside, run_id, err);
    if (status == IB_OK)
        fprintf(log, "isobit: %s/%s was killed before it ended: set aside as %s/%s\n", folder.path,
                run_id, aside.path, run_id);
    ib_folder_close(&aside);
    ib_folder_close(&folder);
    return status;
}

/* Whether a record is this run's and not ended. */
static int is_leftover(const ib_study_run *run, const ib_found_run *found) {
    return (found->state == IB_RUN_LIVE || found->state == IB_RUN_STOPPED) &&
           strcmp(found->experiment_sha256, run->experiment_sha256) == 0 &&
           (run->named_backend == NULL || strcmp(found->backend, run->named_backend) == 0);
}

ib_status ib_sweep_leftovers(const ib_study_plan *plan, const ib_study_run *run, int resume,
                             FILE *log, char **go_on, int *live, ib_error *err) {
    const ib_record_index *folder = &plan->folders[run->folder];
    *live = 0;
    *go_on = NULL;
    for (size_t i = folder->count; i-- > 0;) { /* the newest first: run ids begin with the time */
        const ib_found_run *found = &folder->runs[i];
        if (!is_leftover(run, found))
            continue;
        char *directory = ib_path_join(folder->directory, found->run_id);
        if (directory == NULL)
            return ib_fail_memory(err);
        int is_live = ib_run_is_live(directory);
        if (!is_live && resume && *go_on == NULL) {
            fprintf(log, "isobit: going on with %s\n", directory);
            *go_on = directory;
            continue;
        }
        free(directory);
        *live = *live || is_live;
        if (!is_live && found->state == IB_RUN_LIVE)
            IB_TRY(move_aside(folder, found->run_id, log, err));
    }
    return IB_OK;
}

/* ---- the process --------------------------------------------------------------------------------
 */

typedef struct word_list {
    char **words; /* NULL-terminated */
    size_t count;
} word_list;

static void free_words(word_list *list) {
    for (size_t i = 0; list->words != NULL && i < list->count; ++i)
        free(list->words[i]);
    free(list->words);
}

/* What may be another on the machine that goes on with a run; the rest is in its record. */
static int belongs_to_machine(const ib_option *option) {
    return option->study == IB_STUDY_MACHINE || option->study == IB_STUDY_MACHINE_GRID;
}

/* "isobit train --epochs=5 ..."; a NULL word among them: out of memory. */
static ib_status make_words(const ib_study_plan *plan, const ib_study_run *run, const char *go_on,
                            unsigned threads, word_list *list, ib_error *err) {
    enum { OTHERS = 11 };
    char wait[IB_DOUBLE_TEXT];
    const ib_study_cell *cell = &plan->study->cells[run->first_cell];
    const ib_option *option;
    *list = (word_list){calloc(IB_MAX_OPTIONS + OTHERS + 1, sizeof *list->words), 0};
    if (list->words == NULL)
        return ib_fail_memory(err);
    list->words[list->count++] = strdup("isobit");
    list->words[list->count++] = strdup("train");
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (ib_study_cell_uses(cell, i) && (go_on == NULL || belongs_to_machine(option)) &&
            !(threads > 0 && strcmp(option->name, "threads") == 0))
            list->words[list->count++] = ib_format("--%s=%s", option->name, cell->texts[i]);
    list->words[list->count++] = ib_format("--data-dir=%s", plan->data_dir);
    list->words[list->count++] = go_on != NULL ? ib_format("--resume=%s", go_on)
                                               : ib_format("--runs-dir=%s", plan->runs_dir);
    list->words[list->count++] = strdup("--json");
    if (threads > 0)
        list->words[list->count++] = ib_format("--threads=%u", threads);
    if (plan->mlflow != NULL)
        list->words[list->count++] = ib_format("--mlflow=%s", plan->mlflow);
    if (plan->mlflow_experiment != NULL)
        list->words[list->count++] = ib_format("--mlflow-experiment=%s", plan->mlflow_experiment);
    if (plan->mlflow_register != NULL)
        list->words[list->count++] = ib_format("--mlflow-register=%s", plan->mlflow_register);
    if (plan->tracked) {
        ib_print_double(plan->mlflow_wait, wait);
        list->words[list->count++] = ib_format("--mlflow-wait=%s", wait);
        list->words[list->count++] =
            ib_format("--mlflow-study=%s/%s", plan->runs_dir, plan->study->name);
    }
    for (size_t i = 0; i < list->count; ++i)
        if (list->words[i] == NULL)
            return ib_fail_memory(err);
    return IB_OK;
}

/* In the new process; never returns. Only what is allowed between fork and exec. */
static void become_train(char *const *words, const ib_sweep_job *job, const cpu_set_t *cpus,
                         pid_t parent) {
    /* A group of its own: Ctrl-C reaches the sweep, which passes it on once. When the sweep is
     * killed, the run ends in order. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (getppid() != parent || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        dup2(nothing, STDOUT_FILENO) < 0 || dup2(job->log, STDERR_FILENO) < 0 ||
        fcntl(job->lock, F_SETFD, 0) != 0)
        _exit(127);
    if (cpus != NULL)
        sched_setaffinity(0, sizeof *cpus, cpus);
    execv("/proc/self/exe", words);
    static const char FAILED[] = "isobit: cannot start /proc/self/exe\n";
    ssize_t written = write(STDERR_FILENO, FAILED, sizeof FAILED - 1);
    _exit(written > 0 ? 127 : 126);
}

ib_status ib_sweep_start(const ib_study_plan *plan, size_t run, const char *go_on, int lock,
                         const cpu_set_t *cpus, unsigned threads, ib_sweep_job *job,
                         ib_error *err) {
    *job = (ib_sweep_job){.run = run, .lock = lock, .started = ib_seconds()};
    word_list list = {0};
    /* In memory: a full disk must not swallow the reason. */
    job->log = memfd_create("isobit-log", MFD_CLOEXEC);
    ib_status status = IB_OK;
    if (job->log < 0)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot make a log in memory");
    if (status == IB_OK)
        status = make_words(plan, &plan->runs[run], go_on, threads, &list, err);
    if (status == IB_OK) {
        pid_t parent = getpid();
        job->pid = fork();
        if (job->pid == 0)
            become_train(list.words, job, cpus, parent);
        if (job->pid < 0)
            status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot start a process");
    }
    free_words(&list);
    if (status != IB_OK)
        ib_sweep_job_close(job);
    return status;
}

ib_status ib_sweep_poll(const ib_sweep_job *job, int *ended, int *code, ib_error *err) {
    int how = 0;
    pid_t found = waitpid(job->pid, &how, WNOHANG);
    *ended = found == job->pid;
    if (found < 0 && errno != EINTR)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot wait for process %ld",
                             (long)job->pid);
    if (*ended)
        *code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return IB_OK;
}

char *ib_sweep_last_words(const ib_sweep_job *job) {
    enum { TAIL = 4096 };
    static const char PREFIX[] = "isobit: ";
    off_t size = lseek(job->log, 0, SEEK_END);
    size_t length = size > TAIL ? TAIL : size > 0 ? (size_t)size : 0;
    char *text = calloc(length + 1, 1);
    if (text == NULL || pread(job->log, text, length, size - (off_t)length) < 0) {
        free(text);
        return NULL;
    }
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    const char *line = strrchr(text, '\n');
    line = line != NULL ? line + 1 : text;
    if (strncmp(line, PREFIX, sizeof PREFIX - 1) == 0)
        line += sizeof PREFIX - 1;
    char *words = strdup(line);
    free(text);
    return words;
}

void ib_sweep_job_close(ib_sweep_job *job) {
    if (job->lock >= 0)
        close(job->lock);
    if (job->log >= 0)
        close(job->log);
    *job = (ib_sweep_job){.lock = -1, .log = -1};
}

unsigned ib_sweep_share_cpus(unsigned slot, unsigned jobs, cpu_set_t *cpus) {
    cpu_set_t allowed;
    unsigned usable = ib_usable_cpus();
    unsigned first = usable / jobs * slot + (slot < usable % jobs ? slot : usable % jobs);
    unsigned count = usable / jobs + (slot < usable % jobs);
    CPU_ZERO(cpus);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return count;
    unsigned seen = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        if (seen >= first && seen < first + count)
            CPU_SET(cpu, cpus);
        ++seen;
    }
    return count;
}
