/* Sentences on what runs cost and took. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_parts.h"

/* A configuration's means. */
typedef struct offer {
    size_t cell; /* one of its cells */
    double cost, accuracy;
} offer;

static const char *plural(size_t count) {
    return count == 1 ? "" : "s";
}

static int is_of(const ib_builder *b, size_t cell, const char *dataset) {
    return strcmp(b->study->cells[cell].arguments.config.experiment.dataset, dataset) == 0;
}

/* The configurations of a data set whose runs have both values; fresh memory. most: the most runs
 * of one. */
static offer *list_offers(ib_builder *b, const char *dataset, const ib_metric_info *cost,
                          size_t *count, size_t *most) {
    const ib_metric_info *accuracy = ib_metric_find("test_accuracy");
    size_t cells = b->study->cell_count;
    offer *offers = calloc(b->config_count + 1, sizeof *offers);
    ib_entry *entries = calloc(cells + 1, sizeof *entries);
    b->failed |= offers == NULL || entries == NULL;
    *count = *most = 0;
    for (size_t k = 0; k < b->config_count && !b->failed; ++k) {
        ib_bucket bucket = {.entries = entries};
        for (size_t c = 0; c < cells; ++c)
            if (b->config_of_cell[c] == k && is_of(b, c, dataset))
                entries[bucket.count++] = (ib_entry){.cell = c};
        if (bucket.count == 0)
            continue;
        ib_statistics x = ib_bucket_statistics(b, NULL, bucket, cost);
        ib_statistics y = ib_bucket_statistics(b, NULL, bucket, accuracy);
        if (isnan(x.mean) || isnan(y.mean))
            continue;
        *most = x.count > *most ? x.count : *most;
        offers[(*count)++] = (offer){entries[0].cell, x.mean, y.mean};
    }
    free(entries);
    return offers;
}

/* "aws-c5.2xlarge, fpt-h100": the prices of finished runs. Fresh memory; NULL: there are none. */
static char *price_names(ib_builder *b) {
    char *text = NULL;
    for (size_t r = 0; r < b->input->run_count; ++r) {
        const ib_price *price = ib_run_is_finished(b, r) ? b->records[r].price : NULL;
        if (price != NULL && (text == NULL || strstr(text, price->name) == NULL))
            ib_extend(b, &text, ", ", price->name);
    }
    return text;
}

/* At least as good in both, and better in one. */
static int beats(const offer *a, const offer *b) {
    return a->cost <= b->cost && a->accuracy >= b->accuracy &&
           (a->cost < b->cost || a->accuracy > b->accuracy);
}

static size_t unbeaten(const offer *offers, size_t count) {
    size_t left = 0;
    for (size_t i = 0; i < count; ++i) {
        int beaten = 0;
        for (size_t j = 0; j < count && !beaten; ++j)
            beaten = beats(&offers[j], &offers[i]);
        left += !beaten;
    }
    return left;
}

/* on: "On mnist: ", or "". */
static void say_offers(ib_builder *b, const char *on, const offer *offers, size_t count,
                       size_t most, const ib_metric_info *cost) {
    const ib_metric_info *accuracy = ib_metric_find("test_accuracy");
    const char *dataset[] = {"dataset"};
    ib_text_list but = {.items = dataset, .count = 1};
    const offer *cheap = &offers[0], *good = &offers[0];
    int money = cost->unit == IB_UNIT_MONEY;
    for (size_t i = 1; i < count; ++i) {
        const offer *o = &offers[i];
        if (o->cost < cheap->cost || (o->cost == cheap->cost && o->accuracy > cheap->accuracy))
            cheap = o;
        if (o->accuracy > good->accuracy || (o->accuracy == good->accuracy && o->cost < good->cost))
            good = o;
    }
    char *of_cheap = ib_config_text(b, cheap->cell, &but);
    char *of_good = ib_config_text(b, good->cell, &but);
    char *sum = ib_value_text(b, cost, cheap->cost);
    char *low = ib_value_text(b, accuracy, cheap->accuracy);
    char *high = ib_value_text(b, accuracy, good->accuracy);
    char *names = price_names(b), ratio[32];
    double more = good->cost / cheap->cost;
    snprintf(ratio, sizeof ratio, more < 1000 ? "%.3g" : "%.0f", more);
    const char *adjective = money ? "cheapest" : "fastest", *verb = money ? "costs" : "takes";
    char *amount = b->failed ? NULL
                             : ib_format(money ? "%s %s for 1,000 runs" : "%s %s", sum,
                                         money ? b->currency : "s");
    if (!b->failed && ib_keep(b, amount) != NULL) {
        ib_add_finding(
            b,
            cheap == good
                ? ib_format("%she configuration %s is both the %s (it %s %s) and the most "
                            "accurate, %s %% of the test images.",
                            on, of_cheap, adjective, verb, amount, low)
                : ib_format("%she %s configuration, %s, %s %s and is right on %s %% of the test "
                            "images; the most accurate, %s, %s %s times as %s and is right on "
                            "%s %%. %zu of %zu configurations are beaten by no other that is both "
                            "as accurate and as %s.",
                            on, adjective, of_cheap, verb, amount, low, of_good, verb, ratio,
                            money ? "much" : "long", high, unbeaten(offers, count), count,
                            money ? "cheap" : "fast"),
            ib_format("%zu configurations, %s; whole runs, %s%s", count,
                      most > 1 ? "means over seeds" : "one seed",
                      money ? "by the price of " : "seconds since no run has a price",
                      money ? names : ""));
    }
    free(names);
    free(amount);
    free(of_cheap);
    free(of_good);
    free(sum);
    free(low);
    free(high);
}

static void say_cost_of(ib_builder *b, const char *dataset, int several) {
    size_t count, most;
    const ib_metric_info *cost = ib_metric_find("cost_of_1000_runs");
    offer *offers = list_offers(b, dataset, cost, &count, &most);
    if (count == 0) {
        free(offers);
        cost = ib_metric_find("run_seconds");
        offers = list_offers(b, dataset, cost, &count, &most);
    }
    char *on = several ? ib_format("On %s t", dataset) : ib_format("T");
    if (ib_keep(b, on) != NULL && !b->failed && count > 1)
        say_offers(b, on, offers, count, most, cost);
    free(on);
    free(offers);
}

/* One sentence for each data set: accuracies on two do not compare. */
static void say_cost(ib_builder *b) {
    const ib_study *study = b->study;
    int several = 0;
    for (size_t c = 1; c < study->cell_count; ++c)
        several |= !is_of(b, c, study->cells[0].arguments.config.experiment.dataset);
    for (size_t c = 0; c < study->cell_count && !b->failed; ++c) {
        const char *dataset = study->cells[c].arguments.config.experiment.dataset;
        size_t before = 0;
        while (before < c && !is_of(b, before, dataset))
            ++before;
        if (before == c)
            say_cost_of(b, dataset, several);
    }
}

static ib_statistics statistics_of(ib_builder *b, const char *metric) {
    double *values = calloc(b->input->run_count + 1, sizeof *values);
    size_t count = 0, index = ib_metric_index(ib_metric_find(metric));
    b->failed |= values == NULL;
    for (size_t r = 0; values != NULL && r < b->input->run_count; ++r)
        if (ib_run_is_finished(b, r) && !isnan(b->records[r].run.resources.seconds))
            values[count++] = b->records[r].finals[index];
    ib_statistics s = ib_statistics_of(values, count);
    free(values);
    return s;
}

static void say_use(ib_builder *b) {
    const ib_metric_info *percent = ib_metric_find("cpu_percent_mean");
    const ib_metric_info *bytes = ib_metric_find("peak_rss_bytes");
    ib_statistics use = statistics_of(b, percent->name), memory = statistics_of(b, bytes->name);
    if (isnan(use.mean) || isnan(memory.mean) || b->failed)
        return;
    char *mean = ib_value_text(b, percent, use.mean);
    char *low = ib_value_text(b, percent, use.low), *high = ib_value_text(b, percent, use.high);
    char *least = ib_value_text(b, bytes, memory.low), *most = ib_value_text(b, bytes, memory.high);
    if (!b->failed)
        ib_add_finding(
            b,
            use.count == 1 ? ib_format("The run used %s %% of a CPU on average, and %s MB of "
                                       "memory at its peak.",
                                       mean, most)
                           : ib_format("Runs used %s %% of a CPU on average (the least %s %%, the "
                                       "most %s %%), and %s to %s MB of memory at their peak.",
                                       mean, low, high, least, most),
            ib_format("%zu finished run%s with totals of resources", use.count, plural(use.count)));
    free(mean);
    free(low);
    free(high);
    free(least);
    free(most);
}

static int shows_use(const ib_study *study) {
    for (size_t i = 0; i < study->item_count; ++i)
        if (study->items[i].kind == IB_FIGURE_USAGE || study->items[i].kind == IB_TABLE_RESOURCES)
            return 1;
    return 0;
}

void ib_build_cost_findings(ib_builder *b) {
    if (ib_study_shows_costs(b->study))
        say_cost(b);
    if (!b->failed && shows_use(b->study))
        say_use(b);
}
