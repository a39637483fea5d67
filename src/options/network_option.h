/* A network's file as the value of --model. */
#ifndef IB_OPTIONS_NETWORK_OPTION_H
#define IB_OPTIONS_NETWORK_OPTION_H

#include "options/config.h"

/* Whether a value of --model is the name of a file: it has a '/' or ends with .yaml or .yml. */
int ib_is_network_file_name(const char *text);
/* Reads the file, and no more of it than the name that it gives the network; its rows are read when
 * the network is planned (nn/network_file.h). IB_ERROR_USAGE: it is none, or has no name. */
ib_status ib_config_read_network(ib_config *config, const char *path, const char *given_as,
                                 ib_error *err);
/* Gives the experiment a network of this name and text, which path names in messages. */
ib_status ib_config_set_network(ib_config *config, const char *name, const char *path,
                                const char *text, ib_error *err);
/* Frees what the experiment has of a file. */
void ib_experiment_forget_network(ib_experiment *experiment);

#endif
