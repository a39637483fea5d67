/* PNG and PDF of a report's figures: librsvg's program makes them of the SVG files, as many at a
 * time as there are CPUs. They are an extra, so that the program need not be there. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"
#include "report/canvas.h"
#include "report/figure.h"

extern char **environ;

enum {
    MAX_PROCESSES = 8,
    FORMATS = 2,
    SHOWN_LOG = 500,
    PNG_PIXELS = 2000 * 1000, /* larger pictures are drawn less finely: compression takes long */
};
static const char *const formats[FORMATS] = {"png", "pdf"};
static const char program[] = "rsvg-convert";

/* One conversion while it runs. */
typedef struct job {
    pid_t child;
    ib_atomic_file file;
    FILE *log;
} job;

static double scale_of(const ib_report_figure *figure, const char *format) {
    ib_canvas canvas = {.room = IB_WIDE};
    ib_draw_figure(&canvas, figure);
    double finest = sqrt(PNG_PIXELS / (canvas.width * canvas.height));
    return strcmp(format, "png") == 0 ? fmin(2, fmax(1, finest)) : 1;
}

/* PDF files say when they were made: without that the same figure is the same file. The list
 * is fresh memory, its texts are not. */
static char **make_environment(char *epoch) {
    size_t count = 0;
    while (environ[count] != NULL)
        ++count;
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy == NULL)
        return NULL;
    memcpy(copy, environ, count * sizeof *copy);
    if (getenv("SOURCE_DATE_EPOCH") == NULL)
        copy[count] = epoch;
    return copy;
}

/* Returns what went wrong; ENOENT: the program is not there. */
static int spawn(job *j, char *svg, const char *format, double scale) {
    posix_spawn_file_actions_t actions;
    char zoom[32];
    snprintf(zoom, sizeof zoom, "%.4f", scale);
    char *const arguments[] = {(char *)(uintptr_t)program,
                               (char *)(uintptr_t) "-f",
                               (char *)(uintptr_t)format,
                               (char *)(uintptr_t) "-z",
                               zoom,
                               (char *)(uintptr_t) "--",
                               svg,
                               NULL};
    char epoch[] = "SOURCE_DATE_EPOCH=0";
    char **environment = make_environment(epoch);
    int problem = environment == NULL ? ENOMEM : posix_spawn_file_actions_init(&actions);
    if (problem == 0) {
        problem = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (problem == 0)
            problem = posix_spawn_file_actions_adddup2(&actions, fileno(j->file.stream), 1);
        if (problem == 0)
            problem = posix_spawn_file_actions_adddup2(&actions, fileno(j->log), 2);
        if (problem == 0)
            problem = posix_spawnp(&j->child, program, &actions, NULL, arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(environment);
    return problem;
}

static ib_status start(job *j, const ib_report_figure *figure, const char *directory,
                       const char *format, int *is_missing, ib_error *err) {
    char *svg = ib_format("%s/%s.svg", directory, figure->name);
    char *path = ib_format("%s/%s.%s", directory, figure->name, format);
    *j = (job){0};
    ib_status status =
        svg == NULL || path == NULL ? ib_fail_memory(err) : ib_atomic_open(&j->file, path, err);
    if (status == IB_OK) {
        j->log = tmpfile();
        int problem = j->log == NULL ? errno : spawn(j, svg, format, scale_of(figure, format));
        if (problem != 0) {
            *is_missing = problem == ENOENT;
            status = ib_fail_errno(err, problem == ENOMEM ? IB_ERROR_RUNTIME : IB_ERROR_UNAVAILABLE,
                                   problem, "cannot start %s", program);
            ib_atomic_abort(&j->file);
            if (j->log != NULL)
                fclose(j->log);
        }
    }
    free(path);
    free(svg);
    return status;
}

static ib_status fail_logged(FILE *log, ib_error *err) {
    char text[SHOWN_LOG + 1];
    rewind(log);
    size_t size = fread(text, 1, SHOWN_LOG, log);
    while (size > 0 && text[size - 1] == '\n')
        --size;
    text[size] = '\0';
    return ib_fail(err, IB_ERROR_RUNTIME, "%s failed: %s", program,
                   size > 0 ? text : "it said nothing");
}

static ib_status finish(job *j, ib_error *err) {
    int state = 0;
    ib_status status = IB_OK;
    while (status == IB_OK && waitpid(j->child, &state, 0) < 0)
        if (errno != EINTR)
            status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot wait for %s", program);
    if (status == IB_OK && !(WIFEXITED(state) && WEXITSTATUS(state) == 0))
        status = fail_logged(j->log, err);
    if (status == IB_OK)
        status = ib_atomic_commit(&j->file, err);
    else
        ib_atomic_abort(&j->file);
    fclose(j->log);
    return status;
}

/* What an earlier report left would show other values than the SVG beside it. */
static ib_status remove_old(const ib_report *report, const char *directory, ib_error *err) {
    for (size_t i = 0; i < report->figure_count; ++i)
        for (size_t f = 0; f < FORMATS; ++f) {
            char *path = ib_format("%s/%s.%s", directory, report->figures[i].name, formats[f]);
            if (path == NULL)
                return ib_fail_memory(err);
            unlink(path);
            free(path);
        }
    return IB_OK;
}

ib_status ib_report_convert(const ib_report *report, const char *directory, int *converted,
                            ib_error *err) {
    job jobs[MAX_PROCESSES];
    size_t cpus = ib_usable_cpus(), most = cpus < 1               ? 1
                                           : cpus < MAX_PROCESSES ? cpus
                                                                  : MAX_PROCESSES;
    size_t first = 0, next = 0; /* jobs first..next run, each at its number's remainder */
    int is_missing = 0;
    ib_status status = remove_old(report, directory, err);
    for (size_t i = 0; status == IB_OK && i < report->figure_count * FORMATS; ++i) {
        const ib_report_figure *figure = &report->figures[i / FORMATS];
        if (!ib_report_is_drawn(figure))
            continue;
        if (next - first == most)
            status = finish(&jobs[first++ % most], err);
        if (status == IB_OK)
            status = start(&jobs[next % most], figure, directory, formats[i % FORMATS], &is_missing,
                           err);
        next += status == IB_OK;
    }
    for (; first < next; ++first) {
        ib_status one = finish(&jobs[first % most], status == IB_OK ? err : NULL);
        status = status == IB_OK ? one : status;
    }
    *converted = next > 0;
    if (!is_missing)
        return status;
    ib_error_clear(err);
    return IB_OK;
}
