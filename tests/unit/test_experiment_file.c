/* Experiment files: what they expand to, and that every refusal names its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "study/study.h"
#include "temp_dir.h"

static ib_study read_words(const char *text, const char *const *words, size_t count) {
    ib_study study;
    ib_error err = {0};
    if (ib_study_parse("f", text, strlen(text), words, count, &study, &err) != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    return study;
}

static ib_study read_text(const char *text) {
    return read_words(text, NULL, 0);
}

static const char REPORT[] = "name: a\ngrid: {lr: [1, 2]}\nselect: validation_accuracy\n"
                             "base: {split: 70-10-20, epochs: 2}\n";

/* Lines of text, or (after) what follows REPORT, which has four lines. */
static const struct {
    const char *text, *message;
    int after;
} REFUSED[] = {
    {"", "f:1: the file must be a mapping", 0},
    {"- a\n", "f:1: the file must be a mapping", 0},
    {"base: {}\n", "f:1: an experiment file needs the key name", 0},
    {"name: A\n", "f:1: name: 'A' is not valid", 0},
    {"name: a\n\nseedz: 3\n", "f:3: seedz: an experiment file has no such key; did you mean seeds?",
     0},
    {"name: a\nzzzzzz: 1\n", "f:2: zzzzzz: an experiment file has no such key", 0},
    {"name: a\nname: b\n", "f:2: name: given twice, first in line 1", 0},
    {"name: a\nbase: 3\n", "f:2: base: give a mapping", 0},
    {"name: a\nbase:\n  epochs: 0\n",
     "f:3: epochs: '0' is not valid: give an integer from 1 to 1000000", 0},
    {"name: a\nbase:\n  epoch: 3\n", "f:3: epoch: there is no such option; did you mean epochs?",
     0},
    {"name: a\nbase:\n  runs-dir: x\n", "f:3: runs-dir: belongs to the command line", 0},
    {"name: a\nbase:\n  dry-run: true\n", "f:3: dry-run: belongs to the command line", 0},
    {"name: a\nbase:\n  seed: 3\n", "f:3: seed: write seeds: [1, 2, 3] instead", 0},
    {"name: a\nbase:\n  lr: [1, 2]\n", "f:3: lr: give one value; lists are crossed under grid:", 0},
    {"name: a\nbase:\n  model: resnet\n", "f:3: model: 'resnet' is not valid: give one of cnn", 0},
    {"name: a\nbase:\n  momentum: 0.9\n", "f:3: momentum: has no effect in any cell", 0},
    {"name: a\ngrid:\n  lr: 1\n", "f:3: lr: give a list of values", 0},
    {"name: a\ngrid:\n  lr: []\n", "f:3: lr: give a list of values", 0},
    {"name: a\ngrid:\n  lr: [1,\n    1]\n", "f:4: lr: 1 is listed twice", 0},
    {"name: a\ngrid:\n  threads: [1, 2]\n", "f:3: threads: changes no bits", 0},
    {"name: a\nrows:\n  - {lr: 1}\n  - {momentum: 0.9}\n", "f:4: --momentum needs --optimizer sgd",
     0},
    {"name: a\nrows:\n  - {label: x}\n  - {label: x}\n", "f:4: label: 'x' is taken", 0},
    {"name: a\nrows: [{lr: 1}]\ngrid: {lr: [1, 2]}\n", "f:2: lr: is crossed under grid: too", 0},
    {"name: a\nrows: []\n", "f:2: rows: no row", 0},
    {"name: a\nneeds: [gpus]\n", "f:2: needs: 'gpus' is not valid", 0},
    {"name: a\nseeds: 0\n", "f:2: seeds: '0' is not valid", 0},
    {"name: a\nseeds: [1,\n 1]\n", "f:3: seeds: 1 is listed twice", 0},
    {"name: a\nseeds: [-1]\n", "f:2: seed: '-1' is not valid", 0},
    {"name: a\ncells:\n  - name: x\n  - name: x\n",
     "f:4: name: 'x' is taken by the group in line 3", 0},
    {"name: a\ncells:\n  - {}\n", "f:3: a group of cells needs the key name", 0},
    {"name: a\ngrid: {lr: [1]}\ncells:\n  - name: x\n", "f:2: grid: cells: (line 4) has its own",
     0},
    {"name: a\nselect: test_accuracy\n", "f:2: select: the test set never chooses", 0},
    {"name: a\nselect: validation_accuracy\n", "f:2: select: the cell of line 1 has no validation",
     0},
    {"name: a\nseeds: 1000\ngrid:\n  lr: [1, 2, 3, 4, 5]\n", "the study has more than 4096 cells",
     0},
    {"name: &x a\n", "f:1: anchors (&x)", 0},
    {"name: a\ntitle: *x\n", "f:2: aliases (*x)", 0},
    {"name: !!str a\n", "f:1: tags (", 0},
    {"%YAML 1.1\n---\nname: a\n", "f:1: directives", 0},
    {"name: a\n---\nname: b\n", "f:2: a second document", 0},
    {"name: a\nbase: [[[[[[[[[1]]]]]]]]]\n", "f:2: nested deeper than 8 levels", 0},
    {"name: a\n  x: [\n", "f:2: YAML: ", 0},
    {"name: a\n? [x]\n: 3\n", "f:2: a key must be a plain name", 0},
    {"name: \"a\\0b\"\n", "f:1: a text has a NUL byte", 0},
    {"name: a\nextends: b.yaml\n", "f:2: extends: an experiment file has no such key", 0},
    {"published:\n  - source: s\n    columns: [lr, test_acuracy]\n    rows: []\n",
     "f:7: columns: there is no column 'test_acuracy'; did you mean test_accuracy?", 1},
    {"published:\n  - source: s\n    columns: [lr]\n    rows: []\n", "f:7: columns: no metric", 1},
    {"published:\n  - columns: [test_loss]\n    rows: []\n", "f:6: published needs the key source",
     1},
    {"published:\n  - source: s\n    columns: [lr, test_accuracy]\n    rows:\n      - [1]\n",
     "f:9: rows: give a list of 2 values", 1},
    {"published:\n  - source: s\n    columns: [lr, test_accuracy]\n    rows:\n      - [3, 99%]\n",
     "f:9: published: no cell of the study has this configuration", 1},
    {"published:\n  - source: s\n    columns: [lr, test_accuracy]\n    rows:\n      - [1, 990]\n",
     "f:9: test_accuracy: '990' is not valid: give a share", 1},
    {"published:\n  - source: s\n    columns: [epoch, test_loss]\n    rows:\n      - [3, 0.1]\n",
     "f:9: epoch: 3 is after the cell's last, 2", 1},
    {"published:\n  - source: s\n    columns: [train_seconds]\n    rows:\n      - [6..5s]\n",
     "f:9: train_seconds: '6..5s' is not valid", 1},
    {"tables:\n  - {name: t, kind: gird, title: T}\n", "f:6: kind: 'gird' is not valid", 1},
    {"tables:\n  - {name: t, kind: bars, title: T}\n", "f:6: kind: 'bars' is not valid", 1},
    {"tables:\n  - {name: t, kind: grid, title: T}\n", "f:6: grid needs the key rows", 1},
    {"tables:\n  - {name: t, kind: grid, title: T, rows: [lrr], values: [test_loss]}\n",
     "f:6: rows: 'lrr' is not a dimension", 1},
    {"tables:\n  - {name: t, kind: grid, title: T, rows: [kernel], values: [test_loss]}\n",
     "f:6: rows: none of these cells has a kernel", 1},
    {"tables:\n  - {name: t, kind: grid, title: T, rows: [lr], values: [speedup]}\n",
     "f:6: relative-to: is needed", 1},
    {"tables:\n  - {name: t, kind: epochs, title: T, columns: [lr], values: [macro_f1]}\n",
     "f:6: values: macro_f1 has no value after each epoch", 1},
    {"figures:\n  - {name: t, kind: confusion, title: T, scale: cubic}\n",
     "f:6: scale: 'cubic' is not valid", 1},
    {"figures:\n  - {name: t, kind: confusion, title: T, rows: [lr]}\n",
     "f:6: rows: means nothing for confusion", 1},
    {"figures:\n  - {name: t, kind: confusion, title: T}\n  - {name: t, kind: confusion, title: "
     "T}\n",
     "f:7: name: 't' is taken in line 6", 1},
    {"figures:\n  - {name: t, kind: confusion, title: T, cells: [x]}\n",
     "f:6: cells: there is no group of cells named 'x'", 1},
};

static void refusals_name_their_line(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; ++i) {
        char *text = ib_format("%s%s", REFUSED[i].after ? REPORT : "", REFUSED[i].text);
        ib_study study;
        ib_error err = {0};
        ib_status status = ib_study_parse("f", text, strlen(text), NULL, 0, &study, &err);
        if (status != IB_ERROR_USAGE || strstr(ib_error_text(&err), REFUSED[i].message) == NULL)
            fail_msg("%s: status %d, '%s'; wanted '%s'", text, (int)status, ib_error_text(&err),
                     REFUSED[i].message);
        ib_study_close(&study);
        ib_error_clear(&err);
        free(text);
    }
}

static void lists_are_crossed(void **state) {
    (void)state;
    ib_study study = read_text("name: a\nseeds: [7, 9]\nbase: {momentum: 0.9, epochs: 3}\n"
                               "rows: [{batch-size: 32}, {batch-size: 64}]\n"
                               "grid: {optimizer: [sgd, adam], lr: [0.1, 0.01]}\n");
    assert_int_equal(study.cell_count, 2 * 2 * 2 * 2);
    const ib_config *first = &study.cells[0].arguments.config;
    const ib_config *last = &study.cells[15].arguments.config;
    assert_true(first->experiment.seed == 7 && first->experiment.batch_size == 32 &&
                first->experiment.optimizer == IB_SGD);
    assert_true(first->experiment.lr == 0.1 && first->experiment.momentum == 0.9 &&
                first->experiment.epochs == 3);
    /* the seed changes fastest, then the grid's last key; rows slowest */
    assert_true(study.cells[1].arguments.config.experiment.seed == 9);
    assert_true(study.cells[2].arguments.config.experiment.lr == 0.01);
    /* base's momentum means nothing for adam and is left out there */
    assert_true(last->experiment.optimizer == IB_ADAM && last->experiment.batch_size == 64 &&
                last->experiment.lr == 0.01);
    assert_true(last->experiment.momentum == 0);
    ib_study_close(&study);
}

static void groups_have_their_own(void **state) {
    (void)state;
    ib_study study = read_text("name: a\nbase: {dataset: digits, epochs: 2}\nseeds: 3\ncells:\n"
                               "  - {name: net, base: {model: mlp, epochs: 5}}\n"
                               "  - {name: machine, base: {model: svm}, grid: {C: [1, 10]},\n"
                               "     seeds: [4], needs: [gpu]}\n"
                               "  - {name: other}\n");
    assert_int_equal(study.group_count, 3);
    assert_int_equal(study.cell_count, 3 + 2 + 3);
    assert_int_equal(study.groups[1].first_cell, 3);
    assert_int_equal(study.cells[0].arguments.config.experiment.epochs, 5);
    assert_int_equal(study.cells[3].arguments.config.experiment.seed, 4);
    assert_int_equal(study.cells[3].needs, IB_NEED_GPU);
    assert_int_equal(study.cells[7].arguments.config.experiment.epochs, 2);
    assert_string_equal(study.cells[7].arguments.config.experiment.dataset, "digits");
    ib_study_close(&study);
}

static void words_replace_values(void **state) {
    (void)state;
    const char *const words[] = {"dataset=digits", "seeds=5,6", "lr=0.5"};
    ib_study study =
        read_words("name: a\nbase: {dataset: mnist}\ngrid: {lr: [1, 2]}\n"
                   "published:\n  - {source: s, columns: [lr, test_loss], rows: [[2, 1]]}\n",
                   words, 3);
    assert_int_equal(study.cell_count, 4);
    for (size_t c = 0; c < 4; ++c) {
        assert_true(study.cells[c].arguments.config.experiment.lr == 0.5 && study.cells[c].changed);
        assert_string_equal(study.cells[c].arguments.config.experiment.dataset, "digits");
        assert_int_equal(study.cells[c].arguments.config.experiment.seed, 5 + c % 2);
    }
    /* what was published belongs to the file's own configuration */
    assert_int_equal(study.published[0].cell_count, 2);
    assert_int_equal(study.published[0].cells[0], 2);
    ib_study_close(&study);
    static const char *const BAD[][2] = {{"epoch=3", "did you mean epochs?"},
                                         {"epochs=0", "epochs: '0' is not valid"},
                                         {"C=1", "C=1 has no effect in any cell"},
                                         {"epochs", "are written key=value"},
                                         {"seeds=", "seeds=N"},
                                         {"json=1", "belongs to the command line"}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; ++i) {
        ib_error err = {0};
        ib_study refused;
        assert_int_equal(ib_study_parse("f", "name: a\n", 8, BAD[i], 1, &refused, &err),
                         IB_ERROR_USAGE);
        if (strstr(ib_error_text(&err), BAD[i][1]) == NULL)
            fail_msg("%s: %s", BAD[i][0], ib_error_text(&err));
        ib_study_close(&refused);
        ib_error_clear(&err);
    }
}

static void units_are_understood(void **state) {
    (void)state;
    ib_study study =
        read_text("name: a\npublished:\n  - source: s\n    machine: m\n"
                  "    columns: [test_accuracy, train_seconds, speedup, parameters, model_bytes]\n"
                  "    rows: [[98.95%, 4.5..5.0min, 1.5x, 11.18M, 1.7MB], [0.5, 3s, ~, 2, 7]]\n");
    static const double WANTED[][2] = {{0.9895, 0.9895},
                                       {270, 300},
                                       {1.5, 1.5},
                                       {11180000, 11180000},
                                       {1700000, 1700000},
                                       {0.5, 0.5},
                                       {3, 3},
                                       {2, 2},
                                       {7, 7}};
    assert_int_equal(study.published_count, 9);
    for (size_t i = 0; i < 9; ++i) {
        const ib_published *value = &study.published[i];
        if (value->low != WANTED[i][0] || value->high != WANTED[i][1])
            fail_msg("value %zu: %.17g to %.17g", i, value->low, value->high);
        assert_string_equal(value->machine, "m");
        assert_int_equal(value->cell_count, 1);
    }
    ib_study_close(&study);
}

static ib_study read_file(const char *directory, const char *name) {
    char *path = ib_path_join(directory, name);
    ib_study study;
    ib_error err = {0};
    ib_status status = ib_study_read(path, NULL, 0, NULL, &study, &err);
    if (status != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    free(path);
    return study;
}

static void a_file_extends_another(void **state) {
    (void)state;
    char *directory = temp_dir_make();
    static const char WHOLE[] = "name: whole\ntitle: T\nbase: {epochs: 5}\nseeds: [1, 2]\ncells:\n"
                                "  - {name: x, grid: {lr: [1, 2]}}\n  - {name: y}\n";
    static const char SMALL[] =
        "extends: whole.yaml\nname: small\nseeds: [3]\noverride:\n"
        "  - {set: {train-size: 100}}\n  - {cells: [y], set: {epochs: 1}}\n";
    temp_dir_write(directory, "whole.yaml", WHOLE, sizeof WHOLE - 1);
    temp_dir_write(directory, "s.yaml", SMALL, sizeof SMALL - 1);
    ib_study study = read_file(directory, "s.yaml");
    assert_string_equal(study.name, "small");
    assert_string_equal(study.title, "T");
    assert_int_equal(study.source_count, 2);
    assert_int_equal(study.cell_count, 3);
    assert_int_equal(study.cells[0].arguments.config.experiment.train_size, 100);
    assert_int_equal(study.cells[0].arguments.config.experiment.epochs, 5);
    assert_int_equal(study.cells[2].arguments.config.experiment.epochs, 1);
    assert_int_equal(study.cells[2].arguments.config.experiment.seed, 3);
    assert_true(study.cells[0].changed);
    ib_study_close(&study);
    temp_dir_remove(directory);
}

static void the_schema_is_json(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(ib_study_schema(out, NULL), IB_OK);
    fclose(out);
    json_t *schema = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(schema);
    json_t *options =
        json_object_get(json_object_get(json_object_get(schema, "$defs"), "options"), "properties");
    assert_non_null(json_object_get(options, "batch-size"));
    assert_null(json_object_get(options, "runs-dir"));
    const json_t *item = json_object_get(json_object_get(schema, "$defs"), "item");
    const json_t *kinds =
        json_object_get(json_object_get(json_object_get(item, "properties"), "kind"), "enum");
    assert_int_equal(json_array_size(kinds), IB_FIGURE_USAGE + 1);
    assert_string_equal(json_string_value(json_array_get(kinds, IB_TABLE_RESOURCES)), "resources");
    json_decref(schema);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_name_their_line), cmocka_unit_test(lists_are_crossed),
        cmocka_unit_test(groups_have_their_own),    cmocka_unit_test(words_replace_values),
        cmocka_unit_test(units_are_understood),     cmocka_unit_test(a_file_extends_another),
        cmocka_unit_test(the_schema_is_json),
    };
    return cmocka_run_group_tests_name("experiment file", tests, NULL, NULL);
}
