/* A report's figures and page, made from hostile texts and odd data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <math.h>

#include "report/figure.h"
#include "report/write_html.h"
#include "temp_dir.h"

#define HOSTILE "<script>alert(\"1\")</script> & `touch pwned` 'q' \"d\" \\n %s $x @y {/Bold é 數}"
static char hostile[] = HOSTILE, none[] = "", measured[] = "measured", published[] = "published";
static char long_label[] =
    "a very long name of a configuration, with batch size 128, learning rate "
    "0.0001, optimiser adam, and more words than anybody would read at once";
static char label_a[] = "a", label_b[] = "b", title[] = "Title", axis[] = "accuracy (%)";
static char missing[] = "2 of 3 runs are missing: a; b.", machine[] = "a machine";

enum { SERIES = 3, POINTS = 4, SIZE = 10, FIGURES = 7 };

typedef struct fixture {
    char *directory;
    ib_report report;
    ib_report_figure figures[FIGURES];
    ib_figure_panel panels[FIGURES][2];
    ib_figure_series series[SERIES];
    ib_figure_point points[SERIES][POINTS];
    char *labels[POINTS], *digits[SIZE];
    double matrix[SIZE * SIZE];
    ib_figure_image images[3];
    unsigned char pixels[3][28 * 28];
    ib_report_table table;
    ib_report_column columns[4];
    ib_report_value values[8];
    ib_finding finding;
    ib_report_run run;
    char *machines[1];
} fixture;

static void fill_data(fixture *f) {
    static char *series_names[] = {measured, published, long_label};
    static char *labels[] = {label_a, label_b, hostile, long_label};
    static char digits[SIZE][2];
    memcpy(f->labels, labels, sizeof labels);
    for (size_t s = 0; s < SERIES; ++s) {
        f->series[s] = (ib_figure_series){.name = series_names[s],
                                          .published = s == 1,
                                          .points = f->points[s],
                                          .count = s == 2 ? 1 : POINTS};
        for (size_t i = 0; i < POINTS; ++i) {
            double y = 0.9 + 0.01 * (double)(i + s);
            f->points[s][i] = (ib_figure_point){
                .x = (double)i, .y = y, .low = y - 0.01, .high = y + 0.01, .label = hostile};
        }
    }
    f->points[0][1].y = f->points[0][1].low = f->points[0][1].high = NAN;
    for (size_t i = 0; i < SIZE; ++i) {
        digits[i][0] = (char)('0' + i);
        f->digits[i] = digits[i];
    }
    for (size_t i = 0; i < SIZE * SIZE; ++i)
        f->matrix[i] = i % (SIZE + 1) == 0 ? 900 : (double)(i % 7);
    f->matrix[5] = NAN;
    for (size_t i = 0; i < 3; ++i) {
        f->images[i] = (ib_figure_image){.actual = 5, .predicted = 3, .probability = 0.97};
        f->images[i].pixels = f->pixels[i];
        f->images[i].height = i == 0 ? 28 : 20; /* not every data set's images are square */
        f->images[i].width = i == 0 ? 28 : 24;
        f->images[i].channels = 1;
        for (size_t k = 0; k < sizeof f->pixels[i]; ++k)
            f->pixels[i][k] = (unsigned char)(k * (i + 1));
    }
    f->images[1].probability = NAN;
}

static void fill_figures(fixture *f) {
    static const ib_report_kind kinds[] = {
        IB_FIGURE_CURVES,    IB_FIGURE_BARS,          IB_FIGURE_HEATMAP, IB_FIGURE_SCATTER,
        IB_FIGURE_CONFUSION, IB_FIGURE_MISCLASSIFIED, IB_FIGURE_CURVES};
    static char names[FIGURES][8];
    for (size_t i = 0; i < FIGURES; ++i) {
        snprintf(names[i], sizeof names[i], "f-%zu", i);
        f->figures[i] = (ib_report_figure){.kind = kinds[i],
                                           .name = names[i],
                                           .title = i % 2 ? title : hostile,
                                           .note = hostile,
                                           .x_label = hostile,
                                           .y_label = i == 1 ? axis : hostile,
                                           .percent = i % 2 == 0,
                                           .log_scale = i == 4,
                                           .panels = f->panels[i],
                                           .panel_count = 2,
                                           .description = hostile};
        for (size_t p = 0; p < 2; ++p) {
            ib_figure_panel *panel = &f->panels[i][p];
            panel->title = p ? hostile : label_a;
            if (kinds[i] == IB_FIGURE_MISCLASSIFIED) {
                panel->images = f->images;
                panel->image_count = 3 - 3 * p;
            } else if (kinds[i] == IB_FIGURE_HEATMAP || kinds[i] == IB_FIGURE_CONFUSION) {
                panel->row_labels = panel->column_labels = f->digits;
                panel->row_count = panel->column_count = SIZE;
                panel->matrix = f->matrix;
            } else {
                panel->series = f->series;
                panel->series_count = SERIES - 2 * p;
                panel->labels = f->labels;
                panel->label_count = POINTS;
            }
        }
    }
    f->figures[FIGURES - 1].panels = NULL;
    f->figures[FIGURES - 1].panel_count = 0;
    f->figures[FIGURES - 1].missing = missing;
}

static void fill_table(fixture *f) {
    static const ib_column_role roles[] = {IB_COLUMN_HEADING, IB_COLUMN_OURS, IB_COLUMN_PUBLISHED,
                                           IB_COLUMN_DIFFERENCE};
    for (size_t c = 0; c < 4; ++c)
        f->columns[c] = (ib_report_column){.name = hostile, .key = label_a, .role = roles[c]};
    for (size_t i = 0; i < 8; ++i)
        f->values[i] = (ib_report_value){.text = i == 5 ? none : hostile, .value = NAN};
    f->table = (ib_report_table){.name = label_a,
                                 .title = hostile,
                                 .note = hostile,
                                 .missing = missing,
                                 .columns = f->columns,
                                 .column_count = 4,
                                 .values = f->values,
                                 .row_count = 2};
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->directory = temp_dir_make();
    fill_data(f);
    fill_figures(f);
    fill_table(f);
    f->finding = (ib_finding){.text = hostile, .basis = hostile};
    f->run = (ib_report_run){.cell = hostile,
                             .state = hostile,
                             .machine = hostile,
                             .run_id = hostile,
                             .experiment_sha256 = hostile,
                             .model_sha256 = none};
    f->machines[0] = machine;
    f->report = (ib_report){.name = label_a,
                            .title = hostile,
                            .description = hostile,
                            .source = hostile,
                            .command = hostile,
                            .program = hostile,
                            .machines = f->machines,
                            .machine_count = 1,
                            .asked = 3,
                            .finished = 1,
                            .findings = &f->finding,
                            .finding_count = 1,
                            .tables = &f->table,
                            .table_count = 1,
                            .figures = f->figures,
                            .figure_count = FIGURES,
                            .runs = &f->run,
                            .run_count = 1};
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    temp_dir_remove(f->directory);
    free(f);
    return 0;
}

/* The page's text; the figures' files go to directory/<folder>. */
static char *make_page(fixture *f, const char *folder) {
    char *figures = ib_path_join(f->directory, folder);
    char *path = ib_path_join(f->directory, "report.html");
    char **svgs = NULL, *text = NULL;
    size_t size;
    ib_error err = {0};
    if (ib_report_draw(&f->report, figures, &svgs, &err) != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    assert_int_equal(ib_report_write_html(&f->report, svgs, path, &err), IB_OK);
    assert_int_equal(ib_read_file(path, 1 << 24, &text, &size, &err), IB_OK);
    ib_report_free_drawings(svgs, FIGURES);
    free(path);
    free(figures);
    return text;
}

static size_t occurrences(const char *text, const char *word) {
    size_t count = 0;
    for (; (text = strstr(text, word)) != NULL; ++text)
        ++count;
    return count;
}

static void test_page_is_safe_and_whole(void **state) {
    fixture *f = *state;
    char *page = make_page(f, "figures");
    assert_int_equal(occurrences(page, "<script"), 0);
    assert_true(occurrences(page, "&lt;script") > 20);
    assert_int_equal(occurrences(page, "http:"), 0);
    assert_int_equal(occurrences(page, "https:"), 0);
    assert_int_equal(occurrences(page, "<link"), 0);
    assert_int_equal(occurrences(page, "url("), 0);
    assert_int_equal(occurrences(page, "<svg "), 2 * (FIGURES - 1));
    assert_int_equal(occurrences(page, "role=\"img\""), 2 * (FIGURES - 1));
    assert_int_equal(occurrences(page, missing), 2);
    assert_true(strstr(page, "1 of 3 finished") != NULL);
    assert_true(strstr(page, "數") != NULL);
    assert_int_equal(access("pwned", F_OK), -1);
    free(page);
}

/* An id twice would make one figure use another's marks. */
static void test_ids_are_unique(void **state) {
    char *page = make_page(*state, "figures");
    static char seen[4096][48];
    size_t count = 0;
    for (const char *at = page; (at = strpbrk(at, " ")) != NULL; ++at) {
        if (strncmp(at, " id=", 4) != 0)
            continue;
        const char *value = at + 5;
        size_t size = strcspn(value, "\"'");
        assert_true(size < sizeof seen[0] && count < 4096);
        snprintf(seen[count], sizeof seen[0], "%.*s", (int)size, value);
        for (size_t i = 0; i < count; ++i)
            assert_string_not_equal(seen[i], seen[count]);
        ++count;
    }
    assert_true(count > 24);
    free(page);
}

static void test_the_same_bytes_twice(void **state) {
    char *first = make_page(*state, "one"), *second = make_page(*state, "two");
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void test_files_of_figures(void **state) {
    fixture *f = *state;
    free(make_page(f, "figures"));
    for (size_t i = 0; i < FIGURES; ++i) {
        char *path = ib_format("%s/figures/f-%zu.svg", f->directory, i), *data = NULL;
        size_t size;
        if (i == FIGURES - 1) {
            assert_false(ib_path_exists(path));
        } else {
            assert_int_equal(ib_read_file(path, 1 << 24, &data, &size, NULL), IB_OK);
            assert_memory_equal(data, "<?xml", 5);
            assert_non_null(strstr(data, "prefers-color-scheme:dark"));
            assert_null(strstr(data, "var("));
        }
        free(data);
        free(path);
    }
}

static void test_xml_is_well_formed(void **state) {
    fixture *f = *state;
    if (system("xmllint --version >/dev/null 2>&1") != 0) {
        print_message("xmllint is not here: skipped\n");
        skip();
    }
    free(make_page(f, "figures"));
    char *command = ib_format("cd '%s' && sed 1d report.html >page.xml && "
                              "xmllint --noout --nonet figures/*.svg page.xml",
                              f->directory);
    assert_int_equal(system(command), 0);
    free(command);
}

/* PATH holds nothing but the test's folder. */
static ib_status convert(fixture *f, int *converted, ib_error *err) {
    char *figures = ib_path_join(f->directory, "figures"), *path = strdup(getenv("PATH"));
    setenv("PATH", f->directory, 1);
    ib_status status = ib_report_convert(&f->report, figures, converted, err);
    setenv("PATH", path, 1);
    free(path);
    free(figures);
    return status;
}

static void test_without_the_converter(void **state) {
    fixture *f = *state;
    free(make_page(f, "figures"));
    char *old = ib_format("%s/figures/f-0.png", f->directory);
    ib_error err = {0};
    int converted = 1;
    assert_int_equal(ib_write_file_atomic(old, "old", 3, &err), IB_OK);
    assert_int_equal(convert(f, &converted, &err), IB_OK);
    assert_false(converted);
    assert_false(ib_path_exists(old));
    free(old);
}

static void write_converter(const fixture *f, const char *script) {
    char *path = ib_path_join(f->directory, "rsvg-convert");
    assert_int_equal(ib_write_file_atomic(path, script, strlen(script), NULL), IB_OK);
    assert_int_equal(chmod(path, 0755), 0);
    free(path);
}

static void test_what_the_converter_says(void **state) {
    fixture *f = *state;
    ib_error err = {0};
    int converted = 0;
    free(make_page(f, "figures"));
    write_converter(f, "#!/bin/sh\necho \"$2 ${SOURCE_DATE_EPOCH-none}\"\n");
    assert_int_equal(convert(f, &converted, &err), IB_OK);
    assert_true(converted);
    char *path = ib_format("%s/figures/f-5.pdf", f->directory), *text = NULL;
    size_t size;
    assert_int_equal(ib_read_file(path, 100, &text, &size, &err), IB_OK);
    assert_string_equal(text, "pdf 0\n");
    free(text);
    write_converter(f, "#!/bin/sh\necho no ink >&2\nexit 1\n");
    assert_int_equal(convert(f, &converted, &err), IB_ERROR_RUNTIME);
    assert_string_equal(ib_error_text(&err), "rsvg-convert failed: no ink");
    assert_false(ib_path_exists(path));
    ib_error_clear(&err);
    free(path);
}

static void test_names_that_leave_the_folder(void **state) {
    fixture *f = *state;
    char outside[] = "../x";
    char **svgs = NULL;
    ib_error err = {0};
    f->figures[0].name = outside;
    assert_int_equal(ib_report_draw(&f->report, NULL, &svgs, &err), IB_ERROR_USAGE);
    ib_error_clear(&err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_page_is_safe_and_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ids_are_unique, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_bytes_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_of_figures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_xml_is_well_formed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_the_converter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_converter_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_that_leave_the_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
