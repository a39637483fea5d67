/* One OpenCL device for the test: opened, programs built, kernels launched. What OpenCL itself
 * refuses is a failure of the running test; a device that cannot be exact is a reason to skip. */
#ifndef TESTS_OPENCL_DEVICE_H
#define TESTS_OPENCL_DEVICE_H

#include <CL/cl.h>
#include <stddef.h>

enum spoil {
    SPOIL_NONE,
    SPOIL_UNFUSED,
    SPOIL_UNORDERED,
    SPOIL_NO_TREE,
    SPOIL_UNSETTLED
}; /* as in kernels.cl */

enum { PRODUCT_TILE = 16 };

struct device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    int flush; /* programs are built with -cl-denorms-are-zero */
    char name[256];
    char why_not[512]; /* empty, or why no device can run the definitions */
};

/* The first device that has fma, and rounds division and square root correctly;
 * with ISOBIT_OPENCL_DEVICE in the environment, the first whose name contains it. */
void device_open(struct device *d);
void device_close(struct device *d);

/* Builds kernels.cl, in place of the program before. */
void device_build(struct device *d, int segment, enum spoil spoil);

/* Device memory with these contents. */
cl_mem device_memory(struct device *d, const void *data, size_t bytes);
void device_read(struct device *d, cl_mem memory, void *to, size_t bytes);

struct argument {
    size_t bytes;
    const void *value;
};
#define ARGUMENT(variable)     ((struct argument){sizeof(variable), &(variable)})
#define ARGUMENT_INT(number)   ((struct argument){sizeof(cl_int), &(cl_int){(cl_int)(number)}})
#define ARGUMENT_FLOAT(number) ((struct argument){sizeof(cl_float), &(cl_float){number}})

/* Runs one kernel over size[0] x size[1] x size[2] work-items. group: the same of one
 * work-group; NULL: a row of 16, or 1 where 16 does not divide size[0]. */
void device_run(struct device *d, const char *kernel, const size_t size[3], const size_t *group,
                const struct argument *arguments, size_t count);

#define DEVICE_RUN(d, kernel, group, x, y, z, ...)                                                 \
    device_run(d, kernel, (const size_t[3]){(size_t)(x), (size_t)(y), (size_t)(z)}, group,         \
               (const struct argument[]){__VA_ARGS__},                                             \
               sizeof((const struct argument[]){__VA_ARGS__}) / sizeof(struct argument))

#endif
