#include "mlflow/mlflow_prices.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "options/options.h"

/* Whether somebody asked for a price; else one is taken where it is found. */
static int is_asked_for(const ib_pricing *pricing) {
    const ib_option *option = ib_option_find("prices", strlen("prices"));
    return pricing->machine != NULL || strcmp(pricing->table, option->default_text) != 0;
}

ib_status ib_mlflow_prices_open(const ib_pricing *pricing, ib_mlflow_prices *prices,
                                ib_error *err) {
    *prices = (ib_mlflow_prices){.watts = pricing->watts};
    if (pricing->table == NULL || (!is_asked_for(pricing) && !ib_path_exists(pricing->table)))
        return IB_OK;
    IB_TRY(ib_prices_read(pricing->table, &prices->table, err));
    if (pricing->machine == NULL)
        return IB_OK;
    prices->machine = ib_price_named(&prices->table, pricing->machine);
    return prices->machine != NULL
               ? IB_OK
               : ib_fail(err, IB_ERROR_USAGE, "--machine: %s has no row named '%s'", pricing->table,
                         pricing->machine);
}

void ib_mlflow_prices_close(ib_mlflow_prices *prices) {
    ib_prices_close(&prices->table);
}

static int add_number(json_t *metrics, const char *key, double value) {
    return !isfinite(value) || json_object_set_new(metrics, key, json_real(value)) == 0;
}

static int add_text(json_t *tags, const char *key, const char *value) {
    return value == NULL || json_object_set_new(tags, key, json_string(value)) == 0;
}

static int add_price(const ib_cost *cost, json_t *metrics, json_t *tags) {
    const ib_price *price = cost->price;
    return price == NULL ||
           (add_number(metrics, "cost", ib_cost_money(cost)) &&
            add_number(metrics, "cost_spot", cost->spot) &&
            add_text(tags, "isobit.cost.price", price->name) &&
            add_text(tags, "isobit.cost.kind", isnan(cost->on_demand) ? "spot" : "on demand") &&
            add_text(tags, "isobit.cost.currency", price->currency) &&
            add_text(tags, "isobit.cost.date", price->date) &&
            add_text(tags, "isobit.cost.source", price->source));
}

ib_status ib_mlflow_cost_of(const ib_mlflow_prices *prices, const ib_run *run, json_t *metrics,
                            json_t *tags, ib_error *err) {
    ib_cost cost;
    ib_error why = {0};
    int finished = 0;
    ib_status status =
        ib_cost_take(run, &prices->table, prices->machine, prices->watts, &cost, &finished, &why);
    int good = 1;
    if (status == IB_ERROR_USAGE) { /* two rows fit: not this run's fault */
        cost.price = NULL;
        good = add_text(tags, "isobit.cost.price", ib_error_text(&why));
        status = IB_OK;
    }
    if (status == IB_OK && finished)
        good = good && add_number(metrics, "energy_wh", cost.watt_hours) &&
               (!isfinite(cost.watt_hours) || add_text(tags, "isobit.energy", cost.energy)) &&
               add_price(&cost, metrics, tags);
    if (status != IB_OK)
        ib_fail(err, status, "%s", ib_error_text(&why));
    ib_cost_free(&cost);
    ib_error_clear(&why);
    return status == IB_OK && !good ? ib_fail_memory(err) : status;
}
