/* One against one: the two-class problems share kernel blocks, are solved side by side, each on one
 * thread, and become one model. */
#include "svm/parts.h"

#include <float.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fpenv.h"

/* The training set by class. */
typedef struct class_set {
    size_t count;
    const uint8_t **rows;
    uint32_t *indices;
    ib_svm_packed packed;
} class_set;

/* What one lane needs for one problem at a time. */
typedef struct lane {
    ib_arena arena;
    float *memory;
    double *f, *beta;
    void *bookkeeping;
} lane;

/* Two classes and the solution of their problem. */
typedef struct pair_work {
    size_t first, second;
    double *beta[2];
    ib_svm_pair solution;
} pair_work;

typedef struct training {
    const ib_svm_ops *ops;
    const ib_svm_options *options;
    const ib_svm_observer *observer;
    ib_svm_kernel kernel;
    ib_svm_cache_plan plan;
    size_t class_count, pair_count;
    uint8_t labels[IB_SVM_MOST_CLASSES];
    class_set classes[IB_SVM_MOST_CLASSES];
    double bounds[IB_SVM_MOST_CLASSES]; /* C times the class's weight */
    const uint8_t **row_storage;
    uint32_t *index_storage;
    ib_arena shared;
    float *own[IB_SVM_MOST_CLASSES];      /* blocks of a class with itself */
    float *diagonal[IB_SVM_MOST_CLASSES]; /* padded */
    double *beta_storage;
    lane *lanes;
    pair_work *pairs; /* in LIBSVM's order */
    size_t *order;    /* in which they are begun */
    atomic_size_t next;
    atomic_int stopped;
    atomic_flag reporting;
    size_t done;
    ib_status status; /* of the problem that failed, guarded by reporting */
    size_t failed;
    ib_error *err;
} training;

/* ---- checks -------------------------------------------------------------------------------------
 */

static void count_classes(const ib_svm_set *set, size_t counts[256]) {
    memset(counts, 0, 256 * sizeof counts[0]);
    for (size_t i = 0; i < set->count; ++i)
        ++counts[set->labels[i]];
}

void ib_svm_balance(const ib_svm_set *set, double weights[IB_SVM_MOST_CLASSES]) {
    size_t counts[256], classes = 0;
    count_classes(set, counts);
    for (size_t label = 0; label < 256; ++label)
        classes += counts[label] > 0;
    for (size_t label = 0; label < 256; ++label)
        weights[label] =
            counts[label] == 0 ? 0.0 : (double)set->count / (double)(classes * counts[label]);
}

/* |<x, z>| of any two images: a bound from the greatest features. */
static double greatest_dot(const ib_svm_options *options, size_t width) {
    double sum = 0;
    for (size_t k = 0; options->table != NULL && k < width; ++k) {
        double least = ib_pixel_table_feature(options->table, k, 0);
        double greatest = ib_pixel_table_feature(options->table, k, 255);
        sum += -least > greatest ? least * least : greatest * greatest;
    }
    if (options->table != NULL)
        return sum;
    double low = -options->mean / options->deviation;
    double high = (1.0 - options->mean) / options->deviation;
    double most = -low > high ? -low : high;
    return (double)width * most * most;
}

static ib_status check_range(const ib_svm_options *options, double gamma, size_t width,
                             ib_error *err) {
    double coef0 = options->coef0 < 0 ? -options->coef0 : options->coef0;
    double base = gamma * greatest_dot(options, width) + coef0, value = base;
    if (options->kernel == IB_SVM_LINEAR)
        value = greatest_dot(options, width);
    for (int d = 1; options->kernel == IB_SVM_POLY && d < options->degree; ++d)
        value *= base;
    if ((options->kernel == IB_SVM_POLY || options->kernel == IB_SVM_LINEAR) && !(value <= FLT_MAX))
        return ib_fail(err, IB_ERROR_USAGE,
                       "the polynomial kernel can exceed binary32 with these images: lower "
                       "--degree, --svm-gamma or --coef0");
    return IB_OK;
}

ib_status ib_svm_check(const ib_svm_options *options, const ib_svm_set *set, ib_error *err) {
    size_t counts[256], classes = 0;
    if (!(options->c > 0) || !(options->c <= DBL_MAX))
        return ib_fail(err, IB_ERROR_USAGE, "--C must be a number above 0");
    if (!(options->tolerance > 0) || !(options->tolerance <= DBL_MAX))
        return ib_fail(err, IB_ERROR_USAGE, "--tolerance must be a number above 0");
    if (options->degree < 1)
        return ib_fail(err, IB_ERROR_USAGE, "--degree must be at least 1");
    if (!(options->coef0 - options->coef0 == 0))
        return ib_fail(err, IB_ERROR_USAGE, "--coef0 must be a finite number");
    count_classes(set, counts);
    for (size_t label = 0; label < 256; ++label)
        classes += counts[label] > 0;
    if (classes < 2)
        return ib_fail(err, IB_ERROR_USAGE,
                       "the %zu training images are all of one class: a support vector machine "
                       "needs two; raise --train-size",
                       set->count);
    for (size_t label = 0; set->weights != NULL && label < 256; ++label) {
        double bound = options->c * set->weights[label];
        if (counts[label] > 0 && (!(bound > 0) || !(bound <= DBL_MAX)))
            return ib_fail(err, IB_ERROR_USAGE,
                           "--class-weight: --C times the weight of class %zu must be a number "
                           "above 0",
                           label);
    }
    IB_TRY(ib_svm_check_width(set->width, err));
    double gamma = options->gamma_kind == IB_SVM_GAMMA_SCALE  ? ib_svm_scale_gamma(options, set)
                   : options->gamma_kind == IB_SVM_GAMMA_AUTO ? 1.0 / (double)set->width
                                                              : options->gamma;
    if (options->kernel != IB_SVM_LINEAR && !(gamma > 0 && gamma <= DBL_MAX))
        return ib_fail(err, IB_ERROR_USAGE, "--svm-gamma must be a number above 0%s",
                       options->gamma_kind == IB_SVM_GAMMA_SCALE
                           ? ": 'scale' has none where all pixels are alike"
                           : "");
    IB_TRY(check_range(options, gamma, set->width, err));
    size_t present[IB_SVM_MOST_CLASSES], n = 0;
    for (size_t label = 0; label < 256; ++label)
        if (counts[label] > 0)
            present[n++] = counts[label];
    ib_svm_cache_plan plan;
    return ib_svm_plan_cache(present, n, 1, options->cache_bytes, &plan, err);
}

/* ---- preparation --------------------------------------------------------------------------------
 */

static ib_status sort_by_class(training *t, const ib_svm_set *set, ib_error *err) {
    size_t counts[256], at[256], offset = 0;
    count_classes(set, counts);
    t->row_storage = calloc(set->count, sizeof *t->row_storage);
    t->index_storage = calloc(set->count, sizeof *t->index_storage);
    if (t->row_storage == NULL || t->index_storage == NULL)
        return ib_fail_memory(err);
    for (size_t label = 0; label < 256; ++label) {
        at[label] = offset;
        if (counts[label] == 0)
            continue;
        class_set *c = &t->classes[t->class_count];
        c->count = counts[label];
        c->rows = t->row_storage + offset;
        c->indices = t->index_storage + offset;
        t->bounds[t->class_count] =
            set->weights == NULL ? t->options->c : t->options->c * set->weights[label];
        t->labels[t->class_count++] = (uint8_t)label;
        offset += counts[label];
    }
    for (size_t i = 0; i < set->count; ++i) {
        size_t to = at[set->labels[i]]++;
        t->row_storage[to] = set->images[i];
        t->index_storage[to] = (uint32_t)i;
    }
    for (size_t a = 0; a < t->class_count; ++a)
        IB_TRY(ib_svm_pack_by(t->options, t->ops, t->classes[a].rows, t->classes[a].count,
                              set->width, &t->classes[a].packed, err));
    return IB_OK;
}

static size_t pair_size(const training *t, size_t pair) {
    return t->classes[t->pairs[pair].first].count + t->classes[t->pairs[pair].second].count;
}

/* Pairs in LIBSVM's order, and the order in which they are begun: the largest first. */
static ib_status list_pairs(training *t, ib_error *err) {
    size_t count = ib_svm_pair_count(t->class_count);
    t->pairs = calloc(count, sizeof *t->pairs);
    t->order = calloc(count, sizeof *t->order);
    if (t->pairs == NULL || t->order == NULL)
        return ib_fail_memory(err);
    for (size_t a = 0; a < t->class_count; ++a)
        for (size_t b = a + 1; b < t->class_count; ++b) {
            size_t pair = t->pair_count++, at = pair;
            t->pairs[pair] = (pair_work){.first = a, .second = b};
            while (at > 0 && pair_size(t, t->order[at - 1]) < pair_size(t, pair)) {
                t->order[at] = t->order[at - 1];
                --at;
            }
            t->order[at] = pair;
        }
    return IB_OK;
}

static ib_status take(ib_arena *arena, size_t bytes, void *memory, ib_error *err) {
    return ib_arena_take(arena, bytes, (void **)memory, err);
}

static ib_status open_shared(training *t, ib_error *err) {
    size_t bytes = 0, betas = 0;
    for (size_t a = 0; a < t->class_count; ++a) {
        size_t padded = ib_svm_padded(t->classes[a].count);
        bytes += ib_arena_cost(padded * sizeof(float));
        if (t->plan.blocks)
            bytes += ib_arena_cost(t->classes[a].count * padded * sizeof(float));
    }
    for (size_t p = 0; p < t->pair_count; ++p)
        betas += pair_size(t, p);
    bytes += ib_arena_cost(betas * sizeof(double));
    IB_TRY(ib_arena_open(bytes, &t->shared, err));
    for (size_t a = 0; a < t->class_count; ++a) {
        size_t padded = ib_svm_padded(t->classes[a].count);
        IB_TRY(take(&t->shared, padded * sizeof(float), &t->diagonal[a], err));
        if (t->plan.blocks)
            IB_TRY(take(&t->shared, t->classes[a].count * padded * sizeof(float), &t->own[a], err));
    }
    IB_TRY(take(&t->shared, betas * sizeof(double), &t->beta_storage, err));
    double *at = t->beta_storage;
    for (size_t p = 0; p < t->pair_count; ++p) {
        t->pairs[p].beta[0] = at;
        t->pairs[p].beta[1] = at + t->classes[t->pairs[p].first].count;
        at += pair_size(t, p);
    }
    return IB_OK;
}

static ib_status open_lanes(training *t, ib_error *err) {
    t->lanes = calloc(t->plan.lanes, sizeof *t->lanes);
    if (t->lanes == NULL)
        return ib_fail_memory(err);
    size_t memory = t->plan.lane_floats * sizeof(float);
    size_t unknowns = (t->plan.points + (size_t)2 * IB_SVM_PANEL) * sizeof(double);
    size_t bookkeeping = ib_svm_lru_bytes(t->plan.lane_rows, t->plan.points);
    for (size_t l = 0; l < t->plan.lanes; ++l) {
        lane *at = &t->lanes[l];
        IB_TRY(ib_arena_open(ib_arena_cost(memory) + 2 * ib_arena_cost(unknowns) +
                                 ib_arena_cost(bookkeeping),
                             &at->arena, err));
        IB_TRY(take(&at->arena, memory, &at->memory, err));
        IB_TRY(take(&at->arena, unknowns, &at->f, err));
        IB_TRY(take(&at->arena, unknowns, &at->beta, err));
        IB_TRY(take(&at->arena, bookkeeping, &at->bookkeeping, err));
    }
    return IB_OK;
}

static void close_training(training *t) {
    for (size_t l = 0; t->lanes != NULL && l < t->plan.lanes; ++l)
        ib_arena_close(&t->lanes[l].arena);
    free(t->lanes);
    ib_arena_close(&t->shared);
    for (size_t a = 0; a < t->class_count; ++a)
        ib_svm_unpack(&t->classes[a].packed);
    free(t->row_storage);
    free(t->index_storage);
    free(t->pairs);
    free(t->order);
}

/* ---- work on threads ----------------------------------------------------------------------------
 */

enum { CHUNK = 96 /* rows of one work item */ };

/* Item n: CHUNK rows of one class with itself, and of its diagonal. */
static void own_block_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    training *t = context;
    size_t a = 0, chunks;
    while (item >= (chunks = (t->classes[a].count + CHUNK - 1) / CHUNK)) {
        item -= chunks;
        ++a;
    }
    const ib_svm_images *images = &t->classes[a].packed.images;
    size_t first = item * CHUNK, stride = ib_svm_padded(images->count);
    size_t rows = images->count - first < CHUNK ? images->count - first : CHUNK;
    ib_svm_block block = {.rows = images,
                          .columns = images,
                          .first_row = first,
                          .row_count = rows,
                          .out = t->own[a] + first * stride,
                          .stride = stride};
    t->ops->kernel_block(&t->kernel, &block);
    for (size_t r = first; r < first + rows; ++r)
        t->diagonal[a][r] = t->own[a][r * stride + r];
}

/* Without blocks: item n is one panel of a class with itself, of which the diagonal is kept. */
static void diagonal_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    training *t = context;
    size_t a = 0, panels;
    while (item >= (panels = ib_svm_padded(t->classes[a].count) / IB_SVM_PANEL)) {
        item -= panels;
        ++a;
    }
    const ib_svm_images *all = &t->classes[a].packed.images;
    ib_svm_images panel = ib_svm_panels(all, item * IB_SVM_PANEL, IB_SVM_PANEL);
    float values[IB_SVM_PANEL * IB_SVM_PANEL];
    ib_svm_block block = {.rows = &panel,
                          .columns = &panel,
                          .row_count = panel.count,
                          .out = values,
                          .stride = IB_SVM_PANEL};
    t->ops->kernel_block(&t->kernel, &block);
    for (size_t r = 0; r < panel.count; ++r)
        t->diagonal[a][item * IB_SVM_PANEL + r] = values[r * IB_SVM_PANEL + r];
}

static void lock(training *t) {
    while (atomic_flag_test_and_set_explicit(&t->reporting, memory_order_acquire)) {
    }
}

static void unlock(training *t) {
    atomic_flag_clear_explicit(&t->reporting, memory_order_release);
}

static ib_status should_stop(void *context) {
    training *t = context;
    if (atomic_load(&t->stopped))
        return IB_ERROR_RUNTIME;
    if (t->observer == NULL)
        return IB_OK;
    lock(t);
    ib_status status =
        t->status != IB_OK ? t->status : t->observer->should_stop(t->observer->context, t->err);
    if (status != IB_OK && t->status == IB_OK) {
        t->status = status;
        t->failed = t->pair_count;
    }
    unlock(t);
    if (status != IB_OK)
        atomic_store(&t->stopped, 1);
    return status;
}

static void finish_pair(training *t, size_t pair, ib_status status) {
    lock(t);
    ++t->done;
    if (status == IB_ERROR_DIVERGED && t->status == IB_OK) {
        t->status = status;
        t->failed = pair;
    }
    if (status == IB_OK && t->observer != NULL && t->observer->progress != NULL)
        t->observer->progress(t->observer->context, t->done, t->pair_count);
    unlock(t);
    if (status != IB_OK)
        atomic_store(&t->stopped, 1);
}

static ib_status solve_pair(training *t, size_t pair, lane *l) {
    union {
        ib_svm_block_rows blocks;
        ib_svm_lru_rows cached;
    } rows;
    size_t a = t->pairs[pair].first, b = t->pairs[pair].second;
    ib_svm_pair_data data = {
        .ops = t->ops,
        .kernel = &t->kernel,
        .classes = {&t->classes[a].packed.images, &t->classes[b].packed.images},
        .own = {t->own[a], t->own[b]},
        .memory = l->memory,
        .row_limit = t->plan.lane_rows};
    if (t->plan.blocks)
        ib_svm_fill_blocks(&data, &rows.blocks);
    else
        ib_svm_lru_begin(&data, l->bookkeeping, &rows.cached);
    size_t padded[2] = {ib_svm_padded(data.classes[0]->count),
                        ib_svm_padded(data.classes[1]->count)};
    ib_svm_problem problem = {.ops = t->ops,
                              .rows = t->plan.blocks ? &rows.blocks.base : &rows.cached.base,
                              .counts = {data.classes[0]->count, data.classes[1]->count},
                              .tolerance = t->options->tolerance,
                              .should_stop = should_stop,
                              .context = t};
    for (int part = 0; part < 2; ++part)
        problem.parts[part] = (ib_svm_part){.count = padded[part],
                                            .f = l->f + (part == 0 ? 0 : padded[0]),
                                            .beta = l->beta + (part == 0 ? 0 : padded[0]),
                                            .diagonal = t->diagonal[part == 0 ? a : b]};
    const double bounds[2] = {t->bounds[t->pairs[pair].first], t->bounds[t->pairs[pair].second]};
    ib_svm_begin(&problem, bounds);
    ib_status status = ib_svm_solve(&problem, &t->pairs[pair].solution);
    for (int part = 0; part < 2; ++part)
        memcpy(t->pairs[pair].beta[part], problem.parts[part].beta,
               problem.counts[part] * sizeof(double));
    return status;
}

/* A lane takes problems until none is left. */
static void lane_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    training *t = context;
    size_t next;
    while ((next = atomic_fetch_add(&t->next, 1)) < t->pair_count && !atomic_load(&t->stopped)) {
        size_t pair = t->order[next];
        finish_pair(t, pair, solve_pair(t, pair, &t->lanes[item]));
    }
}

/* ---- the model ----------------------------------------------------------------------------------
 */

static int is_support(const training *t, size_t a, size_t k) {
    for (size_t p = 0; p < t->pair_count; ++p) {
        const pair_work *pair = &t->pairs[p];
        if ((pair->first == a && pair->beta[0][k] != 0) ||
            (pair->second == a && pair->beta[1][k] != 0))
            return 1;
    }
    return 0;
}

static void fill_vector(const training *t, size_t a, size_t k, size_t s, ib_svm_model *model) {
    const class_set *c = &t->classes[a];
    memcpy(model->vectors + s * model->width, c->rows[k], model->width);
    model->indices[s] = c->indices[k];
    for (size_t p = 0; p < t->pair_count; ++p) {
        const pair_work *pair = &t->pairs[p];
        if (pair->first == a)
            model->coefficients[(pair->second - 1) * model->count + s] = pair->beta[0][k];
        else if (pair->second == a)
            model->coefficients[pair->first * model->count + s] = pair->beta[1][k];
    }
}

static ib_status make_model(const training *t, size_t width, ib_svm_model *model, ib_error *err) {
    size_t count = 0;
    for (size_t a = 0; a < t->class_count; ++a)
        for (size_t k = 0; k < t->classes[a].count; ++k)
            count += (size_t)is_support(t, a, k);
    IB_TRY(ib_svm_model_open(t->class_count, count, width, model, err));
    for (size_t p = 0; p < t->pair_count; ++p)
        model->pairs[p] = t->pairs[p].solution;
    memcpy(model->labels, t->labels, sizeof model->labels);
    model->options = *t->options;
    if (t->options->table != NULL)
        memcpy(model->table_sha256, t->options->table->sha256, sizeof model->table_sha256);
    size_t s = 0;
    for (size_t a = 0; a < t->class_count; ++a) {
        size_t begin = s;
        for (size_t k = 0; k < t->classes[a].count; ++k)
            if (is_support(t, a, k))
                fill_vector(t, a, k, s++, model);
        model->class_support[a] = s - begin;
    }
    return IB_OK;
}

static ib_status run(training *t, ib_host *host, ib_error *err) {
    size_t chunks = 0, panels = 0;
    for (size_t a = 0; a < t->class_count; ++a) {
        chunks += (t->classes[a].count + CHUNK - 1) / CHUNK;
        panels += ib_svm_padded(t->classes[a].count) / IB_SVM_PANEL;
    }
    if (t->plan.blocks)
        host->run(host, chunks, own_block_item, t);
    else
        host->run(host, panels, diagonal_item, t);
    host->run(host, t->plan.lanes, lane_item, t);
    if (t->status == IB_ERROR_DIVERGED && t->failed < t->pair_count)
        return ib_fail(err, IB_ERROR_DIVERGED,
                       "classes %d and %d: the solver did not get within --tolerance; raise it, or "
                       "lower --C",
                       t->labels[t->pairs[t->failed].first], t->labels[t->pairs[t->failed].second]);
    return t->status;
}

ib_status ib_svm_train(ib_host *host, const ib_svm_options *options, const ib_svm_set *set,
                       const ib_svm_observer *observer, ib_svm_model *model, ib_error *err) {
    *model = (ib_svm_model){0};
    IB_TRY(ib_svm_check(options, set, err));
    ib_svm_options resolved = *options;
    if (options->gamma_kind == IB_SVM_GAMMA_SCALE)
        resolved.gamma = ib_svm_scale_gamma(options, set);
    else if (options->gamma_kind == IB_SVM_GAMMA_AUTO)
        resolved.gamma = 1.0 / (double)set->width;
    resolved.gamma_kind = IB_SVM_GAMMA_VALUE;
    training *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ib_fail_memory(err);
    t->ops = host->svm;
    t->options = &resolved;
    t->observer = observer;
    t->kernel = ib_svm_kernel_of(&resolved, set->width);
    t->err = err;
    atomic_flag_clear(&t->reporting);
    ib_fp_state saved = ib_fp_enter();
    ib_status status = sort_by_class(t, set, err);
    size_t counts[IB_SVM_MOST_CLASSES];
    for (size_t a = 0; a < t->class_count; ++a)
        counts[a] = t->classes[a].count;
    if (status == IB_OK)
        status = list_pairs(t, err);
    if (status == IB_OK)
        status = ib_svm_plan_cache(counts, t->class_count, host->threads, options->cache_bytes,
                                   &t->plan, err);
    if (status == IB_OK)
        status = open_shared(t, err);
    if (status == IB_OK)
        status = open_lanes(t, err);
    if (status == IB_OK)
        status = run(t, host, err);
    if (status == IB_OK)
        status = make_model(t, set->width, model, err);
    ib_fp_leave(saved);
    close_training(t);
    free(t);
    if (status != IB_OK)
        *model = (ib_svm_model){0};
    return status;
}
