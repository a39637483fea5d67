#include "record/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"

static const ib_yaml_key FILE_KEYS[] = {
    {"prices", IB_YAML_LIST, 1, "one row a machine type"},
    {0},
};

static const ib_yaml_key ROW_KEYS[] = {
    {"name", IB_YAML_TEXT, 1, "for --machine"},
    {"match", IB_YAML_TEXT | IB_YAML_NONE, 0, "part of the name of a CPU or GPU in records"},
    {"on-demand", IB_YAML_TEXT | IB_YAML_NONE, 1, "price per hour"},
    {"spot", IB_YAML_TEXT | IB_YAML_NONE, 1, "price per hour"},
    {"currency", IB_YAML_TEXT, 1, "three capital letters"},
    {"date", IB_YAML_TEXT, 1, "when the price was read, YYYY-MM-DD"},
    {"source", IB_YAML_TEXT, 1, "where it was read"},
    {0},
};

static const char *text_of(const ib_yaml_node *row, const char *key) {
    const ib_yaml_node *node = ib_yaml_get(row, key);
    return node == NULL || node->kind != IB_YAML_TEXT ? NULL : node->text;
}

static ib_status take_price(const ib_yaml *yaml, const ib_yaml_node *row, const char *key,
                            double *price, ib_error *err) {
    const ib_yaml_node *node = ib_yaml_get(row, key);
    *price = NAN;
    if (node->kind == IB_YAML_NONE)
        return IB_OK;
    if (ib_parse_double(node->text, price) != 0 || *price < 0 || *price > 1e6)
        return ib_yaml_fail(yaml, node->line, key, err,
                            "'%s' is no price per hour: give a number from 0 to 1000000, or ~ for "
                            "none",
                            node->text);
    return IB_OK;
}

static int has_form(const char *text, const char *form) { /* A: capital letter, 0: digit */
    for (; *form != '\0'; ++form, ++text) {
        int fits = *form == 'A'   ? *text >= 'A' && *text <= 'Z'
                   : *form == '0' ? *text >= '0' && *text <= '9'
                                  : *text == *form;
        if (!fits)
            return 0;
    }
    return *text == '\0';
}

static ib_status take_row(ib_prices *prices, const ib_yaml_node *row, ib_error *err) {
    const ib_yaml *yaml = &prices->yaml;
    if (row->kind != IB_YAML_MAP)
        return ib_yaml_fail(yaml, row->line, "prices", err, "each row must be a mapping");
    IB_TRY(ib_yaml_check(yaml, row, "a price", ROW_KEYS, NULL, err));
    ib_price price = {.name = text_of(row, "name"),
                      .match = text_of(row, "match"),
                      .date = text_of(row, "date"),
                      .source = text_of(row, "source"),
                      .currency = text_of(row, "currency")};
    IB_TRY(take_price(yaml, row, "on-demand", &price.on_demand, err));
    IB_TRY(take_price(yaml, row, "spot", &price.spot, err));
    if (!has_form(price.date, "0000-00-00"))
        return ib_yaml_fail(yaml, ib_yaml_get(row, "date")->line, "date", err,
                            "'%s' is no date as in 2026-11-25", price.date);
    if (!has_form(price.currency, "AAA"))
        return ib_yaml_fail(yaml, ib_yaml_get(row, "currency")->line, "currency", err,
                            "'%s' is no currency as in USD", price.currency);
    if (isnan(price.on_demand) && isnan(price.spot))
        return ib_yaml_fail(yaml, row->line, "on-demand", err, "the row has no price at all");
    if (ib_price_named(prices, price.name) != NULL)
        return ib_yaml_fail(yaml, ib_yaml_get(row, "name")->line, "name", err,
                            "'%s' is the name of an earlier row too", price.name);
    prices->rows[prices->count++] = price;
    return IB_OK;
}

ib_status ib_prices_read(const char *path, ib_prices *prices, ib_error *err) {
    if (!ib_path_exists(path))
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s, the table of prices, is not there: name one with --prices FILE", path);
    IB_TRY(ib_yaml_read(path, &prices->yaml, err));
    IB_TRY(ib_yaml_check(&prices->yaml, prices->yaml.root, "a price table", FILE_KEYS, NULL, err));
    const ib_yaml_node *list = ib_yaml_get(prices->yaml.root, "prices");
    prices->rows = calloc(list->count + 1, sizeof *prices->rows);
    if (prices->rows == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < list->count; ++i)
        IB_TRY(take_row(prices, list->items[i], err));
    return IB_OK;
}

void ib_prices_close(ib_prices *prices) {
    ib_yaml_close(&prices->yaml);
    free(prices->rows);
    *prices = (ib_prices){0};
}

const ib_price *ib_price_named(const ib_prices *prices, const char *name) {
    for (size_t i = 0; i < prices->count; ++i)
        if (strcmp(prices->rows[i].name, name) == 0)
            return &prices->rows[i];
    return NULL;
}

/* ---- one run ------------------------------------------------------------------------------------
 */

/* "AMD EPYC, NVIDIA H100, ..." */
static char *machine_of(const ib_run *run) {
    const char *cpu = run->environment.cpu_model;
    char *text = strdup(cpu == NULL ? "unknown processor" : cpu);
    for (size_t i = 0; text != NULL && i < run->resources.gpu_count; ++i) {
        const char *name = run->resources.gpus[i].name;
        char *longer = name == NULL ? strdup(text) : ib_format("%s, %s", text, name);
        free(text);
        text = longer;
    }
    return text;
}

static ib_status match_price(const ib_prices *prices, ib_cost *cost, ib_error *err) {
    for (size_t i = 0; i < prices->count; ++i) {
        const ib_price *row = &prices->rows[i];
        if (row->match == NULL || strstr(cost->machine, row->match) == NULL)
            continue;
        if (cost->price != NULL)
            return ib_fail(err, IB_ERROR_USAGE,
                           "%s: both '%s' and '%s' of %s match its machine (%s): choose one with "
                           "--machine",
                           cost->directory, cost->price->name, row->name, prices->yaml.name,
                           cost->machine);
        cost->price = row;
    }
    return IB_OK;
}

static void take_energy(const ib_run_resources *resources, double watts, ib_cost *cost) {
    double joules = resources->energy_joules, of_gpus = NAN;
    for (size_t i = 0; i < resources->gpu_count; ++i) {
        double more = resources->gpus[i].energy_joules;
        if (!isnan(more))
            of_gpus = (isnan(of_gpus) ? 0 : of_gpus) + more;
    }
    cost->watt_hours = NAN;
    if (!isnan(joules)) {
        cost->watt_hours = (joules + (isnan(of_gpus) ? 0 : of_gpus)) / 3600;
        cost->energy = "measured";
    } else if (watts > 0) {
        cost->watt_hours = watts * cost->seconds / 3600;
        cost->energy = "estimated";
    } else if (!isnan(of_gpus)) {
        cost->watt_hours = of_gpus / 3600;
        cost->energy = "measured, GPUs only";
    }
}

ib_status ib_cost_take(const ib_run *run, const ib_prices *prices, const ib_price *price,
                       double watts, ib_cost *cost, int *finished, ib_error *err) {
    *cost = (ib_cost){.price = price};
    *finished = run->results != NULL;
    if (!*finished)
        return IB_OK;
    cost->directory = strdup(run->directory);
    cost->experiment = strdup(run->experiment == NULL ? "" : run->experiment);
    cost->machine = machine_of(run);
    cost->seconds = run->resources.seconds;
    if (isnan(cost->seconds))
        cost->seconds = ib_run_metric(run, "total_seconds");
    cost->images = ib_run_metric(run, "images_per_second") * ib_run_metric(run, "train_seconds");
    cost->test_accuracy = ib_run_metric(run, "test_accuracy");
    take_energy(&run->resources, watts, cost);
    if (cost->directory == NULL || cost->experiment == NULL || cost->machine == NULL)
        return ib_fail_memory(err);
    if (price == NULL && prices != NULL)
        IB_TRY(match_price(prices, cost, err));
    cost->on_demand = cost->price == NULL ? NAN : cost->price->on_demand * cost->seconds / 3600;
    cost->spot = cost->price == NULL ? NAN : cost->price->spot * cost->seconds / 3600;
    return IB_OK;
}

ib_status ib_cost_read(const char *directory, const ib_prices *prices, const ib_price *price,
                       double watts, ib_cost *cost, int *finished, ib_error *err) {
    *cost = (ib_cost){0};
    *finished = 0;
    ib_run run;
    ib_status status = ib_run_read(directory, &run, err);
    if (status == IB_OK && run.document == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s holds no run record", directory);
    if (status == IB_OK)
        status = ib_cost_take(&run, prices, price, watts, cost, finished, err);
    ib_run_close(&run);
    return status;
}

void ib_cost_free(ib_cost *cost) {
    free(cost->directory);
    free(cost->experiment);
    free(cost->machine);
    *cost = (ib_cost){0};
}

double ib_cost_money(const ib_cost *cost) {
    return isnan(cost->on_demand) ? cost->spot : cost->on_demand;
}

int ib_cost_order(const void *a, const void *b) {
    const ib_cost *x = a, *y = b;
    double of_x = ib_cost_money(x), of_y = ib_cost_money(y);
    if (isnan(of_x) != isnan(of_y))
        return isnan(of_x) ? 1 : -1;
    if (!isnan(of_x) && of_x != of_y)
        return of_x < of_y ? -1 : 1;
    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? -1 : 1;
    return strcmp(x->directory, y->directory);
}

static json_t *number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text_or_null(const char *text) {
    return text == NULL ? json_null() : json_string(text);
}

json_t *ib_cost_json(const ib_cost *cost) {
    const ib_price *price = cost->price;
    double money = ib_cost_money(cost);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "run_dir", cost->directory, "experiment", cost->experiment, "machine", cost->machine,
        "price", text_or_null(price == NULL ? NULL : price->name), "price_date",
        text_or_null(price == NULL ? NULL : price->date), "price_source",
        text_or_null(price == NULL ? NULL : price->source), "currency",
        text_or_null(price == NULL ? NULL : price->currency), "seconds",
        number_or_null(cost->seconds), "cost_on_demand", number_or_null(cost->on_demand),
        "cost_spot", number_or_null(cost->spot), "cost_of_1000_runs", number_or_null(1000 * money),
        "images_per_currency_unit", number_or_null(cost->images / money), "watt_hours",
        number_or_null(cost->watt_hours), "energy", text_or_null(cost->energy), "images",
        number_or_null(cost->images), "test_accuracy", number_or_null(cost->test_accuracy));
}
