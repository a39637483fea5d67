/* isobit model: the networks there are, and files that describe others. */
#include <string.h>

#include "base/file.h"
#include "catalog/networks.h"
#include "command/bench_parts.h"
#include "command/command.h"
#include "data/lock.h"
#include "model/model.h"

/* Planned for the images of the data set, or of mnist where the network says no images: planning
 * costs address space, no memory. */
static ib_status plan(const ib_experiment *experiment, const ib_config *config,
                      ib_backend **backend, ib_model **model, ib_error *err) {
    ib_dataset_description data;
    IB_TRY(ib_dataset_describe(config->data.dir, experiment->dataset, &data, err));
    ib_status status = ib_bench_open_backend(&config->machine, backend, err);
    if (status == IB_OK)
        status = ib_model_open(*backend, experiment, data.info, 1, 1, model, err);
    ib_dataset_description_close(&data);
    return status;
}

static void print_costs(const ib_model *model, FILE *out) {
    fprintf(out, "%zu parameters, %.3g million multiply-adds an image",
            ib_model_parameter_count(model), 1e-6 * (double)ib_model_macs_forward(model));
}

static ib_status list(const ib_config *config, FILE *out, ib_error *err) {
    const ib_network_text *own;
    for (size_t i = 0; (own = ib_network_at(i)) != NULL; ++i) {
        ib_experiment experiment = config->experiment;
        ib_network_file file = {0};
        ib_backend *backend = NULL;
        ib_model *model = NULL;
        experiment.model = (int)i;
        ib_status status = ib_network_of(&experiment, &file, err);
        if (status == IB_OK)
            status = plan(&experiment, config, &backend, &model, err);
        if (status == IB_OK) {
            fprintf(out, "%-10s ", own->name);
            print_costs(model, out);
            fprintf(out, "\n%10s %s\n", "", file.about != NULL ? file.about : "");
        }
        ib_model_close(model);
        ib_backend_close(backend);
        ib_network_file_close(&file);
        IB_TRY(status);
    }
    return IB_OK;
}

static const ib_option *model_option(void) {
    return ib_option_find("model", strlen("model"));
}

/* Gives the configuration the network that the command line names. */
static ib_status choose(const char *name, const char *verb, ib_config *config, ib_error *err) {
    if (name == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "isobit model %s needs the name of a network or a file",
                       verb);
    return ib_option_set(model_option(), name, "isobit model", config, err);
}

static ib_status show(const ib_experiment *experiment, FILE *out, ib_error *err) {
    const ib_network_text *own = ib_network_at((size_t)experiment->model);
    if (experiment->network == NULL && own == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "%s is no network",
                       ib_experiment_model_name(experiment));
    fputs(experiment->network != NULL ? experiment->network : own->text, out);
    return IB_OK;
}

static ib_status check(const ib_config *config, FILE *out, ib_error *err) {
    const ib_experiment *experiment = &config->experiment;
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    ib_status status = plan(experiment, config, &backend, &model, err);
    if (status == IB_OK) {
        fprintf(out, "%s: ", ib_experiment_model_name(experiment));
        print_costs(model, out);
        fprintf(out, ", in %zu operations, for images of %s\n", ib_model_row_count(model),
                experiment->dataset);
    }
    ib_model_close(model);
    ib_backend_close(backend);
    return status;
}

ib_status ib_command_model(ib_arguments *arguments, const ib_command_context *context,
                           ib_error *err) {
    ib_config *config = &arguments->config;
    const char *verb = arguments->words[0];
    const char *name = arguments->word_count > 1 ? arguments->words[1] : NULL;
    if (strcmp(verb, "list") == 0)
        return list(config, context->out, err);
    IB_TRY(choose(name, verb, config, err));
    return strcmp(verb, "show") == 0 ? show(&config->experiment, context->out, err)
                                     : check(config, context->out, err);
}
