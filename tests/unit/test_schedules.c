/* Learning rates: our own cosine, and rates as a function of the steps done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/cosine.h"
#include "catalog/experiment.h"

static void the_cosine_is_one(void **state) {
    (void)state;
    enum { POINTS = 100000 };
    assert_true(ib_cos_pi(0.0) == 1.0);
    assert_true(ib_cos_pi(0.5) == 0.0);
    assert_true(ib_cos_pi(1.0) == -1.0);
    for (int i = 0; i <= POINTS; ++i) {
        double x = (double)i / POINTS,
               error = ib_cos_pi(x) - (double)cosl(3.14159265358979323846L * (long double)x);
        if (fabs(error) > 0x1p-52)
            fail_msg("cos(pi * %.17g) is off by %g", x, error);
        assert_true(ib_cos_pi(x) == -ib_cos_pi(1.0 - x) || (1.0 - (1.0 - x)) != x);
    }
}

static ib_experiment experiment_of(int schedule) {
    return (ib_experiment){.model = IB_MODEL_CNN,
                           .lr = 0.5,
                           .gamma = 0.7,
                           .epochs = 4,
                           .schedule = schedule,
                           .pct_start = 0.3,
                           .div_factor = 25,
                           .final_div_factor = 1e4};
}

static void rates_are_what_they_are_for(void **state) {
    (void)state;
    for (int schedule = 0; ib_schedule_at((size_t)schedule) != NULL; ++schedule) {
        ib_experiment e = experiment_of(schedule);
        int by_step = ib_schedule_at((size_t)schedule)->by_step;
        for (uint64_t step = 0; step < 40; ++step) {
            double rate = ib_learning_rate(&e, step, 10);
            assert_true(rate > 0 && rate <= e.lr);
            if (!by_step) /* the same in a whole epoch */
                assert_true(rate == ib_learning_rate(&e, step / 10 * 10, 10));
        }
        /* after the end it is still a number: a finished run's position has it */
        assert_true(isfinite(ib_learning_rate(&e, 40, 10)));
    }
    ib_experiment e = experiment_of(IB_SCHEDULE_ONECYCLE);
    assert_true(fabs(ib_learning_rate(&e, 0, 10) - 0.5 / 25) < 1e-16);
    assert_true(ib_learning_rate(&e, 11, 10) == 0.5);
    assert_true(fabs(ib_learning_rate(&e, 39, 10) - 0.5 / 25 / 1e4) < 1e-16);
}

static void a_warm_up_comes_first(void **state) {
    (void)state;
    ib_experiment plain = experiment_of(IB_SCHEDULE_STEP), e = plain;
    ib_error err = {0};
    e.warmup = 2;
    e.epochs = plain.epochs + 2;
    assert_true(ib_learning_rate(&e, 0, 10) == 0.5 * (1.0 / 20));
    assert_true(ib_learning_rate(&e, 19, 10) == 0.5);
    for (uint64_t step = 0; step < 40; ++step)
        assert_true(ib_learning_rate(&e, 20 + step, 10) == ib_learning_rate(&plain, step, 10));
    assert_int_equal(ib_schedule_check(&e, &err), IB_OK);
    e.warmup = e.epochs;
    assert_int_equal(ib_schedule_check(&e, &err), IB_ERROR_USAGE);
    assert_non_null(strstr(ib_error_text(&err), "less than --epochs"));
    ib_error_clear(&err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cosine_is_one),
        cmocka_unit_test(rates_are_what_they_are_for),
        cmocka_unit_test(a_warm_up_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
