#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Version 1 says "none" by a number near 2^63. */
static const uint64_t NO_MEMORY_LIMIT = (uint64_t)1 << 60;

long ib_read_system_file(const char *root, const char *name, char *text, size_t size) {
    char path[IB_LIMIT_PATH];
    int length = snprintf(path, sizeof path, "%s/%s", root, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    ssize_t count = read(fd, text, size - 1);
    int reason = errno;
    close(fd);
    errno = reason;
    if (count >= 0)
        text[count] = '\0';
    return (long)count;
}

int ib_leading_number(const char *text, uint64_t *value) {
    text += strspn(text, " \t");
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long number = strtoull(text, NULL, 10);
    if (errno != 0)
        return -1;
    *value = number;
    return 0;
}

static int read_number(const char *root, const char *directory, const char *name, uint64_t *value) {
    char path[IB_LIMIT_PATH], text[64];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path ||
        ib_read_system_file(root, path, text, sizeof text) < 0)
        return -1;
    return ib_leading_number(text, value);
}

/* CPUs of one group, 0: no limit. */
static double group_cpus(const char *root, const char *directory, int version) {
    uint64_t quota = 0, period = 0;
    char path[IB_LIMIT_PATH], text[64];
    if (version == 1) {
        if (read_number(root, directory, "cpu.cfs_quota_us", &quota) != 0 ||
            read_number(root, directory, "cpu.cfs_period_us", &period) != 0)
            return 0;
    } else {
        int length = snprintf(path, sizeof path, "%s/cpu.max", directory);
        if (length < 0 || (size_t)length >= sizeof path ||
            ib_read_system_file(root, path, text, sizeof text) < 0 ||
            ib_leading_number(text, &quota) != 0)
            return 0;
        const char *space = strchr(text, ' ');
        if (space == NULL || ib_leading_number(space, &period) != 0)
            return 0;
    }
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

static uint64_t group_memory(const char *root, const char *directory, int version) {
    uint64_t bytes = 0;
    const char *name = version == 1 ? "memory.limit_in_bytes" : "memory.max";
    return read_number(root, directory, name, &bytes) == 0 && bytes < NO_MEMORY_LIMIT ? bytes : 0;
}

static void keep_least(const char *root, const char *directory, int version, int cpu, int memory,
                       ib_limits *limits) {
    double cpus = cpu ? group_cpus(root, directory, version) : 0;
    uint64_t bytes = memory ? group_memory(root, directory, version) : 0;
    if (cpus > 0 && (limits->cpus == 0 || cpus < limits->cpus)) {
        limits->cpus = cpus;
        snprintf(limits->cpu_directory, sizeof limits->cpu_directory, "%s", directory);
    }
    if (bytes > 0 && (limits->memory_bytes == 0 || bytes < limits->memory_bytes)) {
        limits->memory_bytes = bytes;
        snprintf(limits->memory_directory, sizeof limits->memory_directory, "%s", directory);
    }
}

/* The group and its ancestors. A container may see only its own group, mounted as the topmost. */
static void walk(const char *root, const char *mount, const char *group, int version, int cpu,
                 int memory, ib_limits *limits) {
    char directory[IB_LIMIT_PATH];
    int outside = strstr(group, "..") != NULL;
    int length = snprintf(directory, sizeof directory, "%s%s", mount, outside ? "" : group);
    size_t least = strlen(mount);
    if (length < 0 || (size_t)length >= sizeof directory)
        return;
    limits->version = version;
    for (size_t end = (size_t)length;;) {
        while (end > least && directory[end - 1] == '/')
            --end;
        directory[end] = '\0';
        keep_least(root, directory, version, cpu, memory, limits);
        if (end <= least)
            return;
        while (end > least && directory[end - 1] != '/')
            --end;
    }
}

static int lists(const char *controllers, const char *name) {
    size_t length = strlen(name);
    for (const char *at = controllers; *at != '\0';) {
        size_t word = strcspn(at, ",");
        if (word == length && memcmp(at, name, length) == 0)
            return 1;
        at += word + (at[word] == ',');
    }
    return 0;
}

void ib_limits_read(const char *root, ib_limits *limits) {
    char text[IB_LIMIT_PATH];
    *limits = (ib_limits){0};
    if (ib_read_system_file(root, "proc/self/cgroup", text, sizeof text) < 0)
        snprintf(text, sizeof text, "0::/\n"); /* no /proc: a container's own group, if any */
    const char *unified = NULL;
    for (char *line = text, *next; line != NULL; line = next) { /* "4:cpu,cpuacct:/group" */
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL)
            continue;
        ++controllers;
        *group++ = '\0';
        if (*controllers == '\0')
            unified = group;
        else if (lists(controllers, "cpu"))
            walk(root, "sys/fs/cgroup/cpu", group, 1, 1, 0, limits);
        else if (lists(controllers, "memory"))
            walk(root, "sys/fs/cgroup/memory", group, 1, 0, 1, limits);
    }
    if (limits->version == 0 && unified != NULL)
        walk(root, "sys/fs/cgroup", unified, 2, 1, 1, limits);
}
