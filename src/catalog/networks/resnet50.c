#include "catalog/networks/resnet.h"

/* He et al. 2015 as torchvision builds it, with bottlenecks: 23,522,250 parameters with one channel
 * in and ten classes. */
static ib_status build(ib_row **rows, ib_error *err) {
    static const ib_resnet STAGES = {{3, 4, 6, 3}, 1};
    return ib_resnet_rows(&STAGES, rows, err);
}

const ib_network_row ib_network_resnet50 = {"resnet50", NULL, build};
