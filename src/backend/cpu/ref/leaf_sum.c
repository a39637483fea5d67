#include "reference.h"

/* A node of n leaves is the sum of its first m leaves and its last n - m, m the greatest power of
 * two below n. */
static float tree(const float *leaf, int64_t stride, int64_t leaves) {
    if (leaves == 1)
        return leaf[0];
    int64_t left = 1;
    while (2 * left < leaves)
        left *= 2;
    return tree(leaf, stride, left) + tree(leaf + left * stride, stride, leaves - left);
}

float IB_REF(ib_leaf_sum)(const float *leaf, int64_t stride, int64_t leaves) {
    return tree(leaf, stride, leaves) + 0.0f;
}
