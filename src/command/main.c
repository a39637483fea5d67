/* isobit: finds the command, parses its options, runs it; a status becomes the exit code. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "base/numerics_version.h"
#include "build_info.h"
#include "command/command.h"
#include "command/installed.h"
#include "command/terminal.h"

/* A signal handler can reach nothing but static variables; the number is passed on by pointer. */
static volatile sig_atomic_t stop_signal, is_looked_at;

/* Every file is written beside its place and renamed: a process may go at any time. */
static void end_at_once(int number) {
    static const char INTERRUPTED[] = "isobit: stopped by SIGINT\n";
    static const char TERMINATED[] = "isobit: stopped by SIGTERM\n";
    ssize_t written = number == SIGINT ? write(STDERR_FILENO, INTERRUPTED, sizeof INTERRUPTED - 1)
                                       : write(STDERR_FILENO, TERMINATED, sizeof TERMINATED - 1);
    (void)written;
    _exit(128 + number);
}

static void on_stop(int number) {
    if (!is_looked_at)
        end_at_once(number);
    if (stop_signal != 0) { /* delivered when the handler returns */
        signal(number, SIG_DFL);
        raise(number);
    }
    stop_signal = number;
}

static void look_at_signals(int look) {
    is_looked_at = look;
}

/* SIGINT and SIGTERM end the run after the current step, with its record and a checkpoint in order;
 * the second one ends the process at once, as the first does before the first step. */
static void install_signals(void) {
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* A standard stream that the caller has closed must not become the next file that is opened:
 * results would be printed into a model or record. In its place comes one that refuses to be
 * written. */
static void reserve_standard_streams(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static const struct {
    unsigned bit;
    ib_command_function *run;
    int has_steps; /* looks at the stop signal for a while; other commands just die of it */
} HANDLERS[] = {
    {IB_FOR_DATA, ib_command_data, 0},
    {IB_FOR_TRAIN, ib_command_train, 1},
    {IB_FOR_EXPERIMENT, ib_command_experiment, 0},
    {IB_FOR_SWEEP, ib_command_sweep, 1},
    {IB_FOR_REPORT, ib_command_report, 0},
    {IB_FOR_COMPARE, ib_command_compare, 0},
    {IB_FOR_COST, ib_command_cost, 0},
    {IB_FOR_REPRODUCE, ib_command_reproduce, 1},
    {IB_FOR_VERIFY, ib_command_verify, 0},
    {IB_FOR_SYNC, ib_command_sync, 0},
    {IB_FOR_TEST, ib_command_test, 0},
    {IB_FOR_EXPORT, ib_command_export, 0},
    {IB_FOR_HASH, ib_command_hash, 0},
    {IB_FOR_BENCH, ib_command_bench, 0},
    {IB_FOR_DESCRIBE, ib_command_describe, 0},
    {IB_FOR_MODEL, ib_command_model, 0},
    {IB_FOR_DEVICES, ib_command_devices, 0},
    {IB_FOR_COMPLETION, ib_command_completion, 0},
    {IB_FOR_MANUAL, ib_command_manual, 0},
};

static char *read_environment(const char *name) {
    return getenv(name);
}

static ib_command_context make_context(FILE *out, FILE *log, double start) {
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    int plain =
        (no_color != NULL && no_color[0] != '\0') || term == NULL || strcmp(term, "dumb") == 0;
    return (ib_command_context){.out = out,
                                .log = log,
                                .bar = stderr,
                                .out_is_terminal = isatty(STDOUT_FILENO),
                                .log_is_terminal = isatty(STDERR_FILENO),
                                .use_escapes = !plain,
                                .start_seconds = start,
                                .environment = read_environment,
                                .signal_number = &stop_signal,
                                .look_at_signals = look_at_signals};
}

static ib_status dispatch(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    for (size_t i = 0; i < sizeof HANDLERS / sizeof HANDLERS[0]; ++i) {
        if (HANDLERS[i].bit != arguments->command->bit)
            continue;
        if (HANDLERS[i].has_steps)
            install_signals();
        return HANDLERS[i].run(arguments, context, err);
    }
    return ib_fail(err, IB_ERROR_RUNTIME, "isobit %s has no handler", arguments->command->name);
}

static ib_status run_command(const ib_command *command, int count, const char *const *words,
                             const ib_command_context *context, ib_error *err) {
    ib_arguments arguments;
    char *found = NULL;
    ib_status status = ib_arguments_parse(command, count, words, read_environment, &arguments, err);
    if (status == IB_OK && arguments.help)
        status = ib_help_command(command, context->out, err);
    else if (status == IB_OK)
        status = ib_find_installed(&arguments, &found, err);
    if (status == IB_OK && !arguments.help)
        status = dispatch(&arguments, context, err);
    ib_arguments_free(&arguments);
    free(found);
    return status;
}

static const char *command_name(const void *context, size_t i) {
    (void)context;
    const ib_command *command = ib_command_at(i);
    return command == NULL ? NULL : command->name;
}

static ib_status unknown_command(const char *word, ib_error *err) {
    if (ib_command_is_later(word))
        return ib_fail(err, IB_ERROR_USAGE, "isobit %s is not in this version", word);
    const char *nearest = ib_nearest_name(word, command_name, NULL);
    if (word[0] == '-')
        return ib_fail(err, IB_ERROR_USAGE,
                       "the command comes first: isobit COMMAND %s ...; see isobit --help", word);
    if (nearest != NULL)
        return ib_fail(err, IB_ERROR_USAGE, "unknown command '%s'; did you mean '%s'?", word,
                       nearest);
    return ib_fail(err, IB_ERROR_USAGE, "unknown command '%s'; see isobit --help", word);
}

static ib_status run_words(int count, const char *const *words, const ib_command_context *context,
                           ib_error *err) {
    if (count == 0)
        return ib_fail(err, IB_ERROR_USAGE, "no command given; see isobit --help");
    if (strcmp(words[0], "--version") == 0) {
        fprintf(context->out, "isobit %s (commit %s, %s, %s), NUMERICS %s\n", IB_VERSION,
                IB_GIT_COMMIT, IB_COMPILER, IB_BUILD_TYPE, IB_NUMERICS_VERSION);
        return IB_OK;
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0 ||
        (strcmp(words[0], "help") == 0 && count == 1)) {
        ib_help_program(context->out);
        return IB_OK;
    }
    if (strcmp(words[0], "help") == 0) {
        const ib_command *command = ib_command_find(words[1]);
        return command == NULL ? unknown_command(words[1], err)
                               : ib_help_command(command, context->out, err);
    }
    const ib_command *command = ib_command_find(words[0]);
    if (command == NULL)
        return unknown_command(words[0], err);
    return run_command(command, count - 1, words + 1, context, err);
}

/* Runs the words with their output on streams of their own, which are closed. */
static ib_status run_on_streams(int count, const char *const *words, double start, ib_error *err) {
    FILE *out = ib_terminal_open(STDOUT_FILENO, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
    FILE *log = ib_terminal_open(STDERR_FILENO, _IONBF);
    ib_status status = IB_ERROR_RUNTIME;
    if (out == NULL || log == NULL) {
        ib_fail_memory(err);
    } else {
        ib_command_context context = make_context(out, log, start);
        status = run_words(count, words, &context, err);
    }
    if (log != NULL)
        fclose(log);
    int failed = out != NULL && ferror(out);
    errno = 0;
    failed = (out != NULL && fclose(out) != 0) || failed;
    if (status == IB_OK && failed)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno != 0 ? errno : EIO,
                               "cannot write to standard output");
    return status;
}

int main(int argc, char **argv) {
    double start = ib_seconds();
    ib_error err = {0};
    reserve_standard_streams();
    /* A closed pipe or connection, a file that may not grow: errors to report, no death. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    ib_status status =
        run_on_streams(argc > 0 ? argc - 1 : 0, (const char *const *)argv + 1, start, &err);
    if (status != IB_OK)
        fprintf(stderr, "isobit: %s\n", ib_error_text(&err));
    ib_error_clear(&err);
    return (int)status;
}
