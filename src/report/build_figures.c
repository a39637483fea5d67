/* Figures over values: curves, bars, heatmaps, scatter. Those of single runs: build_classes.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_figures.h"

static char *panel_title(ib_builder *b, const ib_report_item *item, const ib_cross *cross,
                         size_t panel, const ib_metric_info *metric) {
    char *title = ib_tuple_text(b, &cross->panels, panel, 1);
    if (item->values.count > 1 && title != NULL)
        ib_extend(b, &title, title[0] != '\0' ? ": " : "", metric->title);
    return title;
}

static int has_points(const ib_figure_panel *panel) {
    for (size_t s = 0; s < panel->series_count; ++s)
        if (panel->series[s].count > 0)
            return 1;
    return 0;
}

/* "resnet18, adam, published" or with the machine. */
static char *published_name(ib_builder *b, const char *name, const ib_published *p) {
    const char *machine = p->machine != NULL ? p->machine : "published";
    return ib_keep(b, ib_format("%s%s%s%s", name, name[0] != '\0' ? ", " : "", machine,
                                p->machine != NULL ? " (published)" : ""));
}

/* ---- curves -------------------------------------------------------------------------------------
 */

static void curve(ib_builder *b, const ib_report_item *item, const ib_cross *cross, size_t p,
                  size_t column, const ib_metric_info *metric, ib_figure_panel *panel) {
    char *name = ib_tuple_text(b, &cross->columns, column, 1);
    char *other = ib_keep(b, ib_format("%s%spublished", name != NULL ? name : "",
                                       name != NULL && name[0] != '\0' ? ", " : ""));
    ib_figure_series *series = ib_add_series(b, panel, name);
    for (size_t r = 0; series != NULL && r < cross->rows.count && !b->failed; ++r) {
        ib_bucket bucket = ib_cross_bucket(cross, p, r, column);
        ib_statistics s = ib_bucket_statistics(b, item, bucket, metric);
        if (!isnan(s.mean))
            ib_add_point(b, series, (double)bucket.entries[0].epoch, s.mean, s.low, s.high, NULL);
    }
    if (series != NULL && series->count == 0)
        ib_drop_last_series(panel);
    series = ib_add_series(b, panel, other);
    if (series == NULL || b->failed)
        return;
    series->published = 1;
    for (size_t r = 0; r < cross->rows.count && !b->failed; ++r) {
        ib_bucket bucket = ib_cross_bucket(cross, p, r, column);
        size_t count = 0;
        size_t *list = ib_bucket_published(b, bucket, metric, &count);
        for (size_t i = 0; i < count; ++i) {
            const ib_published *value = &b->study->published[list[i]];
            if (value->epoch > 0) /* a lone value for the end is no curve */
                ib_add_point(b, series, (double)bucket.entries[0].epoch,
                             (value->low + value->high) / 2, value->low, value->high, NULL);
        }
        free(list);
    }
    if (series->count == 0)
        ib_drop_last_series(panel);
}

static void build_curves(ib_builder *b, const ib_report_item *item, const ib_cross *cross,
                         const ib_metric_info *metric, ib_report_figure *figure) {
    for (size_t p = 0; p < cross->panels.count && !b->failed; ++p) {
        ib_figure_panel *panel = ib_add_panel(b, figure, panel_title(b, item, cross, p, metric));
        for (size_t c = 0; panel != NULL && c < cross->columns.count && !b->failed; ++c)
            curve(b, item, cross, p, c, metric, panel);
    }
}

/* ---- bars ---------------------------------------------------------------------------------------
 */

/* Published values of one combination of columns: a series for each machine. */
static void published_bars(ib_builder *b, const ib_cross *cross, size_t p, size_t column,
                           const char *name, const ib_metric_info *metric, ib_figure_panel *panel) {
    size_t first = panel->series_count;
    for (size_t r = 0; r < cross->rows.count && !b->failed; ++r) {
        size_t count = 0;
        size_t *list = ib_bucket_published(b, ib_cross_bucket(cross, p, r, column), metric, &count);
        for (size_t i = 0; i < count && !b->failed; ++i) {
            const ib_published *value = &b->study->published[list[i]];
            char *wanted = published_name(b, name, value);
            size_t s = first;
            while (wanted != NULL && s < panel->series_count &&
                   strcmp(panel->series[s].name, wanted) != 0)
                ++s;
            if (wanted != NULL && s == panel->series_count) {
                ib_figure_series *fresh = ib_add_series(b, panel, wanted);
                if (fresh != NULL)
                    fresh->published = 1;
            } else {
                free(wanted);
            }
            /* A second source for the same bar: the first one stands. */
            ib_figure_series *series = b->failed ? NULL : &panel->series[s];
            if (series != NULL &&
                (series->count == 0 || series->points[series->count - 1].x != (double)r))
                ib_add_point(b, series, (double)r, (value->low + value->high) / 2, value->low,
                             value->high, NULL);
        }
        free(list);
    }
}

static void build_bars(ib_builder *b, const ib_report_item *item, const ib_cross *cross,
                       const ib_metric_info *metric, ib_report_figure *figure) {
    for (size_t p = 0; p < cross->panels.count && !b->failed; ++p) {
        ib_figure_panel *panel = ib_add_panel(b, figure, panel_title(b, item, cross, p, metric));
        for (size_t r = 0; panel != NULL && r < cross->rows.count && !b->failed; ++r) {
            char **label = ib_append(b, &panel->labels, &panel->label_count, sizeof *label);
            if (label != NULL)
                *label = ib_tuple_text(b, &cross->rows, r, 0);
        }
        for (size_t c = 0; panel != NULL && c < cross->columns.count && !b->failed; ++c) {
            char *name = ib_tuple_text(b, &cross->columns, c, 1);
            ib_figure_series *series =
                name == NULL ? NULL : ib_add_series(b, panel, ib_keep_copy(b, name));
            for (size_t r = 0; series != NULL && r < cross->rows.count && !b->failed; ++r) {
                ib_statistics s =
                    ib_bucket_statistics(b, item, ib_cross_bucket(cross, p, r, c), metric);
                if (!isnan(s.mean))
                    ib_add_point(b, series, (double)r, s.mean, s.low, s.high, NULL);
            }
            if (series != NULL && series->count == 0)
                ib_drop_last_series(panel);
            if (name != NULL && !b->failed)
                published_bars(b, cross, p, c, name, metric, panel);
            free(name);
        }
    }
}

/* ---- heatmap ------------------------------------------------------------------------------------
 */

static char **tuple_texts(ib_builder *b, const ib_tuples *tuples, size_t *count) {
    char **texts = calloc(tuples->count + 1, sizeof *texts);
    b->failed |= texts == NULL;
    for (size_t i = 0; texts != NULL && i < tuples->count; ++i)
        texts[i] = ib_tuple_text(b, tuples, i, 0);
    *count = texts == NULL ? 0 : tuples->count;
    return texts;
}

static void build_heatmap(ib_builder *b, const ib_report_item *item, const ib_cross *cross,
                          const ib_metric_info *metric, ib_report_figure *figure) {
    size_t rows = cross->rows.count, columns = cross->columns.count;
    for (size_t p = 0; p < cross->panels.count && !b->failed; ++p) {
        ib_figure_panel *panel = ib_add_panel(b, figure, panel_title(b, item, cross, p, metric));
        if (panel == NULL)
            return;
        panel->matrix = calloc(rows * columns + 1, sizeof *panel->matrix);
        b->failed |= panel->matrix == NULL;
        panel->row_labels = tuple_texts(b, &cross->rows, &panel->row_count);
        panel->column_labels = tuple_texts(b, &cross->columns, &panel->column_count);
        for (size_t i = 0; i < rows * columns && !b->failed; ++i)
            panel->matrix[i] =
                ib_bucket_statistics(b, item, ib_cross_bucket(cross, p, i / columns, i % columns),
                                     metric)
                    .mean;
    }
}

/* ---- scatter ------------------------------------------------------------------------------------
 */

static void published_points(ib_builder *b, const ib_cross *cross, size_t p,
                             const ib_metric_info *metric, ib_figure_panel *panel) {
    ib_figure_series *series = ib_add_series(b, panel, ib_keep_copy(b, "published"));
    if (series == NULL)
        return;
    series->published = 1;
    for (size_t r = 0; r < cross->rows.count && !b->failed; ++r) {
        size_t x_count = 0, y_count = 0;
        size_t *xs = ib_bucket_published(b, ib_cross_bucket(cross, p, r, 0), metric, &x_count);
        size_t *ys = ib_bucket_published(b, ib_cross_bucket(cross, p, r, 1), metric, &y_count);
        if (x_count > 0 && y_count > 0) {
            const ib_published *x = &b->study->published[xs[0]], *y = &b->study->published[ys[0]];
            ib_add_point(b, series, (x->low + x->high) / 2, (y->low + y->high) / 2, y->low, y->high,
                         ib_tuple_text(b, &cross->rows, r, 0));
        }
        free(xs);
        free(ys);
    }
    if (series->count == 0)
        ib_drop_last_series(panel);
}

static void build_scatter(ib_builder *b, const ib_report_item *item, const ib_cross *cross,
                          const ib_metric_info *metric, ib_report_figure *figure) {
    if (cross->columns.count != 2)
        return;
    for (size_t p = 0; p < cross->panels.count && !b->failed; ++p) {
        ib_figure_panel *panel = ib_add_panel(b, figure, panel_title(b, item, cross, p, metric));
        ib_figure_series *series =
            panel == NULL ? NULL : ib_add_series(b, panel, ib_keep_copy(b, "measured"));
        for (size_t r = 0; series != NULL && r < cross->rows.count && !b->failed; ++r) {
            ib_statistics x =
                ib_bucket_statistics(b, item, ib_cross_bucket(cross, p, r, 0), metric);
            ib_statistics y =
                ib_bucket_statistics(b, item, ib_cross_bucket(cross, p, r, 1), metric);
            if (!isnan(x.mean) && !isnan(y.mean))
                ib_add_point(b, series, x.mean, y.mean, y.low, y.high,
                             ib_tuple_text(b, &cross->rows, r, 0));
        }
        if (series != NULL && series->count == 0)
            ib_drop_last_series(panel);
        if (panel != NULL && !b->failed)
            published_points(b, cross, p, metric, panel);
    }
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static void label_axes(ib_builder *b, const ib_report_item *item, const ib_cross *cross,
                       const ib_metric_info *metric, ib_report_figure *figure) {
    char *value = item->values.count > 1 && item->kind != IB_FIGURE_HEATMAP
                      ? ib_keep_copy(b, "value")
                      : ib_metric_label(b, metric);
    if (item->kind == IB_FIGURE_SCATTER && cross->columns.count == 2) {
        char *x = ib_tuple_text(b, &cross->columns, 0, 1);
        char *y = ib_tuple_text(b, &cross->columns, 1, 1);
        figure->x_label = ib_keep(b, ib_format("%s, %s", value, x));
        figure->y_label = ib_keep(b, ib_format("%s, %s", value, y));
        free(x);
        free(y);
        free(value);
    } else if (item->kind == IB_FIGURE_HEATMAP) {
        figure->x_label = ib_tuples_title(b, &cross->columns);
        figure->y_label = ib_tuples_title(b, &cross->rows);
        free(value);
    } else {
        figure->x_label = ib_tuples_title(b, &cross->rows);
        figure->y_label = value;
    }
}

static int has_data(const ib_report_figure *figure) {
    for (size_t p = 0; p < figure->panel_count; ++p) {
        const ib_figure_panel *panel = &figure->panels[p];
        if (has_points(panel) || panel->image_count > 0)
            return 1;
        for (size_t i = 0; i < panel->row_count * panel->column_count; ++i)
            if (!isnan(panel->matrix[i]))
                return 1;
    }
    return 0;
}

/* "Bars: test accuracy (%) by batch size, learning rate; highest 99.10 (batch size 16), ...". */
static void describe(ib_builder *b, const ib_report_item *item, const ib_metric_info *metric,
                     ib_report_figure *figure) {
    size_t points = 0;
    double low = NAN, high = NAN;
    for (size_t p = 0; p < figure->panel_count; ++p)
        for (size_t s = 0; s < figure->panels[p].series_count; ++s) {
            const ib_figure_series *one = &figure->panels[p].series[s];
            for (size_t i = 0; i < one->count && !one->published; ++i) {
                ++points;
                low = !(one->points[i].y >= low) ? one->points[i].y : low;
                high = !(one->points[i].y <= high) ? one->points[i].y : high;
            }
        }
    for (size_t p = 0; p < figure->panel_count; ++p)
        for (size_t i = 0; i < figure->panels[p].row_count * figure->panels[p].column_count; ++i) {
            double value = figure->panels[p].matrix[i];
            points += !isnan(value);
            if (isnan(value))
                continue;
            low = !(value >= low) ? value : low;
            high = !(value <= high) ? value : high;
        }
    char *least = ib_value_text(b, metric, low), *most = ib_value_text(b, metric, high);
    char *label = ib_metric_label(b, metric);
    figure->description =
        ib_keep(b, points == 0 ? ib_format("%s: no values measured here.", figure->title)
                               : ib_format("%s (%s): %s from %s to %s, %zu values in %zu panel%s.",
                                           figure->title, ib_report_kind_name(item->kind),
                                           label != NULL ? label : "", least != NULL ? least : "",
                                           most != NULL ? most : "", points, figure->panel_count,
                                           figure->panel_count == 1 ? "" : "s"));
    free(least);
    free(most);
    free(label);
}

static void build_values(ib_builder *b, const ib_report_item *item, ib_report_figure *figure) {
    const char *epoch[] = {"epoch"};
    ib_axes axes = {.panels = item->panels, .rows = item->rows, .columns = item->columns};
    ib_cross cross;
    const ib_metric_info *metric = ib_metric_find(item->values.items[0]);
    if (item->kind == IB_FIGURE_CURVES)
        axes.rows = (ib_text_list){.items = epoch, .count = 1};
    ib_cross_make(b, item, &axes, &cross);
    int too_large = cross.rows.count > 0 && cross.panels.count * cross.columns.count >
                                                IB_REPORT_MAX_GRID / cross.rows.count;
    for (size_t m = 0; m < item->values.count && !b->failed && !too_large; ++m) {
        const ib_metric_info *one = ib_metric_find(item->values.items[m]);
        if (item->kind == IB_FIGURE_CURVES)
            build_curves(b, item, &cross, one, figure);
        else if (item->kind == IB_FIGURE_BARS)
            build_bars(b, item, &cross, one, figure);
        else if (item->kind == IB_FIGURE_HEATMAP)
            build_heatmap(b, item, &cross, one, figure);
        else
            build_scatter(b, item, &cross, one, figure);
    }
    figure->percent = metric->unit == IB_UNIT_FRACTION;
    if (!b->failed) {
        label_axes(b, item, &cross, metric, figure);
        describe(b, item, metric, figure);
        figure->missing = ib_missing_text(b, &cross);
    }
    if (too_large)
        ib_extend(b, &figure->missing, " ", "It has too many combinations to be drawn.");
    if (item->kind == IB_FIGURE_SCATTER && cross.columns.count != 2)
        ib_extend(b, &figure->missing, " ",
                  "A scatter compares two values of its columns; there are not two here.");
    ib_cross_free(&cross);
}

void ib_build_figure(ib_builder *b, const ib_report_item *item) {
    ib_report_figure *figure =
        ib_append(b, &b->report->figures, &b->report->figure_count, sizeof *figure);
    if (figure == NULL)
        return;
    figure->kind = item->kind;
    figure->name = ib_keep_copy(b, item->name);
    figure->title = ib_keep_copy(b, item->title);
    if (item->note != NULL)
        figure->note = ib_keep_copy(b, item->note);
    figure->log_scale = strcmp(item->scale, "log") == 0;
    if (item->kind == IB_FIGURE_CONFUSION || item->kind == IB_FIGURE_MISCLASSIFIED)
        ib_build_classes(b, item, figure);
    else if (item->kind == IB_FIGURE_COST)
        ib_build_cost(b, item, figure);
    else if (item->kind == IB_FIGURE_USAGE)
        ib_build_usage(b, item, figure);
    else
        build_values(b, item, figure);
    if (!b->failed && !has_data(figure)) {
        ib_drop_panels(figure);
        if (figure->missing == NULL)
            figure->missing = ib_keep_copy(b, "There is no value to show: no record has one.");
    }
}
