/* The numerics and nothing else: runs training steps and the table of operation cases on one
 * instruction set and prints one hash a line. It links base/, tensor/, backend/, nn/ and model/ but
 * no library besides libc, so that it builds for any compiler, optimisation level and CPU.
 *
 *   numerics list                        kernel tables this machine runs, best first
 *   numerics WHAT ISA THREADS            ISA: a name from `list`; WHAT: cnn, mlp-sgd, mlp-adam,
 *                                        resnet18-sgd, -adam, resnet50-sgd, -adam (3 steps), with
 *                                        samples a batch after a colon (cnn:2); ops, svm
 *   numerics cases ISA THREADS           as ops, one line for each case
 *   ... flush | watch                    the same with denormals flushed, or watched for: then any
 *                                        that is met is a failure
 *
 * exit: 0 done, 1 failure, 2 usage. system/test_one_hash.sh compares the lines with the golden
 * file.
 */
#include <inttypes.h>

#include "../backend/op_table.h"
#include "backend/cpu/backend_cpu.h"
#include "base/fpenv.h"
#include "base/numerics_version.h"
#include "model/model.h"
#include "sha256_small.h"
#include "svm/svm.h"

enum { DEFAULT_BATCH = 9, MAX_BATCH = 64, MOST_STEPS = 20, SIDE = 28, PIXELS = SIDE * SIDE };

static int fail(const char *what, const ib_error *err) {
    fprintf(stderr, "numerics: %s: %s\n", what, err != NULL ? ib_error_text(err) : "");
    return 1;
}

/* ---- kernel tables ------------------------------------------------------------------------------
 */

/* "scalar-soft" is the second table called "scalar": with our own fma. */
static void table_name(const ib_cpu_kernels *kernels, char name[32]) {
    int repeated = 0;
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != kernels; ++t)
        repeated |= strcmp((*t)->isa, kernels->isa) == 0;
    snprintf(name, 32, "%s%s", kernels->isa, repeated ? "-soft" : "");
}

static const ib_cpu_kernels *find_table(const char *wanted) {
    char name[32];
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
        table_name(*t, name);
        if (strcmp(name, wanted) == 0 && ib_cpu_supports(*t))
            return *t;
    }
    return NULL;
}

static int list_tables(void) {
    char name[32];
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
        table_name(*t, name);
        if (ib_cpu_supports(*t))
            puts(name);
    }
    return 0;
}

/* ---- images like digits, by integer arithmetic
 * ---------------------------------------------------- */

static uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

/* Seven segments, shifted, of some thickness, soft at the edges, with a little noise. */
static void draw(uint32_t number, uint8_t image[PIXELS], uint16_t *label) {
    static const uint8_t SEGMENTS[10] = {0x77, 0x24, 0x5D, 0x6D, 0x2E,
                                         0x6B, 0x7B, 0x25, 0x7F, 0x6F};
    /* top, upper left, upper right, middle, lower left, lower right, bottom: x0, y0, x1, y1 */
    static const int LINES[7][4] = {{9, 5, 18, 5},   {9, 5, 9, 14},  {18, 5, 18, 14},
                                    {9, 14, 18, 14}, {9, 14, 9, 23}, {18, 14, 18, 23},
                                    {9, 23, 18, 23}};
    uint32_t r = mix(number * 2654435761u + 12345u);
    int digit = (int)(r % 10), dx = (int)(r >> 8) % 7 - 3, dy = (int)(r >> 12) % 5 - 2;
    int width = 1 + (int)(r >> 16) % 2, slant = (int)(r >> 20) % 3 - 1;
    *label = (uint16_t)digit;
    for (int y = 0; y < SIDE; ++y)
        for (int x = 0; x < SIDE; ++x) {
            int value = 0, sx = x - dx + slant * (y - 14) / 8, sy = y - dy;
            for (int s = 0; s < 7; ++s) {
                const int *l = LINES[s];
                int away_x = sx < l[0] ? l[0] - sx : sx > l[2] ? sx - l[2] : 0;
                int away_y = sy < l[1] ? l[1] - sy : sy > l[3] ? sy - l[3] : 0;
                int away = away_x * away_x + away_y * away_y, near = width * width;
                if (SEGMENTS[digit] >> s & 1 && away <= near + 1) {
                    int ink = away <= near ? 255 - 20 * away : 90;
                    value = ink > value ? ink : value;
                }
            }
            uint32_t noise = mix(r + (uint32_t)(y * SIDE + x));
            if (value > 0)
                value -= (int)(noise % 40);
            else if (noise % 97 == 0)
                value = (int)(noise >> 8) % 30;
            image[y * SIDE + x] = (uint8_t)value;
        }
}

/* ---- training
 * ------------------------------------------------------------------------------------- */

struct recipe {
    const char *name;
    uint64_t steps;
    ib_experiment experiment;
};

static const struct recipe RECIPES[] = {
    {"cnn",
     20,
     {.model = IB_MODEL_CNN, .optimizer = IB_ADADELTA, .lr = 1.0, .rho = 0.9, .eps = 1e-6}},
    {"mlp-sgd",
     20,
     {.model = IB_MODEL_MLP,
      .optimizer = IB_SGD,
      .lr = 0.01,
      .momentum = 0.9,
      .weight_decay = 5e-4}},
    {"mlp-adam",
     20,
     {.model = IB_MODEL_MLP,
      .optimizer = IB_ADAM,
      .lr = 0.001,
      .beta1 = 0.9,
      .beta2 = 0.999,
      .eps = 1e-8}},
    {"resnet18-sgd",
     3,
     {.model = IB_MODEL_RESNET18, .optimizer = IB_SGD, .lr = 0.01, .momentum = 0.9}},
    {"resnet18-adam",
     3,
     {.model = IB_MODEL_RESNET18,
      .optimizer = IB_ADAM,
      .lr = 0.001,
      .beta1 = 0.9,
      .beta2 = 0.999,
      .eps = 1e-8}},
    {"resnet50-sgd",
     3,
     {.model = IB_MODEL_RESNET50, .optimizer = IB_SGD, .lr = 0.01, .momentum = 0.9}},
    {"resnet50-adam",
     3,
     {.model = IB_MODEL_RESNET50,
      .optimizer = IB_ADAM,
      .lr = 0.001,
      .beta1 = 0.9,
      .beta2 = 0.999,
      .eps = 1e-8}},
};

/* Every parameter, gradient and optimiser state in PyTorch's order and layout. */
static ib_status hash_model(const ib_model *model, int states, struct sha256_small *hash,
                            ib_error *err) {
    for (size_t i = 0; i < ib_model_tensor_count(model); ++i) {
        const ib_tensor_info *info = ib_model_tensor(model, i);
        size_t bytes = (size_t)ib_shape_elements(&info->shape) * ib_dtype_size(info->dtype);
        void *values = malloc(bytes);
        if (values == NULL)
            return ib_fail_memory(err);
        int parts = info->trained ? IB_PART_STATE0 + states : 1;
        for (int part = IB_PART_VALUE; part < parts; ++part) {
            ib_status status = ib_model_read(model, i, (ib_tensor_part)part, values, err);
            if (status != IB_OK) {
                free(values);
                return status;
            }
            sha256_small_add(hash, values, bytes);
        }
        free(values);
    }
    return IB_OK;
}

static ib_status train(ib_model *model, const struct recipe *recipe, size_t batch,
                       struct sha256_small *hash, float *first, float *last, ib_error *err) {
    static uint8_t images[MOST_STEPS * MAX_BATCH][PIXELS];
    static uint16_t labels[MOST_STEPS * MAX_BATCH];
    static uint32_t order[MOST_STEPS * MAX_BATCH];
    size_t count = recipe->steps * batch, done = 0;
    float losses[MOST_STEPS];
    double rates[MOST_STEPS];
    for (size_t i = 0; i < recipe->steps; ++i)
        rates[i] = recipe->experiment.lr;
    for (size_t i = 0; i < count; ++i) {
        draw((uint32_t)i, images[i], &labels[i]);
        order[i] = (uint32_t)i;
    }
    IB_TRY(ib_model_initialize(model, 1, err));
    IB_TRY(ib_model_attach_images(model, images[0], labels, count, err));
    IB_TRY(ib_model_order(model, order, count, err));
    ib_model_steps steps = {
        .end = count, .batch = batch, .count = recipe->steps, .seed = 1, .learning_rates = rates};
    IB_TRY(ib_model_train(model, &steps, losses, &done, err));
    sha256_small_add(hash, losses, recipe->steps * sizeof losses[0]);
    *first = losses[0];
    *last = losses[recipe->steps - 1];
    return IB_OK;
}

/* How a run computes. */
struct machine_choice {
    const ib_cpu_kernels *kernels;
    unsigned threads;
    ib_fp_mode mode;
};

static ib_status open_machine(const struct machine_choice *choice, ib_backend **backend,
                              ib_error *err) {
    IB_TRY(ib_cpu_open_kernels(choice->kernels, choice->threads, backend, err));
    ib_pool_set_fp_mode(op_cpu(*backend)->pool, choice->mode);
    return IB_OK;
}

/* 0 if the pool met no denormal. */
static int met_denormal(const ib_pool *pool, const char *what) {
    if (!ib_pool_met_denormal(pool))
        return 0;
    fprintf(stderr, "numerics: %s met a denormal\n", what);
    return 1;
}

static int run_recipe(const struct recipe *recipe, size_t batch,
                      const struct machine_choice *choice) {
    ib_error err = {0};
    ib_backend *backend;
    ib_model *model;
    if (open_machine(choice, &backend, &err) != IB_OK)
        return fail("backend", &err);
    struct sha256_small hash;
    sha256_small_begin(&hash);
    char hex[65];
    float first = 0, last = 0;
    ib_status status = ib_model_open(backend, &recipe->experiment, ib_dataset_find("mnist"), batch,
                                     1, &model, &err);
    if (status == IB_OK)
        status = train(model, recipe, batch, &hash, &first, &last, &err);
    int states = recipe->experiment.optimizer == IB_SGD ? 1 : 2;
    if (status == IB_OK)
        status = hash_model(model, states, &hash, &err);
    if (model != NULL)
        ib_model_close(model);
    int met = met_denormal(op_cpu(backend)->pool, recipe->name);
    ib_backend_close(backend);
    if (status != IB_OK)
        return fail(recipe->name, &err);
    sha256_small_end(&hash, hex);
    printf("%s:%zu %s\n", recipe->name, batch, hex);
    fprintf(stderr, "numerics: %s, %d steps: loss %.6f to %.6f\n", recipe->name, (int)recipe->steps,
            (double)first, (double)last);
    return met;
}

/* ---- support vector machines
 * ---------------------------------------------------------------------- */

enum { SVM_IMAGES = 330, SVM_TESTS = 40, SVM_PAIRS = 45 /* of ten classes */ };

static const ib_svm_options SVM_CASES[] = {
    {.kernel = IB_SVM_LINEAR, .c = 0.5, .degree = 3, .cache_bytes = 64 << 20},
    {.kernel = IB_SVM_POLY, .c = 10, .degree = 3, .coef0 = 0.25, .cache_bytes = 64 << 20},
    {.kernel = IB_SVM_RBF, .c = 10, .degree = 3, .cache_bytes = 64 << 20},
    {.kernel = IB_SVM_RBF,
     .c = 1,
     .degree = 3,
     .cache_bytes = 8192,
     .gamma_kind = IB_SVM_GAMMA_AUTO},
    {.kernel = IB_SVM_SIGMOID,
     .c = 2,
     .degree = 3,
     .coef0 = -0.5,
     .cache_bytes = 64 << 20,
     .gamma_kind = IB_SVM_GAMMA_VALUE,
     .gamma = 0.0004},
    {.kernel = IB_SVM_RBF, /* values about 2^-40, and far below */
     .c = 1,
     .degree = 3,
     .cache_bytes = 64 << 20,
     .gamma_kind = IB_SVM_GAMMA_VALUE,
     .gamma = 0.03},
};

static ib_status add_svm(const ib_svm_options *options, const ib_svm_set *set,
                         const uint8_t *const *tests, ib_backend *backend,
                         struct sha256_small *hash, ib_error *err) {
    static double decisions[SVM_TESTS * SVM_PAIRS];
    ib_svm_model model;
    ib_svm_options complete = *options;
    complete.tolerance = 1e-3;
    complete.mean = 0.1307;
    complete.deviation = 0.3081;
    IB_TRY(ib_svm_train(backend->host, &complete, set, NULL, &model, err));
    ib_status status = ib_svm_decide(backend->host, &model, tests, SVM_TESTS, decisions, err);
    size_t pairs = ib_svm_pair_count(model.class_count);
    sha256_small_add(hash, model.indices, model.count * sizeof *model.indices);
    sha256_small_add(hash, model.coefficients,
                     model.count * (model.class_count - 1) * sizeof *model.coefficients);
    for (size_t p = 0; p < pairs; ++p) {
        sha256_small_add(hash, &model.pairs[p].rho, sizeof model.pairs[p].rho);
        sha256_small_add(hash, &model.pairs[p].objective, sizeof model.pairs[p].objective);
    }
    sha256_small_add(hash, decisions, SVM_TESTS * pairs * sizeof decisions[0]);
    fprintf(stderr, "numerics: svm, kernel %d: %zu support vectors\n", (int)options->kernel,
            model.count);
    ib_svm_model_close(&model);
    return status;
}

static int run_svm(const struct machine_choice *choice) {
    static uint8_t images[SVM_IMAGES + SVM_TESTS][PIXELS];
    const uint8_t *pointers[SVM_IMAGES + SVM_TESTS];
    uint8_t labels[SVM_IMAGES + SVM_TESTS];
    ib_error err = {0};
    ib_backend *backend;
    if (open_machine(choice, &backend, &err) != IB_OK)
        return fail("backend", &err);
    for (size_t i = 0; i < SVM_IMAGES + SVM_TESTS; ++i) {
        uint16_t label;
        draw((uint32_t)i + 5000, images[i], &label);
        labels[i] = (uint8_t)label;
        pointers[i] = images[i];
    }
    ib_svm_set set = {SVM_IMAGES, PIXELS, pointers, labels};
    struct sha256_small hash;
    char hex[65];
    sha256_small_begin(&hash);
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && i < COUNT_OF(SVM_CASES); ++i)
        status = add_svm(&SVM_CASES[i], &set, pointers + SVM_IMAGES, backend, &hash, &err);
    int met = met_denormal(op_cpu(backend)->pool, "svm");
    ib_backend_close(backend);
    if (status != IB_OK)
        return fail("svm", &err);
    sha256_small_end(&hash, hex);
    printf("svm:%d %s\n", SVM_IMAGES, hex);
    return met;
}

/* ---- operations
 * ----------------------------------------------------------------------------------- */

static void add_run(struct sha256_small *hash, const struct op_run *run) {
    for (int i = 0; i < run->output_count; ++i)
        sha256_small_add(hash, run_result(run, i)->host, run_result(run, i)->bytes);
}

/* Cases over the limit are left out everywhere, so that emulators can take part. */
static const double CASE_MACS = 8e6;

static int run_ops(const struct machine_choice *choice, int each) {
    char hex[65];
    int wrong = 0;
    ib_backend *backend;
    ib_error err = {0};
    if (open_machine(choice, &backend, &err) != IB_OK)
        return fail("backend", &err);
    for (int op = 0; op < OP_KINDS; ++op) {
        struct sha256_small all;
        size_t cases = 0;
        sha256_small_begin(&all);
        for (size_t i = 0; i < op_case_count((enum op_kind)op); ++i) {
            struct op_run run = {0};
            struct sha256_small one;
            if (op_case_macs((enum op_kind)op, i) > CASE_MACS)
                continue;
            run_op((enum op_kind)op, i, backend, &run);
            if (!run.intact || run.status != IB_OK) {
                fprintf(stderr, "numerics: %s %zu %s\n", op_name((enum op_kind)op), i,
                        run.intact ? ib_error_text(&run.err) : "wrote outside a buffer");
                wrong = 1;
            }
            sha256_small_begin(&one);
            add_run(&one, &run);
            sha256_small_end(&one, hex);
            sha256_small_add(&all, hex, 64);
            if (each)
                printf("%s:%zu %s\n", op_name((enum op_kind)op), i, hex);
            run_close(&run);
            ++cases;
        }
        sha256_small_end(&all, hex);
        if (!each)
            printf("ops-%s:%zu %s\n", op_name((enum op_kind)op), cases, hex);
    }
    wrong |= met_denormal(op_cpu(backend)->pool, "ops");
    ib_backend_close(backend);
    return wrong;
}

/* ---- entry
 * ---------------------------------------------------------------------------------------- */

static int usage(void) {
    fprintf(stderr, "usage: numerics list | version | MODEL[:BATCH]|ops|cases|svm ISA THREADS "
                    "[flush|watch]\n");
    return 2;
}

int main(int argc, char **argv) {
    struct sha256_small self;
    char hex[65];
    sha256_small_begin(&self);
    sha256_small_add(&self, "abc", 3);
    sha256_small_end(&self, hex);
    if (strncmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a3", 40) != 0)
        return fail("SHA-256 is wrong", NULL);
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list_tables();
    if (argc == 2 && strcmp(argv[1], "version") == 0)
        return puts(IB_NUMERICS_VERSION) < 0;
    struct machine_choice choice = {0};
    if (argc == 5 && strcmp(argv[4], "flush") == 0)
        choice.mode = IB_FP_FLUSH;
    else if (argc == 5 && strcmp(argv[4], "watch") == 0)
        choice.mode = IB_FP_WATCH;
    else if (argc == 5)
        return usage();
    int threads = argc >= 4 ? atoi(argv[3]) : 0;
    if (threads < 1 || threads > 16)
        return usage();
    choice.threads = (unsigned)threads;
    choice.kernels = find_table(argv[2]);
    if (choice.kernels == NULL) {
        fprintf(stderr, "numerics: no kernels called %s here\n", argv[2]);
        return 2;
    }
    if (strcmp(argv[1], "ops") == 0 || strcmp(argv[1], "cases") == 0)
        return run_ops(&choice, strcmp(argv[1], "cases") == 0);
    if (strcmp(argv[1], "svm") == 0)
        return run_svm(&choice);
    char *colon = strchr(argv[1], ':');
    int batch = colon != NULL ? atoi(colon + 1) : DEFAULT_BATCH;
    if (colon != NULL)
        *colon = '\0';
    for (size_t i = 0; i < COUNT_OF(RECIPES) && batch >= 1 && batch <= MAX_BATCH; ++i)
        if (strcmp(argv[1], RECIPES[i].name) == 0)
            return run_recipe(&RECIPES[i], (size_t)batch, &choice);
    return usage();
}
