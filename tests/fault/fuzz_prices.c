/* libFuzzer: whatever a table of prices holds is read, or refused with a reason and its line. */
#include <math.h>

#include "fuzz_files.h"
#include "record/cost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ib_prices prices = {0};
    ib_error err = {0};
    char *path = fuzz_write("prices.yaml", data, size);
    ib_status status = ib_prices_read(path, &prices, &err);
    for (size_t i = 0; status == IB_OK && i < prices.count; ++i) {
        const ib_price *price = &prices.rows[i];
        require(ib_price_named(&prices, price->name) == price, "a name found twice");
        require(price->on_demand >= 0 || price->spot >= 0, "no price");
        require(strlen(price->date) == 10 && strlen(price->currency) == 3, "no date or currency");
    }
    if (status != IB_OK)
        require(err.message != NULL && strstr(err.message, "prices.yaml:") != NULL,
                "a refusal without a reason or a line");
    ib_prices_close(&prices);
    ib_error_clear(&err);
    free(path);
    return 0;
}
