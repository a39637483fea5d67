#include "catalog/networks.h"

#include <stdlib.h>

static const ib_network_row *const NETWORKS[] = {
#define IB_NETWORK(id, name) &ib_network_##name,
#include "catalog/networks.inc"
#undef IB_NETWORK
};

const ib_network_row *ib_network_at(size_t index) {
    return index < sizeof NETWORKS / sizeof NETWORKS[0] ? NETWORKS[index] : NULL;
}

ib_status ib_rows_open(const ib_network_row *network, ib_rows *rows, ib_error *err) {
    *rows = (ib_rows){.rows = network->rows};
    if (network->build == NULL)
        return IB_OK;
    ib_status status = network->build(&rows->owned, err);
    rows->rows = rows->owned;
    return status;
}

void ib_rows_close(ib_rows *rows) {
    for (ib_row *row = rows->owned; row != NULL && row->kind != NULL; ++row) {
        free((void *)row->name);
        free((void *)row->from);
        free((void *)row->with);
    }
    free(rows->owned);
    *rows = (ib_rows){0};
}
