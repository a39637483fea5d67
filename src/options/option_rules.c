/* Finding options, and which of them mean something in a configuration. */
#include "options/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

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

/* Whether the rows chosen from the catalogue have this option. */
static int of_choice(const ib_option *option, const ib_experiment *experiment) {
    switch (option->of) {
    case IB_OF_OPTIMIZERS:
        return ib_optimizer_has((ib_optimizer_kind)experiment->optimizer, option->name);
    case IB_OF_SCHEDULES:
        return ib_is_listed(ib_schedule_at((size_t)experiment->schedule)->options, option->name);
    case IB_OF_SVM_KERNELS:
        return ib_is_listed(ib_svm_kernel_at((size_t)experiment->svm_kernel)->options,
                            option->name);
    case IB_OF_ALL:
        break;
    }
    return 1;
}

int ib_option_applies(const ib_option *option, const ib_experiment *experiment) {
    int network = ib_model_is_network((ib_model_kind)experiment->model);
    if ((option->models == IB_NETWORKS_ONLY && !network) ||
        (option->models == IB_SVM_ONLY && network))
        return 0;
    return of_choice(option, experiment);
}

int ib_option_decides(const ib_option *option) {
    return option->kind == IB_OPTION_CHOICE || option->kind == IB_OPTION_MODEL;
}

int ib_option_is_hashed(const ib_option *option) {
    return option->offset - offsetof(ib_config, experiment) < sizeof(ib_experiment);
}

int ib_option_is_arithmetic(const ib_option *option) {
    return ib_option_is_hashed(option) && !option->by_content;
}

const char *ib_option_value_name(const ib_option *option, int value) {
    ib_choice choice;
    for (size_t i = 0; (choice = option->choices(i)).name != NULL; ++i)
        if (choice.value == value && choice.refusal == NULL)
            return choice.name;
    return NULL;
}

char *ib_option_optimizers(const ib_option *option) {
    const ib_optimizer *optimizer;
    char *text = ib_format("%s", "");
    for (size_t i = 0; text != NULL && (optimizer = ib_optimizer_at(i)) != NULL; ++i) {
        if (!ib_optimizer_has((ib_optimizer_kind)i, option->name))
            continue;
        char *longer = ib_format("%s%s%s", text, text[0] == '\0' ? "" : " or ", optimizer->name);
        free(text);
        text = longer;
    }
    return text;
}

const char *ib_option_default(const ib_option *option, int optimizer) {
    const char *own = ib_optimizer_default((ib_optimizer_kind)optimizer, option->name);
    return own != NULL ? own : option->default_text;
}

ib_status ib_config_split_dataset(ib_config *config, int dir_given, ib_error *err) {
    const char *given = config->experiment.dataset;
    if (given == NULL || strchr(given, '/') == NULL)
        return IB_OK;
    if (dir_given)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--dataset %s says where the data set is, and so does --data-dir %s: leave "
                       "one out",
                       given, config->data.dir);
    size_t length = strlen(given);
    while (length > 1 && given[length - 1] == '/')
        --length;
    char *path = strndup(given, length);
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    char *name = path == NULL ? NULL : strdup(slash == NULL ? path : slash + 1);
    char *parent = path == NULL ? NULL : ib_path_parent(path);
    free(path);
    if (name == NULL || parent == NULL) {
        free(name);
        free(parent);
        return ib_fail_memory(err);
    }
    free(config->experiment.dataset);
    free(config->data.dir);
    config->experiment.dataset = name;
    config->data.dir = parent;
    return IB_OK;
}
