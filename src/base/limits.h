/* What the kernel lets this process have of the machine: the control groups it is in (version 2, or
 * 1), each of their ancestors included. root stands before /proc and /sys: "" is the machine, and a
 * directory a tree of a test's own. */
#ifndef IB_BASE_LIMITS_H
#define IB_BASE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

enum { IB_LIMIT_PATH = 4096 };

typedef struct ib_limits {
    int version;                          /* of the control groups; 0: there are none */
    double cpus;                          /* 0: no limit */
    uint64_t memory_bytes;                /* 0: no limit */
    char cpu_directory[IB_LIMIT_PATH];    /* of the group that has the least, below root */
    char memory_directory[IB_LIMIT_PATH]; /* "": no limit */
} ib_limits;

/* What cannot be read or is no number is no limit. */
void ib_limits_read(const char *root, ib_limits *limits);

/* The first size - 1 bytes of root/name as a text; the number of bytes, -1 when it cannot be read
 * (errno). Never waits, whatever kind of file it is. */
long ib_read_system_file(const char *root, const char *name, char *text, size_t size);
/* The decimal number that text begins with, after spaces; -1: none, or beyond 64 bits. */
int ib_leading_number(const char *text, uint64_t *value);

#endif
