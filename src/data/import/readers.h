/* The formats that can be imported: a file of this folder each, tried in this order. */
#ifndef IB_DATA_IMPORT_READERS_H
#define IB_DATA_IMPORT_READERS_H

#include "data/import/source.h"

/* name, what it is in words */
#define IB_IMPORT_READERS(X)                                                                       \
    X(idx, "idx files")                                                                            \
    X(cifar, "CIFAR-10's binary batches")                                                          \
    X(npz, "a NumPy .npz file")                                                                    \
    X(npy, "NumPy .npy files")                                                                     \
    X(csv, "CSV files")                                                                            \
    X(folder, "folders of images")

#define IB_IMPORT_DECLARE(name, words) ib_import_reader ib_import_##name;
IB_IMPORT_READERS(IB_IMPORT_DECLARE)
#undef IB_IMPORT_DECLARE

#endif
