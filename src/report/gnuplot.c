#include "report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/file.h"

extern char **environ;

enum { MAX_LOG = 1 << 20, SHOWN_LOG = 500 };

char *ib_gnuplot_script(const char *folder, size_t number) {
    return ib_format("%s/script-%zu", folder, number);
}

static char *log_of(const char *folder, size_t number) {
    return ib_format("%s/log-%zu", folder, number);
}

static ib_status fail_missing(int problem, ib_error *err) {
    return ib_fail_errno(err, IB_ERROR_UNAVAILABLE, problem,
                         "cannot start gnuplot, which draws the figures; install it (Debian: "
                         "apt-get install gnuplot-nox)");
}

/* Without its user's settings; what it says goes to the log. */
static ib_status start(const char *folder, size_t number, pid_t *child, ib_error *err) {
    posix_spawn_file_actions_t actions;
    char *script = ib_gnuplot_script(folder, number), *log = log_of(folder, number);
    int problem = script == NULL || log == NULL ? ENOMEM : posix_spawn_file_actions_init(&actions);
    if (problem != 0) {
        free(script);
        free(log);
        return ib_fail_memory(err);
    }
    char *const arguments[] = {(char *)(uintptr_t) "gnuplot", (char *)(uintptr_t) "-d", script,
                               NULL};
    problem = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (problem == 0)
        problem = posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT, 0600);
    if (problem == 0)
        problem = posix_spawn_file_actions_adddup2(&actions, 2, 1);
    if (problem == 0)
        problem = posix_spawnp(child, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    free(script);
    free(log);
    return problem == 0 ? IB_OK : fail_missing(problem, err);
}

static ib_status fail_logged(const char *folder, size_t number, ib_error *err) {
    char *log = log_of(folder, number), *text = NULL;
    size_t size = 0;
    if (log == NULL || ib_read_file(log, MAX_LOG, &text, &size, NULL) != IB_OK)
        size = 0;
    ib_fail(err, IB_ERROR_RUNTIME, "gnuplot failed: %.*s",
            (int)(size < SHOWN_LOG ? size : SHOWN_LOG), size > 0 ? text : "it said nothing");
    free(text);
    free(log);
    return IB_ERROR_RUNTIME;
}

static ib_status finish(const char *folder, size_t number, pid_t child, ib_error *err) {
    int state = 0;
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot wait for gnuplot");
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
        return IB_OK;
    if (WIFEXITED(state) && WEXITSTATUS(state) == 127) /* what a failed exec looks like */
        return fail_missing(ENOENT, err);
    return fail_logged(folder, number, err);
}

ib_status ib_gnuplot_run(const char *folder, size_t count, ib_error *err) {
    pid_t *children = calloc(count + 1, sizeof *children);
    size_t started = 0;
    ib_status status = IB_OK;
    if (children == NULL)
        return ib_fail_memory(err);
    while (status == IB_OK && started < count) {
        status = start(folder, started, &children[started], err);
        started += status == IB_OK;
    }
    for (size_t i = 0; i < started; ++i) {
        ib_status one = finish(folder, i, children[i], status == IB_OK ? err : NULL);
        status = status == IB_OK ? one : status;
    }
    free(children);
    return status;
}
