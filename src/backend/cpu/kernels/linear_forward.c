/* Linear layers, forward: y = x w + b.
 *
 * Wide tiles, 6 samples x 64 outputs. Each segment of 576 inputs is a work item of its own (w's
 * part, 576 x 64 floats = 147 KB, passes through L2 once for all samples); a second pass adds the
 * segments in order, then bias, ReLU and dropout. */
#include "dropout.h"
#include "kernel.h"
#include "product.h"

struct linear {
    const ib_linear *shape;
    const ib_linear_pointers *p;
    float *segments; /* [segment][n][out16] */
    int64_t in16, out16, segment_count;
};

static struct linear linear_of(const ib_cpu *cpu, const ib_linear *shape,
                               const ib_linear_pointers *p) {
    return (struct linear){
        .shape = shape,
        .p = p,
        .segments = cpu->shared_scratch,
        .in16 = ib_pad16(shape->in),
        .out16 = ib_pad16(shape->out),
        .segment_count = (shape->in + IB_SEGMENT - 1) / IB_SEGMENT,
    };
}

static int64_t wide_blocks(int64_t columns) {
    int64_t blocks = 0;
    for (int64_t first = 0; first < columns; ++blocks)
        first += tile_plan_for(columns - first, 0).columns;
    return blocks;
}

static struct tile_plan wide_block(int64_t columns, int64_t block, int64_t *first) {
    struct tile_plan plan = tile_plan_for(columns, 0);
    for (*first = 0; block > 0; --block) {
        *first += plan.columns;
        plan = tile_plan_for(columns - *first, 0);
    }
    return plan;
}

static void segment_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct linear *l = context;
    int64_t n = l->shape->n, blocks = wide_blocks(l->out16), segment = (int64_t)item / blocks,
            column;
    struct tile_plan plan = wide_block(l->out16, (int64_t)item % blocks, &column);
    int64_t first = segment * IB_SEGMENT;
    float out[TILE_FLOATS];
    for (int64_t sample = 0; sample < n; sample += plan.rows) {
        int rows = (int)smaller(plan.rows, n - sample);
        struct tile tile = {
            .a = l->p->x + sample * l->in16 + first,
            .a_row = l->in16,
            .a_k = 1,
            .b = l->p->w + first * l->out16 + column,
            .b_k = l->out16,
            .runs = 1,
            .run_length = smaller(IB_SEGMENT, l->shape->in - first),
        };
        IB_KERNEL(ib_tile)(rows, plan.vectors)(&tile, out);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < plan.columns; j += VL)
                v_store(l->segments + (segment * n + sample + i) * l->out16 + column + j,
                        v_load(out + i * TILE_STRIDE + j));
    }
}

static void finish_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct linear *l = context;
    int64_t n = l->shape->n, sample = (int64_t)item;
    float *y = l->p->y + sample * l->out16;
    for (int64_t j = 0; j < l->out16; j += VL) {
        vf sum = v_load(l->segments + sample * l->out16 + j);
        for (int64_t segment = 1; segment < l->segment_count; ++segment)
            sum = v_add(sum, v_load(l->segments + (segment * n + sample) * l->out16 + j));
        if (l->p->b != NULL)
            sum = v_add(sum, v_load(l->p->b + j));
        v_store(y + j, v_output(l->shape->relu, sum));
    }
    dropout_row(&l->shape->dropout,
                (uint64_t)((l->shape->dropout.first_sample + sample) * l->shape->out),
                l->shape->out, y);
}

static void linear_forward(ib_cpu *cpu, const ib_linear *shape, const ib_linear_pointers *p) {
    struct linear l = linear_of(cpu, shape, p);
    ib_pool_run(cpu->pool, (size_t)(l.segment_count * wide_blocks(l.out16)), segment_item, &l);
    ib_pool_run(cpu->pool, (size_t)shape->n, finish_item, &l);
}

static void scratch(const ib_linear *shape, size_t *per_thread, size_t *shared) {
    size_t segments = (size_t)((shape->in + IB_SEGMENT - 1) / IB_SEGMENT);
    *per_thread = 0;
    *shared = segments * (size_t)(shape->n * ib_pad16(shape->out));
}

IB_ONE_KERNEL(linear, IB_KERNEL(ib_linear_forward), scratch, linear_forward);
