/* The canvas of figures: hostile texts, odd numbers, ticks, and the bytes of a small drawing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "report/canvas.h"
#include "report/markup.h"

static char none[] = "", name[] = "a", other[] = "b", x_label[] = "epoch", y_label[] = "loss <&>";

typedef struct sheet {
    ib_canvas canvas;
    char *text;
    size_t size;
    int failed;
} sheet;

static sheet *open_sheet(void) {
    sheet *s = calloc(1, sizeof *s);
    s->canvas = (ib_canvas){.room = IB_WIDE, .width = 400, .height = 300, .failed = &s->failed};
    s->canvas.out = open_memstream(&s->text, &s->size);
    assert_non_null(s->canvas.out);
    return s;
}

/* What has been drawn; the sheet is gone. */
static char *take(sheet *s) {
    assert_int_equal(fclose(s->canvas.out), 0);
    char *text = s->text;
    free(s);
    return text;
}

static void check_drawn(sheet *s, const char *expected) {
    char *text = take(s);
    assert_string_equal(text, expected);
    free(text);
}

static void test_texts_are_escaped(void **state) {
    (void)state;
    sheet *s = open_sheet();
    ib_canvas_text(&s->canvas, 10, 20, 'c', IB_FONT, IB_INK, "</text><script>\"&'\n\x01 é 數");
    ib_canvas_text(&s->canvas, 10, 20, 'l', IB_FONT, IB_INK, "");
    ib_canvas_text(&s->canvas, NAN, 20, 'l', IB_FONT, IB_INK, "nowhere");
    check_drawn(s, "<text x=\"10\" y=\"24.9\" text-anchor=\"middle\">&lt;/text&gt;&lt;script&gt;"
                   "&quot;&amp;'   é 數</text>\n");
}

static void test_what_is_no_character_is_replaced(void **state) {
    (void)state;
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"a\xEF\xBF\xBE", "a\xEF\xBF\xBD"}, /* U+FFFE */
        {"a\xC3", "a\xEF\xBF\xBD"},         /* cut */
        {"\xC3"
         "b",
         "\xEF\xBF\xBD"
         "b"},                                /* cut before a letter */
        {"\xC0\xAF", "\xEF\xBF\xBD"},         /* a slash in two bytes */
        {"\xE0\x80\xAF", "\xEF\xBF\xBD"},     /* in three */
        {"\xED\xA0\x80", "\xEF\xBF\xBD"},     /* half a surrogate pair */
        {"\xF4\x90\x80\x80", "\xEF\xBF\xBD"}, /* beyond Unicode */
        {"\xFF<\xF0\x9F\x98\x80", "\xEF\xBF\xBD&lt;\xF0\x9F\x98\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        sheet *s = open_sheet();
        ib_write_markup(s->canvas.out, cases[i].text);
        check_drawn(s, cases[i].written);
    }
}

static void test_only_finite_coordinates(void **state) {
    (void)state;
    static const double odd[] = {NAN, INFINITY, -INFINITY, 1e308, -1e308, 1e-320, -0.0};
    const ib_spot spots[] = {{1, 2}, {3, 4}, {NAN, 1}, {5, INFINITY}, {5, 6}, {7, 8}};
    sheet *s = open_sheet();
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; ++i) {
        ib_canvas_line(&s->canvas, odd[i], 1, 2, 3, IB_RULE, 1, 0);
        ib_canvas_box(&s->canvas, (ib_rect){0, 0, odd[i], 5}, "#ff0000", IB_INK);
        ib_canvas_mark(&s->canvas, 3, odd[i], "s1", (int)i);
        ib_canvas_fitted_upwards(&s->canvas, odd[i], 3, 50, "text");
    }
    ib_canvas_polyline(&s->canvas, spots, 6, "s2", 1);
    char *text = take(s);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    assert_null(strstr(text, "\"-0\""));
    assert_non_null(strstr(text, "d=\"M1 2L3 4M5 6L7 8\"")); /* a gap breaks the line */
    assert_non_null(strstr(text, "x1=\"1000000\""));
    free(text);
}

/* Numbers of a fitted axis, one after the other. */
static void check_ticks(ib_axis axis, double low, double high, const char *expected) {
    ib_tick ticks[IB_MOST_TICKS];
    char text[IB_MOST_TICKS * (IB_TICK_TEXT + 1)] = "";
    ib_axis_fit(&axis, low, high);
    assert_true(isfinite(axis.low) && isfinite(axis.high) && axis.low < axis.high);
    size_t count = ib_axis_ticks(&axis, ticks), length = 0;
    for (size_t i = 0; i < count; ++i) {
        assert_true(i == 0 || ticks[i - 1].value < ticks[i].value);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i > 0 ? "|" : "",
                                   ticks[i].text);
    }
    assert_string_equal(text, expected);
    const double values[] = {low, high, 0, -1, NAN, 1e308, -1e308};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; ++i) {
        double at = ib_axis_at(&axis, values[i], 10, 110);
        assert_true(at >= 10 && at <= 110);
    }
}

static void test_linear_ticks(void **state) {
    (void)state;
    const ib_axis plain = {0}, percent = {.percent = 1}, whole = {.whole = 1};
    check_ticks(plain, 0, 10, "0|2|4|6|8|10");
    check_ticks(plain, INFINITY, -INFINITY, "0.0|0.2|0.4|0.6|0.8|1.0"); /* no data */
    check_ticks(plain, 0, 0, "0.0|0.2");
    check_ticks(plain, -0.3, 0.3, "-0.4|-0.2|0.0|0.2|0.4");
    check_ticks(percent, 99.951, 99.987, "99.95 %|99.96 %|99.97 %|99.98 %|99.99 %");
    check_ticks(percent, 100, 100, "98 %|100 %"); /* all equal */
    check_ticks(whole, 1, 2, "1|2");
    check_ticks(whole, 3, 3, "2|3|4");
    check_ticks(plain, 0, 3e6, "0|1e6|2e6|3e6");
    check_ticks(plain, 0, 2.5e-7, "0|5e-8|1e-7|1.5e-7|2e-7|2.5e-7");
    check_ticks(plain, 1e9, 1e9 + 5,
                "1e9|1.000000001e9|1.000000002e9|1.000000003e9|1.000000004e9|1.000000005e9");
    check_ticks(plain, -INFINITY, INFINITY, "-1e300|-5e299|0|5e299|1e300");
    check_ticks(plain, 0, 1e-310, "0.0|0.2");
}

static void test_log_ticks(void **state) {
    (void)state;
    const ib_axis logarithmic = {.log = 1};
    check_ticks(logarithmic, INFINITY, -INFINITY, "1|2|5|10");
    check_ticks(logarithmic, 0.02, 3, "0.02|0.05|0.1|0.2|0.5|1|2");
    check_ticks(logarithmic, 1, 1e5, "1|10|100|1000|10000|100000");
    check_ticks(logarithmic, 0, 10, "0|2|4|6|8|10"); /* zero has no logarithm: a linear axis */
    check_ticks(logarithmic, 3.1, 3.3, "2.5|3.0|3.5|4.0");
    ib_axis wide = logarithmic;
    ib_tick ticks[IB_MOST_TICKS];
    ib_axis_fit(&wide, 1e-300, 1e300);
    assert_in_range(ib_axis_ticks(&wide, ticks), 5, 12);
}

/* Of numbers that would meet, some are left out; their lines stay. */
static void test_crowded_numbers(void **state) {
    (void)state;
    sheet *s = open_sheet();
    ib_axis axis = {.percent = 1};
    ib_axis_fit(&axis, 99.951, 99.999);
    ib_canvas_axes(&s->canvas, (ib_rect){0, 0, 120, 100}, &axis, 1, NULL, 0);
    char *text = take(s);
    size_t lines = 0, numbers = 0;
    for (const char *at = text; (at = strstr(at, "<line")) != NULL; ++at)
        ++lines;
    for (const char *at = text; (at = strstr(at, "<text")) != NULL; ++at)
        ++numbers;
    assert_int_equal(lines, 6 + 1);
    assert_int_equal(numbers, 2);
    free(text);
}

static void test_texts_that_do_not_fit(void **state) {
    (void)state;
    assert_true(ib_text_width("WWW", 10) > ib_text_width("iii", 10));
    assert_true(ib_text_width("數", 10) == 10);
    sheet *s = open_sheet();
    ib_canvas_fitted(&s->canvas, 0, 0, 'l', 40, "a name that is too long");
    assert_int_equal(ib_canvas_wrapped(&s->canvas, 0, 0, 'l', IB_FONT, 60, "one two three four"),
                     3);
    char *text = take(s);
    assert_non_null(strstr(text, "…</text>"));
    assert_non_null(strstr(text, ">one two</text>"));
    free(text);
}

static void test_an_image(void **state) {
    (void)state;
    static const unsigned char pixels[] = {0, 255, 128, 7};
    sheet *s = open_sheet();
    ib_canvas_image(&s->canvas, (ib_rect){1, 2, 5, 6}, pixels, 2, 2);
    ib_canvas_image(&s->canvas, (ib_rect){1, 2, 5, 6}, pixels, 0, 2);
    check_drawn(s,
                "<image x=\"1\" y=\"2\" width=\"4\" height=\"4\" href=\"data:image/png;base64,"
                "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAAEUlEQVR4AQEGAPn/AAD/AIAHBQkBhwdN"
                "O48AAAAASUVORK5CYII=\"/>\n");
}

static void test_empty_figures(void **state) {
    (void)state;
    ib_figure_series series = {.name = none};
    ib_figure_panel panel = {.title = none, .series = &series};
    for (int kind = IB_FIGURE_CURVES; kind <= (int)IB_FIGURE_USAGE; ++kind)
        for (size_t count = 0; count < 2; ++count) {
            panel.series_count = count;
            ib_report_figure figure = {.kind = (ib_report_kind)kind,
                                       .name = name,
                                       .title = name,
                                       .x_label = x_label,
                                       .y_label = y_label,
                                       .panels = &panel,
                                       .panel_count = 1};
            size_t size;
            char *file = ib_svg_file(&figure, &size), *part = ib_svg_inline(&figure, 3);
            assert_null(strstr(file, "nan"));
            assert_null(strstr(file, "inf"));
            assert_null(strstr(part, "nan"));
            assert_int_equal(strlen(file), size);
            free(part);
            free(file);
        }
}

/* A change here changes every figure: look at some before the bytes below follow. */
static void test_golden_bytes(void **state) {
    (void)state;
    ib_figure_point points[] = {{.x = 1, .y = 0.5, .low = 0.4, .high = 0.6},
                                {.x = 2, .y = 0.25, .low = 0.2, .high = 0.25},
                                {.x = 3, .y = NAN, .low = NAN, .high = NAN},
                                {.x = 4, .y = 0.125, .low = 0.125, .high = 0.125}};
    ib_figure_series series[] = {{.name = name, .points = points, .count = 4},
                                 {.name = other, .published = 1, .points = points, .count = 2}};
    ib_figure_panel panel = {.title = none, .series = series, .series_count = 2};
    ib_report_figure figure = {.kind = IB_FIGURE_CURVES,
                               .name = name,
                               .title = y_label,
                               .x_label = x_label,
                               .y_label = y_label,
                               .panels = &panel,
                               .panel_count = 1};
    sheet *s = open_sheet();
    ib_canvas canvas = {.room = IB_NARROW, .failed = &s->failed};
    ib_draw_figure(&canvas, &figure); /* its size */
    canvas.out = s->canvas.out;
    ib_draw_figure(&canvas, &figure);
    static const char expected[] =
        "<line x1=\"8\" y1=\"11\" x2=\"32\" y2=\"11\" fill=\"none\" class=\"s1\" "
        "stroke=\"currentColor\" stroke-width=\"2\"/>\n"
        "<circle cx=\"20\" cy=\"11\" r=\"4\" class=\"s1\"/>\n"
        "<text x=\"38\" y=\"15.9\">a</text>\n"
        "<line x1=\"70.54\" y1=\"11\" x2=\"94.54\" y2=\"11\" fill=\"none\" class=\"s2\" "
        "stroke=\"currentColor\" stroke-width=\"2\" stroke-dasharray=\"6 4\"/>\n"
        "<path d=\"M82.54 11m-3.6 -3.6h7.2v7.2h-7.2z\" fill=\"none\" class=\"s2\" "
        "stroke=\"currentColor\" stroke-width=\"1.5\"/>\n"
        "<text x=\"100.54\" y=\"15.9\">b</text>\n"
        "<line x1=\"90\" y1=\"38\" x2=\"90\" y2=\"268\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"187.33\" y1=\"38\" x2=\"187.33\" y2=\"268\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"284.67\" y1=\"38\" x2=\"284.67\" y2=\"268\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"382\" y1=\"38\" x2=\"382\" y2=\"268\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"90\" y1=\"268\" x2=\"382\" y2=\"268\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"90\" y1=\"222\" x2=\"382\" y2=\"222\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"90\" y1=\"176\" x2=\"382\" y2=\"176\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"90\" y1=\"130\" x2=\"382\" y2=\"130\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"90\" y1=\"84\" x2=\"382\" y2=\"84\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<line x1=\"90\" y1=\"38\" x2=\"382\" y2=\"38\" fill=\"none\" class=\"rule\" "
        "stroke=\"currentColor\" stroke-width=\"0.8\"/>\n"
        "<text x=\"90\" y=\"288.2\" font-size=\"12\" text-anchor=\"middle\" "
        "class=\"muted\">1</text>\n"
        "<text x=\"187.33\" y=\"288.2\" font-size=\"12\" text-anchor=\"middle\" "
        "class=\"muted\">2</text>\n"
        "<text x=\"284.67\" y=\"288.2\" font-size=\"12\" text-anchor=\"middle\" "
        "class=\"muted\">3</text>\n"
        "<text x=\"382\" y=\"288.2\" font-size=\"12\" text-anchor=\"middle\" "
        "class=\"muted\">4</text>\n"
        "<text x=\"79\" y=\"272.2\" font-size=\"12\" text-anchor=\"end\" "
        "class=\"muted\">0.1</text>\n"
        "<text x=\"79\" y=\"226.2\" font-size=\"12\" text-anchor=\"end\" "
        "class=\"muted\">0.2</text>\n"
        "<text x=\"79\" y=\"180.2\" font-size=\"12\" text-anchor=\"end\" "
        "class=\"muted\">0.3</text>\n"
        "<text x=\"79\" y=\"134.2\" font-size=\"12\" text-anchor=\"end\" "
        "class=\"muted\">0.4</text>\n"
        "<text x=\"79\" y=\"88.2\" font-size=\"12\" text-anchor=\"end\" "
        "class=\"muted\">0.5</text>\n"
        "<text x=\"79\" y=\"42.2\" font-size=\"12\" text-anchor=\"end\" "
        "class=\"muted\">0.6</text>\n"
        "<line x1=\"90\" y1=\"38\" x2=\"90\" y2=\"268\" fill=\"none\" class=\"muted\" "
        "stroke=\"currentColor\" stroke-width=\"1\"/>\n"
        "<line x1=\"90\" y1=\"268\" x2=\"382\" y2=\"268\" fill=\"none\" class=\"muted\" "
        "stroke=\"currentColor\" stroke-width=\"1\"/>\n"
        "<text x=\"18.9\" y=\"153\" text-anchor=\"middle\" transform=\"rotate(-90 18.9 153)\">loss "
        "&lt;&amp;&gt;</text>\n"
        "<text x=\"236\" y=\"310.9\" text-anchor=\"middle\">epoch</text>\n"
        "<path d=\"M90 38L187.33 199L187.33 222L90 130z\" fill-opacity=\"0.18\" class=\"s1\"/>\n"
        "<path d=\"M90 38L187.33 199L187.33 222L90 130z\" fill-opacity=\"0.18\" class=\"s2\"/>\n"
        "<path d=\"M90 84L187.33 199M382 256.5\" fill=\"none\" class=\"s1\" "
        "stroke=\"currentColor\" stroke-width=\"2\" stroke-linejoin=\"round\"/>\n"
        "<path d=\"M90 84L187.33 199\" fill=\"none\" class=\"s2\" stroke=\"currentColor\" "
        "stroke-width=\"2\" stroke-linejoin=\"round\" stroke-dasharray=\"6 4\"/>\n"
        "<circle cx=\"90\" cy=\"84\" r=\"4\" class=\"s1\"/>\n"
        "<circle cx=\"187.33\" cy=\"199\" r=\"4\" class=\"s1\"/>\n"
        "<circle cx=\"382\" cy=\"256.5\" r=\"4\" class=\"s1\"/>\n"
        "<path d=\"M90 84m-3.6 -3.6h7.2v7.2h-7.2z\" fill=\"none\" class=\"s2\" "
        "stroke=\"currentColor\" stroke-width=\"1.5\"/>\n"
        "<path d=\"M187.33 199m-3.6 -3.6h7.2v7.2h-7.2z\" fill=\"none\" class=\"s2\" "
        "stroke=\"currentColor\" stroke-width=\"1.5\"/>\n";
    check_drawn(s, expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_escaped),
        cmocka_unit_test(test_what_is_no_character_is_replaced),
        cmocka_unit_test(test_only_finite_coordinates),
        cmocka_unit_test(test_linear_ticks),
        cmocka_unit_test(test_log_ticks),
        cmocka_unit_test(test_crowded_numbers),
        cmocka_unit_test(test_texts_that_do_not_fit),
        cmocka_unit_test(test_an_image),
        cmocka_unit_test(test_empty_figures),
        cmocka_unit_test(test_golden_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
