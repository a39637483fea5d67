#include "api/net_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- options ----------------------------------------------------------------------------------
 */

static ib_status refuse(const ib_option *option, const char *text, ib_error *err) {
    if (strcmp(option->name, "model") == 0 || strcmp(option->name, "dataset") == 0)
        return ib_fail(err, IB_ERROR_USAGE,
                       "option '%s': network and data are given when the network is opened", text);
    if (!ib_option_is_hashed(option))
        return ib_fail(err, IB_ERROR_USAGE,
                       "option '%s' decides no bits: it is no option of the experiment", text);
    return IB_OK;
}

/* "--epochs=2" of "epochs=2"; of a flag "--dry-run", or NULL where it is 0. Fresh memory. */
static ib_status to_word(const char *text, char **word, ib_error *err) {
    const char *equals = strchr(text, '=');
    *word = NULL;
    if (equals == NULL || equals == text)
        return ib_fail(err, IB_ERROR_USAGE, "option '%s': give it as name=value", text);
    size_t length = (size_t)(equals - text);
    const ib_option *option = ib_option_find_for(text, length, IB_FOR_TRAIN);
    if (option != NULL)
        IB_TRY(refuse(option, text, err));
    if (option != NULL && option->kind == IB_OPTION_FLAG) {
        if (strcmp(equals, "=0") == 0)
            return IB_OK;
        if (strcmp(equals, "=1") != 0)
            return ib_fail(err, IB_ERROR_USAGE, "option '%s': its value is 0 or 1", text);
        *word = ib_format("--%s", option->name);
    } else {
        *word = ib_format("--%s", text);
    }
    return *word == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_net_options_parse(const char *network, const char *const *options,
                               ib_arguments *arguments, ib_error *err) {
    size_t given = 0, count = 0;
    while (options != NULL && options[given] != NULL)
        ++given;
    *arguments = (ib_arguments){0};
    if (given > IB_MAX_OPTIONS)
        return ib_fail(err, IB_ERROR_USAGE, "more than %d options", (int)IB_MAX_OPTIONS);
    char *words[IB_MAX_OPTIONS + 1] = {0};
    ib_status status = IB_OK;
    if (network != NULL) {
        words[count] = ib_format("--model=%s", network);
        status = words[count++] == NULL ? ib_fail_memory(err) : IB_OK;
    }
    for (size_t i = 0; status == IB_OK && i < given; ++i) {
        status = to_word(options[i], &words[count], err);
        count += words[count] != NULL;
    }
    if (status == IB_OK)
        status = ib_arguments_parse(ib_command_find("train"), (int)count,
                                    (const char *const *)words, NULL, arguments, err);
    for (size_t i = 0; i < count; ++i)
        free(words[i]);
    return status;
}
