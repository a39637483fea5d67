/* The models that --model chooses from, and of which kind each is. */
#ifndef IB_CATALOG_MODELS_H
#define IB_CATALOG_MODELS_H

#include <stddef.h>

typedef enum ib_model_kind {
#define IB_NETWORK(id, name) IB_MODEL_##id,
#include "networks.inc"
#undef IB_NETWORK
    IB_MODEL_SVM,
    IB_MODEL_FILE /* a network that the user wrote: no row of the catalogue */
} ib_model_kind;

typedef struct ib_model_info {
    const char *name;
    int is_network; /* trained by steps of an optimiser; 0: a support vector machine */
} ib_model_info;

/* The index-th model, which is that of the kind with this number; NULL past the end. */
const ib_model_info *ib_model_at(size_t index);
/* "cnn"; "file". */
const char *ib_model_kind_name(ib_model_kind kind);
int ib_model_is_network(ib_model_kind kind);

#endif
