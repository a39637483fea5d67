/* Arrays with the same contents in the CPU backend and on the device, and their comparison. */
#ifndef TESTS_OPENCL_ARRAYS_H
#define TESTS_OPENCL_ARRAYS_H

#include "backend/backend.h"
#include "device.h"

enum { MAX_ARRAYS = 32 };

/* The same bytes on both sides. */
struct array {
    const char *name;
    size_t bytes;
    ib_buffer cpu;
    cl_mem gpu;
};

struct test {
    struct device device;
    ib_backend *backend;
    struct array arrays[MAX_ARRAYS]; /* of the running case */
    size_t count;
    uint64_t drawn; /* numbers the inputs of the whole program */
};

/* All settled. PLAIN looks like training. WILD spreads exponents from 2^-40 to 2^40. TINY makes
 * products that lie about 2^-40. VANISH makes every product settle. STATE is for averages of
 * squares: down to 2^-100, where these settle. */
enum fill { PLAIN, WILD, TINY, VANISH, STATE };

/* Fails the running test with the error's text unless the status is IB_OK. */
void must(ib_status status, ib_error *err);

/* The test owns every array until arrays_drop. */
struct array *array_of(struct test *t, const char *name, const void *data, size_t bytes);
struct array *zeros(struct test *t, const char *name, int64_t floats);
/* [blocks][stored_rows][stored_columns], drawn in the first rows and columns of each block, +0 in
 * the padding. */
struct array *drawn_blocks(struct test *t, const char *name, int64_t blocks, int64_t rows,
                           int64_t stored_rows, int64_t columns, int64_t stored_columns,
                           enum fill fill);
struct array *drawn(struct test *t, const char *name, int64_t rows, int64_t columns,
                    int64_t stored_columns, enum fill fill);
/* One row without negative values (a -0 stays). */
struct array *drawn_positive(struct test *t, const char *name, int64_t floats, enum fill fill);
void arrays_drop(struct test *t);

/* How many of the CPU's 32-bit words differ from the device's memory from one float on; loud: says
 * which is the first. */
size_t differences(struct test *t, const struct array *cpu, const struct array *gpu, int64_t first,
                   int loud);
/* Fails the running test when anything differs. */
void compare(struct test *t, const struct array *a);
void compare_at(struct test *t, const struct array *cpu, const struct array *gpu, int64_t first);

#endif
