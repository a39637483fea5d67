#include "monitor/resources_gpu.h"

#include <dlfcn.h>
#include <string.h>

enum { GPU_SENSOR = 0 };

static const struct {
    const char *symbol;
    size_t offset;
} FUNCTIONS[] = {
    {"nvmlInit_v2", offsetof(ib_nvml, init)},
    {"nvmlShutdown", offsetof(ib_nvml, shutdown)},
    {"nvmlDeviceGetCount_v2", offsetof(ib_nvml, count)},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(ib_nvml, handle)},
    {"nvmlDeviceGetName", offsetof(ib_nvml, name)},
    {"nvmlDeviceGetMemoryInfo", offsetof(ib_nvml, memory)},
    {"nvmlDeviceGetUtilizationRates", offsetof(ib_nvml, utilization)},
    {"nvmlDeviceGetPowerUsage", offsetof(ib_nvml, power)},
    {"nvmlDeviceGetEnforcedPowerLimit", offsetof(ib_nvml, power_limit)},
    {"nvmlDeviceGetTemperature", offsetof(ib_nvml, temperature)},
};

/* 0: not installed, or too old. */
static int load(ib_nvml *nvml) {
    *nvml = (ib_nvml){.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)};
    if (nvml->library == NULL)
        return 0;
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; ++i) {
        void *function = dlsym(nvml->library, FUNCTIONS[i].symbol);
        if (function == NULL)
            return 0;
        memcpy((char *)nvml + FUNCTIONS[i].offset, &function, sizeof function);
    }
    return 1;
}

void ib_gpus_open(const ib_nvml *nvml, ib_gpus *gpus) {
    *gpus = (ib_gpus){0};
    int loaded = nvml == NULL ? load(&gpus->nvml) : 1;
    if (nvml != NULL)
        gpus->nvml = *nvml;
    if (!loaded || gpus->nvml.init() != 0) {
        gpus->nvml.shutdown = NULL;
        ib_gpus_close(gpus);
        return;
    }
    unsigned count = 0;
    if (gpus->nvml.count(&count) != 0)
        count = 0;
    for (unsigned i = 0; i < count && gpus->count < IB_MAX_GPUS; ++i) {
        if (gpus->nvml.handle(i, &gpus->devices[gpus->count]) != 0)
            continue;
        char *name = gpus->names[gpus->count++];
        if (gpus->nvml.name(gpus->devices[gpus->count - 1], name, IB_GPU_NAME) != 0)
            name[0] = '\0';
        name[IB_GPU_NAME - 1] = '\0';
    }
}

void ib_gpus_read(const ib_gpus *gpus, unsigned index, ib_gpu_reading *reading) {
    void *device = gpus->devices[index];
    ib_nvml_memory memory = {0};
    ib_nvml_utilization utilization = {0};
    unsigned number = 0;
    *reading = (ib_gpu_reading){-1, -1, -1, -1, -1, -1};
    if (gpus->nvml.utilization(device, &utilization) == 0)
        reading->utilization = utilization.gpu;
    if (gpus->nvml.memory(device, &memory) == 0) {
        reading->memory_used = (double)memory.used;
        reading->memory_total = (double)memory.total;
    }
    if (gpus->nvml.power(device, &number) == 0)
        reading->watts = 1e-3 * number;
    if (gpus->nvml.power_limit(device, &number) == 0)
        reading->watts_limit = 1e-3 * number;
    if (gpus->nvml.temperature(device, GPU_SENSOR, &number) == 0)
        reading->celsius = number;
}

void ib_gpus_close(ib_gpus *gpus) {
    if (gpus->nvml.shutdown != NULL)
        gpus->nvml.shutdown();
    if (gpus->nvml.library != NULL)
        dlclose(gpus->nvml.library);
    *gpus = (ib_gpus){0};
}
