#include "catalog/networks.h"

#include "network_texts.inc"

static const ib_network_text NETWORKS[] = {
#define IB_NETWORK(id, name) {name, TEXT_##id, sizeof TEXT_##id - 1},
#include "networks.inc"
#undef IB_NETWORK
};

const ib_network_text *ib_network_at(size_t index) {
    return index < sizeof NETWORKS / sizeof NETWORKS[0] ? &NETWORKS[index] : NULL;
}
