#include "experiment/options.h"

#include <stddef.h>

#include "experiment/option_choices.h"

#define AT(member) offsetof(ib_config, member)
#define UNBOUNDED  1e30

/* In the order of --help. */
static const ib_option OPTIONS[] = {
#include "experiment/options_data.inc"
#include "experiment/options_experiment.inc"
#include "experiment/options_optimizer.inc"
#include "experiment/options_svm.inc"
#include "experiment/options_machine.inc"
#include "experiment/options_sharing.inc"
#include "experiment/options_tracking.inc"
#include "experiment/options_record.inc"
#include "experiment/options_resources.inc"
#include "experiment/options_output.inc"
};

enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };
_Static_assert((int)OPTION_COUNT <= (int)IB_MAX_OPTIONS, "raise IB_MAX_OPTIONS");

const ib_option *ib_option_at(size_t index) {
    return index < OPTION_COUNT ? &OPTIONS[index] : NULL;
}

size_t ib_option_index(const ib_option *option) {
    return (size_t)(option - OPTIONS);
}
