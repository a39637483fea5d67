/* Linear layers, backward: dx = dy w^T, dw = x^T dy, db, by lists of the gradients that are not
 * zero.
 *
 * Behind ReLU and dropout most of dy is zero (fc1 of the CNN: three quarters), and terms with a
 * zero factor leave a chain as it is (NUMERICS.md, "Chains"). dy is small, so it is listed up
 * front: by sample for dx, by output for dw. An entry then costs one broadcast and a row of 64
 * inputs: 4 vectors (AVX-512), so 5 loads for 4 FMAs; a dense tile would take 10 loads for 24 FMAs,
 * but four times as many of them.
 *
 * Work items: blocks of 64 inputs. In L1: x of 64 samples (copied, because rows of 9216 floats
 * share the same few cache sets) 16 KB, and w turned to [out][64], 32 KB for 128 outputs. The sums
 * of 8 leaves, 64 samples, form a complete subtree in registers: 4 levels x 4 vectors. Larger
 * batches push whole tiles [out][64] on a stack of subtree sums. */
#include <string.h>

#include "kernel.h"
#include "leaf_sum.h"
#include "product.h"

enum {
    COLUMNS = 64,     /* inputs of an item */
    GROUP_LEAVES = 8, /* leaves whose samples are in L1 together */
    GROUP = GROUP_LEAVES * IB_LEAF,
    ROW_VECTORS = COLUMNS / VL,
    DATA_ROWS = VL == 16 ? 2 : 1, /* samples side by side: at least 8 chains hide the latency */
    TREE_VECTORS = VL == 8 ? 2 : 4,
};

struct backward {
    ib_cpu *cpu;
    const ib_linear *shape;
    const ib_linear_pointers *p;
    int64_t in16, out16, segments, groups;
    /* By sample and segment: values and outputs, padded with zeros to the partner's length. */
    float *data_values;    /* [n][out16] */
    int32_t *data_outputs; /* [n][out16] */
    int32_t *data_counts;  /* [n][segments]; entries of a segment begin at its first output */
    /* By output and group: values and samples, and how many belong to each leaf. */
    float *weight_values;   /* [out16][n] */
    int32_t *weight_rows;   /* [out16][n]: offset of the sample in the group's x */
    int32_t *weight_counts; /* [out16][leaves] */
};

static int64_t leaves_of(int64_t n) {
    return (n + IB_LEAF - 1) / IB_LEAF;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static int32_t *integers(float *memory) {
    return (int32_t *)(void *)memory;
}

static size_t shared_layout(const ib_linear *shape, float *shared, struct backward *b) {
    size_t n = (size_t)shape->n, out16 = (size_t)ib_pad16(shape->out);
    size_t segments = (size_t)(shape->out + IB_SEGMENT - 1) / IB_SEGMENT;
    size_t leaves = (size_t)leaves_of(shape->n), entries = n * out16;
    if (b != NULL) {
        b->data_values = shared;
        b->data_outputs = integers(shared + entries);
        b->weight_values = shared + 2 * entries;
        b->weight_rows = integers(shared + 3 * entries);
        b->data_counts = integers(shared + 4 * entries);
        b->weight_counts = b->data_counts + n * segments;
    }
    return 4 * entries + n * segments + out16 * leaves;
}

static void list_gradients(struct backward *b) {
    int64_t n = b->shape->n, out = b->shape->out, out16 = b->out16, leaves = leaves_of(n);
    memset(b->weight_counts, 0, sizeof(int32_t) * (size_t)(out16 * leaves));
    for (int64_t leaf = 0; leaf < leaves; ++leaf)
        for (int64_t i = leaf * IB_LEAF; i < smaller((leaf + 1) * IB_LEAF, n); ++i)
            for (int64_t segment = 0; segment < b->segments; ++segment) {
                int64_t first = segment * IB_SEGMENT, last = smaller(first + IB_SEGMENT, out);
                int32_t count = 0;
                for (int64_t o = first; o < last; ++o) {
                    float g = b->p->dy[i * out16 + o];
                    if (g == 0)
                        continue;
                    b->data_values[i * out16 + first + count] = g;
                    b->data_outputs[i * out16 + first + count++] = (int32_t)(o * COLUMNS);
                    /* entries of leaf l begin at sample 8 l of the output's list */
                    int64_t at = o * n + leaf * IB_LEAF + b->weight_counts[o * leaves + leaf]++;
                    b->weight_values[at] = g;
                    b->weight_rows[at] = (int32_t)(i % GROUP * COLUMNS);
                }
                b->data_counts[i * b->segments + segment] = count;
            }
}

/* Samples computed side by side need lists of one length: zeros, which change no chain, fill up. */
static void pad_lists(struct backward *b) {
    for (int64_t i = 0; i + DATA_ROWS <= b->shape->n; i += DATA_ROWS)
        for (int64_t segment = 0; segment < b->segments; ++segment) {
            int32_t longest = 0;
            for (int64_t r = i; r < i + DATA_ROWS; ++r)
                if (b->data_counts[r * b->segments + segment] > longest)
                    longest = b->data_counts[r * b->segments + segment];
            for (int64_t r = i; r < i + DATA_ROWS; ++r) {
                int32_t *count = &b->data_counts[r * b->segments + segment];
                for (; *count < longest; ++*count) {
                    int64_t at = r * b->out16 + segment * IB_SEGMENT + *count;
                    b->data_values[at] = 0;
                    b->data_outputs[at] = 0;
                }
            }
        }
}

/* ---- data -------------------------------------------------------------------------------------
 */

/* dx of `rows` samples from `sample` on, 64 inputs from `first` on; x: their masks' rows. */
ALWAYS_INLINE void data_rows(const int rows, const struct backward *b, const float *turned,
                             const float *x, int64_t sample, int64_t first, int64_t width) {
    vf total[2][ROW_VECTORS]; /* from +0 instead of ended by it: settling makes them alike */
#pragma GCC unroll 2
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < ROW_VECTORS; ++v)
            total[r][v] = v_zero();
    for (int64_t segment = 0; segment < b->segments; ++segment) {
        int64_t at = sample * b->out16 + segment * IB_SEGMENT;
        const float *values = b->data_values + at;
        const int32_t *outputs = b->data_outputs + at;
        int32_t count = b->data_counts[sample * b->segments + segment];
        vf acc[2][ROW_VECTORS];
#pragma GCC unroll 2
        for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
            for (int v = 0; v < ROW_VECTORS; ++v)
                acc[r][v] = v_zero();
        for (int32_t e = 0; e < count; ++e) {
#pragma GCC unroll 2
            for (int r = 0; r < rows; ++r) {
                const float *w = turned + outputs[r * b->out16 + e];
                vf g = v_set1(values[r * b->out16 + e]);
#pragma GCC unroll 16
                for (int v = 0; v < ROW_VECTORS; ++v)
                    acc[r][v] = v_fma(g, v_load(w + v * VL), acc[r][v]);
            }
        }
#pragma GCC unroll 2
        for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
            for (int v = 0; v < ROW_VECTORS; ++v)
                total[r][v] = v_add(total[r][v], acc[r][v]);
    }
    const int masked = b->shape->mask_input;
    const vf scale = v_set1(masked ? b->shape->input_scale : 1.0f);
#pragma GCC unroll 2
    for (int r = 0; r < rows; ++r) {
        float *dx = b->p->dx + (sample + r) * b->in16 + first;
#pragma GCC unroll 16
        for (int v = 0; v < ROW_VECTORS; ++v) {
            vf g = total[r][v];
            g = masked ? v_mask(v_load(x + r * COLUMNS + v * VL), g, scale) : v_settle(g);
            if (v * VL < width)
                v_store(dx + v * VL, g);
        }
    }
}

static void group_data(const struct backward *b, const float *turned, const float *x, int64_t begin,
                       int64_t end, int64_t first, int64_t width) {
    int64_t i = begin;
    for (; i + DATA_ROWS <= end; i += DATA_ROWS)
        data_rows(DATA_ROWS, b, turned, x + (i - begin) * COLUMNS, i, first, width);
    for (; i < end; ++i)
        data_rows(1, b, turned, x + (i - begin) * COLUMNS, i, first, width);
}

/* ---- weights ----------------------------------------------------------------------------------
 */

/* acc = the chain over one leaf's entries. */
ALWAYS_INLINE void leaf_chain(const float *values, const int32_t *rows, int32_t count,
                              const float *x, vf acc[TREE_VECTORS]) {
#pragma GCC unroll 4
    for (int v = 0; v < TREE_VECTORS; ++v)
        acc[v] = v_zero();
    for (int32_t e = 0; e < count; ++e) {
        vf g = v_set1(values[e]);
#pragma GCC unroll 4
        for (int v = 0; v < TREE_VECTORS; ++v)
            acc[v] = v_fma(g, v_load(x + rows[e] + v * VL), acc[v]);
    }
}

/* The tree over `leaves` <= 8 leaves of one output; 8 is worth its own code, all in registers. */
ALWAYS_INLINE void subtree(const int leaves, const float *values, const int32_t *rows,
                           const int32_t *counts, const float *x, float *to) {
    vf stack[4][TREE_VECTORS];
#pragma GCC unroll 8
    for (int leaf = 0; leaf < leaves; ++leaf) {
        vf sum[TREE_VECTORS];
        leaf_chain(values + leaf * IB_LEAF, rows + leaf * IB_LEAF, counts[leaf], x, sum);
        int rest = ib_leaf_rest_level(leaf);
#pragma GCC unroll 4
        for (int v = 0; v < TREE_VECTORS; ++v) {
#pragma GCC unroll 3
            for (int level = 0; level < rest; ++level)
                sum[v] = v_add(stack[level][v], sum[v]);
            stack[rest][v] = sum[v];
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < TREE_VECTORS; ++v) {
        int level = __builtin_ctz((unsigned)leaves);
        vf total = stack[level][v];
        for (int left = leaves & (leaves - 1); left != 0; left &= left - 1)
            total = v_add(stack[__builtin_ctz((unsigned)left)][v], total);
        v_store(to + v * VL, total);
    }
}

/* tile[out][64] = the sums of one group's leaves. */
static void group_weights(const struct backward *b, int64_t group, const float *x, float *tile) {
    int64_t n = b->shape->n, leaves = leaves_of(n), first = group * GROUP_LEAVES;
    int count = (int)smaller(GROUP_LEAVES, leaves - first);
    for (int64_t o = 0; o < b->shape->out; ++o) {
        const float *values = b->weight_values + o * n + first * IB_LEAF;
        const int32_t *rows = b->weight_rows + o * n + first * IB_LEAF;
        const int32_t *counts = b->weight_counts + o * leaves + first;
        for (int c = 0; c < COLUMNS; c += TREE_VECTORS * VL)
            if (count == GROUP_LEAVES)
                subtree(GROUP_LEAVES, values, rows, counts, x + c, tile + o * COLUMNS + c);
            else
                subtree(count, values, rows, counts, x + c, tile + o * COLUMNS + c);
    }
}

/* to = from + to */
static void add_tile(const float *from, float *to, int64_t floats) {
    for (int64_t i = 0; i < floats; i += VL)
        v_store(to + i, v_add(v_load(from + i), v_load(to + i)));
}

static float *stack_tile(const struct backward *b, float *tiles, int level) {
    return tiles + (level + 1) * b->out16 * COLUMNS;
}

/* Puts the sum of complete group `group`, in the first tile, on the stack: tile 1 + level. */
static void push_group(const struct backward *b, int64_t group, float *tiles) {
    int64_t floats = b->out16 * COLUMNS;
    int rest = ib_leaf_rest_level(group);
    for (int level = 0; level < rest; ++level)
        add_tile(stack_tile(b, tiles, level), tiles, floats);
    memcpy(stack_tile(b, tiles, rest), tiles, sizeof(float) * (size_t)floats);
}

/* The first tile, or what it starts from, plus what is on the stack, from the smallest. */
static void add_groups(const struct backward *b, int64_t complete, int rest_there, float *tiles) {
    int64_t floats = b->out16 * COLUMNS;
    for (; complete != 0; complete &= complete - 1) {
        float *tile = stack_tile(b, tiles, __builtin_ctzll((unsigned long long)complete));
        if (rest_there)
            add_tile(tile, tiles, floats);
        else
            memcpy(tiles, tile, sizeof(float) * (size_t)floats);
        rest_there = 1;
    }
}

static void write_weights(const struct backward *b, int64_t first, int64_t width, float *tile) {
    int64_t used = b->shape->out * COLUMNS, padding = b->out16 * COLUMNS - used;
    for (int64_t i = 0; i < used; i += VL)
        v_store(tile + i, leaf_end(v_add(v_load(tile + i), v_zero()), b->shape->node));
    memset(tile + used, 0, sizeof(float) * (size_t)padding);
    for (int64_t i = 0; i < width; i += 16)
        for (int64_t o = 0; o < b->out16; o += 16)
            transpose16(tile + o * COLUMNS + i, COLUMNS, b->p->dw + (first + i) * b->out16 + o,
                        b->out16);
}

/* ---- items ------------------------------------------------------------------------------------
 */

static void turn_weights(const struct backward *b, int64_t first, int64_t width, float *turned) {
    for (int64_t i = 0; i < width; i += 16)
        for (int64_t o = 0; o < b->out16; o += 16)
            transpose16(b->p->w + (first + i) * b->out16 + o, b->out16, turned + o * COLUMNS + i,
                        COLUMNS);
}

/* x[64 samples][64] of inputs [first, first + width). */
static void copy_inputs(const struct backward *b, int64_t begin, int64_t end, int64_t first,
                        int64_t width, float *x) {
    vf bad = v_zero();
    for (int64_t i = begin; i < end; ++i, x += COLUMNS)
        for (int64_t c = 0; c < width; c += VL) {
            vf value = v_load(b->p->x + i * b->in16 + first + c);
            bad = v_fma(value, v_zero(), bad); /* NaN for an infinite or NaN value only */
            v_store(x + c, value);
        }
    if (v_any(v_ne(bad, v_zero())))
        ib_cpu_report_unbounded(b->cpu);
}

static void backward_item(void *context, size_t item, unsigned thread) {
    const struct backward *b = context;
    int64_t n = b->shape->n, first = (int64_t)item * COLUMNS;
    int64_t width = smaller(COLUMNS, b->in16 - first);
    float *x = b->cpu->thread_scratch[thread], *turned = x + GROUP * COLUMNS;
    float *tiles = turned + b->out16 * COLUMNS;
    if (b->p->dx != NULL)
        turn_weights(b, first, width, turned);
    for (int64_t group = 0; group < b->groups; ++group) {
        int64_t begin = group * GROUP, end = smaller(begin + GROUP, n);
        copy_inputs(b, begin, end, first, width, x);
        if (b->p->dx != NULL)
            group_data(b, turned, x, begin, end, first, width);
        group_weights(b, group, x, tiles);
        if (b->groups > 1 && leaves_of(end - begin) == GROUP_LEAVES)
            push_group(b, group, tiles);
    }
    if (b->groups > 1) {
        int64_t complete = leaves_of(n) / GROUP_LEAVES;
        add_groups(b, complete, complete < b->groups, tiles);
    }
    write_weights(b, first, width, tiles);
}

static void bias_gradient(const struct backward *b) {
    int64_t n = b->shape->n, leaves = leaves_of(n);
    for (int64_t j = 0; j < b->out16; j += VL) {
        vf stack[IB_MAX_LEAF_LEVELS];
        for (int64_t leaf = 0; leaf < leaves; ++leaf) {
            vf sum = v_zero();
            for (int64_t i = leaf * IB_LEAF; i < smaller((leaf + 1) * IB_LEAF, n); ++i)
                sum = v_add(sum, v_load(b->p->dy + i * b->out16 + j));
            leaf_push(stack, leaf, sum);
        }
        v_store(b->p->db + j, leaf_end(leaf_total(stack, leaves), b->shape->node));
    }
}

static void linear_backward(ib_cpu *cpu, const ib_linear *shape, const ib_linear_pointers *p) {
    struct backward b = {
        .cpu = cpu,
        .shape = shape,
        .p = p,
        .in16 = ib_pad16(shape->in),
        .out16 = ib_pad16(shape->out),
        .segments = (shape->out + IB_SEGMENT - 1) / IB_SEGMENT,
        .groups = (shape->n + GROUP - 1) / GROUP,
    };
    shared_layout(shape, cpu->shared_scratch, &b);
    list_gradients(&b);
    pad_lists(&b);
    ib_pool_run(cpu->pool, (size_t)((b.in16 + COLUMNS - 1) / COLUMNS), backward_item, &b);
    if (p->db != NULL)
        bias_gradient(&b);
}

static void scratch(const ib_linear *shape, size_t *per_thread, size_t *shared) {
    size_t tile = (size_t)(ib_pad16(shape->out) * COLUMNS), tiles = 2;
    for (int64_t groups = (shape->n + GROUP - 1) / GROUP; groups > 1; groups /= 2)
        ++tiles;
    *per_thread = (size_t)(GROUP * COLUMNS) + tile + tiles * tile;
    *shared = shared_layout(shape, NULL, NULL);
}

IB_ONE_KERNEL(linear, IB_KERNEL(ib_linear_backward), scratch, linear_backward);
