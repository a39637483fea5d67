/* Sums of leaf partials by the binary tree of NUMERICS.md, "Sums over the batch". */
#ifndef IB_CPU_LEAF_SUM_H
#define IB_CPU_LEAF_SUM_H

#include "../cpu.h"
#include "../leaf_tree.h"
#include "simd.h"

/* Pushes the next leaf's vector (leaf = its number, from 0) on the stack of partial sums: equal
 * neighbours merge at once, the way carries run through a binary counter. */
static inline void leaf_push(vf stack[IB_MAX_LEAF_LEVELS], int64_t leaf, vf value) {
    int rest = ib_leaf_rest_level(leaf);
    for (int level = 0; level < rest; ++level)
        value = v_add(stack[level], value);
    stack[rest] = value;
}

/* The sum of all leaves pushed, ended by adding +0. */
static inline vf leaf_total(const vf stack[IB_MAX_LEAF_LEVELS], int64_t leaves) {
    int level = __builtin_ctzll((unsigned long long)leaves);
    vf total = stack[level];
    for (leaves &= leaves - 1; leaves != 0; leaves &= leaves - 1)
        total = v_add(stack[__builtin_ctzll((unsigned long long)leaves)], total);
    return v_add(total, v_zero());
}

/* The end of a sum of gradients: at the root it settles, at a node it does not. */
static inline vf leaf_end(vf total, int node) {
    return node ? total : v_settle(total);
}

/* The total at one vector of `leaves` arrays that lie `stride` floats apart. */
static inline vf leaf_sum(const float *partials, int64_t stride, int64_t leaves) {
    vf stack[IB_MAX_LEAF_LEVELS];
    for (int64_t leaf = 0; leaf < leaves; ++leaf)
        leaf_push(stack, leaf, v_load(partials + leaf * stride));
    return leaf_total(stack, leaves);
}

#endif
