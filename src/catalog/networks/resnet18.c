#include "catalog/networks/resnet.h"

/* He et al. 2015 as torchvision builds it, with two 3x3 convolutions a block: 11,175,370 parameters
 * with one channel in and ten classes. */
static ib_status build(ib_row **rows, ib_error *err) {
    static const ib_resnet STAGES = {{2, 2, 2, 2}, 0};
    return ib_resnet_rows(&STAGES, rows, err);
}

const ib_network_row ib_network_resnet18 = {"resnet18", NULL, build};
