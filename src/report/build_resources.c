/* What runs took and cost: notes below tables, accuracy over cost, use over time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "record/run_files.h"
#include "report/build_figures.h"
#include "report/canvas.h"
#include "report/usage.h"

enum { MAX_SAMPLES = 200 }; /* of a curve */

static int is_cost(const char *metric) {
    return ib_metric_find(metric)->unit == IB_UNIT_MONEY || strcmp(metric, "watt_hours") == 0;
}

int ib_study_shows_costs(const ib_study *study) {
    for (size_t i = 0; i < study->item_count; ++i) {
        const ib_report_item *item = &study->items[i];
        if (item->kind == IB_TABLE_RESOURCES || item->kind == IB_FIGURE_COST)
            return 1;
        for (size_t v = 0; v < item->values.count; ++v)
            if (is_cost(item->values.items[v]))
                return 1;
    }
    return 0;
}

/* ---- in words -----------------------------------------------------------------------------------
 */

/* The next finished run of the cross that has not been seen; NULL: there is none. */
static const ib_report_record *next_run(const ib_builder *b, const ib_cross *cross, size_t *at,
                                        unsigned char *seen) {
    while (*at < cross->count) {
        size_t run = b->input->run_of_cell[cross->entries[(*at)++].cell];
        if (seen[run] || !ib_run_is_finished(b, run))
            continue;
        seen[run] = 1;
        return &b->records[run];
    }
    return NULL;
}

static void add_sentence(ib_builder *b, char **text, char *sentence) {
    if (ib_keep(b, sentence) != NULL)
        ib_extend(b, text, " ", sentence);
    free(sentence);
}

static char *price_text(ib_builder *b, const ib_price *price) {
    const ib_metric_info *money = ib_metric_find("cost_on_demand");
    char *text = NULL;
    for (int spot = 0; spot < 2; ++spot) {
        double value = spot ? price->spot : price->on_demand;
        char *number = isnan(value) ? NULL : ib_value_text(b, money, value);
        char *part = number == NULL
                         ? NULL
                         : ib_keep(b, ib_format("%s %s an hour %s", number, price->currency,
                                                spot ? "on spot" : "on demand"));
        if (part != NULL)
            ib_extend(b, &text, ", ", part);
        free(part);
        free(number);
    }
    char *whole = ib_keep(b, ib_format("Price of %s: %s, as of %s (%s).", price->name,
                                       text != NULL ? text : "", price->date, price->source));
    free(text);
    return whole;
}

/* Why the runs of this hardware have no price. */
static char *no_price_text(ib_builder *b, const char *hardware) {
    const ib_report_pricing *pricing = b->input->pricing;
    if (pricing == NULL || pricing->prices == NULL)
        return ib_keep(b, ib_format("No price: %s is not there; name a table with --prices.",
                                    pricing != NULL ? pricing->table : "a table of prices"));
    return ib_keep(b, ib_format("No price: no row of %s matches %s; name one with --machine.",
                                pricing->table, hardware));
}

char *ib_prices_text(ib_builder *b, const ib_cross *cross) {
    unsigned char *seen = calloc(b->input->run_count + 1, 1);
    const ib_report_record *record;
    char *text = NULL;
    b->failed |= seen == NULL;
    for (size_t at = 0; !b->failed && (record = next_run(b, cross, &at, seen)) != NULL;) {
        char *one = record->price != NULL      ? price_text(b, record->price)
                    : record->hardware != NULL ? no_price_text(b, record->hardware)
                                               : NULL;
        if (one != NULL && (text == NULL || strstr(text, one) == NULL))
            ib_extend(b, &text, " ", one);
        free(one);
    }
    free(seen);
    return text != NULL ? text : ib_keep_copy(b, "");
}

static void note_energy(ib_builder *b, const ib_cross *cross, unsigned char *seen, char **note) {
    const ib_metric_info *metric = ib_metric_find("watt_hours");
    const ib_report_record *record;
    size_t runs = 0, measured = 0, estimated = 0, recorded = 0;
    char *reasons = NULL;
    for (size_t at = 0; !b->failed && (record = next_run(b, cross, &at, seen)) != NULL; ++runs) {
        int known = !isnan(record->finals[ib_metric_index(metric)]);
        const char *reason = record->run.resources.energy_reason;
        recorded += !isnan(record->run.resources.seconds);
        estimated += record->energy_estimated != 0;
        measured += known && !record->energy_estimated;
        if (reason != NULL && (reasons == NULL || strstr(reasons, reason) == NULL))
            ib_extend(b, &reasons, "; ", reason);
    }
    const char *colon = reasons != NULL ? ": " : "", *why = reasons != NULL ? reasons : "";
    if (recorded > 0 && measured < recorded)
        add_sentence(b, note,
                     measured == 0 ? ib_format("Energy was not measured%s%s.", colon, why)
                                   : ib_format("Energy was measured for %zu of %zu runs%s%s.",
                                               measured, runs, colon, why));
    if (estimated > 0)
        add_sentence(b, note,
                     ib_format("The energy of %zu run%s is estimated by a power of %g W.",
                               estimated, estimated == 1 ? "" : "s", b->input->pricing->watts));
    if (recorded < runs)
        add_sentence(b, note,
                     ib_format("%zu of %zu finished runs hold no totals of resources: an earlier "
                               "version wrote them, or --sample-period was 0. Their time is "
                               "total_seconds.",
                               runs - recorded, runs));
    free(reasons);
}

void ib_note_resources(ib_builder *b, const ib_cross *cross, ib_report_table *table) {
    unsigned char *seen = calloc(b->input->run_count + 1, 1);
    b->failed |= seen == NULL;
    if (b->failed) {
        free(seen);
        return;
    }
    ib_extend(b, &table->note, " ", "100 % of CPU use is one CPU.");
    note_energy(b, cross, seen, &table->note);
    char *prices = ib_prices_text(b, cross);
    if (prices != NULL && prices[0] != '\0')
        ib_extend(b, &table->note, " ", prices);
    free(prices);
    free(seen);
}

/* ---- accuracy over cost -------------------------------------------------------------------------
 */

/* Money where a run of the cross has a price, else seconds. */
static const ib_metric_info *cost_metric(const ib_builder *b, const ib_cross *cross) {
    for (size_t i = 0; i < cross->count; ++i) {
        size_t run = b->input->run_of_cell[cross->entries[i].cell];
        if (ib_run_is_finished(b, run) && b->records[run].price != NULL)
            return ib_metric_find("cost_of_1000_runs");
    }
    return ib_metric_find("run_seconds");
}

static void describe_cost(ib_builder *b, const ib_metric_info *x, ib_report_figure *figure) {
    size_t points = 0;
    double low = INFINITY, high = -INFINITY;
    for (size_t p = 0; p < figure->panel_count; ++p)
        for (size_t s = 0; s < figure->panels[p].series_count; ++s)
            for (size_t i = 0; i < figure->panels[p].series[s].count; ++i, ++points) {
                low = fmin(low, figure->panels[p].series[s].points[i].x);
                high = fmax(high, figure->panels[p].series[s].points[i].x);
            }
    char *least = ib_value_text(b, x, low), *most = ib_value_text(b, x, high);
    figure->description = ib_keep(
        b, points == 0 ? ib_format("%s: no values measured here.", figure->title)
                       : ib_format("%s (cost): test accuracy over %s, %zu points from %s to %s.",
                                   figure->title, figure->x_label, points, least, most));
    free(least);
    free(most);
}

void ib_build_cost(ib_builder *b, const ib_report_item *item, ib_report_figure *figure) {
    const ib_metric_info *y = ib_metric_find("test_accuracy");
    ib_axes axes = {.panels = item->panels, .rows = item->rows, .columns = item->columns};
    ib_cross cross;
    ib_cross_make(b, item, &axes, &cross);
    const ib_metric_info *x = cost_metric(b, &cross);
    for (size_t p = 0; p < cross.panels.count && !b->failed; ++p) {
        ib_figure_panel *panel = ib_add_panel(b, figure, ib_tuple_text(b, &cross.panels, p, 1));
        for (size_t c = 0; panel != NULL && c < cross.columns.count && !b->failed; ++c) {
            ib_figure_series *series =
                ib_add_series(b, panel, ib_tuple_text(b, &cross.columns, c, 1));
            for (size_t r = 0; series != NULL && r < cross.rows.count && !b->failed; ++r) {
                ib_bucket bucket = ib_cross_bucket(&cross, p, r, c);
                double at = ib_bucket_statistics(b, item, bucket, x).mean;
                ib_statistics s = ib_bucket_statistics(b, item, bucket, y);
                if (!isnan(at) && !isnan(s.mean))
                    ib_add_point(b, series, at, s.mean, s.low, s.high,
                                 ib_tuple_text(b, &cross.rows, r, 1));
            }
            if (series != NULL && series->count == 0)
                ib_drop_last_series(panel);
        }
    }
    char *prices = ib_prices_text(b, &cross);
    if (strcmp(x->name, "run_seconds") == 0)
        ib_extend(b, &figure->note, " ", "Over seconds, since no run has a price.");
    if (prices != NULL && prices[0] != '\0')
        ib_extend(b, &figure->note, " ", prices);
    free(prices);
    figure->percent = 1;
    figure->x_label = ib_metric_label(b, x);
    figure->y_label = ib_metric_label(b, y);
    if (!b->failed) {
        figure->missing = ib_missing_text(b, &cross);
        describe_cost(b, x, figure);
    }
    ib_cross_free(&cross);
}

/* ---- use over time ------------------------------------------------------------------------------
 */

typedef struct usage {
    char *name;
    char *damage; /* what is wrong with a file that is not shown; NULL: nothing */
    ib_usage_sample *samples;
    size_t count;
} usage;

static const struct {
    const char *title, *label;
} KINDS[] = {
    [IB_USAGE_CPU] = {"CPU use: 100 % is one CPU", "CPU use (%)"},
    [IB_USAGE_MEMORY] = {"Resident memory", "memory (MB)"},
    [IB_USAGE_POWER] = {"Power of CPUs and memory, the whole machine", "power (W)"},
    [IB_USAGE_GPU] = {"GPU use, mean over GPUs", "GPU use (%)"},
    [IB_USAGE_GPU_POWER] = {"Power of all GPUs", "power (W)"},
};

/* The samples of the first run of the column that has some. */
static void read_column(ib_builder *b, const ib_cross *cross, size_t column, usage *u,
                        size_t *most) {
    ib_bucket bucket = ib_cross_bucket(cross, 0, 0, column);
    u->name = ib_tuple_text(b, &cross->columns, column, 1);
    for (size_t i = 0; i < bucket.count && u->count == 0 && !b->failed; ++i) {
        size_t run = b->input->run_of_cell[bucket.entries[i].cell], each;
        if (!ib_run_is_finished(b, run))
            continue;
        free(u->samples);
        ib_error why = {0};
        if (ib_usage_read(&b->records[run].run, MAX_SAMPLES, &u->samples, &u->count, &each, &why) !=
            IB_OK) {
            free(u->damage);
            u->damage = ib_format("%s.", ib_error_text(&why));
            b->failed |= u->damage == NULL || ib_error_is_memory(&why);
            ib_error_clear(&why);
            u->count = 0;
            continue;
        }
        *most = each > *most ? each : *most;
    }
}

static void add_usage_panel(ib_builder *b, const usage *columns, size_t count, int kind,
                            ib_report_figure *figure) {
    ib_figure_panel *panel = ib_add_panel(b, figure, ib_keep_copy(b, KINDS[kind].title));
    if (panel == NULL)
        return;
    panel->y_label = ib_keep_copy(b, KINDS[kind].label);
    for (size_t c = 0; c < count && !b->failed; ++c) {
        ib_figure_series *series = ib_add_series(b, panel, ib_keep_copy(b, columns[c].name));
        for (size_t i = 0; series != NULL && i < columns[c].count && !b->failed; ++i) {
            double y = columns[c].samples[i].values[kind];
            if (!isnan(y))
                ib_add_point(b, series, columns[c].samples[i].seconds, y, y, y, NULL);
        }
        if (series != NULL && series->count == 0)
            ib_drop_last_series(panel);
    }
    if (panel->series_count == 0) { /* no run was watched for that */
        free(panel->series);
        free(panel->title);
        free(panel->y_label);
        --figure->panel_count;
    }
}

static void say_unwatched(ib_builder *b, const usage *columns, size_t count,
                          ib_report_figure *figure) {
    char *names = NULL;
    size_t unwatched = 0;
    for (size_t c = 0; c < count; ++c) {
        if (columns[c].count > 0)
            continue;
        if (columns[c].damage != NULL) {
            ib_extend(b, &figure->missing, " ", columns[c].damage);
            continue;
        }
        ++unwatched;
        if (columns[c].name[0] != '\0')
            ib_extend(b, &names, "; ", columns[c].name);
    }
    char *text =
        unwatched == 0
            ? NULL
            : ib_format("%zu of %zu lines have no run with samples of resources "
                        "(resources.jsonl)%s%s: not run, written by an earlier version, "
                        "or with --sample-period 0.",
                        unwatched, count, names != NULL ? ": " : "", names != NULL ? names : "");
    if (unwatched > 0)
        add_sentence(b, &figure->missing, text);
    free(names);
}

static void fill_usage(ib_builder *b, const ib_cross *cross, ib_report_figure *figure) {
    size_t count = cross->columns.count, most = 1, points = 0;
    usage *columns = calloc(count + 1, sizeof *columns);
    b->failed |= columns == NULL;
    for (size_t c = 0; c < count && !b->failed; ++c) {
        read_column(b, cross, c, &columns[c], &most);
        points += columns[c].count;
    }
    for (int kind = 0; kind < IB_USAGE_KINDS && !b->failed; ++kind)
        add_usage_panel(b, columns, count, kind, figure);
    if (!b->failed) {
        say_unwatched(b, columns, count, figure);
        if (points > 0)
            ib_extend(b, &figure->note, " ", "One run a line: the first seed that was watched.");
        if (most > 1)
            add_sentence(b, &figure->note,
                         ib_format("Points are means of up to %zu samples.", most));
        figure->description = ib_keep(
            b, ib_format("%s (usage): what the process took over time, %zu samples of %zu lines.",
                         figure->title, points, count));
    }
    for (size_t c = 0; columns != NULL && c < count; ++c) {
        free(columns[c].name);
        free(columns[c].damage);
        free(columns[c].samples);
    }
    free(columns);
}

void ib_build_usage(ib_builder *b, const ib_report_item *item, ib_report_figure *figure) {
    ib_axes axes = {.columns = item->columns};
    ib_cross cross;
    ib_cross_make(b, item, &axes, &cross);
    figure->x_label = ib_keep_copy(b, "running time (s)");
    figure->y_label = ib_keep_copy(b, "");
    if (!b->failed && cross.columns.count <= IB_LOOKS)
        fill_usage(b, &cross, figure);
    else if (!b->failed) {
        add_sentence(b, &figure->missing,
                     ib_format("It is left out: %zu lines are more than can be told apart.",
                               cross.columns.count));
        figure->description = ib_keep(b, ib_format("%s: left out.", figure->title));
    }
    ib_cross_free(&cross);
}
