/* From words to a checked configuration. */
#include "options/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/number.h"
#include "options/network_option.h"
#include "options/numbers.h"

static void *member(const ib_option *option, ib_config *config) {
    return (char *)config + option->offset;
}

/* "cnn, mlp" with the given separator; fresh memory. */
static char *choice_list(ib_choices *choices, const char *separator) {
    char *text = ib_format("%s", "");
    ib_choice choice;
    for (size_t i = 0; text != NULL && (choice = choices(i)).name != NULL; ++i) {
        if (choice.unlisted || choice.refusal != NULL)
            continue;
        char *longer = ib_format("%s%s%s", text, text[0] == '\0' ? "" : separator, choice.name);
        free(text);
        text = longer;
    }
    return text;
}

/* For people: "3600", where ib_print_double's shortest form is "3.6e+03". */
static void print_bound(double value, char text[IB_DOUBLE_TEXT]) {
    if (value >= 0 && value < 1e9 && value == (double)(long long)value)
        snprintf(text, IB_DOUBLE_TEXT, "%lld", (long long)value);
    else
        ib_print_double(value, text);
}

char *ib_option_range(const ib_option *option) {
    char low[IB_DOUBLE_TEXT], high[IB_DOUBLE_TEXT];
    int bounded = option->maximum < 1e30;
    switch (option->kind) {
    case IB_OPTION_FLAG:
        return ib_format("no value");
    case IB_OPTION_INT:
        return ib_format("an integer from %lld to %lld", (long long)option->minimum,
                         (long long)option->maximum);
    case IB_OPTION_UINT64:
        return ib_format("an integer from 0 to 18446744073709551615");
    case IB_OPTION_DOUBLE:
        print_bound(option->minimum, low);
        print_bound(option->maximum, high);
        if (option->least_above_zero > 0) {
            print_bound(option->least_above_zero, low);
            return ib_format("0, or a number from %s to %s", low, high);
        }
        if (!bounded && option->minimum <= -1e30)
            return ib_format("a number");
        if (!bounded)
            return ib_format("a number %s %s", option->minimum_excluded ? "above" : "of at least",
                             low);
        return ib_format("a number from %s to %s%s", low, option->maximum_excluded ? "below " : "",
                         high);
    case IB_OPTION_MODEL: {
        char *names = choice_list(option->choices, ", ");
        char *text = names == NULL ? NULL : ib_format("one of %s, or a file FILE.yaml", names);
        free(names);
        return text;
    }
    case IB_OPTION_CHOICE:
    case IB_OPTION_NAME: {
        char *names = choice_list(option->choices, ", ");
        char *text = names == NULL            ? NULL
                     : option->others != NULL ? ib_format("one of %s, or %s", names, option->others)
                                              : ib_format("one of %s", names);
        free(names);
        return text;
    }
    case IB_OPTION_NAME_OR_DOUBLE: {
        char *names = choice_list(option->choices, ", ");
        print_bound(option->minimum, low);
        char *text = names == NULL ? NULL
                     : option->many
                         ? ib_format("%s or numbers above %s with commas between", names, low)
                         : ib_format("%s or a number above %s", names, low);
        free(names);
        return text;
    }
    case IB_OPTION_STRING:
        break;
    }
    return ib_format("a text that is not empty");
}

static ib_status bad_value(const ib_option *option, const char *text, const char *given_as,
                           ib_error *err) {
    char *range = ib_option_range(option);
    if (range == NULL)
        return ib_fail_memory(err);
    ib_fail(err, IB_ERROR_USAGE, "%s: '%s' is not valid: give %s", given_as, text, range);
    free(range);
    return IB_ERROR_USAGE;
}

static int in_range(const ib_option *option, double value) {
    if (value < option->minimum || value > option->maximum)
        return 0;
    if (value > 0 && value < option->least_above_zero)
        return 0;
    if (option->minimum_excluded && value == option->minimum)
        return 0;
    return !(option->maximum_excluded && value == option->maximum);
}

static ib_status set_string(char **target, const char *text, ib_error *err) {
    char *copy = strdup(text);
    if (copy == NULL)
        return ib_fail_memory(err);
    free(*target);
    *target = copy;
    return IB_OK;
}

static ib_status set_choice(const ib_option *option, const char *text, const char *given_as,
                            ib_config *config, ib_error *err) {
    ib_choice choice;
    for (size_t i = 0; (choice = option->choices(i)).name != NULL; ++i) {
        if (strcmp(choice.name, text) != 0)
            continue;
        if (choice.refusal != NULL) {
            char *names = choice_list(option->choices, ", ");
            ib_fail(err, choice.refusal_status, "%s: %s %s; it has: %s", given_as, text,
                    choice.refusal, names != NULL ? names : "");
            free(names);
            return choice.refusal_status;
        }
        if (option->kind == IB_OPTION_NAME)
            return set_string(member(option, config), text, err);
        *(int *)member(option, config) = choice.value;
        return IB_OK;
    }
    return option->others != NULL && text[0] != '\0' ? set_string(member(option, config), text, err)
                                                     : bad_value(option, text, given_as, err);
}

/* One of the choices, or a network's file. */
static ib_status set_model(const ib_option *option, const char *text, const char *given_as,
                           ib_config *config, ib_error *err) {
    if (ib_is_network_file_name(text))
        return ib_config_read_network(config, text, given_as, err);
    IB_TRY(set_choice(option, text, given_as, config, err));
    ib_experiment_forget_network(&config->experiment);
    return IB_OK;
}

/* One of the choices as it is, or a number in its shortest form: one experiment, one text. */
static ib_status set_name_or_double(const ib_option *option, const char *text, const char *given_as,
                                    ib_config *config, ib_error *err) {
    ib_choice choice;
    for (size_t i = 0; (choice = option->choices(i)).name != NULL; ++i)
        if (strcmp(choice.name, text) == 0)
            return set_string(member(option, config), text, err);
    int valid;
    char *numbers = ib_shortest_numbers(option, text, in_range, &valid);
    if (!valid)
        return bad_value(option, text, given_as, err);
    ib_status status =
        numbers == NULL ? ib_fail_memory(err) : set_string(member(option, config), numbers, err);
    free(numbers);
    return status;
}

static ib_status set_normal(const ib_option *option, const char *text, const char *given_as,
                            ib_config *config, ib_error *err) {
    char **target = member(option, config), *form = NULL;
    IB_TRY(option->normal(text, given_as, &form, err));
    free(*target);
    *target = form;
    return IB_OK;
}

ib_status ib_option_set(const ib_option *option, const char *text, const char *given_as,
                        ib_config *config, ib_error *err) {
    int64_t integer = 0;
    uint64_t natural = 0;
    double real = 0;
    switch (option->kind) {
    case IB_OPTION_FLAG:
        *(int *)member(option, config) = 1;
        return IB_OK;
    case IB_OPTION_INT:
        if (ib_parse_i64(text, &integer) != 0 || !in_range(option, (double)integer))
            return bad_value(option, text, given_as, err);
        *(int64_t *)member(option, config) = integer;
        return IB_OK;
    case IB_OPTION_UINT64:
        if (ib_parse_u64(text, &natural) != 0)
            return bad_value(option, text, given_as, err);
        *(uint64_t *)member(option, config) = natural;
        return IB_OK;
    case IB_OPTION_DOUBLE:
        if (ib_parse_double(text, &real) != 0 || !in_range(option, real))
            return bad_value(option, text, given_as, err);
        *(double *)member(option, config) = real + 0.0; /* -0 becomes +0: one canonical form */
        return IB_OK;
    case IB_OPTION_MODEL:
        return set_model(option, text, given_as, config, err);
    case IB_OPTION_CHOICE:
    case IB_OPTION_NAME:
        return set_choice(option, text, given_as, config, err);
    case IB_OPTION_NAME_OR_DOUBLE:
        return set_name_or_double(option, text, given_as, config, err);
    case IB_OPTION_STRING:
        if (text[0] == '\0')
            return bad_value(option, text, given_as, err);
        return option->normal != NULL ? set_normal(option, text, given_as, config, err)
                                      : set_string(member(option, config), text, err);
    }
    return ib_fail(err, IB_ERROR_RUNTIME, "%s has no kind", given_as);
}

/* Sets what has not been given. By-optimiser defaults need the optimiser: called after the rest. */
static ib_status set_defaults(ib_config *config, const unsigned char *sources, ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        const char *text = ib_option_default(option, config->experiment.optimizer);
        if (text != NULL && (sources == NULL || sources[i] == IB_FROM_DEFAULT))
            IB_TRY(ib_option_set(option, text, option->name, config, err));
    }
    return IB_OK;
}

ib_status ib_config_defaults(ib_config *config, ib_error *err) {
    *config = (ib_config){0};
    return set_defaults(config, NULL, err);
}

void ib_config_free(ib_config *config) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (option->kind == IB_OPTION_STRING || option->kind == IB_OPTION_NAME ||
            option->kind == IB_OPTION_NAME_OR_DOUBLE)
            free(*(char **)member(option, config));
    ib_experiment_forget_network(&config->experiment);
    *config = (ib_config){0};
}

void ib_arguments_free(ib_arguments *parsed) {
    free(parsed->words);
    ib_config_free(&parsed->config);
    *parsed = (ib_arguments){0};
}

ib_source ib_arguments_source(const ib_arguments *parsed, const char *name) {
    const ib_option *option = ib_option_find(name, strlen(name));
    return option == NULL ? IB_FROM_DEFAULT : (ib_source)parsed->sources[ib_option_index(option)];
}

/* Names and aliases of the options of one command, for suggestions. */
static const char *option_name(const void *context, size_t i) {
    const ib_command *command = context;
    const ib_option *option;
    for (size_t row = 0; (option = ib_option_at(row)) != NULL; ++row) {
        if ((option->commands & command->bit) == 0)
            continue;
        if (i-- == 0)
            return option->name;
        for (size_t a = 0; a < IB_MAX_ALIASES && option->aliases[a] != NULL; ++a)
            if (i-- == 0)
                return option->aliases[a];
    }
    return i == 0 ? "help" : NULL;
}

static ib_status unknown_option(const ib_command *command, const char *word, size_t length,
                                ib_error *err) {
    if (ib_option_is_later(word + 2, length))
        return ib_fail(err, IB_ERROR_USAGE, "option %.*s is not in this version", (int)length + 2,
                       word);
    char *name = strndup(word + 2, length);
    if (name == NULL)
        return ib_fail_memory(err);
    const char *nearest = ib_nearest_name(name, option_name, command);
    if (nearest != NULL)
        ib_fail(err, IB_ERROR_USAGE, "unknown option --%s; did you mean --%s?", name, nearest);
    else
        ib_fail(err, IB_ERROR_USAGE, "unknown option --%s; see isobit %s --help", name,
                command->name);
    free(name);
    return IB_ERROR_USAGE;
}

/* Takes the option at arguments[*at]; moves *at past its value. */
static ib_status take_option(ib_arguments *parsed, int count, const char *const *arguments, int *at,
                             ib_error *err) {
    const char *word = arguments[*at];
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    const ib_option *option = ib_option_find_for(word + 2, length, parsed->command->bit);
    if (option == NULL)
        return unknown_option(parsed->command, word, length, err);
    if ((option->commands & parsed->command->bit) == 0)
        return ib_fail(err, IB_ERROR_USAGE, "isobit %s takes no --%s; see isobit %s --help",
                       parsed->command->name, option->name, parsed->command->name);
    const char *value = equals != NULL ? equals + 1 : NULL;
    char *given_as = strndup(word, length + 2);
    if (given_as == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    if (option->kind == IB_OPTION_FLAG && value != NULL) {
        status =
            ib_fail(err, IB_ERROR_USAGE, "%s takes no value, but '%s' was given", given_as, value);
    } else if (option->kind != IB_OPTION_FLAG && value == NULL) {
        if (*at + 1 >= count || strncmp(arguments[*at + 1], "--", 2) == 0) {
            char *range = ib_option_range(option);
            status = ib_fail(err, IB_ERROR_USAGE, "%s needs a value: give %s", given_as,
                             range != NULL ? range : "one");
            free(range);
        } else {
            value = arguments[++*at];
        }
    }
    if (status == IB_OK)
        status = ib_option_set(option, value, given_as, &parsed->config, err);
    free(given_as);
    parsed->sources[ib_option_index(option)] = IB_FROM_FLAG;
    return status;
}

/* The option that "-x" stands for, NULL when there is none. */
static const ib_option *letter_option(const char *word) {
    const ib_option *option;
    for (size_t i = 0;
         word[0] == '-' && word[1] != '\0' && word[2] == '\0' && (option = ib_option_at(i)) != NULL;
         ++i)
        if (option->letter == word[1])
            return option;
    return NULL;
}

static ib_status take_letter(ib_arguments *parsed, int count, const char *const *arguments, int *at,
                             ib_error *err) {
    const ib_option *option = letter_option(arguments[*at]);
    char *spelled = ib_format("--%s", option->name);
    if (spelled == NULL)
        return ib_fail_memory(err);
    const char *words[2] = {spelled, *at + 1 < count ? arguments[*at + 1] : NULL};
    int used = 0;
    ib_status status = take_option(parsed, *at + 1 < count ? 2 : 1, words, &used, err);
    *at += used;
    free(spelled);
    return status;
}

static const char *verb_name(const void *context, size_t i) {
    const char *const *verbs = context;
    return verbs[i];
}

static ib_status check_verb(const ib_command *command, const char *const *verbs, const char *word,
                            ib_error *err) {
    if (word != NULL)
        for (size_t i = 0; verbs[i] != NULL; ++i)
            if (strcmp(verbs[i], word) == 0)
                return IB_OK;
    char *synopsis = ib_command_synopsis(command);
    if (synopsis == NULL)
        return ib_fail_memory(err);
    const char *nearest = word == NULL ? NULL : ib_nearest_name(word, verb_name, verbs);
    if (word == NULL)
        ib_fail(err, IB_ERROR_USAGE, "isobit %s needs more: isobit %s", command->name, synopsis);
    else if (nearest != NULL)
        ib_fail(err, IB_ERROR_USAGE, "isobit %s: unknown word '%s'; did you mean %s?",
                command->name, word, nearest);
    else
        ib_fail(err, IB_ERROR_USAGE, "isobit %s: unknown word '%s'; use: isobit %s", command->name,
                word, synopsis);
    free(synopsis);
    return IB_ERROR_USAGE;
}

static ib_status check_words(const ib_arguments *parsed, ib_error *err) {
    const ib_command *command = parsed->command;
    size_t used = 0;
    for (size_t v = 0; v < 2 && command->verbs[v] != NULL; ++v, ++used)
        IB_TRY(check_verb(command, command->verbs[v],
                          used < parsed->word_count ? parsed->words[used] : NULL, err));
    if (command->operand != NULL) {
        if (command->operand_required && used == parsed->word_count)
            return ib_fail(err, IB_ERROR_USAGE, "isobit %s needs %s", command->name,
                           command->operand);
        used += used < parsed->word_count;
    }
    if (command->rest != NULL)
        used = parsed->word_count;
    if (used < parsed->word_count)
        return ib_fail(err, IB_ERROR_USAGE, "isobit %s: unexpected argument '%s'", command->name,
                       parsed->words[used]);
    return IB_OK;
}

/* The first option given as a flag that needs this or more; NULL: none was. */
static const ib_option *first_needing(const ib_arguments *parsed, ib_option_needs least) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (option->needs >= least && parsed->sources[i] == IB_FROM_FLAG)
            break;
    return option;
}

/* What a dry run has no record for. */
static ib_status check_dry_run(const ib_arguments *parsed, ib_error *err) {
    if (!parsed->config.experiment.dry_run)
        return IB_OK;
    if (parsed->config.record.save_model)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--save-model with --dry-run would save a model that is not trained: leave "
                       "one of them out");
    const ib_option *given = first_needing(parsed, IB_NEEDS_RECORD);
    return given == NULL
               ? IB_OK
               : ib_fail(err, IB_ERROR_USAGE,
                         "--%s has no effect with --dry-run, which writes no run record: leave "
                         "one of them out",
                         given->name);
}

static ib_status check_tracking(const ib_arguments *parsed, char *(*environment)(const char *name),
                                ib_error *err) {
    const char *uri = parsed->config.tracking.uri;
    if ((parsed->command->bit & (IB_FOR_TRAIN | IB_FOR_SWEEP)) == 0)
        return IB_OK;
    if (uri == NULL && environment != NULL)
        uri = environment("MLFLOW_TRACKING_URI");
    const ib_option *given =
        uri != NULL && uri[0] != '\0' ? NULL : first_needing(parsed, IB_NEEDS_SERVER);
    return given == NULL ? IB_OK
                         : ib_fail(err, IB_ERROR_USAGE,
                                   "--%s has no effect without an MLflow server: give --mlflow "
                                   "URI, or leave it out",
                                   given->name);
}

/* Whether these are the words of "bench roofline" or "hash ... model", "..." being any. */
static int is_action(const ib_arguments *parsed, const char *action) {
    size_t length = strcspn(action, " "), word = 0;
    if (strlen(parsed->command->name) != length ||
        strncmp(parsed->command->name, action, length) != 0)
        return 0;
    for (action += length; *action == ' '; action += length, ++word) {
        length = strcspn(++action, " ");
        if (word == parsed->word_count)
            return 0;
        if (strncmp(action, "...", length) != 0 &&
            (strlen(parsed->words[word]) != length ||
             strncmp(parsed->words[word], action, length) != 0))
            return 0;
    }
    return 1;
}

static ib_status check_idle(const ib_arguments *parsed, ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        for (size_t a = 0; a < IB_MAX_IDLE && option->idle_in[a] != NULL; ++a)
            if (parsed->sources[i] == IB_FROM_FLAG && is_action(parsed, option->idle_in[a]))
                return ib_fail(err, IB_ERROR_USAGE,
                               "--%s has no effect with isobit %s: leave it out", option->name,
                               option->idle_in[a]);
    return IB_OK;
}

/* Why an option means nothing for this experiment. */
static ib_status without_effect(const ib_option *option, const ib_experiment *experiment,
                                ib_error *err) {
    const char *name = option->name;
    const char *model = ib_experiment_model_name(experiment);
    int network = ib_model_is_network((ib_model_kind)experiment->model);
    if (option->models == IB_NETWORKS_ONLY && !network)
        return ib_fail(err, IB_ERROR_USAGE, "--%s has no effect with --model %s: leave it out",
                       name, model);
    if (option->models == IB_SVM_ONLY && network)
        return ib_fail(err, IB_ERROR_USAGE, "--%s needs --model svm: leave one of them out", name);
    if (option->of == IB_OF_SVM_KERNELS)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--%s has no effect with this --kernel: leave it out or change the kernel",
                       name);
    if (option->of == IB_OF_SCHEDULES)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--%s has no effect with --schedule %s: leave one of them out", name,
                       ib_schedule_at((size_t)experiment->schedule)->name);
    char *names = ib_option_optimizers(option);
    ib_fail(err, IB_ERROR_USAGE, "--%s needs --optimizer %s: leave it out or change the optimiser",
            name, names != NULL ? names : "");
    free(names);
    return IB_ERROR_USAGE;
}

/* An option that would be ignored is an error: nobody should believe that it had an effect. */
static ib_status check_together(const ib_arguments *parsed, ib_error *err) {
    const ib_config *config = &parsed->config;
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (parsed->sources[i] == IB_FROM_FLAG && !ib_option_applies(option, &config->experiment))
            return without_effect(option, &config->experiment, err);
    if (config->machine.no_accel && config->machine.backend != NULL &&
        (strcmp(config->machine.backend, "cuda") == 0 ||
         strcmp(config->machine.backend, "opencl") == 0))
        return ib_fail(err, IB_ERROR_USAGE,
                       "--no-accel and --backend %s contradict each other: leave one out",
                       config->machine.backend);
    IB_TRY(ib_optimizer_check(&config->experiment, err));
    IB_TRY(ib_schedule_check(&config->experiment, err));
    return check_dry_run(parsed, err);
}

static ib_status take_environment(ib_arguments *parsed, char *(*environment)(const char *name),
                                  ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        const char *value = NULL;
        if (environment != NULL && option->environment != NULL &&
            (option->commands & parsed->command->bit) != 0)
            value = environment(option->environment);
        if (value == NULL || value[0] == '\0' || parsed->sources[i] == IB_FROM_FLAG)
            continue;
        IB_TRY(ib_option_set(option, value, option->environment, &parsed->config, err));
        parsed->sources[i] = IB_FROM_ENVIRONMENT;
    }
    return IB_OK;
}

ib_status ib_arguments_parse(const ib_command *command, int count, const char *const *arguments,
                             char *(*environment)(const char *name), ib_arguments *parsed,
                             ib_error *err) {
    *parsed = (ib_arguments){.command = command};
    parsed->words = calloc((size_t)count + 1, sizeof *parsed->words);
    if (parsed->words == NULL)
        return ib_fail_memory(err);
    for (int i = 0; i < count && strcmp(arguments[i], "--") != 0; ++i) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            parsed->help = 1;
            return IB_OK;
        }
    }
    int options_ended = 0;
    for (int i = 0; i < count; ++i) {
        const char *word = arguments[i];
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = 1;
        } else if (!options_ended && strncmp(word, "--", 2) == 0) {
            IB_TRY(take_option(parsed, count, arguments, &i, err));
        } else if (!options_ended && letter_option(word) != NULL) {
            IB_TRY(take_letter(parsed, count, arguments, &i, err));
        } else if (!options_ended && word[0] == '-' && word[1] != '\0') {
            return ib_fail(err, IB_ERROR_USAGE,
                           "unknown option %s; options are written --name, see isobit %s --help",
                           word, command->name);
        } else {
            parsed->words[parsed->word_count++] = word;
        }
    }
    IB_TRY(check_words(parsed, err));
    IB_TRY(take_environment(parsed, environment, err));
    IB_TRY(set_defaults(&parsed->config, parsed->sources, err));
    IB_TRY(ib_config_split_dataset(&parsed->config,
                                   ib_arguments_source(parsed, "data-dir") == IB_FROM_FLAG, err));
    IB_TRY(check_idle(parsed, err));
    IB_TRY(check_together(parsed, err));
    return check_tracking(parsed, environment, err);
}
