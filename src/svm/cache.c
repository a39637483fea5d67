/* Where kernel rows come from: whole blocks where they fit the memory allowed, otherwise a cache of
 * rows that drops the least recently used. Which of them never changes a bit. */
#include "svm/parts.h"

#include <math.h>
#include <string.h>

/* ---- plan ---------------------------------------------------------------------------------------
 */

/* Every class with itself, and in each lane the two forms of the block of its two classes. */
static void plan_blocks(const size_t *counts, size_t classes, size_t threads, size_t limit,
                        ib_svm_cache_plan *plan) {
    size_t shared = 0, lane = 1;
    for (size_t a = 0; a < classes; ++a) {
        shared += counts[a] * ib_svm_padded(counts[a]);
        for (size_t b = a + 1; b < classes; ++b) {
            size_t both =
                counts[a] * ib_svm_padded(counts[b]) + counts[b] * ib_svm_padded(counts[a]);
            lane = both > lane ? both : lane;
        }
    }
    size_t lanes = limit < shared ? 0 : (limit - shared) / lane;
    size_t pairs = ib_svm_pair_count(classes);
    lanes = lanes < threads ? lanes : threads;
    lanes = lanes < pairs ? lanes : pairs;
    if (lanes > 0)
        *plan = (ib_svm_cache_plan){lanes, 1, lane, 0, shared, 0};
}

ib_status ib_svm_plan_cache(const size_t *counts, size_t classes, size_t threads,
                            size_t cache_bytes, ib_svm_cache_plan *plan, ib_error *err) {
    *plan = (ib_svm_cache_plan){0};
    size_t limit = cache_bytes / sizeof(float), pairs = ib_svm_pair_count(classes);
    size_t row = 1, points = 0;
    for (size_t a = 0; a < classes; ++a)
        for (size_t b = a + 1; b < classes; ++b) {
            size_t both = ib_svm_padded(counts[a]) + ib_svm_padded(counts[b]);
            row = both > row ? both : row;
            points = counts[a] + counts[b] > points ? counts[a] + counts[b] : points;
        }
    plan_blocks(counts, classes, threads, limit, plan);
    plan->points = points;
    if (plan->lanes > 0)
        return IB_OK;
    if (limit / 2 < row)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--cache-mb: two rows of kernel values take %zu bytes, more than the cache "
                       "allowed: give at least %zu",
                       2 * row * sizeof(float), ((2 * row * sizeof(float) - 1) >> 20) + 1);
    size_t lanes = threads < pairs ? threads : pairs;
    lanes = lanes > 0 ? lanes : 1;
    while (lanes > 1 && limit / lanes / row < 2)
        --lanes;
    size_t rows = limit / lanes / row;
    rows = rows < points ? rows : points;
    *plan = (ib_svm_cache_plan){lanes, 0, rows * row, rows, 0, points};
    return IB_OK;
}

/* ---- blocks -------------------------------------------------------------------------------------
 */

static void block_row(ib_svm_rows *base, int part, size_t index, const float *values[2]) {
    const ib_svm_block_rows *rows = (const ib_svm_block_rows *)base;
    for (int with = 0; with < 2; ++with)
        values[with] = rows->values[part][with] + index * rows->strides[with];
}

void ib_svm_fill_blocks(const ib_svm_pair_data *data, ib_svm_block_rows *rows) {
    const ib_svm_images *a = data->classes[0], *b = data->classes[1];
    *rows = (ib_svm_block_rows){.base = {.row = block_row},
                                .strides = {ib_svm_padded(a->count), ib_svm_padded(b->count)}};
    float *turned = data->memory + a->count * rows->strides[1];
    ib_svm_block block = {.rows = a,
                          .columns = b,
                          .row_count = a->count,
                          .out = data->memory,
                          .stride = rows->strides[1],
                          .turned = turned,
                          .turned_stride = rows->strides[0]};
    data->ops->kernel_block(data->kernel, &block);
    /* Padding of the turned rows is not written by the block. */
    for (size_t r = 0; r < b->count; ++r)
        for (size_t c = a->count; c < rows->strides[0]; ++c)
            turned[r * rows->strides[0] + c] = 0.0f;
    rows->values[0][0] = data->own[0];
    rows->values[0][1] = data->memory;
    rows->values[1][0] = turned;
    rows->values[1][1] = data->own[1];
}

/* ---- rows ---------------------------------------------------------------------------------------
 */

static const uint32_t NONE = UINT32_MAX;

size_t ib_svm_lru_bytes(size_t row_limit, size_t points) {
    return IB_SVM_FETCH * ib_svm_padded(points) * sizeof(float) +
           row_limit * sizeof(ib_svm_lru_slot) + points * sizeof(uint32_t);
}

static void detach(ib_svm_lru_rows *rows, uint32_t slot) {
    const ib_svm_lru_slot *s = &rows->slots[slot];
    if (s->newer != NONE)
        rows->slots[s->newer].older = s->older;
    else
        rows->newest = s->older;
    if (s->older != NONE)
        rows->slots[s->older].newer = s->newer;
    else
        rows->oldest = s->newer;
}

static void put_first(ib_svm_lru_rows *rows, uint32_t slot) {
    rows->slots[slot].newer = NONE;
    rows->slots[slot].older = rows->newest;
    if (rows->newest != NONE)
        rows->slots[rows->newest].newer = slot;
    else
        rows->oldest = slot;
    rows->newest = slot;
}

/* A slot for the point, the newest now; another point may lose its own. */
static uint32_t claim(ib_svm_lru_rows *rows, uint32_t point) {
    uint32_t slot;
    if (rows->used < rows->limit) {
        slot = (uint32_t)rows->used++;
    } else {
        slot = rows->oldest;
        detach(rows, slot);
        rows->slot_of[rows->slots[slot].point] = NONE;
    }
    rows->slots[slot].point = point;
    rows->slot_of[point] = slot;
    put_first(rows, slot);
    return slot;
}

static float *slot_values(const ib_svm_lru_rows *rows, uint32_t slot) {
    return rows->data->memory + (size_t)slot * (rows->strides[0] + rows->strides[1]);
}

/* How soon a point may be asked for: how far it is beyond the middle on the side that counts. */
static double urgency(const ib_svm_part *part, size_t k, double middle) {
    double f = part->f[k] - middle;
    if (part->beta[k] < part->upper && f > 0)
        return f;
    if (part->beta[k] > part->lower && f < 0)
        return -f;
    return -1.0;
}

/* The most urgent points of one class without a row, besides the first entry: at most limit. */
static size_t guess(const ib_svm_lru_rows *rows, int part, size_t limit, uint32_t *points) {
    double urgencies[IB_SVM_FETCH];
    const ib_svm_part *of = &rows->base.parts[part];
    size_t offset = part == 0 ? 0 : rows->counts[0], count = 1;
    for (size_t k = 0; k < rows->counts[part]; ++k) {
        double u = urgency(of, k, rows->base.middle);
        if (u < 0 || rows->slot_of[offset + k] != NONE || offset + k == points[0])
            continue;
        size_t at = count < limit ? count : limit;
        while (at > 1 && urgencies[at - 1] < u)
            --at;
        if (at >= limit)
            continue;
        count += count < limit;
        for (size_t m = count - 1; m > at; --m) {
            points[m] = points[m - 1];
            urgencies[m] = urgencies[m - 1];
        }
        points[at] = (uint32_t)(offset + k);
        urgencies[at] = u;
    }
    return count;
}

/* Computes the row of a point and of others of its class that may come next. */
static void fetch(ib_svm_lru_rows *rows, int part, size_t index) {
    const ib_svm_pair_data *data = rows->data;
    const ib_svm_images *from = data->classes[part];
    size_t offset = part == 0 ? 0 : rows->counts[0];
    size_t limit = rows->limit / 2 < IB_SVM_FETCH ? rows->limit / 2 : IB_SVM_FETCH;
    uint32_t points[IB_SVM_FETCH] = {(uint32_t)(offset + index)};
    const uint8_t *images[IB_SVM_FETCH];
    const double *features[IB_SVM_FETCH];
    double norms[IB_SVM_FETCH];
    int32_t sums[IB_SVM_FETCH], squares[IB_SVM_FETCH];
    size_t count = guess(rows, part, limit, points);
    for (size_t n = count; n-- > 0;) { /* the row asked for is the newest */
        size_t k = points[n] - offset;
        if (from->features != NULL) {
            features[n] = from->features[k];
            norms[n] = from->norms[k];
        } else {
            images[n] = from->rows[k];
            sums[n] = from->sums[k];
            squares[n] = from->squares[k];
        }
        claim(rows, points[n]);
    }
    ib_svm_images batch = {.count = count, .width = from->width};
    if (from->features != NULL) {
        batch.features = features;
        batch.norms = norms;
    } else {
        batch.rows = images;
        batch.sums = sums;
        batch.squares = squares;
    }
    for (int with = 0; with < 2; ++with) {
        size_t stride = rows->strides[with];
        ib_svm_block block = {.rows = &batch,
                              .columns = data->classes[with],
                              .row_count = count,
                              .out = rows->fetched,
                              .stride = stride};
        data->ops->kernel_block(data->kernel, &block);
        for (size_t n = 0; n < count; ++n)
            memcpy(slot_values(rows, rows->slot_of[points[n]]) + (with == 0 ? 0 : rows->strides[0]),
                   rows->fetched + n * stride, stride * sizeof(float));
    }
}

static void cached_row(ib_svm_rows *base, int part, size_t index, const float *values[2]) {
    ib_svm_lru_rows *rows = (ib_svm_lru_rows *)base;
    size_t point = (part == 0 ? 0 : rows->counts[0]) + index;
    uint32_t slot = rows->slot_of[point];
    if (slot == NONE) {
        fetch(rows, part, index);
        slot = rows->slot_of[point];
    } else {
        detach(rows, slot);
        put_first(rows, slot);
    }
    values[0] = slot_values(rows, slot);
    values[1] = values[0] + rows->strides[0];
}

void ib_svm_lru_begin(const ib_svm_pair_data *data, void *bookkeeping, ib_svm_lru_rows *rows) {
    size_t a = data->classes[0]->count, b = data->classes[1]->count;
    *rows = (ib_svm_lru_rows){.base = {.row = cached_row},
                              .data = data,
                              .newest = NONE,
                              .oldest = NONE,
                              .counts = {a, b},
                              .strides = {ib_svm_padded(a), ib_svm_padded(b)},
                              .limit = data->row_limit};
    rows->fetched = bookkeeping;
    size_t widest = rows->strides[rows->strides[1] > rows->strides[0]];
    rows->slots = (ib_svm_lru_slot *)(void *)(rows->fetched + IB_SVM_FETCH * widest);
    rows->slot_of = (uint32_t *)(void *)(rows->slots + rows->limit);
    memset(rows->slot_of, 0xFF, (a + b) * sizeof *rows->slot_of); /* NONE */
}
