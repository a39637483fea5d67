/* isobit cost: what runs took, and what that costs. */
#include "command/command.h"

#include <math.h>
#include <stdlib.h>

#include "base/json_value.h"
#include "record/cost.h"
#include "record/run_files.h"

typedef struct costs {
    const ib_prices *prices;
    const ib_price *price; /* of --machine, or NULL */
    double watts;
    ib_cost *rows;
    size_t count, capacity, unfinished, records;
} costs;

static ib_status add_run(void *context, const char *directory, ib_error *err) {
    costs *all = context;
    if (all->count == all->capacity) {
        size_t capacity = 2 * all->capacity + 16;
        ib_cost *rows = realloc(all->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return ib_fail_memory(err);
        all->rows = rows;
        all->capacity = capacity;
    }
    int finished = 0;
    ib_cost *row = &all->rows[all->count];
    ib_status status =
        ib_cost_read(directory, all->prices, all->price, all->watts, row, &finished, err);
    if (status != IB_OK) {
        ib_cost_free(row);
        return status;
    }
    ++all->records;
    all->count += (size_t)finished;
    all->unfinished += (size_t)!finished;
    return IB_OK;
}

static void print_number(FILE *out, int width, int digits, double value) {
    if (isnan(value))
        fprintf(out, " %*s", width, "-");
    else
        fprintf(out, " %*.*f", width, digits, value);
}

static void print_table(const costs *all, FILE *out) {
    fprintf(out, "%-20s %-24s %-4s %9s %11s %11s %12s %9s %9s  %s\n", "Experiment", "Price", "",
            "seconds", "on demand", "spot", "1,000 runs", "Wh", "accuracy", "Run");
    for (size_t i = 0; i < all->count; ++i) {
        const ib_cost *row = &all->rows[i];
        fprintf(out, "%-20s %-24s %-4s", row->experiment,
                row->price == NULL ? "no price" : row->price->name,
                row->price == NULL ? "" : row->price->currency);
        print_number(out, 9, 2, row->seconds);
        print_number(out, 11, 6, row->on_demand);
        print_number(out, 11, 6, row->spot);
        print_number(out, 12, 3, 1000 * ib_cost_money(row));
        print_number(out, 9, 4, row->watt_hours);
        print_number(out, 9, 4, row->test_accuracy);
        fprintf(out, "  %s%s%s%s\n", row->directory, row->energy == NULL ? "" : " (energy ",
                row->energy == NULL ? "" : row->energy, row->energy == NULL ? "" : ")");
    }
    for (size_t p = 0; p < all->prices->count; ++p)
        for (size_t i = 0; i < all->count; ++i)
            if (all->rows[i].price == &all->prices->rows[p]) {
                fprintf(out, "\n%s: price of %s, %s\n", all->rows[i].price->name,
                        all->rows[i].price->date, all->rows[i].price->source);
                break;
            }
    for (size_t i = 0; i < all->count; ++i)
        if (all->rows[i].price == NULL) {
            fprintf(out, "\nno price: no row of %s matches %s; name one with --machine\n",
                    all->prices->yaml.name, all->rows[i].machine);
            break;
        }
    if (all->unfinished > 0)
        fprintf(out, "\n%zu of %zu records %s no results and %s left out\n", all->unfinished,
                all->records, all->unfinished == 1 ? "has" : "have",
                all->unfinished == 1 ? "is" : "are");
}

static ib_status print_json(const costs *all, FILE *out, ib_error *err) {
    json_t *runs = json_array();
    int added = runs != NULL;
    for (size_t i = 0; added && i < all->count; ++i)
        added = json_array_append_new(runs, ib_cost_json(&all->rows[i])) == 0;
    json_t *object = json_pack("{s:s, s:I, s:o}", "prices", all->prices->yaml.name, "unfinished",
                               (json_int_t)all->unfinished, "runs", runs);
    char *text = !added ? NULL : ib_json_dump(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(object);
    if (text == NULL)
        return ib_fail_memory(err);
    fprintf(out, "%s\n", text);
    free(text);
    return IB_OK;
}

static ib_status collect(costs *all, const ib_arguments *arguments, ib_error *err) {
    const char *machine = arguments->config.pricing.machine;
    if (machine != NULL && (all->price = ib_price_named(all->prices, machine)) == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "--machine: %s has no row named '%s'",
                       all->prices->yaml.name, machine);
    for (size_t i = 0; i < arguments->word_count; ++i) {
        size_t before = all->records;
        IB_TRY(ib_runs_visit(arguments->words[i], add_run, all, err));
        if (all->records == before)
            return ib_fail(err, IB_ERROR_VERIFY, "%s holds no run record, nor do its folders",
                           arguments->words[i]);
    }
    return IB_OK;
}

ib_status ib_command_cost(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    ib_prices prices = {0};
    costs all = {.prices = &prices, .watts = arguments->config.pricing.watts};
    ib_status status = ib_prices_read(arguments->config.pricing.table, &prices, err);
    if (status == IB_OK)
        status = collect(&all, arguments, err);
    if (status == IB_OK && all.count > 0)
        qsort(all.rows, all.count, sizeof *all.rows, ib_cost_order);
    if (status == IB_OK && arguments->config.output.json)
        status = print_json(&all, context->out, err);
    else if (status == IB_OK)
        print_table(&all, context->out);
    for (size_t i = 0; i < all.count; ++i)
        ib_cost_free(&all.rows[i]);
    free(all.rows);
    ib_prices_close(&prices);
    return status;
}
