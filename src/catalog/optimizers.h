/* The optimisers: one constant row each, from which --optimizer's choices, the options that an
 * optimiser has and their defaults, --help and the tensors of optimizer.safetensors follow. */
#ifndef IB_CATALOG_OPTIMIZERS_H
#define IB_CATALOG_OPTIMIZERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/names.h"

typedef enum ib_optimizer_kind {
#define IB_OPTIMIZER(id, name) IB_##id,
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER
} ib_optimizer_kind;

/* Tensors that a step keeps beside each weight: at most so many, as the backend's update takes. */
enum { IB_MOST_STATES = 2 };

/* What a step is told beside its tensors: computed in binary64 on the host, each rounded once and
 * settled (NUMERICS.md, "Optimisers"). A row's file says what its scalars mean. */
enum { IB_UPDATE_SCALARS = 8, IB_UPDATE_EPS = 0 }; /* the one that is not settled: eps */
typedef struct ib_update_scalars {
    float decay;    /* this times the weight is added to its gradient; 0: nothing is */
    int decays_all; /* weights whose gradient is +0 and always was change too */
    int has_momentum;
    float of[IB_UPDATE_SCALARS];
} ib_update_scalars;

typedef struct ib_experiment ib_experiment; /* catalog/experiment.h */

/* An option of the optimiser, its default as text, and how small it may be (NUMERICS.md,
 * "Optimisers"): 0 (unless that is refused) or at least `least`; one less it, 0 or at least
 * rest_least (0: no bound). */
typedef struct ib_optimizer_option {
    const char *name, *default_text;
    size_t offset; /* of the double in ib_experiment */
    double least, rest_least;
    int refuses_zero;
} ib_optimizer_option;

typedef struct ib_optimizer {
    const char *name;
    /* Ended by a NULL name. Options of the table that belong to optimisers mean something with
     * those alone that list them; an option that has one default for all may get another here. */
    ib_optimizer_option options[IB_ROW_NAMES];
    const char *flags[IB_ROW_NAMES];        /* options without a value that it has; ended by NULL */
    const char *states[IB_MOST_STATES + 1]; /* as torch.optim names them; ended by NULL */
    unsigned averages; /* bit i: state i averages squares, and settles at 2^-100 (NUMERICS.md) */
    int states_need_momentum; /* without --momentum there are none */
    /* The scalars of step t = step + 1, decay included, before rounding: into values. Sets
     * decays_all where it does more to weights than the gradient tells. */
    void (*scalars)(const ib_experiment *experiment, double learning_rate, uint64_t step,
                    double values[IB_UPDATE_SCALARS], ib_update_scalars *scalars);
} ib_optimizer;

/* The index-th optimiser, which is that of the kind with this number; NULL past the end. */
const ib_optimizer *ib_optimizer_at(size_t index);
/* The default of an option; NULL: it is not this optimiser's, or has no default of its own. */
const char *ib_optimizer_default(ib_optimizer_kind kind, const char *option);
/* Whether the option means something with it. */
int ib_optimizer_has(ib_optimizer_kind kind, const char *option);
/* The scalars of step t = step + 1 (NUMERICS.md, "Optimisers"). */
ib_update_scalars ib_update_scalars_of(const ib_experiment *experiment, double learning_rate,
                                       uint64_t step);
/* base^exponent by repeated squaring from the lowest bit: one defined order of binary64 products.
 */
double ib_power(double base, uint64_t exponent);
/* An optimiser whose numbers are so small that exact steps would meet denormals is IB_ERROR_USAGE,
 * naming the bound, and so is such an average of its weights; a support vector machine has none. */
ib_status ib_optimizer_check(const ib_experiment *experiment, ib_error *err);
/* How many state tensors a weight has. */
int ib_optimizer_states(ib_optimizer_kind kind, int has_momentum);

#endif
