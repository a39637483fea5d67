/* NVIDIA's accelerators through NVML, loaded at run time where it is installed. */
#ifndef IB_MONITOR_RESOURCES_GPU_H
#define IB_MONITOR_RESOURCES_GPU_H

#include <stddef.h>

/* NVML's own types: a return code (0: done), a handle, and two structures. */
typedef struct ib_nvml_memory {
    unsigned long long total, free, used; /* bytes */
} ib_nvml_memory;
typedef struct ib_nvml_utilization {
    unsigned gpu, memory; /* percent */
} ib_nvml_utilization;

/* The library's functions, so that a test can stand in for it. */
typedef struct ib_nvml {
    void *library; /* of dlopen; NULL: not to be closed */
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *count);
    int (*handle)(unsigned index, void **device);
    int (*name)(void *device, char *name, unsigned size);
    int (*memory)(void *device, ib_nvml_memory *memory);
    int (*utilization)(void *device, ib_nvml_utilization *utilization);
    int (*power)(void *device, unsigned *milliwatts);
    int (*power_limit)(void *device, unsigned *milliwatts);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
} ib_nvml;

enum { IB_MAX_GPUS = 16, IB_GPU_NAME = 96 };

/* One reading; a negative number: the device does not say. */
typedef struct ib_gpu_reading {
    double utilization, memory_used, memory_total; /* percent, bytes */
    double watts, watts_limit, celsius;
} ib_gpu_reading;

typedef struct ib_gpus {
    ib_nvml nvml;
    unsigned count;
    void *devices[IB_MAX_GPUS];
    char names[IB_MAX_GPUS][IB_GPU_NAME];
} ib_gpus;

/* nvml NULL: the machine's libnvidia-ml.so.1. count stays 0 where there is no library or device.
 * The caller calls ib_gpus_close. */
void ib_gpus_open(const ib_nvml *nvml, ib_gpus *gpus);
void ib_gpus_read(const ib_gpus *gpus, unsigned index, ib_gpu_reading *reading);
void ib_gpus_close(ib_gpus *gpus);

#endif
