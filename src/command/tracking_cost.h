/* What a run took and cost, for an MLflow server. */
#ifndef IB_COMMAND_TRACKING_COST_H
#define IB_COMMAND_TRACKING_COST_H

#include "mlflow/mlflow.h"
#include "options/config.h"
#include "record/cost.h"

typedef struct ib_tracking_prices {
    ib_prices table;
    const ib_price *machine; /* of --machine; NULL: by the rows' match texts */
    double watts;
} ib_tracking_prices;

/* Reads --prices; the default table need not be there. IB_ERROR_USAGE: a table that cannot be used,
 * or without a row of --machine's name. The caller calls ib_tracking_prices_close, also after a
 * failure. */
ib_status ib_tracking_prices_open(const ib_pricing *pricing, ib_tracking_prices *prices,
                                  ib_error *err);
void ib_tracking_prices_close(ib_tracking_prices *prices);

/* For ib_mlflow_names.extras, with prices as the context: energy_wh and cost, with the price as
 * tags. A price that cannot be chosen is told by a tag and is no failure. */
ib_mlflow_extras ib_tracking_cost;

#endif
