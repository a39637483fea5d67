/* The prices by which what a run cost is told to a server. */
#ifndef IB_MLFLOW_MLFLOW_PRICES_H
#define IB_MLFLOW_MLFLOW_PRICES_H

#include "options/config.h"
#include "record/cost.h"

typedef struct ib_mlflow_prices {
    ib_prices table;
    const ib_price *machine; /* of --machine; NULL: by the rows' match texts */
    double watts;
} ib_mlflow_prices;

/* Reads --prices; the default table need not be there. IB_ERROR_USAGE: a table that cannot be used,
 * or without a row of --machine's name. The caller calls ib_mlflow_prices_close, also after a
 * failure. */
ib_status ib_mlflow_prices_open(const ib_pricing *pricing, ib_mlflow_prices *prices, ib_error *err);
void ib_mlflow_prices_close(ib_mlflow_prices *prices);

/* What an ended run took and cost: adds energy_wh and cost to the metrics, the price to the tags. A
 * price that cannot be chosen is told by a tag and is no failure. */
ib_status ib_mlflow_cost_of(const ib_mlflow_prices *prices, const ib_run *run, json_t *metrics,
                            json_t *tags, ib_error *err);

#endif
