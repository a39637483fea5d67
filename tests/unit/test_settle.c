/* The settle rule where a host applies it: bits, host scalars, hyper-parameters at their bounds,
 * tables, values from files (NUMERICS.md, sections 1, 10, 11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/settle.h"
#include "catalog/optimizers/adam.h"
#include "catalog/optimizers/sgd.h"
#include "model/model.h"
#include "nn/network.h"
#include "options/options.h"
#include "temp_dir.h"
#include "tensor/safetensors.h"

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void bits_settle(void **state) {
    (void)state;
    static const struct {
        int k;
        uint32_t least;
    } BOUNDS[] = {{IB_SETTLE, 0x2B800000u},
                  {IB_SETTLE_SQUARE, 0x17800000u},
                  {IB_SETTLE_AVERAGE, 0x0D800000u}};
    static const uint32_t SMALL[] = {0, 1, 0x007FFFFFu, 0x00800000u, 0x0D7FFFFFu};
    for (size_t i = 0; i < sizeof BOUNDS / sizeof *BOUNDS; ++i)
        for (int negative = 0; negative < 2; ++negative) {
            uint32_t sign = negative ? 0x80000000u : 0;
            uint32_t least = BOUNDS[i].least;
            for (uint32_t up = 0; up < 3; ++up)
                assert_int_equal(
                    to_bits(ib_settle_below(from_bits(sign | (least + up)), BOUNDS[i].k)),
                    sign | (least + up));
            assert_int_equal(to_bits(ib_settle_below(from_bits(sign | (least - 1)), BOUNDS[i].k)),
                             0);
            for (size_t s = 0; s < sizeof SMALL / sizeof *SMALL; ++s)
                assert_int_equal(to_bits(ib_settle_below(from_bits(sign | SMALL[s]), BOUNDS[i].k)),
                                 0);
            for (uint32_t high = 0x7F800000u; high <= 0x7FC00001u; high += 0x00400001u)
                assert_int_equal(to_bits(ib_settle(from_bits(sign | high))), sign | high);
        }
    assert_true(ib_is_unsettled(-0.0f, IB_SETTLE));
    assert_false(ib_is_unsettled(0.0f, IB_SETTLE));
}

/* ---- hyper-parameters ---------------------------------------------------------------------------
 */

static ib_experiment experiment_of(ib_optimizer_kind kind) {
    return (ib_experiment){.model = IB_MODEL_CNN,
                           .optimizer = (int)kind,
                           .lr = 1,
                           .rho = 0.9,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-6};
}

static void refused(const ib_experiment *e, const char *text) {
    ib_error err = {0};
    assert_int_equal(ib_optimizer_check(e, &err), IB_ERROR_USAGE);
    if (strstr(ib_error_text(&err), text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, ib_error_text(&err));
    ib_error_clear(&err);
}

/* At the bound and (where that is allowed) at 0 it is taken, between them refused with the bound.
 */
static void bounded(ib_experiment *e, double *value, double bound, int zero, const char *text) {
    double before = *value;
    *value = bound;
    assert_int_equal(ib_optimizer_check(e, NULL), IB_OK);
    *value = bound * 0.999;
    refused(e, text);
    *value = 0;
    if (zero)
        assert_int_equal(ib_optimizer_check(e, NULL), IB_OK);
    else
        refused(e, text);
    *value = before;
}

/* Its complement. */
static void bounded_above(ib_experiment *e, double *value, const char *text) {
    double before = *value;
    *value = 1.0 - 0x1p-40;
    assert_int_equal(ib_optimizer_check(e, NULL), IB_OK);
    *value = 1.0 - 0x1p-41;
    refused(e, text);
    *value = before;
}

static void hyper_parameters_have_bounds(void **state) {
    (void)state;
    for (size_t kind = 0; ib_optimizer_at(kind) != NULL; ++kind) {
        ib_experiment e = experiment_of((ib_optimizer_kind)kind);
        assert_int_equal(ib_optimizer_check(&e, NULL), IB_OK);
        bounded(&e, &e.lr, 0x1p-40, 1, "--lr: lr is");
        bounded(&e, &e.lr, 0x1p-40, 1, "0 or at least 2^-40, about 9.1e-13");
        bounded(&e, &e.weight_decay, 0x1p-40, 1, "2^-40");
    }
    ib_experiment sgd = experiment_of(IB_SGD);
    bounded(&sgd, &sgd.momentum, 0x1p-40, 1, "2^-40");
    ib_experiment adadelta = experiment_of(IB_ADADELTA);
    bounded(&adadelta, &adadelta.rho, 0x1p-20, 1, "2^-20");
    bounded_above(&adadelta, &adadelta.rho, "1 - rho");
    bounded(&adadelta, &adadelta.eps, 1e-20, 0, "must be at least 1e-20");
    ib_experiment adam = experiment_of(IB_ADAM);
    bounded(&adam, &adam.beta2, 0x1p-20, 1, "2^-20");
    bounded_above(&adam, &adam.beta1, "1 - beta1");
    bounded_above(&adam, &adam.beta2, "1 - beta2");
    bounded(&adam, &adam.eps, 1e-30, 0, "must be at least 1e-30");
    adam.model = IB_MODEL_SVM; /* has no optimiser */
    adam.eps = 0;
    assert_int_equal(ib_optimizer_check(&adam, NULL), IB_OK);
}

static void scalars_settle(void **state) {
    (void)state;
    ib_experiment e = experiment_of(IB_SGD);
    double rate = 1;
    int epochs = 0;
    for (; ib_update_scalars_of(&e, rate, 0).of[IB_SGD_LR] != 0; rate *= 0.7) {
        assert_true(ib_update_scalars_of(&e, rate, (uint64_t)epochs).of[IB_SGD_LR] >= 0x1p-40f);
        ++epochs;
    }
    assert_int_equal(epochs, 78); /* 0.7^77 is above 2^-40, 0.7^78 is not */
    e.momentum = 1e-300;
    ib_update_scalars scalars = ib_update_scalars_of(&e, 1, 0);
    assert_true(scalars.has_momentum);
    assert_int_equal(to_bits(scalars.of[IB_SGD_MOMENTUM]), 0);
    e = experiment_of(IB_ADAM);
    e.eps = 1e-20;
    assert_true(ib_update_scalars_of(&e, 0x1p-41, 100000).of[IB_ADAM_STEP_SIZE] == 0);
    /* eps has its own bound */
    assert_true(ib_update_scalars_of(&e, 1, 0).of[IB_ADAM_EPS] == (float)1e-20);
    float table[256];
    ib_normalization_table(7.0 / 255.0 + 1e-14, 1.0, table);
    assert_int_equal(to_bits(table[7]), 0);
    for (int v = 0; v < 256; ++v)
        assert_false(ib_is_unsettled(table[v], IB_SETTLE));
}

/* ---- files --------------------------------------------------------------------------------------
 */

static void write_one(const char *path, const char *name, const float *values, int64_t count) {
    ib_named_tensor tensor = {name, IB_F32, {1, {count}}, values};
    assert_int_equal(ib_safetensors_write(path, &tensor, 1, NULL, 0, NULL, NULL), IB_OK);
}

static void files_are_checked(void **state) {
    (void)state;
    char *directory = temp_dir_make(), *path = ib_path_join(directory, "t.safetensors");
    static const float WEIGHTS[] = {1.0f, 0x1p-40f, 0.0f, -0x1.fffffep-41f};
    static const float AVERAGES[] = {1.0f, 0x1p-100f, 0.0f, 0x1.fffffep-101f};
    static const float NEGATIVE[] = {-0.0f};
    static const char *const NAMES[] = {"w.square_avg", "w.acc_delta", "w.exp_avg_sq"};
    ib_error err = {0};
    write_one(path, "w", WEIGHTS, 3);
    assert_int_equal(ib_model_check_settled(path, &err), IB_OK);
    write_one(path, "w.exp_avg", WEIGHTS, 4);
    assert_int_equal(ib_model_check_settled(path, &err), IB_ERROR_VERIFY);
    assert_non_null(strstr(ib_error_text(&err), "element 3 of tensor w.exp_avg"));
    ib_error_clear(&err);
    write_one(path, "w", AVERAGES, 2);
    assert_int_equal(ib_model_check_settled(path, &err), IB_ERROR_VERIFY);
    ib_error_clear(&err);
    write_one(path, "w", NEGATIVE, 1);
    assert_int_equal(ib_model_check_settled(path, &err), IB_ERROR_VERIFY);
    ib_error_clear(&err);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; ++i) {
        write_one(path, NAMES[i], AVERAGES, 3);
        assert_int_equal(ib_model_check_settled(path, &err), IB_OK);
        write_one(path, NAMES[i], AVERAGES, 4);
        assert_int_equal(ib_model_check_settled(path, &err), IB_ERROR_VERIFY);
        ib_error_clear(&err);
    }
    free(path);
    temp_dir_remove(directory);
}

/* Values of a model made elsewhere: read as settled ones, whatever the thread does to denormals. */
static void loaded_weights_settle(void **state) {
    (void)state;
    const ib_backend_options options = {"cpu", "scalar", 1};
    ib_backend *backend;
    ib_model *model;
    ib_experiment experiment = experiment_of(IB_ADADELTA);
    experiment.model = IB_MODEL_MLP;
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    assert_int_equal(
        ib_model_open(backend, &experiment, ib_dataset_find("mnist"), 1, 0, &model, NULL), IB_OK);
    const ib_tensor_info *info = ib_model_tensor(model, 0);
    size_t count = (size_t)ib_shape_elements(&info->shape);
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    static const uint32_t BITS[] = {1,           0x80000000u, 0x2B7FFFFFu,
                                    0xAB7FFFFFu, 0x2B800000u, 0x7FC00000u};
    memcpy(values, BITS, sizeof BITS);
    ib_fp_state saved = ib_fp_enter_as(IB_FP_FLUSH);
    assert_int_equal(ib_model_write(model, 0, IB_PART_VALUE, values, NULL), IB_OK);
    ib_fp_leave(saved);
    assert_int_equal(ib_model_read(model, 0, IB_PART_VALUE, values, NULL), IB_OK);
    for (size_t i = 0; i < 4; ++i)
        assert_int_equal(to_bits(values[i]), 0);
    assert_int_equal(to_bits(values[4]), BITS[4]);
    assert_int_equal(to_bits(values[5]), BITS[5]);
    free(values);
    ib_model_close(model);
    ib_backend_close(backend);
}

/* A ReLU would hide it. */
static void models_that_are_not_finite_are_refused(void **state) {
    (void)state;
    char *directory = temp_dir_make(), *path = ib_path_join(directory, "m.safetensors");
    const ib_backend_options options = {"cpu", "scalar", 1};
    ib_backend *backend;
    ib_model *model;
    ib_experiment experiment = experiment_of(IB_ADADELTA);
    ib_error err = {0};
    experiment.model = IB_MODEL_MLP;
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    assert_int_equal(
        ib_model_open(backend, &experiment, ib_dataset_find("mnist"), 1, 0, &model, NULL), IB_OK);
    assert_int_equal(ib_model_initialize(model, 1, NULL), IB_OK);
    const ib_tensor_info *info = ib_model_tensor(model, 1);
    size_t count = (size_t)ib_shape_elements(&info->shape);
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    static const uint32_t BITS[] = {0x3F800000u, 0x7F800000u, 0xFF800000u, 0x7FC00000u};
    for (size_t i = 0; i < sizeof BITS / sizeof *BITS; ++i) {
        memcpy(values + 5, &BITS[i], sizeof BITS[i]);
        assert_int_equal(ib_model_write(model, 1, IB_PART_VALUE, values, NULL), IB_OK);
        assert_int_equal(ib_model_save(model, NULL, path, NULL, NULL), IB_OK);
        assert_int_equal(ib_model_load(model, path, &err), i == 0 ? IB_OK : IB_ERROR_VERIFY);
        if (i > 0)
            assert_non_null(strstr(ib_error_text(&err), "element 5 of tensor"));
        ib_error_clear(&err);
    }
    free(values);
    ib_model_close(model);
    ib_backend_close(backend);
    free(path);
    temp_dir_remove(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_settle),
        cmocka_unit_test(hyper_parameters_have_bounds),
        cmocka_unit_test(scalars_settle),
        cmocka_unit_test(files_are_checked),
        cmocka_unit_test(loaded_weights_settle),
        cmocka_unit_test(models_that_are_not_finite_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
