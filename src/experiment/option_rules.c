/* Finding options, and which of them mean something in a configuration. */
#include "experiment/options.h"

#include <string.h>

/* Names of the design whose work is still to come: refused with a better message than a typo. */
static const char *const LATER_OPTIONS[] = {
    "device",
    "for",
    NULL,
};

static int same(const char *name, const char *text, size_t length) {
    return name != NULL && strlen(name) == length && memcmp(name, text, length) == 0;
}

const ib_option *ib_option_find_for(const char *name, size_t length, unsigned command) {
    const ib_option *option, *other = NULL;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        int found = same(option->name, name, length);
        for (size_t a = 0; a < IB_MAX_ALIASES; ++a)
            found |= same(option->aliases[a], name, length);
        if (found && (option->commands & command) != 0)
            return option;
        if (found && other == NULL)
            other = option;
    }
    return other;
}

const ib_option *ib_option_find(const char *name, size_t length) {
    return ib_option_find_for(name, length, ~0U);
}

int ib_option_is_later(const char *name, size_t length) {
    for (size_t i = 0; LATER_OPTIONS[i] != NULL; ++i)
        if (same(LATER_OPTIONS[i], name, length))
            return 1;
    return 0;
}

static int by_optimizer(const ib_option *option) {
    for (size_t i = 0; i < IB_OPTIMIZERS; ++i)
        if (option->optimizer_defaults[i] != NULL)
            return 1;
    return 0;
}

int ib_option_applies(const ib_option *option, const ib_config *config) {
    int svm = config->model == IB_MODEL_SVM;
    if ((option->models == IB_NETWORKS_ONLY && svm) || (option->models == IB_SVM_ONLY && !svm))
        return 0;
    if (option->svm_kernels != 0 && (option->svm_kernels >> config->svm_kernel & 1) == 0)
        return 0;
    if (by_optimizer(option) && option->optimizer_defaults[config->optimizer] == NULL)
        return 0;
    if (option->only_with_validation && config->split == IB_CHOOSE_OFFICIAL)
        return 0;
    return !option->only_with_step || config->schedule == IB_SCHEDULE_STEP;
}

const char *ib_option_default(const ib_option *option, int optimizer) {
    return by_optimizer(option) ? option->optimizer_defaults[optimizer] : option->default_text;
}
