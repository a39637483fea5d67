/* Max-pool of any window on the device: one work-item an output, then one an input pixel. */
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "norm.h"

struct pool_case {
    int n, h, w, channels, kernel, stride, pad, second;
    enum fill fill;
};

static const struct pool_case CASES[] = {
    {9, 14, 14, 64, 3, 2, 1, 1, PLAIN}, /* a ResNet's */
    {3, 7, 6, 20, 3, 2, 1, 0, TINY},    {4, 9, 8, 48, 2, 2, 0, 1, WILD},
    {2, 9, 7, 16, 3, 1, 1, 1, TINY},    {2, 8, 9, 32, 5, 3, 2, 0, PLAIN},
    {3, 6, 5, 16, 1, 2, 0, 1, VANISH},
};

/* As in kernels.cl. */
struct window {
    cl_int h, w, oh, ow, kernel, stride, pad;
};

static void check_pool(struct test *t, const struct pool_case *c) {
    const ib_max_pool shape = {c->n, c->h, c->w, c->channels, c->kernel, c->stride, c->pad};
    int64_t oh = ib_max_pool_out(&shape, c->h), ow = ib_max_pool_out(&shape, c->w);
    int64_t c16 = ib_pad16(c->channels), inputs = (int64_t)c->n * c->h * c->w;
    int64_t outputs = c->n * oh * ow;
    struct window on_device = {c->h, c->w, (cl_int)oh, (cl_int)ow, c->kernel, c->stride, c->pad};
    ib_error err = {0};
    struct array *window = array_of(t, "window", &on_device, sizeof on_device);
    struct array *x = drawn(t, "x", inputs, c->channels, c16, c->fill);
    struct array *dy = drawn(t, "dy", outputs, c->channels, c16, c->fill);
    struct array *second = drawn(t, "second", outputs, c->channels, c16, c->fill);
    struct array *y = zeros(t, "pool y", outputs * c16), *dx = zeros(t, "pool dx", inputs * c16);
    struct array *argmax = zeros(t, "pool argmax", outputs * c16 / 4); /* bytes */
    ib_max_pool_operands p = {
        .x = x->cpu, .dy = dy->cpu, .y = y->cpu, .dx = dx->cpu, .argmax = argmax->cpu};
    if (c->second)
        p.second = second->cpu;
    must(ib_plan_max_pool_forward(t->backend, &shape, &err), &err);
    must(ib_plan_max_pool_backward(t->backend, &shape, &err), &err);
    must(ib_max_pool_forward(t->backend, &shape, &p, &err), &err);
    must(ib_max_pool_backward(t->backend, &shape, &p, &err), &err);
    DEVICE_RUN(&t->device, "max_pool_outputs", NULL, c16, oh * ow, c->n, ARGUMENT(window->gpu),
               ARGUMENT(x->gpu), ARGUMENT(y->gpu), ARGUMENT(argmax->gpu));
    compare(t, y);
    compare(t, argmax);
    DEVICE_RUN(&t->device, "max_pool_gradients", NULL, c16, (int64_t)c->h * c->w, c->n,
               ARGUMENT(window->gpu), ARGUMENT(dy->gpu), ARGUMENT_INT(c->second),
               ARGUMENT(second->gpu), ARGUMENT(argmax->gpu), ARGUMENT(dx->gpu));
    compare(t, dx);
    arrays_drop(t);
}

void max_pools(void **state) {
    struct test *t = able(state);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i)
        check_pool(t, &CASES[i]);
}
