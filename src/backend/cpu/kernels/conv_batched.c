/* Unpooled convolution, forward and input gradient, as one product over the batch.
 *
 *   out[(sample, position)][column] = dot product over terms (ky, kx, c) of in * weight
 *
 * Positions that have the same taps form a class; a class is a dense product of (positions * n)
 * rows by its own terms. Segments of 576 terms lie where the definition puts them, over all taps.
 *
 * Blocking: an item is a chunk of rows (whole tiles of up to 12 rows, one class each; about 96) x a
 * chunk of columns. For each segment it packs the rows' terms once ([row][terms], 96 x 576 floats =
 * 221 KB, L2), then for each column block the weights ([term][32 columns], 74 KB, L2), and runs
 * every tile over them. Packing costs two moves for 1 / (columns of the item) and 1 / (rows of the
 * item) of the FMAs: 1-3 %, 6 % with 32 rows. A tile (AVX-512: 12 x 2 vectors) needs 14 loads for
 * 24 FMAs, and its 12 * 4 + 128 = 176 B a term come from L2 at 7 B a cycle. Meanwhile it fetches
 * the next block's weights, which are read from memory once a pass. */
#include <string.h>

#include "conv_batched.h"
#include "product.h"

enum {
    CHUNK_ROWS = 96,
    ROWS_LIMIT = CHUNK_ROWS + 12, /* a chunk ends with the tile that fills it */
    PANEL_ROW = IB_SEGMENT + 16,  /* an odd number of lines: rows fall on different sets */
    BLOCK_VECTORS = VL == 4 ? 4 : 2,
    BLOCK = BLOCK_VECTORS * VL, /* columns of a block */
    RUNS = IB_SEGMENT / 16,
    TRANSPOSE_AHEAD = 64, /* floats */
};

/* Positions of one axis that have the same taps: members [first, first + count) of its order. */
struct axis_class {
    int32_t first, count;
    uint32_t taps;
};

/* Rows [first, first + rows) of class (y, x); row r is sample r % n of the class's position r / n.
 */
struct row_tile {
    int32_t y, x, first, rows;
};

struct batched {
    int64_t n, depth, columns; /* depth: channels of in, a multiple of 16 */
    struct tap_axis y, x;
    const float *in, *w; /* w: [tap][ci][co], whichever of them is depth */
    float *out;
    const float *bias, *masked; /* may be NULL */
    float scale;
    int relu;
    /* the plan, in shared scratch */
    struct axis_class *y_classes, *x_classes;
    int32_t *y_order, *x_order;
    struct row_tile *tiles;
    int32_t *chunks; /* first tile of each, and the end */
    int64_t y_count, x_count, tile_count, chunk_count;
    int64_t item_columns;
    float **scratch;
};

/* ---- plan -------------------------------------------------------------------------------------
 */

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static uint32_t taps_of(const struct tap_axis *a, int64_t position) {
    uint32_t taps = 0;
    for (int64_t tap = 0; tap < a->taps; ++tap)
        if (tap_input(a, position, tap) >= 0)
            taps |= (uint32_t)1 << tap;
    return taps;
}

/* Sorts the positions of an axis by their taps; returns the number of classes. */
static int64_t classify(const struct tap_axis *a, struct axis_class *classes, int32_t *order) {
    int64_t count = 0;
    int32_t placed = 0;
    for (int64_t i = 0; i < a->positions; ++i) {
        uint32_t taps = taps_of(a, i);
        int known = 0;
        for (int64_t c = 0; c < count; ++c)
            known |= classes[c].taps == taps;
        if (known)
            continue;
        struct axis_class *c = &classes[count++];
        *c = (struct axis_class){.first = placed, .taps = taps};
        for (int64_t j = i; j < a->positions; ++j)
            if (taps_of(a, j) == taps)
                order[placed++] = (int32_t)j;
        c->count = placed - c->first;
    }
    return count;
}

static int64_t terms_of(const struct batched *b, const struct row_tile *t) {
    return __builtin_popcount(b->y_classes[t->y].taps) *
           __builtin_popcount(b->x_classes[t->x].taps) * b->depth;
}

/* Cuts every class into tiles of nearly equal rows. Returns the rows as if each had as many terms
 * as the class that has most. */
static int64_t cut_tiles(struct batched *b) {
    int64_t work = 0, most = 1;
    b->tile_count = 0;
    for (int64_t y = 0; y < b->y_count; ++y)
        for (int64_t x = 0; x < b->x_count; ++x) {
            int64_t count = b->n * b->y_classes[y].count * b->x_classes[x].count;
            int64_t tiles = (count + TALL_ROWS - 1) / TALL_ROWS;
            for (int64_t i = 0; i < tiles; ++i) {
                int64_t first = i * count / tiles, end = (i + 1) * count / tiles;
                struct row_tile *t = &b->tiles[b->tile_count++];
                *t = (struct row_tile){(int32_t)y, (int32_t)x, (int32_t)first,
                                       (int32_t)(end - first)};
                work += t->rows * terms_of(b, t);
                most = larger(most, terms_of(b, t));
            }
        }
    return (work + most - 1) / most;
}

/* Cuts the tiles into chunks of nearly equal work, never more than ROWS_LIMIT rows. */
static void cut_chunks(struct batched *b, int64_t wanted) {
    int64_t total = 0, work = 0, inside = 0;
    for (int64_t i = 0; i < b->tile_count; ++i)
        total += b->tiles[i].rows * terms_of(b, &b->tiles[i]);
    int64_t share = total / wanted + 1;
    b->chunk_count = 0;
    for (int64_t i = 0; i < b->tile_count; ++i) {
        if (i == 0 || work >= share || inside + b->tiles[i].rows > ROWS_LIMIT) {
            b->chunks[b->chunk_count++] = (int32_t)i;
            work = inside = 0;
        }
        work += b->tiles[i].rows * terms_of(b, &b->tiles[i]);
        inside += b->tiles[i].rows;
    }
    b->chunks[b->chunk_count] = (int32_t)b->tile_count;
}

/* Lays the plan out in memory (NULL: only counts); returns its floats. */
static size_t lay_out(struct batched *b, float *memory) {
    int64_t h = b->y.positions, w = b->x.positions;
    /* each class of (y, x) may leave one tile that is not full */
    int64_t tiles = b->n * h * w / ((TALL_ROWS + 1) / 2) + 2 * h * w + 1;
    int64_t floats = 0;
    int64_t at[6], sizes[6] = {3 * h, 3 * w, h, w, 4 * tiles, tiles + 1};
    for (int i = 0; i < 6; ++i) {
        at[i] = floats;
        floats += ib_pad16(sizes[i]);
    }
    if (memory != NULL) {
        b->y_classes = (struct axis_class *)(void *)(memory + at[0]);
        b->x_classes = (struct axis_class *)(void *)(memory + at[1]);
        b->y_order = (int32_t *)(void *)(memory + at[2]);
        b->x_order = (int32_t *)(void *)(memory + at[3]);
        b->tiles = (struct row_tile *)(void *)(memory + at[4]);
        b->chunks = (int32_t *)(void *)(memory + at[5]);
    }
    return (size_t)floats;
}

/* ---- the tile ---------------------------------------------------------------------------------
 */

struct run {
    int32_t first, terms; /* of a segment */
};

struct chain {
    const float *a; /* [rows][PANEL_ROW]: the terms of all runs, one after the other */
    const float *b; /* [term of the segment][columns] */
    const struct run *runs;
    int run_count;
    int add;    /* to what out holds */
    int settle; /* the last segment, and nothing follows it */
    float *out;
    const int64_t *row_at; /* row i begins at out + row_at[i] */
    const float *ahead;    /* weights of the next block, fetched at the rate of one a term */
    ptrdiff_t ahead_step;
};

/* out (+)= chain of every row and column. A -0 in it does not matter: what follows, or the last
 * segment here, settles. */
ALWAYS_INLINE void chain_tile(const int rows, const int vectors, const struct chain *t) {
    vf acc[12][4];
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j)
            acc[i][j] = v_zero();
    const float *base[4];
    for (int g = 0; g < (rows + 2) / 3; ++g)
        base[g] = t->a + 3 * g * PANEL_ROW;
    for (int r = 0; r < t->run_count; ++r) {
        const float *b = t->b + (ptrdiff_t)t->runs[r].first * (vectors * VL);
        const float *ahead = t->ahead + t->runs[r].first * t->ahead_step;
        for (int k = t->runs[r].terms; k > 0; --k) {
            __builtin_prefetch(ahead);
            ahead += t->ahead_step;
            vf column[4];
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                column[j] = v_load(b + j * VL);
#pragma GCC unroll 12
            for (int i = 0; i < rows; ++i) {
                vf x = v_set1(base[i / 3][(i % 3) * PANEL_ROW]);
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j)
                    acc[i][j] = v_fma(x, column[j], acc[i][j]);
            }
#pragma GCC unroll 4
            for (int g = 0; g < (rows + 2) / 3; ++g) {
                ++base[g];
                __asm__("" : "+r"(base[g]));
            }
            b += vectors * VL;
        }
    }
    const vf limit = v_set1(t->settle ? 0x1p-40f : 0.0f); /* nothing is below 0 */
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
        float *to = t->out + t->row_at[i];
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
            vf sum = acc[i][j];
            if (t->add)
                sum = v_add(v_load(to + j * VL), sum);
            v_store(to + j * VL, v_settle_below(sum, limit));
        }
    }
}

#include "chains.h"

/* ---- items ------------------------------------------------------------------------------------
 */

struct item_tile {
    float *panel;
    int first_row; /* in row_at */
    int rows, run_count, started;
    int64_t last_segment; /* first term of the last segment that it has terms of */
    struct run runs[RUNS];
};

/* The sample and position of a row. */
struct row_place {
    int64_t sample;
    int32_t y, x;
};

struct item_memory {
    float *rows, *weights;
    struct row_place *places;
    int64_t *row_at;
    struct item_tile *tiles;
};

static size_t item_layout(float *memory, struct item_memory *m) {
    size_t rows = (size_t)ROWS_LIMIT * PANEL_ROW, weights = (size_t)IB_SEGMENT * BLOCK;
    size_t row_at = (size_t)ROWS_LIMIT * 2, places = (size_t)ROWS_LIMIT * 4;
    if (m != NULL) {
        m->rows = memory;
        m->weights = memory + rows;
        m->row_at = (int64_t *)(void *)(m->weights + weights);
        m->places = (struct row_place *)(void *)(m->weights + weights + row_at);
        m->tiles = (struct item_tile *)(void *)(m->weights + weights + row_at + places);
    }
    return rows + weights + row_at + places + ROWS_LIMIT * sizeof(struct item_tile) / sizeof(float);
}

/* Packs the terms [first, last) that the tile has, and lists them as runs of the segment. */
static void pack_tile(const struct batched *b, const struct row_tile *t, int64_t first,
                      int64_t last, const struct row_place *places, struct item_tile *to) {
    const struct axis_class *yc = &b->y_classes[t->y], *xc = &b->x_classes[t->x];
    int64_t packed = 0;
    to->run_count = 0;
    for (int64_t tap = first / b->depth; tap * b->depth < last; ++tap) {
        int64_t ky = tap / b->x.taps, kx = tap % b->x.taps;
        if (!(yc->taps >> ky & 1) || !(xc->taps >> kx & 1))
            continue;
        int64_t from = larger(tap * b->depth, first), end = smaller((tap + 1) * b->depth, last);
        for (int i = 0; i < t->rows; ++i) {
            int64_t y = tap_input(&b->y, places[i].y, ky), x = tap_input(&b->x, places[i].x, kx);
            const float *source =
                b->in + ((places[i].sample * b->y.inputs + y) * b->x.inputs + x) * b->depth +
                (from - tap * b->depth);
            float *panel = to->panel + (ptrdiff_t)i * PANEL_ROW + packed;
            for (int64_t k = 0; k < end - from; k += VL)
                v_store(panel + k, v_load(source + k));
        }
        packed += end - from;
        struct run *run = &to->runs[to->run_count];
        if (to->run_count > 0 && run[-1].first + run[-1].terms == from - first)
            run[-1].terms += (int32_t)(end - from);
        else
            *run = (struct run){(int32_t)(from - first), (int32_t)(end - from)}, ++to->run_count;
    }
}

/* The weights of terms [from, from + count) of one tap, columns [column, column + width). */
static void pack_weights(const struct batched *b, int64_t tap, int64_t from, int64_t count,
                         int64_t column, int64_t width, float *to) {
    if (!b->y.gradient) {
        const float *w = b->w + (tap * b->depth + from) * b->columns + column;
        for (int64_t k = 0; k < count; ++k)
            for (int64_t j = 0; j < width; j += VL)
                v_store(to + k * width + j, v_load(w + k * b->columns + j));
        return;
    }
    int64_t flipped = b->y.taps * b->x.taps - 1 - tap;
    const float *w = b->w + (flipped * b->columns + column) * b->depth + from;
    for (int64_t j = 0; j < width; j += 16)
        for (int64_t k = 0; k < count; k += 16) {
            for (int i = 0; i < 16; ++i) /* 16 streams are more than hardware follows */
                __builtin_prefetch(w + (j + i) * b->depth + k + TRANSPOSE_AHEAD);
            transpose16(w + j * b->depth + k, b->depth, to + k * width + j, width);
        }
}

static void pack_block(const struct batched *b, const uint8_t *used, int64_t first, int64_t last,
                       int64_t column, int64_t width, float *to) {
    for (int64_t tap = first / b->depth; tap * b->depth < last; ++tap) {
        int64_t from = larger(tap * b->depth, first), end = smaller((tap + 1) * b->depth, last);
        if (used[tap - first / b->depth])
            pack_weights(b, tap, from - tap * b->depth, end - from, column, width,
                         to + (from - first) * width);
    }
}

/* Taps, from that of term `first` on, that any tile of the chunk has. */
static void mark_used(const struct batched *b, const struct row_tile *tiles, int64_t count,
                      int64_t first, int64_t last, uint8_t *used) {
    memset(used, 0, RUNS + 2);
    for (int64_t tap = first / b->depth; tap * b->depth < last; ++tap)
        for (int64_t i = 0; i < count && !used[tap - first / b->depth]; ++i)
            used[tap - first / b->depth] = (b->y_classes[tiles[i].y].taps >> tap / b->x.taps & 1) &&
                                           (b->x_classes[tiles[i].x].taps >> tap % b->x.taps & 1);
}

/* Do bias, ReLU or mask follow the sum? They settle what they yield. */
static int is_bare(const struct batched *b) {
    return b->bias == NULL && b->masked == NULL && !b->relu;
}

static void finish_rows(const struct batched *b, const struct item_tile *t, const int64_t *row_at,
                        int64_t column, int64_t width) {
    if (t->started && is_bare(b))
        return;
    const vf scale = v_set1(b->scale);
    for (int i = 0; i < t->rows; ++i)
        for (int64_t j = column; j < column + width; j += VL) {
            float *at = b->out + row_at[i] + j;
            vf value = t->started ? v_load(at) : v_zero();
            if (b->bias != NULL)
                value = v_add(value, v_load(b->bias + j));
            if (b->masked != NULL)
                value = v_mask(v_load(b->masked + row_at[i] + j), value, scale);
            else
                value = v_output(b->relu, value);
            v_store(at, value);
        }
}

/* Where the segment of the last term of these taps begins; without any, nowhere. */
static int64_t last_segment(const struct batched *b, uint32_t y_taps, uint32_t x_taps) {
    if (y_taps == 0 || x_taps == 0)
        return -1;
    int64_t ky = 31 - __builtin_clz(y_taps), kx = 31 - __builtin_clz(x_taps);
    int64_t last = (ky * b->x.taps + kx + 1) * b->depth - 1;
    return last / IB_SEGMENT * IB_SEGMENT;
}

static void place_tiles(const struct batched *b, const struct row_tile *tiles, int64_t count,
                        struct item_memory *m) {
    int row = 0;
    for (int64_t i = 0; i < count; ++i) {
        const struct row_tile *t = &tiles[i];
        const struct axis_class *yc = &b->y_classes[t->y], *xc = &b->x_classes[t->x];
        m->tiles[i].panel = m->rows + (ptrdiff_t)row * PANEL_ROW;
        m->tiles[i].first_row = row;
        m->tiles[i].rows = t->rows;
        m->tiles[i].started = 0;
        m->tiles[i].last_segment = last_segment(b, yc->taps, xc->taps);
        for (int r = t->first; r < t->first + t->rows; ++r) {
            int64_t position = r / b->n, sample = r % b->n;
            int64_t oy = b->y_order[yc->first + position / xc->count];
            int64_t ox = b->x_order[xc->first + position % xc->count];
            m->places[row] = (struct row_place){sample, (int32_t)oy, (int32_t)ox};
            m->row_at[row++] = ((sample * b->y.positions + oy) * b->x.positions + ox) * b->columns;
        }
    }
}

/* Where term `first` of the next block's weights lies; NULL: none, or rows that hardware fetches.
 */
static const float *next_weights(const struct batched *b, int64_t first, int64_t column,
                                 int64_t first_column, int64_t last_column) {
    int64_t terms = b->y.taps * b->x.taps * b->depth;
    if (b->y.gradient)
        return NULL;
    if (column + BLOCK < last_column)
        return b->w + first * b->columns + column + BLOCK;
    first += IB_SEGMENT;
    return first < terms ? b->w + first * b->columns + first_column : NULL;
}

static void batched_item(void *context, size_t item, unsigned thread) {
    const struct batched *b = context;
    int64_t chunk = (int64_t)item % b->chunk_count;
    int64_t first_column = (int64_t)item / b->chunk_count * b->item_columns;
    int64_t last_column = smaller(first_column + b->item_columns, b->columns);
    const struct row_tile *tiles = b->tiles + b->chunks[chunk];
    int64_t count = b->chunks[chunk + 1] - b->chunks[chunk];
    int64_t terms = b->y.taps * b->x.taps * b->depth;
    struct item_memory m;
    uint8_t used[RUNS + 2];
    const int bare = is_bare(b);
    item_layout(b->scratch[thread], &m);
    place_tiles(b, tiles, count, &m);
    for (int64_t first = 0; first < terms; first += IB_SEGMENT) {
        int64_t last = smaller(first + IB_SEGMENT, terms);
        mark_used(b, tiles, count, first, last, used);
        for (int64_t i = 0; i < count; ++i)
            pack_tile(b, &tiles[i], first, last, m.places + m.tiles[i].first_row, &m.tiles[i]);
        for (int64_t column = first_column; column < last_column; column += BLOCK) {
            int64_t width = smaller(BLOCK, last_column - column);
            pack_block(b, used, first, last, column, width, m.weights);
            const float *ahead = next_weights(b, first, column, first_column, last_column);
            for (int64_t i = 0; i < count; ++i) {
                const struct item_tile *t = &m.tiles[i];
                if (t->run_count == 0)
                    continue;
                struct chain chain = {.a = t->panel,
                                      .b = m.weights,
                                      .runs = t->runs,
                                      .run_count = t->run_count,
                                      .add = t->started,
                                      .settle = bare && first == t->last_segment,
                                      .out = b->out + column,
                                      .row_at = m.row_at + t->first_row,
                                      .ahead = m.weights};
                if (ahead != NULL && i < BLOCK / 16) { /* a tile for each line of a block's row */
                    chain.ahead = ahead + 16 * i;
                    chain.ahead_step = b->columns;
                }
                chain_for(t->rows, width)(&chain);
            }
        }
        for (int64_t i = 0; i < count; ++i)
            m.tiles[i].started |= m.tiles[i].run_count > 0;
    }
    for (int64_t i = 0; i < count; ++i)
        finish_rows(b, &m.tiles[i], m.row_at + m.tiles[i].first_row, first_column,
                    last_column - first_column);
}

/* Enough items for an even share: fewer columns first, then fewer rows an item. */
static void run_batched(ib_cpu *cpu, struct batched *b) {
    lay_out(b, cpu->shared_scratch);
    b->y_count = classify(&b->y, b->y_classes, b->y_order);
    b->x_count = classify(&b->x, b->x_classes, b->x_order);
    b->scratch = cpu->thread_scratch;
    int64_t total = cut_tiles(b), rows = CHUNK_ROWS, wanted = 4 * (int64_t)ib_pool_size(cpu->pool);
    b->item_columns = smaller(256, b->columns);
    while ((total + rows - 1) / rows * ((b->columns + b->item_columns - 1) / b->item_columns) <
           wanted) {
        if (b->item_columns > 64)
            b->item_columns = (b->item_columns / 2 + BLOCK - 1) / BLOCK * BLOCK;
        else if (rows > CHUNK_ROWS / 2)
            rows /= 2;
        else
            break;
    }
    cut_chunks(b, larger((total + rows - 1) / rows, 1));
    int64_t column_items = (b->columns + b->item_columns - 1) / b->item_columns;
    ib_pool_run(cpu->pool, (size_t)(b->chunk_count * column_items), batched_item, b);
}

/* ---- the two directions -----------------------------------------------------------------------
 */

static struct batched forward_of(const ib_conv *c) {
    struct conv_shape s = conv_shape_of(c);
    return (struct batched){
        .n = s.n,
        .depth = s.ci,
        .columns = s.co16,
        .y = {s.oh, s.kh, s.h, s.stride, s.pad, 0},
        .x = {s.ow, s.kw, s.w, s.stride, s.pad, 0},
        .relu = c->relu,
    };
}

static struct batched input_of(const ib_conv *c) {
    struct conv_shape s = conv_shape_of(c);
    return (struct batched){
        .n = s.n,
        .depth = s.co16,
        .columns = s.ci,
        .y = {s.h, s.kh, s.oh, s.stride, s.pad, 1},
        .x = {s.w, s.kw, s.ow, s.stride, s.pad, 1},
        .scale = c->input_scale,
    };
}

void IB_KERNEL(ib_conv_batched_forward)(ib_cpu *cpu, const ib_conv *conv,
                                        const ib_conv_pointers *p) {
    struct batched b = forward_of(conv);
    b.in = p->x;
    b.w = p->w;
    b.bias = p->b;
    b.out = p->y;
    run_batched(cpu, &b);
}

void IB_KERNEL(ib_conv_batched_input)(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p) {
    struct batched b = input_of(conv);
    b.in = p->dy;
    b.w = p->w;
    b.masked = conv->mask_input ? p->x : NULL;
    b.out = p->dx;
    run_batched(cpu, &b);
}

void IB_KERNEL(ib_conv_batched_forward_scratch)(const ib_conv *conv, size_t *per_thread,
                                                size_t *shared) {
    struct batched forward = forward_of(conv);
    *per_thread = item_layout(NULL, NULL);
    *shared = lay_out(&forward, NULL);
}

void IB_KERNEL(ib_conv_batched_input_scratch)(const ib_conv *conv, size_t *per_thread,
                                              size_t *shared) {
    struct batched input = input_of(conv);
    *per_thread = item_layout(NULL, NULL);
    *shared = lay_out(&input, NULL);
}
