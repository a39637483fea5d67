/* A recorded run done again up to one step, for what one tensor was then. */
#ifndef IB_COMMAND_RERUN_H
#define IB_COMMAND_RERUN_H

#include <stddef.h>
#include <stdint.h>

#include "command/command.h"
#include "model/model.h"

typedef struct ib_rerun {
    uint64_t step; /* to stop after; 0: the beginning */
    size_t tensor;
    ib_tensor_part part;
    /* found: */
    float loss;
    uint32_t *bits; /* of the tensor's elements, in PyTorch's layout; the caller frees it */
    size_t elements;
    char machine[64]; /* "cpu, avx512, 2 threads" */
} ib_rerun;

/* config: of the experiment, with the machine's options; writes no record. */
ib_status ib_rerun_to(const ib_config *config, const ib_command_context *context,
                      const char *experiment_sha256, ib_rerun *rerun, ib_error *err);

#endif
