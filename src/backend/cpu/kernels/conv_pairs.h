/* Convolution, forward, by lists of terms that are not zero: see conv_pairs.c. */
#ifndef IB_CPU_CONV_PAIRS_H
#define IB_CPU_CONV_PAIRS_H

#include "conv.h"

/* Whether the lists know this shape: stride 1, one segment, all channels in whole passes. */
int IB_KERNEL(ib_conv_pairs_fit)(const struct conv_shape *s);
/* Floats of scratch, and how many values behind the last pixel's are written and mean nothing. */
size_t IB_KERNEL(ib_conv_pairs_scratch)(const struct conv_shape *s);

/* values[i][co16] = relu(dot product + bias) of output pixels[i], i < count, which ascend; row
 * values[count] is overwritten too. image is framed; w [k][co16]; bias NULL or [co16]. 0, and
 * nothing is written: too few terms are zero for lists to pay. */
int IB_KERNEL(ib_conv_pairs)(const struct conv_shape *s, const float *image, const float *w,
                             const float *bias, const int32_t *pixels, int64_t count,
                             float *scratch, float *values);

#endif
