/* Which stored weights a step can change. */
#ifndef IB_NN_LIVE_H
#define IB_NN_LIVE_H

#include "nn/network.h"

/* Fills network->live. A tap of a kernel that falls into the padding wherever the kernel is put (of
 * 3x3 kernels on 1x1 images 8 of 9: 62 % of ResNet-18's weights at 28x28) has the gradient +0 in
 * every step, so its optimiser state stays +0 and, without weight decay, each optimiser of
 * NUMERICS.md leaves it as it is. Needs the network's memory. */
ib_status ib_find_live_weights(ib_network *network, ib_error *err);

#endif
