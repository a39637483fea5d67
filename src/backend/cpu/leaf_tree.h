/* The binary tree over leaves (NUMERICS.md, "Sums over the batch"), as a stack of partial sums.
 *
 * Leaves arrive in order; equal-sized neighbours merge at once, like carries of a binary counter.
 * What is left at the end merges from the smallest: a node of n leaves is split at the greatest
 * power of two below n. add(context, to, from): level `to` = level `to` + level `from`. */
#ifndef IB_CPU_LEAF_TREE_H
#define IB_CPU_LEAF_TREE_H

#include <stdint.h>

/* Level at which leaf number `leaf` (from 0) comes to rest after merging with its lower levels: the
 * caller adds levels 0, 1, .. rest - 1 to it, in this order, and stores it at `rest`. */
static inline int ib_leaf_rest_level(int64_t leaf) {
    return __builtin_ctzll((unsigned long long)leaf + 1);
}

#endif
