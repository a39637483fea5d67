#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/cpu.h"

enum { MAX_PLATFORMS = 8, MAX_DEVICES = 8, ROW = 16 };

static void must(cl_int status, const char *call) {
    if (status != CL_SUCCESS)
        fail_msg("%s: OpenCL error %d", call, (int)status);
}

/* NULL, or what an exact device must have and this one lacks. */
static const char *lacks(cl_device_id id) {
    cl_device_fp_config config = 0;
    cl_bool available = CL_FALSE, compiler = CL_FALSE, little = CL_FALSE;
    clGetDeviceInfo(id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL);
    clGetDeviceInfo(id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    clGetDeviceInfo(id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
    clGetDeviceInfo(id, CL_DEVICE_ENDIAN_LITTLE, sizeof little, &little, NULL);
    if (!available || !compiler || !little)
        return "no usable compiler";
    if (!(config & CL_FP_FMA))
        return "no fused multiply-add (CL_FP_FMA)";
    if (!(config & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT))
        return "division and square root not correctly rounded "
               "(CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT)";
    return NULL;
}

static int find_on_platform(struct device *d, cl_platform_id platform, const char *wanted) {
    cl_device_id ids[MAX_DEVICES];
    cl_uint count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &count) != CL_SUCCESS)
        return 0;
    for (cl_uint i = 0; i < count && i < MAX_DEVICES; ++i) {
        char name[sizeof d->name] = "";
        clGetDeviceInfo(ids[i], CL_DEVICE_NAME, sizeof name - 1, name, NULL);
        if (wanted != NULL && strstr(name, wanted) == NULL)
            continue;
        const char *lack = lacks(ids[i]);
        if (lack == NULL) {
            d->id = ids[i];
            memcpy(d->name, name, sizeof name);
            return 1;
        }
        snprintf(d->why_not, sizeof d->why_not, "%s: %s", name, lack);
    }
    return 0;
}

static void open_queue(struct device *d) {
    cl_int status;
    d->context = clCreateContext(NULL, 1, &d->id, NULL, NULL, &status);
    must(status, "clCreateContext");
    d->queue = clCreateCommandQueue(d->context, d->id, 0, &status);
    must(status, "clCreateCommandQueue");
}

void device_open(struct device *d) {
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint count = 0;
    memset(d, 0, sizeof *d);
    snprintf(d->why_not, sizeof d->why_not, "no OpenCL device");
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &count) != CL_SUCCESS)
        return;
    for (cl_uint i = 0; i < count && i < MAX_PLATFORMS; ++i)
        if (find_on_platform(d, platforms[i], getenv("ISOBIT_OPENCL_DEVICE"))) {
            d->why_not[0] = '\0';
            open_queue(d);
            return;
        }
}

void device_close(struct device *d) {
    if (d->program != NULL)
        clReleaseProgram(d->program);
    if (d->queue != NULL)
        clReleaseCommandQueue(d->queue);
    if (d->context != NULL)
        clReleaseContext(d->context);
}

/* The caller frees it. */
static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s: cannot be read", path);
    size_t room = 1 << 16;
    char *text = calloc(room, 1);
    assert_non_null(text);
    size_t length = fread(text, 1, room, file);
    fclose(file);
    assert_in_range(length, 1, room - 1);
    return text;
}

void device_build(struct device *d, int segment, enum spoil spoil) {
    char options[256], log[4096] = "";
    char *text = read_text(OPENCL_KERNELS);
    cl_int status;
    if (d->program != NULL)
        clReleaseProgram(d->program);
    d->program = clCreateProgramWithSource(d->context, 1, (const char *[]){text}, NULL, &status);
    free(text);
    must(status, "clCreateProgramWithSource");
    snprintf(options, sizeof options,
             "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt "
             "%s-DSEGMENT=%d -DLEAF=%d -DSTRETCH=%d -DTILE=%d -DSPOIL=%d",
             d->flush ? "-cl-denorms-are-zero " : "", segment, IB_LEAF, IB_CHAIN_PIXELS,
             PRODUCT_TILE, (int)spoil);
    status = clBuildProgram(d->program, 1, &d->id, options, NULL, NULL);
    if (status != CL_SUCCESS) {
        clGetProgramBuildInfo(d->program, d->id, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        fail_msg("clBuildProgram: OpenCL error %d\n%s", (int)status, log);
    }
}

cl_mem device_memory(struct device *d, const void *data, size_t bytes) {
    cl_int status;
    union {
        const void *readable;
        void *pointer;
    } from = {.readable = data}; /* only read */
    cl_mem memory = clCreateBuffer(d->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes,
                                   from.pointer, &status);
    must(status, "clCreateBuffer");
    return memory;
}

void device_read(struct device *d, cl_mem memory, void *to, size_t bytes) {
    must(clEnqueueReadBuffer(d->queue, memory, CL_TRUE, 0, bytes, to, 0, NULL, NULL),
         "clEnqueueReadBuffer");
}

void device_run(struct device *d, const char *name, const size_t size[3], const size_t *group,
                const struct argument *arguments, size_t count) {
    /* Left to itself, PoCL chooses another group for every size, and compiles the kernel for each.
     */
    const size_t row[3] = {size[0] % ROW == 0 ? ROW : 1, 1, 1};
    cl_int status;
    cl_kernel kernel = clCreateKernel(d->program, name, &status);
    must(status, name);
    for (size_t i = 0; i < count; ++i)
        must(clSetKernelArg(kernel, (cl_uint)i, arguments[i].bytes, arguments[i].value), name);
    must(clEnqueueNDRangeKernel(d->queue, kernel, 3, NULL, size, group == NULL ? row : group, 0,
                                NULL, NULL),
         name);
    must(clFinish(d->queue), name);
    clReleaseKernel(kernel);
}
