/* Networks from rows: what users may write, beyond the catalogue's own. Each trains a few steps on
 * every instruction set with 1, 2, 3 and 7 threads, fused and with every row by itself: the same
 * losses, gradients, weights, optimiser states and logits, bit for bit. Rows that cannot be are
 * refused with a message that names them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "catalog/networks.h"
#include "data/digits.h"
#include "nn/network.h"

enum { BATCH = 20, IMAGES = 67, STEPS = 4, MOST_BYTES = 3 * 32 * 32, MOST_CLASSES = 16 };

/* ---- the networks -----------------------------------------------------------------------------
 */

static const ib_row LENET5[] = {
    {.kind = "conv", .name = "conv1", .out = 6, .kernel = 5, .pad = 2},
    {.kind = "relu"},
    {.kind = "max-pool", .kernel = 2},
    {.kind = "conv", .name = "conv2", .out = 16, .kernel = 5},
    {.kind = "relu"},
    {.kind = "max-pool", .kernel = 2},
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc1", .out = 120},
    {.kind = "relu"},
    {.kind = "dropout", .p = 0.5},
    {.kind = "linear", .name = "fc2", .out = 84},
    {.kind = "relu"},
    {.kind = "linear", .name = "fc3", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

/* A value that three rows read; additions not behind a normalisation; a ReLU behind one. */
static const ib_row THREE_READERS[] = {
    {.kind = "conv", .name = "c1", .out = 8, .kernel = 3, .stride = 2, .pad = 1},
    {.kind = "relu", .name = "r"},
    {.kind = "conv", .name = "c2", .out = 8, .kernel = 3, .pad = 1},
    {.kind = "add", .with = "r"},
    {.kind = "relu", .name = "t"},
    {.kind = "conv", .name = "c3", .from = "r", .out = 8, .kernel = 3, .pad = 1},
    {.kind = "add", .with = "t"},
    {.kind = "max-pool", .kernel = 2},
    {.kind = "dropout", .p = 0.25},
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

/* Convolutions of one channel between layers; a pool that overlaps, with dropout behind it. */
static const ib_row ONE_CHANNEL[] = {
    {.kind = "conv", .name = "c1", .out = 1, .kernel = 3},
    {.kind = "relu"},
    {.kind = "conv", .name = "c2", .out = 4, .kernel = 3, .pad = 1},
    {.kind = "relu"},
    {.kind = "max-pool", .kernel = 3, .stride = 2, .pad = 1},
    {.kind = "dropout", .p = 0.5},
    {.kind = "conv", .name = "c3", .out = 1, .kernel = 3},
    {.kind = "conv", .name = "c4", .out = 1, .kernel = 1},
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

/* A residual block over colours, channels that are padded, every fusion of a normalisation. */
static const ib_row COLOURS[] = {
    {.kind = "conv", .name = "c1", .out = 10, .kernel = 3, .stride = 2, .pad = 1, .no_bias = 1},
    {.kind = "batch-norm", .name = "b1"},
    {.kind = "relu", .name = "r"},
    {.kind = "conv", .name = "c2", .out = 20, .kernel = 3, .pad = 1, .no_bias = 1},
    {.kind = "batch-norm", .name = "b2"},
    {.kind = "conv", .name = "c3", .from = "r", .out = 20, .kernel = 1, .no_bias = 1},
    {.kind = "batch-norm", .name = "b3"},
    {.kind = "add", .with = "b2"},
    {.kind = "relu", .name = "s"},
    {.kind = "conv", .name = "c4", .out = 20, .kernel = 3, .pad = 1},
    {.kind = "batch-norm", .name = "b4"},
    {.kind = "add", .with = "s"},
    {.kind = "mean"},
    {.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT, .no_bias = 1},
    {.kind = NULL},
};

/* Features only: linear layers without bias, dropout without a ReLU, a sum of features, one that
 * three rows read. */
static const ib_row FEATURES[] = {
    {.kind = "flatten"},
    {.kind = "linear", .name = "a", .out = 50},
    {.kind = "relu"},
    {.kind = "dropout", .name = "d", .p = 0.2},
    {.kind = "linear", .name = "b", .out = 50, .no_bias = 1},
    {.kind = "dropout", .p = 0.5},
    {.kind = "add", .name = "s", .with = "d"},
    {.kind = "linear", .name = "e", .from = "d", .out = 50},
    {.kind = "relu"},
    {.kind = "add", .with = "s"},
    {.kind = "linear", .name = "f", .out = 33},
    {.kind = "relu"},
    {.kind = "dropout", .p = 0.1},
    {.kind = "linear", .name = "g", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

/* Each convolution's ReLU has several readers or one that cannot mask; pools, means and dropout
 * between images; the last row is a ReLU. */
static const ib_row MASKS[] = {
    {.kind = "conv", .name = "c1", .out = 12, .kernel = 3},
    {.kind = "relu", .name = "r1"},
    {.kind = "dropout", .p = 0.25},
    {.kind = "conv", .name = "c2", .out = 18, .kernel = 2, .stride = 2},
    {.kind = "relu", .name = "r2"},
    {.kind = "max-pool", .name = "p", .kernel = 2, .stride = 1},
    {.kind = "batch-norm", .name = "n"},
    {.kind = "max-pool", .name = "q", .from = "r2", .kernel = 2, .stride = 1},
    {.kind = "add", .with = "n"},
    {.kind = "dropout", .p = 0.1},
    {.kind = "relu"},
    {.kind = "mean"},
    {.kind = "linear", .name = "fc1", .out = 30},
    {.kind = "relu"},
    {.kind = "linear", .name = "fc2", .out = IB_CLASSES_OUT},
    {.kind = "relu"},
    {.kind = NULL},
};

static const struct network {
    const char *name;
    const ib_row *rows;
    ib_extent input;
    int64_t classes;
} NETWORKS[] = {
    {"lenet5", LENET5, {1, 28, 28, 0}, 10},
    {"three readers", THREE_READERS, {1, 20, 17, 0}, 7},
    {"one channel", ONE_CHANNEL, {1, 15, 14, 0}, 3},
    {"one channel over colours", ONE_CHANNEL, {3, 13, 13, 0}, 10},
    {"colours", COLOURS, {3, 12, 11, 0}, 16},
    {"features", FEATURES, {1, 28, 28, 0}, 10},
    {"features of colours", FEATURES, {3, 9, 7, 0}, 5},
    {"masks", MASKS, {1, 14, 15, 0}, 10},
    {"masks over colours", MASKS, {4, 11, 12, 0}, 10},
};
enum { NETWORK_COUNT = sizeof NETWORKS / sizeof NETWORKS[0] };

/* ---- running them -----------------------------------------------------------------------------
 */

/* All that a run leaves behind. */
struct outcome {
    float losses[STEPS];
    float logits[IMAGES * MOST_CLASSES];
    uint16_t found[IMAGES];
    uint8_t *part[IB_PARTS + 1]; /* arenas, padding included; then what normalisations keep */
    size_t bytes[IB_PARTS + 1];
};

static void outcome_close(struct outcome *o) {
    for (int i = 0; i <= IB_PARTS; ++i)
        free(o->part[i]);
}

static uint8_t pixels[IMAGES * MOST_BYTES];
static uint16_t labels[IMAGES];
static uint32_t order[IMAGES];

/* Digits, cut and repeated over channels; the classes are those of the digits, folded. */
static void draw_images(const struct network *network) {
    int64_t channels = network->input.channels, count = network->input.h * network->input.w;
    for (uint32_t i = 0; i < IMAGES; ++i) {
        uint8_t digit[IB_DIGITS_PIXELS];
        ib_digits_draw(0, i, digit);
        labels[i] = (uint16_t)(ib_digits_label(0, i) % network->classes);
        order[i] = (i * 29) % IMAGES;
        for (int64_t k = 0; k < count * channels; ++k) {
            int64_t at = k / channels, y = at / network->input.w, x = at % network->input.w;
            pixels[i * count * channels + k] =
                (uint8_t)(digit[(y + 4) % 28 * 28 + (x + 5) % 28] / (1 + k % channels) +
                          3 * (k % channels));
        }
    }
}

static void succeed(ib_status status, const ib_error *err) {
    if (status != IB_OK)
        fail_msg("%s", ib_error_text(err));
}

static void initialize(ib_network *net) {
    uint32_t number = 0;
    ib_error err = {0};
    for (size_t i = 0; i < net->parameter_count; ++i) {
        ib_parameter *p = ib_network_parameter(net, i);
        if (p->dtype == IB_I64)
            continue;
        size_t bytes = (size_t)p->floats * sizeof(float);
        float *torch = malloc(bytes), *stored = malloc(bytes);
        assert_true(torch != NULL && stored != NULL);
        ib_initialize(1, number, p, torch);
        number += (uint32_t)p->trained;
        ib_parameter_from_torch(p, torch, stored);
        succeed(net->backend->ops->upload(net->backend, &p->part[0], stored, bytes, &err), &err);
        free(torch);
        free(stored);
    }
}

static void open_network(const struct network *network, ib_backend *backend, int training,
                         int unfused, ib_network *net) {
    float table[16 * 256];
    ib_network_options options = {.input = network->input,
                                  .classes = network->classes,
                                  .capacity = BATCH,
                                  .training = training,
                                  .optimizer = IB_SGD,
                                  .momentum = 1,
                                  .unfused = unfused};
    size_t image = (size_t)(network->input.channels * network->input.h * network->input.w);
    ib_data_view data = {.part = {{pixels, 40}, {pixels + 40 * image, IMAGES - 40}},
                         .labels = labels,
                         .image_bytes = image};
    ib_error err = {0};
    succeed(ib_network_open(net, backend, network->rows, &options, &err), &err);
    for (int64_t c = 0; c < network->input.channels; ++c)
        ib_normalization_table(0.12 + 0.05 * (double)c, 0.26, table + 256 * c);
    succeed(ib_network_table(net, table, &err), &err);
    succeed(backend->ops->attach_data(backend, &data, &err), &err);
    succeed(ib_network_order(net, order, IMAGES, &err), &err);
    initialize(net);
}

static void train(ib_network *net, struct outcome *outcome) {
    ib_experiment experiment = {.optimizer = IB_SGD, .lr = 0.05, .momentum = 0.9};
    ib_step_scalars table[STEPS];
    ib_steps_result result = {0};
    ib_error err = {0};
    for (uint64_t i = 0; i < STEPS; ++i)
        table[i] =
            (ib_step_scalars){i, i * BATCH, ib_update_scalars_of(&experiment, experiment.lr, i)};
    ib_steps steps = {
        .end = IMAGES, .batch = BATCH, .count = STEPS, .table = table, .seed = 1, .dropout = 1};
    succeed(ib_network_steps(net, &steps, &result, &err), &err);
    assert_int_equal(result.done, STEPS);
    assert_int_equal(result.bad_step, STEPS);
    memcpy(outcome->losses, result.losses, sizeof outcome->losses);
}

static void download_all(ib_network *net, struct outcome *outcome) {
    const ib_buffer *from[IB_PARTS + 1] = {&net->arena[0], &net->arena[1], &net->arena[2],
                                           &net->arena[3], &net->kept};
    ib_error err = {0};
    for (int i = 0; i <= IB_PARTS; ++i) {
        outcome->bytes[i] = from[i]->bytes;
        outcome->part[i] = malloc(from[i]->bytes + 1);
        assert_non_null(outcome->part[i]);
        if (from[i]->bytes > 0)
            succeed(net->backend->ops->download(net->backend, from[i], outcome->part[i],
                                                from[i]->bytes, &err),
                    &err);
    }
}

/* What pads parameters, their gradients and their states is +0. */
static void check_padding(const struct network *network, const ib_network *net,
                          const struct outcome *outcome) {
    for (size_t i = 0; i < net->parameter_count; ++i) {
        const ib_parameter *p = &net->parameters[i];
        size_t bytes = (size_t)p->floats * sizeof(float);
        for (int part = 0; part < 3 && p->dtype == IB_F32 && (p->trained || part == 0); ++part) {
            const float *stored =
                (const float *)(void *)(outcome->part[p->trained ? part : IB_PARTS] + p->offset);
            float *torch = malloc(bytes), *again = malloc(bytes);
            assert_true(torch != NULL && again != NULL);
            ib_parameter_to_torch(p, stored, torch);
            ib_parameter_from_torch(p, torch, again);
            if (memcmp(stored, again, bytes) != 0)
                fail_msg("%s: %s, part %d: its padding is not +0", network->name, p->name, part);
            free(torch);
            free(again);
        }
    }
}

static void evaluate(ib_network *net, size_t batch, struct outcome *outcome) {
    ib_scores scores = {.logits = outcome->logits, .classes = outcome->found};
    ib_error err = {0};
    memset(outcome->logits, 0, sizeof outcome->logits);
    succeed(ib_network_evaluate(net, IMAGES, batch, NULL, NULL, &scores, &err), &err);
}

static void run(const struct network *network, const char *isa, unsigned threads, int unfused,
                struct outcome *outcome) {
    ib_backend_options options = {"cpu", isa, threads};
    ib_backend *backend;
    ib_network net;
    ib_error err = {0};
    *outcome = (struct outcome){0};
    succeed(ib_backend_open(&options, &backend, &err), &err);
    open_network(network, backend, 1, unfused, &net);
    train(&net, outcome);
    download_all(&net, outcome);
    check_padding(network, &net, outcome);
    evaluate(&net, BATCH, outcome);
    ib_network_close(&net);
    ib_backend_close(backend);
}

static void check_equal(const struct network *network, const char *how, unsigned threads,
                        const struct outcome *want, const struct outcome *got) {
    static const char *const WHAT[] = {"weights", "gradients", "momentum", "", "kept"};
    for (int i = 0; i < STEPS; ++i)
        if (memcmp(&want->losses[i], &got->losses[i], sizeof(float)) != 0)
            fail_msg("%s, %s, %u threads: step %d has loss %.9g, wanted %.9g", network->name, how,
                     threads, i, (double)got->losses[i], (double)want->losses[i]);
    for (int i = 0; i <= IB_PARTS; ++i)
        if (want->bytes[i] != got->bytes[i] ||
            memcmp(want->part[i], got->part[i], want->bytes[i]) != 0)
            fail_msg("%s, %s, %u threads: other %s", network->name, how, threads, WHAT[i]);
    if (memcmp(want->logits, got->logits, sizeof want->logits) != 0 ||
        memcmp(want->found, got->found, sizeof want->found) != 0)
        fail_msg("%s, %s, %u threads: other logits", network->name, how, threads);
}

static void networks_give_one_result(void **state) {
    static const unsigned THREADS[] = {1, 2, 3, 7};
    const char *isa;
    int supported;
    unsigned runs = 0;
    (void)state;
    for (size_t n = 0; n < NETWORK_COUNT; ++n) {
        struct outcome want, got;
        draw_images(&NETWORKS[n]);
        run(&NETWORKS[n], "scalar", 1, 1, &want);
        print_message("%s: loss %.4f to %.4f\n", NETWORKS[n].name, (double)want.losses[0],
                      (double)want.losses[STEPS - 1]);
        for (size_t i = 0; (isa = ib_backend_isa_at(i, &supported)) != NULL; ++i)
            for (size_t t = 0; t < 4 && supported; ++t)
                for (int unfused = 0; unfused < 2; ++unfused) {
                    if (strcmp(isa, "scalar") == 0 && t > 1)
                        continue;
                    run(&NETWORKS[n], isa, THREADS[t], unfused, &got);
                    check_equal(&NETWORKS[n], unfused ? "row by row" : isa, THREADS[t], &want,
                                &got);
                    outcome_close(&got);
                    ++runs;
                }
        outcome_close(&want);
    }
    print_message("%u runs\n", runs);
    assert_true(runs >= NETWORK_COUNT * 4);
}

/* A network for evaluation alone, whose activations share memory, with any batch. */
static void evaluation_shares_memory(void **state) {
    (void)state;
    for (size_t n = 0; n < NETWORK_COUNT; ++n) {
        ib_backend_options options = {"cpu", n % 2 == 0 ? "auto" : "scalar", 2};
        struct outcome want = {0}, got = {0};
        ib_backend *backend;
        ib_network net;
        ib_error err = {0};
        draw_images(&NETWORKS[n]);
        run(&NETWORKS[n], "auto", 2, 0, &want);
        succeed(ib_backend_open(&options, &backend, &err), &err);
        for (int unfused = 0; unfused < 2; ++unfused) {
            open_network(&NETWORKS[n], backend, 0, unfused, &net);
            const ib_buffer *to[2] = {&net.arena[0], &net.kept};
            for (int i = 0; i < 2; ++i) {
                size_t bytes = to[i]->bytes; /* without what a training pass keeps behind */
                if (bytes > 0)
                    succeed(backend->ops->upload(backend, to[i], want.part[i == 0 ? 0 : IB_PARTS],
                                                 bytes, &err),
                            &err);
            }
            evaluate(&net, unfused ? 3 : 13, &got);
            assert_memory_equal(want.logits, got.logits, sizeof got.logits);
            assert_memory_equal(want.found, got.found, sizeof got.found);
            ib_network_close(&net);
        }
        ib_backend_close(backend);
        outcome_close(&want);
    }
}

/* The logits of samples [first, first + count) of a batch of 20, dropout included. */
static void pass_part(ib_network *net, size_t first, size_t count, float *logits) {
    ib_pass pass = {.first = (int64_t)first,
                    .count = (int64_t)count,
                    .global = BATCH,
                    .training = 1,
                    .dropout = 1,
                    .seed = 1,
                    .step = 3};
    const ib_node *last = &net->nodes[net->node_count - 1];
    size_t stride = (size_t)ib_pad16(net->classes);
    ib_error err = {0};
    succeed(ib_network_forward(net, first, &pass, &err), &err);
    succeed(net->backend->ops->download(net->backend, &last->y, logits + first * stride,
                                        count * stride * sizeof *logits, &err),
            &err);
    succeed(ib_network_backward(net, &pass, 0, &err), &err);
}

/* Without a normalisation, a part of a batch from a multiple of 8 on is what it is in the whole. */
static void parts_are_as_in_the_whole(void **state) {
    static const size_t CUTS[] = {8, 16};
    (void)state;
    for (size_t n = 0; n < NETWORK_COUNT; ++n) {
        ib_backend_options options = {"cpu", n % 3 == 2 ? "scalar" : "auto", 3};
        float whole[BATCH * MOST_CLASSES], parts[BATCH * MOST_CLASSES];
        ib_backend *backend;
        ib_network net;
        if (NETWORKS[n].rows == COLOURS || NETWORKS[n].rows == MASKS)
            continue;
        draw_images(&NETWORKS[n]);
        assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
        for (int unfused = 0; unfused < 2; ++unfused) {
            memset(whole, 0, sizeof whole);
            memset(parts, 0, sizeof parts);
            open_network(&NETWORKS[n], backend, 1, unfused, &net);
            pass_part(&net, 0, BATCH, whole);
            for (size_t cut = 0; cut < sizeof CUTS / sizeof CUTS[0]; ++cut) {
                pass_part(&net, 0, CUTS[cut], parts);
                pass_part(&net, CUTS[cut], BATCH - CUTS[cut], parts);
                assert_memory_equal(whole, parts, sizeof whole);
            }
            ib_network_close(&net);
        }
        ib_backend_close(backend);
    }
}

/* ---- what is refused --------------------------------------------------------------------------
 */

#define END                                                                                        \
    { .kind = NULL }
#define LAST                                                                                       \
    { .kind = "linear", .name = "fc", .out = IB_CLASSES_OUT }

static const struct wrong {
    ib_row rows[6];
    const char *says[2]; /* parts of the message; NULL: no more */
} WRONG[] = {
    {{{.kind = "convolve", .name = "c1"}, {.kind = "flatten"}, LAST, END},
     {"convolve", "max-pool"}},
    {{{.kind = "flatten"}, {.kind = "linear", .name = "a", .from = "nowhere", .out = 9}, LAST, END},
     {"a reads nowhere", NULL}},
    {{{.kind = "flatten"}, LAST, {.kind = "add", .name = "sum", .with = "later"}, END},
     {"sum reads later", NULL}},
    {{{.kind = "flatten"}, LAST, {.kind = "add", .name = "sum"}, END}, {"sum", "second row"}},
    {{{.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT}, END}, {"fc", "flatten"}},
    {{{.kind = "flatten"}, {.kind = "conv", .name = "c1", .out = 4, .kernel = 3}, LAST, END},
     {"c1", "image"}},
    {{{.kind = "flatten", .name = "flat"},
      {.kind = "max-pool", .name = "pool", .kernel = 2},
      LAST,
      END},
     {"pool", "image"}},
    {{{.kind = "conv", .name = "big", .out = 4, .kernel = 40}, {.kind = "flatten"}, LAST, END},
     {"big", "28x28"}},
    {{{.kind = "conv", .name = "c1", .out = 4, .kernel = 3},
      {.kind = "max-pool", .name = "pool", .kernel = 30},
      {.kind = "flatten"},
      LAST,
      END},
     {"pool", "225"}},
    {{{.kind = "conv", .name = "c1", .out = 4, .kernel = 3},
      {.kind = "max-pool", .name = "pool"},
      {.kind = "flatten"},
      LAST,
      END},
     {"pool", NULL}},
    {{{.kind = "conv", .name = "c1", .out = 4, .kernel = 3, .pad = 3},
      {.kind = "flatten"},
      LAST,
      END},
     {"c1", "pad"}},
    {{{.kind = "conv", .name = "c1", .out = 4, .kernel = 3},
      {.kind = "conv", .name = "c2", .out = 4, .kernel = 3},
      {.kind = "add", .name = "sum", .with = "c1"},
      {.kind = "flatten"},
      LAST,
      END},
     {"sum", "c1"}},
    {{{.kind = "flatten"}, {.kind = "linear", .name = "fc", .out = 9}, END}, {"fc", "class"}},
    {{{.kind = "conv", .name = "c1", .out = 10, .kernel = 3}, END}, {"c1", "class"}},
    {{{.kind = "flatten"}, {.kind = "linear", .name = "fc", .out = 9}, {.kind = "relu"}, LAST, END},
     {"fc", "two rows"}},
    {{{.kind = "flatten"}, {.kind = "linear", .out = 9}, LAST, END}, {"linear", "name"}},
    {{{.kind = "flatten"}, {.kind = "linear", .name = "a", .out = -1}, LAST, END}, {"a", NULL}},
    {{{.kind = "flatten"}, {.kind = "dropout", .name = "drop", .p = 1.0}, LAST, END},
     {"drop", "below 1"}},
    {{{.kind = "flatten", .name = "f"},
      {.kind = "linear", .name = "unread", .out = 9},
      {.kind = "linear", .name = "fc", .from = "f", .out = IB_CLASSES_OUT},
      END},
     {"unread", "reads"}},
    {{{.kind = "max-pool", .name = "first", .kernel = 2}, {.kind = "flatten"}, LAST, END},
     {"first", "channel"}},
    {{{.kind = "relu", .name = "first"}, {.kind = "flatten"}, LAST, END}, {"first", "channel"}},
    {{{.kind = "flatten"}, END}, {NULL, NULL}},
    {{END}, {NULL, NULL}},
};
enum { WRONG_COUNT = sizeof WRONG / sizeof WRONG[0] };

static void wrong_rows_are_named(void **state) {
    ib_backend_options cpu = {"cpu", "auto", 1};
    ib_backend *backend;
    int failures = 0;
    (void)state;
    assert_int_equal(ib_backend_open(&cpu, &backend, NULL), IB_OK);
    for (size_t i = 0; i < WRONG_COUNT; ++i) {
        ib_network_options options = {
            .input = {1, 28, 28, 0}, .classes = 10, .capacity = 4, .training = 1};
        ib_network net;
        ib_error err = {0};
        ib_status status = ib_network_open(&net, backend, WRONG[i].rows, &options, &err);
        int good = status == IB_ERROR_USAGE;
        for (int k = 0; k < 2; ++k)
            if (WRONG[i].says[k] != NULL)
                good &= strstr(ib_error_text(&err), WRONG[i].says[k]) != NULL;
        if (!good) {
            print_error("wrong rows %zu: status %d, '%s', wanted '%s'\n", i, (int)status,
                        ib_error_text(&err), WRONG[i].says[0]);
            ++failures;
        }
        ib_error_clear(&err);
        ib_network_close(&net);
    }
    ib_backend_close(backend);
    assert_int_equal(failures, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_rows_are_named),
        cmocka_unit_test(networks_give_one_result),
        cmocka_unit_test(evaluation_shares_memory),
        cmocka_unit_test(parts_are_as_in_the_whole),
    };
    return cmocka_run_group_tests_name("networks", tests, NULL, NULL);
}
