/* Networks as rows of layers: what is trained, without how. Row tables are constant, or built by a
 * function where they follow a rule. */
#ifndef IB_CATALOG_NETWORKS_H
#define IB_CATALOG_NETWORKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "isobit/row.h"

/* The rows of a network. Names belong to the list where it owns it. */
typedef struct ib_rows {
    const ib_row *rows;
    ib_row *owned; /* NULL: a constant table */
} ib_rows;

/* One network: a table, or what builds one into fresh memory. */
typedef struct ib_network_row {
    const char *name; /* "cnn" */
    const ib_row *rows;
    ib_status (*build)(ib_row **rows, ib_error *err);
} ib_network_row;

#define IB_NETWORK(id, name) extern const ib_network_row ib_network_##name;
#include "catalog/networks.inc"
#undef IB_NETWORK

/* The index-th network, which is that of the ib_model_kind with this number; NULL past the end. */
const ib_network_row *ib_network_at(size_t index);

/* The caller calls ib_rows_close, also after a failure. */
ib_status ib_rows_open(const ib_network_row *network, ib_rows *rows, ib_error *err);
void ib_rows_close(ib_rows *rows);

#endif
