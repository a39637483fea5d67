/* isobit whose allocations fail, for test_command_allocation.py: it stands still before any of them
 * and from there, as often as it is told, a copy of it goes on to the end with one failing. What
 * came before is not repeated.
 * environment: ISOBIT_FAILING=REQUESTS,REPLIES,FOLDER, two descriptors and a folder for the copies'
 * output (out, err) and count (count: 64-bit words, how many allocations there were, then the place
 * of each where they were asked for); without it this is isobit.
 * ISOBIT_FAILING_OF: a library whose own allocations are meant; default: ours.
 * requests, one a line:
 *   go N             goes on and stands before allocation N (0: it stands at the beginning)
 *   fail N ALL PLACES   a copy goes on; its allocation N fails, with ALL 1 all later ones too
 * replies: "at N" when it stands, the copy's wait status when that has ended */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failing.h"

enum { MOST_WORDS = 1 << 22, MOST_FILES = 64, PATIENCE = 60, CANNOT = 125, TEXT_BUFFER = 1 << 22 };

static struct {
    int requests, replies;
    char *folder;
    uint64_t *words; /* shared with the copies */
    size_t until;    /* goes on before this one */
    int is_copy;
    size_t failing; /* of a copy, and the next two */
    int all, notes_places;
} server;

static void write_reply(const char *what, long number) {
    if (dprintf(server.replies, "%s%ld\n", what, number) < 0)
        _exit(CANNOT);
}

static void redirect(const char *name, int to) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", server.folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(CANNOT);
    close(fd);
}

static void become_copy(size_t n, int all, int places) {
    server.is_copy = 1;
    server.failing = n;
    server.all = all;
    server.notes_places = places;
    close(server.requests);
    close(server.replies);
    redirect("out", STDOUT_FILENO);
    redirect("err", STDERR_FILENO);
    alarm(PATIENCE);
    failing_change(n, all);
}

/* A copy shares open files with us, and where they are read. */
static void keep_offsets(off_t offsets[MOST_FILES], int restore) {
    for (int fd = 0; fd < MOST_FILES; ++fd) {
        if (!restore)
            offsets[fd] = lseek(fd, 0, SEEK_CUR);
        else if (offsets[fd] >= 0)
            lseek(fd, offsets[fd], SEEK_SET);
    }
}

static int read_request(char line[64]) {
    ssize_t size = read(server.requests, line, 63);
    if (size <= 0)
        return 0;
    line[size] = '\0';
    return 1;
}

/* Returns where the caller is to go on. */
static void stand(void) {
    char line[64];
    off_t offsets[MOST_FILES];
    unsigned long n;
    int all, places, status;
    while (read_request(line)) {
        if (sscanf(line, "go %lu", &n) == 1) {
            server.until = n;
            return;
        }
        if (sscanf(line, "fail %lu %d %d", &n, &all, &places) != 3)
            _exit(CANNOT);
        keep_offsets(offsets, 0);
        pid_t child = fork();
        if (child == 0) {
            become_copy(n, all, places);
            return;
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            _exit(CANNOT);
        keep_offsets(offsets, 1);
        write_reply("", status);
    }
    _exit(0);
}

static void watch(size_t n) {
    if (!server.is_copy && n == server.until) {
        write_reply("at ", (long)n);
        stand();
    }
    if (!server.is_copy)
        return;
    server.words[0] = n;
    if (server.notes_places && n < MOST_WORDS)
        server.words[n] = failing_place();
}

static void *share_words(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/count", server.folder);
    size_t bytes = sizeof(uint64_t) * MOST_WORDS;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        _exit(CANNOT);
    void *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (words == MAP_FAILED)
        _exit(CANNOT);
    return words;
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("ISOBIT_FAILING");
    int head = 0;
    if (text == NULL)
        return;
    if (sscanf(text, "%d,%d,%n", &server.requests, &server.replies, &head) != 2 || head == 0)
        _exit(CANNOT);
    server.folder = strdup(text + head);
    unsetenv("ISOBIT_FAILING"); /* what it starts is isobit */
    fcntl(server.requests, F_SETFD, FD_CLOEXEC);
    fcntl(server.replies, F_SETFD, FD_CLOEXEC);
    /* What is printed before a copy is made must still be in the buffer. */
    static char buffer[TEXT_BUFFER];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    server.words = share_words();
    failing_choose(getenv("ISOBIT_FAILING_OF"));
    write_reply("at ", 0);
    stand();
    failing_watch(watch);
    failing_begin(server.failing, server.all);
}
