/* What the kernel counts: CPU time, memory, network, energy. root is that of ib_limits_read. Every
 * reader takes files of any content and says 0 when it has no answer. */
#ifndef IB_MONITOR_RESOURCES_READ_H
#define IB_MONITOR_RESOURCES_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

typedef struct ib_cpu_ticks {
    uint64_t busy, total; /* of all CPUs */
} ib_cpu_ticks;

/* /proc/stat: all but idle and waiting for disks is busy, as psutil has it. */
int ib_read_cpu_ticks(const char *root, ib_cpu_ticks *ticks);
/* CPU time that the limited group has used, in seconds; of a group without a limit there is none.
 */
int ib_read_group_cpu(const char *root, const ib_limits *limits, double *seconds);

typedef struct ib_memory_use {
    uint64_t used, total; /* bytes */
} ib_memory_use;

/* The limited group's memory where there is a limit below the machine's, else the machine's: total
 * less available. */
int ib_read_memory(const char *root, const ib_limits *limits, ib_memory_use *memory);

typedef struct ib_process_memory {
    uint64_t rss, peak_rss; /* bytes */
} ib_process_memory;

int ib_read_process_memory(const char *root, ib_process_memory *memory);

typedef struct ib_network_use {
    uint64_t received, sent; /* bytes since the machine started, all interfaces */
} ib_network_use;

int ib_read_network(const char *root, ib_network_use *network);

/* RAPL: the energy counters of CPU packages and of memory beside them. */
enum { IB_RAPL_ZONES = 32, IB_REASON_SIZE = 256 };

typedef struct ib_rapl {
    size_t count;
    struct {
        char name[64];        /* "intel-rapl:0" */
        uint64_t last, range; /* microjoules; the counter begins again after range */
    } zones[IB_RAPL_ZONES];
    double joules;               /* since it was opened */
    char reason[IB_REASON_SIZE]; /* "": energy is measured */
} ib_rapl;

/* A zone that cannot be read ends measuring, with the reason: a part would pass for all of it. */
void ib_rapl_open(const char *root, ib_rapl *rapl);
void ib_rapl_read(const char *root, ib_rapl *rapl);

#endif
