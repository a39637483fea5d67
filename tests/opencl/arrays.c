#include "arrays.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/philox.h"

enum { SEED = 28 };

void must(ib_status status, ib_error *err) {
    if (status != IB_OK)
        fail_msg("%s", ib_error_text(err));
}

/* ---- inputs --------------------------------------------------------------------------------- */

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A quarter zeros of both signs, some of the least settled values, else magnitudes of the fill. */
static float draw(struct test *t, enum fill fill) {
    static const struct {
        uint32_t lowest, range; /* of the biased exponent */
    } EXPONENTS[] = {[PLAIN] = {119, 8},
                     [WILD] = {87, 80},
                     [TINY] = {100, 14},
                     [VANISH] = {87, 2},
                     [STATE] = {75, 5}};
    ib_rng rng = ib_rng_make(SEED, IB_STREAM_INIT, 0, 0);
    uint32_t word = ib_rng_word(&rng, t->drawn++), more = ib_rng_word(&rng, t->drawn++);
    uint32_t kind = more % 16, sign = word & 0x80000000u, mantissa = word & 0x007FFFFFu;
    if (kind < 4)
        return kind == 0 ? -0.0f : 0.0f;
    if (kind == 4 && fill != STATE)
        return from_bits(sign | 0x2B800000u | (mantissa & 1)); /* 2^-40 and the float above */
    if (kind == 5 && fill == STATE)
        return from_bits(sign | 0x0D800000u | (mantissa & 1)); /* 2^-100 and the float above */
    if (kind < 10 && fill == STATE)
        return from_bits(sign | (27u + word % 5) << 23 | mantissa);
    uint32_t exponent = EXPONENTS[fill].lowest + (more >> 4) % EXPONENTS[fill].range;
    return from_bits(sign | exponent << 23 | mantissa);
}

/* ---- arrays --------------------------------------------------------------------------------- */

struct array *array_of(struct test *t, const char *name, const void *data, size_t bytes) {
    ib_error err = {0};
    assert_in_range(t->count, 0, MAX_ARRAYS - 1);
    struct array *a = &t->arrays[t->count++];
    *a = (struct array){.name = name, .bytes = bytes};
    must(t->backend->ops->buffer_create(t->backend, bytes, &a->cpu, &err), &err);
    must(t->backend->ops->upload(t->backend, &a->cpu, data, bytes, &err), &err);
    a->gpu = device_memory(&t->device, data, bytes);
    return a;
}

struct array *zeros(struct test *t, const char *name, int64_t floats) {
    float *data = calloc((size_t)floats, sizeof *data);
    assert_non_null(data);
    struct array *a = array_of(t, name, data, (size_t)floats * sizeof *data);
    free(data);
    return a;
}

struct array *drawn_blocks(struct test *t, const char *name, int64_t blocks, int64_t rows,
                           int64_t stored_rows, int64_t columns, int64_t stored_columns,
                           enum fill fill) {
    size_t floats = (size_t)(blocks * stored_rows * stored_columns);
    float *data = calloc(floats, sizeof *data);
    assert_non_null(data);
    for (int64_t block = 0; block < blocks; ++block)
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column < columns; ++column)
                data[(block * stored_rows + row) * stored_columns + column] = draw(t, fill);
    struct array *a = array_of(t, name, data, floats * sizeof *data);
    free(data);
    return a;
}

struct array *drawn(struct test *t, const char *name, int64_t rows, int64_t columns,
                    int64_t stored_columns, enum fill fill) {
    return drawn_blocks(t, name, 1, rows, rows, columns, stored_columns, fill);
}

struct array *drawn_positive(struct test *t, const char *name, int64_t floats, enum fill fill) {
    float *data = calloc((size_t)floats, sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < floats; ++i) {
        data[i] = draw(t, fill);
        data[i] = data[i] < 0 ? -data[i] : data[i];
    }
    struct array *a = array_of(t, name, data, (size_t)floats * sizeof *data);
    free(data);
    return a;
}

void arrays_drop(struct test *t) {
    for (; t->count > 0; --t->count) {
        struct array *a = &t->arrays[t->count - 1];
        t->backend->ops->buffer_destroy(t->backend, &a->cpu);
        if (a->gpu != NULL)
            clReleaseMemObject(a->gpu);
    }
}

size_t differences(struct test *t, const struct array *cpu, const struct array *gpu, int64_t first,
                   int loud) {
    size_t offset = (size_t)first * sizeof(float), different = 0;
    uint8_t *mine = malloc(cpu->bytes), *theirs = malloc(offset + cpu->bytes);
    ib_error err = {0};
    assert_non_null(mine);
    assert_non_null(theirs);
    must(t->backend->ops->download(t->backend, &cpu->cpu, mine, cpu->bytes, &err), &err);
    device_read(&t->device, gpu->gpu, theirs, offset + cpu->bytes);
    if (memcmp(mine, theirs + offset, cpu->bytes) != 0)
        for (size_t i = 0; i < cpu->bytes; i += 4) {
            uint32_t a = 0, b = 0;
            size_t width = cpu->bytes - i < 4 ? cpu->bytes - i : 4;
            memcpy(&a, mine + i, width);
            memcpy(&b, theirs + offset + i, width);
            if (a != b && ++different == 1 && loud)
                print_error("%s: word %zu: cpu %08x, opencl %08x\n", cpu->name, i / 4, a, b);
        }
    free(mine);
    free(theirs);
    return different;
}

void compare_at(struct test *t, const struct array *cpu, const struct array *gpu, int64_t first) {
    size_t different = differences(t, cpu, gpu, first, 1);
    if (different != 0)
        fail_msg("%s: %zu of %zu words differ", cpu->name, different, (cpu->bytes + 3) / 4);
}

void compare(struct test *t, const struct array *a) {
    compare_at(t, a, a, 0);
}
