/* isobit compare: records side by side, and where two of one experiment parted. */
#include "command/command.h"

#include <stdlib.h>

#include "base/json_value.h"
#include "command/divergence.h"
#include "report/compare.h"

static ib_status print_json(const ib_comparison *comparison, json_t *divergence, size_t agreements,
                            FILE *out, ib_error *err) {
    json_t *object = ib_comparison_json(comparison);
    if (object == NULL)
        return ib_fail_memory(err);
    const char *verdict = divergence != NULL ? "different"
                          : agreements > 0   ? "same bits"
                                             : "other experiments";
    int complete =
        json_object_set_new(object, "verdict", json_string(verdict)) == 0 &&
        json_object_set(object, "divergence", divergence != NULL ? divergence : json_null()) == 0;
    char *text = complete ? ib_json_dump(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    if (text == NULL)
        return ib_fail_memory(err);
    fprintf(out, "%s\n", text);
    free(text);
    return IB_OK;
}

static ib_status compare(const ib_comparison *comparison, ib_arguments *arguments,
                         const ib_command_context *context, ib_error *err) {
    size_t first = 0, second = 0, agreements = ib_comparison_agreements(comparison);
    json_t *divergence = NULL;
    int json = arguments->config.output.json;
    if (!json)
        IB_TRY(ib_comparison_print(comparison, context->out, err));
    ib_status status = IB_OK;
    if (ib_comparison_conflict(comparison, &first, &second))
        status =
            ib_divergence_find(comparison, first, second, arguments, context, &divergence, err);
    if (status == IB_OK && json)
        status = print_json(comparison, divergence, agreements, context->out, err);
    else if (status == IB_OK && divergence != NULL)
        ib_divergence_print(divergence, comparison, context->out);
    else if (status == IB_OK)
        fprintf(context->out, "\n%s\n",
                agreements > 0 ? "Runs of one experiment_sha256 have the same bits."
                               : "No two finished runs are of one experiment.");
    if (status == IB_OK && divergence != NULL)
        status = ib_fail(err, IB_ERROR_NOT_REPRODUCED,
                         "%s and %s have one experiment_sha256, but not the same results",
                         comparison->runs[first].directory, comparison->runs[second].directory);
    json_decref(divergence);
    return status;
}

ib_status ib_command_compare(ib_arguments *arguments, const ib_command_context *context,
                             ib_error *err) {
    ib_comparison comparison = {0};
    if (arguments->word_count < 2)
        return ib_fail(err, IB_ERROR_USAGE, "isobit compare needs two runs or more");
    ib_status status =
        ib_comparison_open(arguments->words, arguments->word_count, &comparison, err);
    if (status == IB_OK)
        status = compare(&comparison, arguments, context, err);
    ib_comparison_close(&comparison);
    return status;
}
