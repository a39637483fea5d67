/* A batch's end. A few classes a sample leave nothing to vectorise, nor does a sum over leaves that
 * has been computed already. */
#include "kernel.h"

IB_REFERENCE_KERNEL(softmax_nll, loss);
IB_REFERENCE_KERNEL(classify, loss);
IB_REFERENCE_KERNEL(tree_sum, tree);
IB_REFERENCE_KERNEL(norm_sums, norm_part);
IB_REFERENCE_KERNEL(norm_deviations, norm_part);
IB_REFERENCE_KERNEL(norm_apply, norm_part);
IB_REFERENCE_KERNEL(norm_gradients, norm_part);
IB_REFERENCE_KERNEL(norm_input, norm_part);
