/* What a run took and cost, from its record and a table of prices. */
#ifndef IB_RECORD_COST_H
#define IB_RECORD_COST_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "base/yaml.h"
#include "record/run.h"

/* One machine that can be rented. Texts belong to the table; NAN: no such price. */
typedef struct ib_price {
    const char *name, *match, *date, *source, *currency; /* match NULL: only by name */
    double on_demand, spot;                              /* per hour */
} ib_price;

/* Zero-initialise; the caller calls ib_prices_close, also after a failure. */
typedef struct ib_prices {
    ib_yaml yaml;
    ib_price *rows;
    size_t count;
} ib_prices;

/* What is refused is IB_ERROR_USAGE naming file, line and key. */
ib_status ib_prices_read(const char *path, ib_prices *prices, ib_error *err);
void ib_prices_close(ib_prices *prices);
/* NULL: there is none of that name. */
const ib_price *ib_price_named(const ib_prices *prices, const char *name);

typedef struct ib_cost {
    char *directory, *experiment, *machine; /* machine: CPU and GPUs as the record names them */
    const ib_price *price;                  /* NULL: none */
    double seconds, images, test_accuracy;
    double on_demand, spot; /* of the run; NAN: no price */
    double watt_hours;      /* NAN: unknown */
    const char *energy;     /* "measured", "measured, GPUs only", "estimated", or NULL */
} ib_cost;

/* price NULL: by the match texts of prices (NULL: there are none); two rows that match are
 * IB_ERROR_USAGE. watts > 0: the power to estimate energy by. *finished 0: it has no results, and
 * *cost stays empty. The caller calls ib_cost_free, also after a failure. */
ib_status ib_cost_take(const ib_run *run, const ib_prices *prices, const ib_price *price,
                       double watts, ib_cost *cost, int *finished, ib_error *err);
/* The same from a directory, which must have a record. */
ib_status ib_cost_read(const char *directory, const ib_prices *prices, const ib_price *price,
                       double watts, ib_cost *cost, int *finished, ib_error *err);
void ib_cost_free(ib_cost *cost);
/* The order of cost-effectiveness: the cheapest first, those without a price last. For qsort. */
int ib_cost_order(const void *a, const void *b);
/* The price that decides: on demand, or spot where there is no other. NAN: none. */
double ib_cost_money(const ib_cost *cost);
/* A new object; NULL: out of memory. */
json_t *ib_cost_json(const ib_cost *cost);

#endif
