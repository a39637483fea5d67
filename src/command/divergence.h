/* Where two runs of one experiment parted: from their metrics, their traces, and this machine. */
#ifndef IB_COMMAND_DIVERGENCE_H
#define IB_COMMAND_DIVERGENCE_H

#include <jansson.h>

#include "command/command.h"
#include "report/compare.h"

/* A new object: runs (numbers from 1), result, metric, step, what, tensor, layer,
 * tensors_differing, element, index, bits, machine, machine_agrees_with (1 or 2 for the runs, 0:
 * neither), note. What could not be found is null; note says why. arguments: options of the
 * command; its configuration becomes the experiment's. */
ib_status ib_divergence_find(const ib_comparison *comparison, size_t first, size_t second,
                             ib_arguments *arguments, const ib_command_context *context,
                             json_t **divergence, ib_error *err);

/* For people. */
void ib_divergence_print(const json_t *divergence, const ib_comparison *comparison, FILE *out);

#endif
