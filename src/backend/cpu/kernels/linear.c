/* Linear layers: y = x w + b, and gradients.
 *
 * Forward: wide tiles, 6 samples x 64 outputs. Each segment of 576 inputs is a work item of its own
 * (w's part, 576 x 64 floats = 147 KB, passes through L2 once for all samples); a second pass adds
 * the segments in order, then bias, ReLU and dropout.
 * Data: dx = dy w^T. Work items: 64 inputs; their weights are turned once to [out][64] (32 KB for
 * 128 outputs, L1), then 6 samples x 64 inputs a tile. Weights: dw = x^T dy. 6 inputs x 64 outputs
 * a tile; the chain of a leaf is 8 FMAs long, then the tile goes on the stack of leaf sums. Work
 * items: 48 inputs. */
#include "dropout.h"
#include "leaf_sum.h"
#include "product.h"

enum { INPUTS_PER_ITEM = 48, TURNED = 64 };

struct linear {
    const ib_linear *shape;
    const ib_linear_pointers *p;
    float **scratch;
    float *segments; /* [segment][n][out16] */
    int64_t in16, out16, segment_count;
};

static struct linear linear_of(const ib_cpu *cpu, const ib_linear *shape,
                               const ib_linear_pointers *p) {
    return (struct linear){
        .shape = shape,
        .p = p,
        .scratch = cpu->thread_scratch,
        .segments = cpu->shared_scratch,
        .in16 = ib_pad16(shape->in),
        .out16 = ib_pad16(shape->out),
        .segment_count = (shape->in + IB_SEGMENT - 1) / IB_SEGMENT,
    };
}

/* ---- forward ----------------------------------------------------------------------------------
 */

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
    int64_t n = l->shape->n, segment = (int64_t)item % l->segment_count, column;
    struct tile_plan plan = wide_block(l->out16, (int64_t)item / l->segment_count, &column);
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
        sum = v_add(v_add(sum, v_zero()), v_load(l->p->b + j));
        v_store(y + j, l->shape->relu ? v_relu(sum) : sum);
    }
    if (l->shape->dropout.enabled)
        dropout_row(&l->shape->dropout, (uint64_t)(sample * l->shape->out), l->shape->out, y);
}

void IB_KERNEL(ib_linear_forward)(ib_cpu *cpu, const ib_linear *shape, const ib_linear_pointers *p);
void IB_KERNEL(ib_linear_forward)(ib_cpu *cpu, const ib_linear *shape,
                                  const ib_linear_pointers *p) {
    struct linear l = linear_of(cpu, shape, p);
    ib_pool_run(cpu->pool, (size_t)(l.segment_count * wide_blocks(l.out16)), segment_item, &l);
    ib_pool_run(cpu->pool, (size_t)shape->n, finish_item, &l);
}

/* ---- backward, data ---------------------------------------------------------------------------
 */

static void data_item(void *context, size_t item, unsigned thread) {
    const struct linear *l = context;
    int64_t n = l->shape->n, first = (int64_t)item * TURNED;
    int64_t inputs = smaller(TURNED, l->in16 - first);
    float *turned = l->scratch[thread];
    for (int64_t i = 0; i < inputs; i += 16)
        for (int64_t o = 0; o < l->out16; o += 16)
            transpose16(l->p->w + (first + i) * l->out16 + o, l->out16, turned + o * TURNED + i,
                        TURNED);
    const vf scale = v_set1(l->shape->mask_input ? l->shape->input_scale : 1.0f);
    float out[TILE_FLOATS];
    for (int64_t column = 0; column < inputs;) {
        struct tile_plan plan = tile_plan_for(inputs - column, 0);
        for (int64_t sample = 0; sample < n; sample += plan.rows) {
            int rows = (int)smaller(plan.rows, n - sample);
            struct tile tile = {
                .a = l->p->dy + sample * l->out16,
                .a_row = l->out16,
                .a_k = 1,
                .b = turned + column,
                .b_k = TURNED,
                .runs = 1,
                .run_length = l->shape->out,
            };
            dot_products(IB_KERNEL(ib_tile)(rows, plan.vectors), rows, plan.columns, &tile, out);
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < plan.columns; j += VL) {
                    int64_t at = (sample + i) * l->in16 + first + column + j;
                    vf g = v_mul(v_add(v_load(out + i * TILE_STRIDE + j), v_zero()), scale);
                    if (l->shape->mask_input)
                        g = v_select(v_gt(v_load(l->p->x + at), v_zero()), g, v_zero());
                    v_store(l->p->dx + at, g);
                }
        }
        column += plan.columns;
    }
}

/* ---- backward, weights ------------------------------------------------------------------------
 */

static void weight_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct linear *l = context;
    int64_t n = l->shape->n, leaves = (n + IB_LEAF - 1) / IB_LEAF;
    int64_t begin = (int64_t)item * INPUTS_PER_ITEM;
    int64_t end = smaller(begin + INPUTS_PER_ITEM, l->shape->in);
    float stack[IB_MAX_LEAF_LEVELS][WIDE_ROWS * WIDE_VECTORS * VL];
    float out[TILE_FLOATS];
    for (int64_t column = 0; column < l->out16;) {
        struct tile_plan plan = tile_plan_for(l->out16 - column, 0);
        if (plan.rows > WIDE_ROWS)
            plan.rows = WIDE_ROWS;
        for (int64_t input = begin; input < end; input += plan.rows) {
            int rows = (int)smaller(plan.rows, end - input);
            tile_function *function = IB_KERNEL(ib_tile)(rows, plan.vectors);
            for (int64_t leaf = 0; leaf < leaves; ++leaf) {
                int64_t sample = leaf * IB_LEAF;
                struct tile tile = {
                    .a = l->p->x + sample * l->in16 + input,
                    .a_row = 1,
                    .a_k = l->in16,
                    .b = l->p->dy + sample * l->out16 + column,
                    .b_k = l->out16,
                    .runs = 1,
                    .run_length = smaller(IB_LEAF, n - sample),
                };
                function(&tile, out);
                int rest = ib_leaf_rest_level(leaf);
                for (int i = 0; i < rows; ++i)
                    for (int j = 0; j < plan.columns; j += VL) {
                        int at = i * plan.columns + j;
                        vf value = v_load(out + i * TILE_STRIDE + j);
                        for (int level = 0; level < rest; ++level)
                            value = v_add(v_load(stack[level] + at), value);
                        v_store(stack[rest] + at, value);
                    }
            }
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < plan.columns; j += VL) {
                    int at = i * plan.columns + j;
                    vf levels[IB_MAX_LEAF_LEVELS];
                    for (int64_t left = leaves; left != 0; left &= left - 1) {
                        int level = __builtin_ctzll((unsigned long long)left);
                        levels[level] = v_load(stack[level] + at);
                    }
                    v_store(l->p->dw + (input + i) * l->out16 + column + j,
                            leaf_total(levels, leaves));
                }
        }
        column += plan.columns;
    }
}

static void bias_gradient(const struct linear *l) {
    int64_t n = l->shape->n, leaves = (n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t j = 0; j < l->out16; j += VL) {
        vf stack[IB_MAX_LEAF_LEVELS];
        for (int64_t leaf = 0; leaf < leaves; ++leaf) {
            vf sum = v_zero();
            for (int64_t i = leaf * IB_LEAF; i < smaller((leaf + 1) * IB_LEAF, n); ++i)
                sum = v_add(sum, v_load(l->p->dy + i * l->out16 + j));
            leaf_push(stack, leaf, sum);
        }
        v_store(l->p->db + j, leaf_total(stack, leaves));
    }
}

void IB_KERNEL(ib_linear_backward)(ib_cpu *cpu, const ib_linear *shape,
                                   const ib_linear_pointers *p);
void IB_KERNEL(ib_linear_backward)(ib_cpu *cpu, const ib_linear *shape,
                                   const ib_linear_pointers *p) {
    struct linear l = linear_of(cpu, shape, p);
    if (p->dx != NULL)
        ib_pool_run(cpu->pool, (size_t)((l.in16 + TURNED - 1) / TURNED), data_item, &l);
    ib_pool_run(cpu->pool, (size_t)((shape->in + INPUTS_PER_ITEM - 1) / INPUTS_PER_ITEM),
                weight_item, &l);
    bias_gradient(&l);
}

void IB_KERNEL(ib_linear_scratch)(const ib_linear *shape, size_t *per_thread, size_t *shared);
void IB_KERNEL(ib_linear_scratch)(const ib_linear *shape, size_t *per_thread, size_t *shared) {
    int64_t segments = (shape->in + IB_SEGMENT - 1) / IB_SEGMENT;
    *per_thread = (size_t)(ib_pad16(shape->out) * TURNED);
    *shared = (size_t)(segments * shape->n * ib_pad16(shape->out));
}
