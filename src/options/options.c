#include "options/options.h"

#include <stddef.h>

#include "options/option_choices.h"

#define AT(member) offsetof(ib_config, member)
#define UNBOUNDED  1e30

/* In the order of --help. */
static const ib_option OPTIONS[] = {
#include "options/options_data.inc"
#include "options/options_experiment.inc"
#include "options/options_machine.inc"
#include "options/options_optimizer.inc"
#include "options/options_output.inc"
#include "options/options_record.inc"
#include "options/options_resources.inc"
#include "options/options_sharing.inc"
#include "options/options_svm.inc"
#include "options/options_tracking.inc"
};

enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };
_Static_assert((int)OPTION_COUNT <= (int)IB_MAX_OPTIONS, "raise IB_MAX_OPTIONS");

const ib_option *ib_option_at(size_t index) {
    return index < OPTION_COUNT ? &OPTIONS[index] : NULL;
}

size_t ib_option_index(const ib_option *option) {
    return (size_t)(option - OPTIONS);
}
