/* The option table and what is generated from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "options/canonical.h"
#include "options/options.h"

static char *environment(const char *name) {
    if (strcmp(name, "ISOBIT_DATA_DIR") == 0)
        return (char *)(uintptr_t) "from-environment";
    return NULL;
}

static char *bad_environment(const char *name) {
    return strcmp(name, "ISOBIT_ISA") == 0 ? (char *)(uintptr_t) "mmx" : NULL;
}

/* Parses words (separated by single spaces) for a command; the words live in *line. */
static ib_status parse(const char *command, const char *text, char **line, ib_arguments *parsed,
                       ib_error *err) {
    const char *words[16];
    int count = 0;
    *line = strdup(text);
    for (char *rest = *line, *word; (word = strsep(&rest, " ")) != NULL;)
        if (word[0] != '\0')
            words[count++] = word;
    return ib_arguments_parse(ib_command_find(command), count, words, environment, parsed, err);
}

static void expect_failure(const char *command, const char *text, ib_status status,
                           const char *in_message) {
    ib_arguments parsed;
    ib_error err = {0};
    char *line = NULL;
    ib_status found = parse(command, text, &line, &parsed, &err);
    if (found != status || strstr(ib_error_text(&err), in_message) == NULL)
        fail_msg("isobit %s %s: status %d, message '%s'; wanted %d, '%s'", command, text,
                 (int)found, ib_error_text(&err), (int)status, in_message);
    ib_arguments_free(&parsed);
    ib_error_clear(&err);
    free(line);
}

static ib_arguments expect_success(const char *command, const char *text, char **line) {
    ib_arguments parsed;
    ib_error err = {0};
    ib_status found = parse(command, text, line, &parsed, &err);
    if (found != IB_OK)
        fail_msg("isobit %s %s: %s", command, text, ib_error_text(&err));
    return parsed;
}

static void defaults_are_documented_ones(void **state) {
    (void)state;
    char *line = NULL;
    ib_arguments parsed = expect_success("train", "", &line);
    const ib_config *c = &parsed.config;
    assert_int_equal(c->experiment.epochs, 14);
    assert_int_equal(c->experiment.batch_size, 64);
    assert_int_equal(c->machine.test_batch_size, 1000);
    assert_int_equal(c->experiment.seed, 1);
    assert_int_equal(c->record.log_interval, 10);
    assert_int_equal(c->machine.exact, 1);
    assert_int_equal(c->experiment.optimizer, IB_ADADELTA);
    assert_true(c->experiment.lr == 1.0 && c->experiment.gamma == 0.7 && c->experiment.rho == 0.9 &&
                c->experiment.eps == 1e-6);
    assert_string_equal(c->experiment.dataset, "mnist");
    assert_string_equal(c->machine.backend, "auto");
    assert_string_equal(c->record.runs_dir, "runs");
    ib_arguments_free(&parsed);
    free(line);
}

static void defaults_follow_the_optimizer(void **state) {
    (void)state;
    char *line = NULL;
    ib_arguments parsed = expect_success("train", "--optimizer adam", &line);
    assert_true(parsed.config.experiment.lr == 0.001 && parsed.config.experiment.eps == 1e-8);
    assert_true(parsed.config.experiment.beta1 == 0.9 && parsed.config.experiment.beta2 == 0.999);
    ib_arguments_free(&parsed);
    free(line);
    parsed = expect_success("train", "--lr 0.5 --optimizer=sgd --momentum 0.9", &line);
    assert_true(parsed.config.experiment.lr == 0.5 && parsed.config.experiment.momentum == 0.9);
    ib_arguments_free(&parsed);
    free(line);
}

static void flags_win_over_environment(void **state) {
    (void)state;
    char *line = NULL;
    ib_arguments parsed = expect_success("train", "", &line);
    assert_string_equal(parsed.config.data.dir, "from-environment");
    assert_int_equal(ib_arguments_source(&parsed, "data-dir"), IB_FROM_ENVIRONMENT);
    ib_arguments_free(&parsed);
    free(line);
    parsed = expect_success("train", "--data-dir given", &line);
    assert_string_equal(parsed.config.data.dir, "given");
    assert_int_equal(ib_arguments_source(&parsed, "data-dir"), IB_FROM_FLAG);
    ib_arguments_free(&parsed);
    free(line);
    ib_error err = {0};
    assert_int_equal(
        ib_arguments_parse(ib_command_find("train"), 0, NULL, bad_environment, &parsed, &err),
        IB_ERROR_USAGE);
    assert_non_null(strstr(ib_error_text(&err), "ISOBIT_ISA: 'mmx'"));
    ib_arguments_free(&parsed);
    ib_error_clear(&err);
}

static void aliases_of_pytorchs_example(void **state) {
    (void)state;
    char *line = NULL;
    ib_arguments parsed = expect_success(
        "train", "--no-cuda --no-mps --dry-run --log-interval 5 --seed 18446744073709551615",
        &line);
    assert_int_equal(parsed.config.machine.no_accel, 1);
    assert_int_equal(parsed.config.experiment.dry_run, 1);
    assert_int_equal(parsed.config.record.log_interval, 5);
    assert_true(parsed.config.experiment.seed == UINT64_MAX);
    ib_arguments_free(&parsed);
    free(line);
}

static void bad_words_are_refused(void **state) {
    (void)state;
    expect_failure("train", "--epoch 3", IB_ERROR_USAGE, "did you mean --epochs?");
    expect_failure("train", "--zzz", IB_ERROR_USAGE, "isobit train --help");
    expect_failure("train", "-e 3", IB_ERROR_USAGE, "unknown option -e");
    expect_failure("train", "--epochs", IB_ERROR_USAGE, "needs a value");
    expect_failure("train", "--epochs --lr 1", IB_ERROR_USAGE, "needs a value");
    expect_failure("train", "--json=1", IB_ERROR_USAGE, "takes no value");
    expect_failure("train", "word", IB_ERROR_USAGE, "unexpected argument 'word'");
    expect_failure("train", "a b c d e f", IB_ERROR_USAGE, "unexpected argument");
    expect_failure("train", "--device 1", IB_ERROR_USAGE, "not in this version");
    expect_failure("test", "", IB_ERROR_USAGE, "MODEL.safetensors");
    expect_failure("test", "m --epochs 3", IB_ERROR_USAGE, "takes no --epochs");
    expect_failure("data", "", IB_ERROR_USAGE, "prepare|verify|show");
    expect_failure("data", "verfy", IB_ERROR_USAGE, "did you mean verify?");
    expect_failure("hash", "update", IB_ERROR_USAGE, "data|model|result");
}

static void bad_values_are_refused(void **state) {
    (void)state;
    expect_failure("train", "--epochs 0", IB_ERROR_USAGE, "from 1 to");
    expect_failure("train", "--epochs 1.5", IB_ERROR_USAGE, "--epochs: '1.5'");
    expect_failure("train", "--epochs 99999999999999999999", IB_ERROR_USAGE, "--epochs");
    expect_failure("train", "--batch-size -1", IB_ERROR_USAGE, "--batch-size: '-1'");
    expect_failure("train", "--lr nan", IB_ERROR_USAGE, "--lr: 'nan'");
    expect_failure("train", "--lr inf", IB_ERROR_USAGE, "--lr: 'inf'");
    expect_failure("train", "--lr -1", IB_ERROR_USAGE, "at least 0");
    expect_failure("train", "--lr 1,5", IB_ERROR_USAGE, "--lr");
    expect_failure("train", "--seed -1", IB_ERROR_USAGE, "--seed");
    expect_failure("train", "--seed 18446744073709551616", IB_ERROR_USAGE, "--seed");
    expect_failure("train", "--optimizer sgd --momentum 1", IB_ERROR_USAGE, "below 1");
    expect_failure("train", "--optimizer rmsprop", IB_ERROR_USAGE, "adadelta, sgd, adam");
    expect_failure("train", "--dataset=", IB_ERROR_USAGE, "fashion-mnist");
    expect_failure("train", "--data-dir=", IB_ERROR_USAGE, "not empty");
    expect_failure("train", "--model vgg", IB_ERROR_USAGE, "cnn, lenet5, mlp, resnet18, resnet34, resnet50, svm, or a file FILE.yaml");
    expect_failure("train", "--math fast", IB_ERROR_UNAVAILABLE, "not in this version");
}

static void what_would_be_ignored_is_refused(void **state) {
    (void)state;
    expect_failure("train", "--momentum 0.9", IB_ERROR_USAGE, "needs --optimizer sgd");
    expect_failure("train", "--beta1 0.9", IB_ERROR_USAGE, "needs --optimizer adam");
    expect_failure("train", "--eps 0.1 --optimizer sgd", IB_ERROR_USAGE, "adadelta or adam");
    expect_failure("train", "--schedule constant --gamma 1", IB_ERROR_USAGE, "no effect");
    expect_failure("train", "--lr-min 0.1", IB_ERROR_USAGE, "no effect with --schedule step");
    expect_failure("train", "--warmup 14", IB_ERROR_USAGE, "less than --epochs");
    expect_failure("train", "--no-accel --backend cuda", IB_ERROR_USAGE, "contradict");
    expect_failure("train", "--dry-run --save-model", IB_ERROR_USAGE, "leave one");
    expect_failure("train", "--dry-run --trace", IB_ERROR_USAGE, "--trace has no effect");
    expect_failure("train", "--checkpoint-every 5 --dry-run", IB_ERROR_USAGE,
                   "--checkpoint-every has no effect");
}

static void the_table_is_sound(void **state) {
    (void)state;
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        /* two commands may mean different things by one name: each finds its own */
        assert_ptr_equal(ib_option_find_for(option->name, strlen(option->name), option->commands),
                         option);
        assert_true(strlen(option->help) > 3 && option->group != NULL && option->commands != 0);
        assert_true(option->kind == IB_OPTION_FLAG || option->placeholder != NULL);
        if (option->kind == IB_OPTION_CHOICE || option->kind == IB_OPTION_NAME)
            assert_non_null(option->choices);
        if (option->kind == IB_OPTION_INT || option->kind == IB_OPTION_DOUBLE)
            assert_true(option->minimum < option->maximum);
    }
}

static void is_option(const char *name, ib_option_of of) {
    const ib_option *option = ib_option_find(name, strlen(name));
    assert_non_null(option);
    assert_int_equal(option->of, of);
    assert_true(ib_option_is_hashed(option));
}

/* A name in the catalogue that is no option's, or an option that no row names, would do nothing. */
static void the_catalogue_names_options(void **state) {
    (void)state;
    const ib_optimizer *optimizer;
    const ib_schedule *schedule;
    const ib_svm_kernel_info *kernel;
    for (size_t i = 0; (optimizer = ib_optimizer_at(i)) != NULL; ++i)
        for (const ib_optimizer_option *own = optimizer->options; own->name != NULL; ++own) {
            const ib_option *option = ib_option_find(own->name, strlen(own->name));
            assert_non_null(option);
            if (option->default_text == NULL) /* else it is all optimisers' */
                is_option(own->name, IB_OF_OPTIMIZERS);
        }
    for (size_t i = 0; (schedule = ib_schedule_at(i)) != NULL; ++i)
        for (size_t n = 0; schedule->options[n] != NULL; ++n)
            is_option(schedule->options[n], IB_OF_SCHEDULES);
    for (size_t i = 0; (kernel = ib_svm_kernel_at(i)) != NULL; ++i)
        for (size_t n = 0; kernel->options[n] != NULL; ++n)
            is_option(kernel->options[n], IB_OF_SVM_KERNELS);
    const ib_option *option;
    for (size_t o = 0; (option = ib_option_at(o)) != NULL; ++o) {
        int named = option->of == IB_OF_ALL;
        for (size_t i = 0; ib_optimizer_at(i) != NULL; ++i)
            named |= ib_optimizer_has((ib_optimizer_kind)i, option->name);
        for (size_t i = 0; (schedule = ib_schedule_at(i)) != NULL; ++i)
            named |= ib_is_listed(schedule->options, option->name);
        for (size_t i = 0; (kernel = ib_svm_kernel_at(i)) != NULL; ++i)
            named |= ib_is_listed(kernel->options, option->name);
        assert_true(named);
    }
}

/* What a verb would ignore is named by words that there are. */
static void idle_actions_are_commands(void **state) {
    (void)state;
    const ib_option *option;
    for (size_t o = 0; (option = ib_option_at(o)) != NULL; ++o)
        for (size_t a = 0; a < IB_MAX_IDLE && option->idle_in[a] != NULL; ++a) {
            char *words = strdup(option->idle_in[a]), *rest = words;
            const ib_command *command = ib_command_find(strsep(&rest, " "));
            assert_non_null(command);
            assert_true((option->commands & command->bit) != 0);
            const char *word;
            for (size_t v = 0; (word = strsep(&rest, " ")) != NULL; ++v) {
                assert_true(v < 2 && command->verbs[v] != NULL);
                assert_true(strcmp(word, "...") == 0 || ib_is_listed(command->verbs[v], word));
            }
            free(words);
        }
}

static char *help_of(const char *command) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ib_error err = {0};
    assert_int_equal(ib_help_command(ib_command_find(command), out, &err), IB_OK);
    fclose(out);
    return text;
}

static void help_lists_each_option_and_nothing_later(void **state) {
    (void)state;
    const ib_command *command;
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i) {
        char *help = help_of(command->name);
        const ib_option *option;
        for (size_t o = 0; (option = ib_option_at(o)) != NULL; ++o) {
            char name[64];
            snprintf(name, sizeof name, "  --%s %s", option->name,
                     option->placeholder != NULL ? option->placeholder : " ");
            int listed = strstr(help, name) != NULL;
            assert_int_equal(listed, (option->commands & command->bit) != 0);
        }
        const char *const later[] = {"cuda;", "opencl", "fast", "--device"};
        for (size_t w = 0; w < sizeof later / sizeof later[0]; ++w)
            if (strstr(help, later[w]) != NULL)
                fail_msg("isobit %s --help mentions %s", command->name, later[w]);
        for (const char *line = help; line != NULL && *line != '\0';) {
            size_t length = strcspn(line, "\n");
            assert_true(length <= 100);
            assert_true(length == 0 || line[length - 1] != ' ');
            line += length + (line[length] != '\0');
        }
        free(help);
    }
}

static char *canonical_of(const char *options, uint64_t train_count, char *hex) {
    char *line = NULL;
    ib_arguments parsed = expect_success("train", options, &line);
    ib_experiment_inputs inputs = {
        .data_sha256 = {"a", "b", "c", "d"}, .train_count = train_count, .test_count = 10000};
    char *text = NULL;
    ib_error err = {0};
    assert_int_equal(ib_canonical(&parsed.config, &inputs, &text, hex, &err), IB_OK);
    ib_arguments_free(&parsed);
    free(line);
    return text;
}

static void canonical_is_pinned(void **state) {
    (void)state;
    char hex[IB_SHA256_HEX_SIZE];
    char *text = canonical_of("--epochs 5 --weight-decay -0.0", 60000, hex);
    assert_string_equal(
        text, "{\"batch_size\":64,\"data_sha256\":[\"a\",\"b\",\"c\",\"d\"],\"dataset\":\"mnist\","
              "\"dry_run\":false,\"epochs\":5,\"eps\":1e-06,\"gamma\":0.7,"
              "\"init_model_sha256\":null,\"lr\":1,\"model\":\"cnn\",\"normalize\":\"dataset\","
              "\"numerics\":\"0.3\",\"optimizer\":\"adadelta\",\"rho\":0.9,\"schedule\":\"step\","
              "\"seed\":1,\"split\":\"official\",\"test_size\":10000,\"train_size\":60000,"
              "\"weight_decay\":0}");
    free(text);
}

/* 1: the options give another experiment than none do. */
static int changes_experiment(const char *options) {
    char plain[IB_SHA256_HEX_SIZE], changed[IB_SHA256_HEX_SIZE];
    free(canonical_of("", 60000, plain));
    free(canonical_of(options, 60000, changed));
    return strcmp(plain, changed) != 0;
}

static void only_arithmetic_changes_the_experiment(void **state) {
    (void)state;
    const char *const changing[] = {"--seed 2",
                                    "--epochs 3",
                                    "--lr 0.5",
                                    "--gamma 0.8",
                                    "--model mlp",
                                    "--optimizer adam",
                                    "--batch-size 32",
                                    "--normalize unit",
                                    "--schedule constant",
                                    "--dry-run",
                                    "--dataset digits",
                                    "--split 70-10-20",
                                    "--eps 1e-5",
                                    "--rho 0.8",
                                    "--weight-decay 0.1",
                                    "--warmup 2",
                                    "--schedule cosine",
                                    "--augment flip",
                                    "--ema 0.9",
                                    "--label-smoothing 0.1"};
    const char *const harmless[] = {"--threads 3",         "--isa scalar", "--backend cpu",
                                    "--no-accel",          "--data-dir x", "--runs-dir x",
                                    "--log-interval 3",    "--json",       "--save-model",
                                    "--test-batch-size 7", "--lr 1.00",    "--math exact",
                                    "--train-size 60000",  "--warmup 0"};
    for (size_t i = 0; i < sizeof changing / sizeof changing[0]; ++i)
        if (!changes_experiment(changing[i]))
            fail_msg("%s should change experiment_sha256", changing[i]);
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; ++i)
        if (changes_experiment(harmless[i]))
            fail_msg("%s must not change experiment_sha256", harmless[i]);
}

static void json_text_is_json(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ib_json json = {.out = out, .indent = 2};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "odd", "a\"\\\n\t\x01\xff\xc3\xa4\xed\xa0\x80");
    ib_json_double(&json, "nan", 0.0 / 0.0 * 1.0);
    ib_json_double(&json, "minus", -1.0 / 0.0);
    ib_json_double(&json, "third", 1.0 / 3.0);
    ib_json_open(&json, "empty", '[');
    ib_json_close(&json, ']');
    ib_json_uint(&json, "most", UINT64_MAX);
    ib_json_bool(&json, "yes", 1);
    ib_json_string(&json, "none", NULL);
    ib_json_close(&json, '}');
    fclose(out);
    json_error_t why;
    json_t *read = json_loads(text, JSON_DECODE_INT_AS_REAL, &why);
    if (read == NULL)
        fail_msg("%s in %s", why.text, text);
    assert_string_equal(json_string_value(json_object_get(read, "odd")),
                        "a\"\\\n\t\x01\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(json_string_value(json_object_get(read, "nan")), "NaN");
    assert_string_equal(json_string_value(json_object_get(read, "minus")), "-Infinity");
    assert_true(json_real_value(json_object_get(read, "third")) == 1.0 / 3.0);
    assert_int_equal(json_array_size(json_object_get(read, "empty")), 0);
    assert_true(json_is_null(json_object_get(read, "none")));
    json_decref(read);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_documented_ones),
        cmocka_unit_test(defaults_follow_the_optimizer),
        cmocka_unit_test(flags_win_over_environment),
        cmocka_unit_test(aliases_of_pytorchs_example),
        cmocka_unit_test(bad_words_are_refused),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(what_would_be_ignored_is_refused),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(the_catalogue_names_options),
        cmocka_unit_test(idle_actions_are_commands),
        cmocka_unit_test(help_lists_each_option_and_nothing_later),
        cmocka_unit_test(canonical_is_pinned),
        cmocka_unit_test(only_arithmetic_changes_the_experiment),
        cmocka_unit_test(json_text_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
