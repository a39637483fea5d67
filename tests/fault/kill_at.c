/* Kills a command (SIGKILL) at its N-th call to the system that changes a file or sends something,
 * before the call is done or in the middle of it; or lets that call fail.
 *
 * usage: kill_at all|first|others N[,PATTERN] before|half|fail=ERRNO LOG COMMAND [WORD...]
 *
 * first counts the calls of the process started here and kills only that one; others counts and
 * kills a process that it started; all counts every call and kills every process. half: a call that
 * writes or sends does so with half of its bytes. fail: nobody is killed; the call is not done and
 * returns that error. PATTERN (fnmatch): only calls to such files
 * count. N 0 kills nothing. LOG gets a line a counted
 * call. Exits with the command's code, 137 when it was killed, 125 when it cannot be traced.
 *
 * By ptrace and a seccomp filter, so that stdio's own calls are seen, as a preloaded library would
 * not, and others cost nothing. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 125, KILLED = 128 + SIGKILL, TEXT = 512, MOST_PROCESSES = 64 };

/* Where a call's file is: a path in that argument, below a descriptor where it has one; or a
 * descriptor. */
typedef struct call {
    int number;
    const char *name;
    int path, descriptor, bytes; /* numbers of arguments; -1: none */
} call;

static const call CALLS[] = {
    {SYS_openat, "openat", 1, 0, -1},        {SYS_write, "write", -1, 0, 2},
    {SYS_pwrite64, "pwrite", -1, 0, 2},      {SYS_writev, "writev", -1, 0, -1},
    {SYS_sendto, "sendto", -1, 0, 2},        {SYS_sendmsg, "sendmsg", -1, 0, -1},
    {SYS_renameat, "renameat", 3, 2, -1},    {SYS_renameat2, "renameat2", 3, 2, -1},
    {SYS_linkat, "linkat", 3, 2, -1},        {SYS_unlinkat, "unlinkat", 1, 0, -1},
    {SYS_mkdirat, "mkdirat", 1, 0, -1},      {SYS_fsync, "fsync", -1, 0, -1},
    {SYS_fdatasync, "fdatasync", -1, 0, -1}, {SYS_flock, "flock", -1, 0, -1},
    {SYS_ftruncate, "ftruncate", -1, 0, -1}, {SYS_execve, "execve", 0, -1, -1},
#ifdef SYS_rename
    {SYS_rename, "rename", 1, -1, -1},       {SYS_link, "link", 1, -1, -1},
    {SYS_unlink, "unlink", 0, -1, -1},       {SYS_mkdir, "mkdir", 0, -1, -1},
    {SYS_rmdir, "rmdir", 0, -1, -1},
#endif
};
enum { CALL_COUNT = sizeof CALLS / sizeof CALLS[0] };

typedef enum whom { ALL, FIRST, OTHERS } whom;

typedef struct tracer {
    whom whom;
    unsigned long at, seen;
    const char *pattern; /* NULL: any */
    int half, killed;
    int cannot;
    int error; /* the call fails with it; 0: whoever calls is killed */
    FILE *log;
    pid_t first;
    int first_status, started; /* started: the command itself runs, not what this program forked */
    pid_t processes[MOST_PROCESSES];
    size_t process_count;
    char last[TEXT]; /* what the counted call before was of, when that wrote */
    pid_t cut;       /* the thread whose call is done by half; killed when it returns */
} tracer;

static int fail(const char *what) {
    fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
    return CANNOT;
}

/* The calls above stop; of openat only those that may make a file. */
static int install_filter(void) {
    struct sock_filter program[2 * CALL_COUNT + 8];
    unsigned short n = 0;
    program[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; ++i) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                    (unsigned)CALLS[i].number, 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {n, program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static void become_command(char **words) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0 || !install_filter())
        _exit(fail("cannot be traced"));
    execvp(words[0], words);
    _exit(fail(words[0]));
}

static pid_t process_of(pid_t thread) {
    char path[64], line[TEXT];
    long process = thread;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)thread);
    FILE *stream = fopen(path, "re");
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        if (sscanf(line, "Tgid: %ld", &process) == 1)
            break;
    if (stream != NULL)
        fclose(stream);
    return (pid_t)process;
}

/* The file's name, or what stands for a descriptor that is none: "socket:[..]", "pipe:[..]". */
static void describe_descriptor(pid_t thread, int descriptor, char text[TEXT]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)thread, descriptor);
    (void)!readlink(path, text, TEXT - 1);
}

static void describe(pid_t thread, const call *which, const struct __ptrace_syscall_info *info,
                     char text[TEXT]) {
    char name[TEXT] = {0};
    int descriptor = which->descriptor < 0 ? AT_FDCWD : (int)info->seccomp.args[which->descriptor];
    memset(text, 0, TEXT);
    if (which->path >= 0) {
        /* Not further than the page: what follows may not be mapped. */
        uintptr_t at = (uintptr_t)info->seccomp.args[which->path];
        size_t most = TEXT - 1, page = 4096 - at % 4096;
        struct iovec to = {name, most}, from[2] = {{(void *)at, page < most ? page : most},
                                                   {(void *)(at + page), most - page}};
        (void)!process_vm_readv(thread, &to, 1, from, page < most ? 2 : 1, 0);
    }
    if (descriptor != AT_FDCWD && name[0] != '/')
        describe_descriptor(thread, descriptor, text);
    size_t used = strlen(text);
    if (used > 0 && used < TEXT - 1 && name[0] != '\0')
        text[used++] = '/';
    memcpy(text + used, name, strnlen(name, TEXT - 1 - used));
}

static int is_there(pid_t thread, const char *path) {
    char from_there[TEXT + 64];
    snprintf(from_there, sizeof from_there, "/proc/%ld/cwd/%s", (long)thread, path);
    return access(path[0] == '/' ? path : from_there, F_OK) == 0;
}

/* Whether it changes what is left after a kill: not what is printed, nor wakes another thread, nor
 * finds that the folder is there already. */
static int counts(pid_t thread, const call *which, const struct __ptrace_syscall_info *info,
                  const char *text) {
    if (which->number == SYS_openat)
        return (info->seccomp.args[2] & O_CREAT) != 0;
    if (strncmp(which->name, "mkdir", 5) == 0)
        return !is_there(thread, text);
    if (which->path >= 0)
        return 1;
    return info->seccomp.args[which->descriptor] > 2 &&
           (text[0] == '/' || strncmp(text, "socket:", 7) == 0);
}

static void note_process(tracer *t, pid_t process) {
    for (size_t i = 0; i < t->process_count; ++i)
        if (t->processes[i] == process)
            return;
    if (t->process_count < MOST_PROCESSES)
        t->processes[t->process_count++] = process;
}

static void kill_whom(tracer *t, pid_t process) {
    t->killed = 1;
    if (t->whom != ALL)
        kill(process, SIGKILL);
    for (size_t i = 0; t->whom == ALL && i < t->process_count; ++i)
        kill(t->processes[i], SIGKILL);
}

/* Halves the number of bytes; whether that could be done. */
static int cut_bytes(pid_t thread, const call *which, const struct __ptrace_syscall_info *info) {
#ifdef __x86_64__
    struct user_regs_struct registers;
    if (which->bytes != 2 || info->seccomp.args[2] < 2 ||
        ptrace(PTRACE_GETREGS, thread, NULL, &registers) != 0)
        return 0;
    registers.rdx /= 2;
    return ptrace(PTRACE_SETREGS, thread, NULL, &registers) == 0;
#else
    (void)thread, (void)which, (void)info;
    return 0;
#endif
}

/* The call is passed over; whether that could be done. */
static int let_fail(pid_t thread, int error) {
#ifdef __x86_64__
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread, NULL, &registers) != 0)
        return 0;
    registers.orig_rax = (unsigned long long)-1;
    registers.rax = (unsigned long long)-error;
    return ptrace(PTRACE_SETREGS, thread, NULL, &registers) == 0;
#else
    (void)thread, (void)error;
    return 0;
#endif
}

/* Returns whether the thread is to be stopped when the call returns. */
static int at_call(tracer *t, pid_t thread) {
    struct __ptrace_syscall_info info = {0};
    char text[TEXT];
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof info, &info) <= 0)
        return 0;
    const call *which = CALLS;
    while (which < CALLS + CALL_COUNT && which->number != (int)info.seccomp.nr)
        ++which;
    if (which == CALLS + CALL_COUNT || !t->started)
        return 0;
    describe(thread, which, &info, text);
    pid_t process = process_of(thread);
    note_process(t, process);
    if (!counts(thread, which, &info, text) || t->killed ||
        (t->whom != ALL && (process == t->first) != (t->whom == FIRST)))
        return 0;
    /* The middle of a file that is written piece by piece is one place. */
    int goes_on = which->number == SYS_write && text[0] == '/' && strcmp(t->last, text) == 0;
    snprintf(t->last, sizeof t->last, "%s", which->number == SYS_write ? text : "");
    if (goes_on || (t->pattern != NULL && fnmatch(t->pattern, text, 0) != 0))
        return 0;
    ++t->seen;
    fprintf(t->log, "%lu %s %s %s\n", t->seen, process == t->first ? "first" : "other", which->name,
            text);
    if (t->seen != t->at)
        return 0;
    if (t->error != 0) {
        t->cannot |= !let_fail(thread, t->error);
        return 0;
    }
    if (t->half && cut_bytes(thread, which, &info)) {
        t->cut = thread;
        return 1;
    }
    kill_whom(t, process);
    return 0;
}

static void at_stop(tracer *t, pid_t thread, int status) {
    int event = status >> 16, number = WSTOPSIG(status), how = PTRACE_CONT;
    if (event == PTRACE_EVENT_SECCOMP) {
        if (at_call(t, thread))
            how = PTRACE_SYSCALL;
        number = 0;
    } else if (event == PTRACE_EVENT_EXEC) {
        t->started = 1;
        note_process(t, thread);
        number = 0;
    } else if (number == (SIGTRAP | 0x80)) {
        if (thread == t->cut)
            kill_whom(t, process_of(thread));
        number = 0;
    } else if (event != 0 || number == SIGSTOP) {
        number = 0; /* a new thread or process begins so */
    }
    ptrace(how, thread, NULL, (void *)(intptr_t)number);
}

static int trace(tracer *t) {
    int status;
    pid_t thread;
    if (waitpid(t->first, &status, 0) != t->first || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, t->first, NULL,
               (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP |
                        PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                        PTRACE_O_TRACEEXEC)) != 0)
        return fail("cannot trace");
    ptrace(PTRACE_CONT, t->first, NULL, NULL);
    while ((thread = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status))
            at_stop(t, thread, status);
        else if (thread == t->first)
            t->first_status = status;
    }
    return WIFEXITED(t->first_status) ? WEXITSTATUS(t->first_status)
                                      : 128 + WTERMSIG(t->first_status);
}

int main(int count, char **words) {
    static const char *const WHOM[] = {"all", "first", "others"};
    if (count < 6) {
        fprintf(stderr,
                "usage: kill_at all|first|others N[,PATTERN] before|half|fail=ERRNO LOG COMMAND "
                "[WORD...]\n");
        return CANNOT;
    }
    char *rest;
    tracer t = {.whom = ALL, .at = strtoul(words[2], &rest, 10)};
    t.pattern = *rest == ',' ? rest + 1 : NULL;
    while (t.whom < OTHERS && strcmp(words[1], WHOM[t.whom]) != 0)
        ++t.whom;
    t.half = strcmp(words[3], "half") == 0;
    t.error = strncmp(words[3], "fail=", 5) == 0 ? atoi(words[3] + 5) : 0;
    t.log = fopen(words[4], "we");
    if (t.log == NULL)
        return fail(words[4]);
    t.first = fork();
    if (t.first < 0)
        return fail("fork");
    if (t.first == 0)
        become_command(words + 5);
    int code = trace(&t);
    if (t.cannot) {
        fprintf(stderr, "kill_at: calls cannot be made to fail on this machine\n");
        return CANNOT;
    }
    return fclose(t.log) == 0 ? code : fail(words[4]);
}
