/* A network's file as the value of --model. */
#include "options/network_option.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/yaml.h"

void ib_experiment_forget_network(ib_experiment *experiment) {
    free(experiment->network);
    free(experiment->network_name);
    free(experiment->network_path);
    experiment->network = experiment->network_name = experiment->network_path = NULL;
}

int ib_is_network_file_name(const char *text) {
    size_t length = strlen(text);
    return strchr(text, '/') != NULL || (length > 5 && strcmp(text + length - 5, ".yaml") == 0) ||
           (length > 4 && strcmp(text + length - 4, ".yml") == 0);
}

/* The name that the file of a network gives it; what else it says is read when the network is
 * planned (nn/network_file.h). */
static ib_status read_network_name(const char *path, const char *text, size_t size, char **name,
                                   ib_error *err) {
    ib_yaml yaml = {0};
    ib_status status = ib_yaml_parse(path, text, size, &yaml, err);
    const ib_yaml_node *node = status == IB_OK ? ib_yaml_get(yaml.root, "name") : NULL;
    if (status == IB_OK && (node == NULL || node->kind != IB_YAML_TEXT))
        status = ib_fail(err, IB_ERROR_USAGE,
                         "%s: a network needs a name: begin the file with 'name: NAME'", path);
    if (status == IB_OK && (*name = strdup(node->text)) == NULL)
        status = ib_fail_memory(err);
    ib_yaml_close(&yaml);
    return status;
}

ib_status ib_config_set_network(ib_config *config, const char *name, const char *path,
                                const char *text, ib_error *err) {
    ib_experiment *experiment = &config->experiment;
    ib_experiment fresh = {
        .network = strdup(text), .network_name = strdup(name), .network_path = strdup(path)};
    if (fresh.network == NULL || fresh.network_name == NULL || fresh.network_path == NULL) {
        ib_experiment_forget_network(&fresh);
        return ib_fail_memory(err);
    }
    ib_experiment_forget_network(experiment);
    experiment->model = IB_MODEL_FILE;
    experiment->network = fresh.network;
    experiment->network_name = fresh.network_name;
    experiment->network_path = fresh.network_path;
    return IB_OK;
}

/* What is checked and hashed is what is trained: the file is read once. */
ib_status ib_config_read_network(ib_config *config, const char *path, const char *given_as,
                                 ib_error *err) {
    char *contents = NULL, *name = NULL;
    size_t size = 0;
    if (ib_path_is_missing(path))
        return ib_fail(err, IB_ERROR_USAGE, "%s: there is no file %s", given_as, path);
    ib_status status = ib_read_file(path, IB_YAML_MAX_BYTES, &contents, &size, err);
    if (status == IB_OK && strlen(contents) != size)
        status = ib_fail(err, IB_ERROR_USAGE, "%s: %s is no text", given_as, path);
    if (status == IB_OK)
        status = read_network_name(path, contents, size, &name, err);
    if (status == IB_OK)
        status = ib_config_set_network(config, name, path, contents, err);
    free(contents);
    free(name);
    return status;
}
