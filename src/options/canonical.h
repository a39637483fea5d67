/* The canonical form of an experiment: what may change bits, and nothing else. */
#ifndef IB_OPTIONS_CANONICAL_H
#define IB_OPTIONS_CANONICAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/json_text.h"
#include "base/sha256.h"
#include "base/status.h"
#include "catalog/datasets.h"
#include "options/config.h"
#include "options/options.h"

/* What the configuration alone does not say. */
typedef struct ib_experiment_inputs {
    const char *data_sha256[4];      /* training images, labels, test images, labels */
    const char *init_model_sha256;   /* NULL without --init-model */
    const ib_dataset_info *imported; /* what its files do not say; NULL: the set is known by name */
    const char *model;   /* of a network's file (ib_network_identify); NULL: as it was chosen */
    const char *network; /* its canonical form; NULL: the model says it */
    uint64_t train_count, test_count; /* images really used: "all" and the full number are one */
} ib_experiment_inputs;

/* One line of JSON, keys sorted, no spaces, in fresh memory the caller frees; hex gets its SHA-256:
 * experiment_sha256. */
ib_status ib_canonical(const ib_config *config, const ib_experiment_inputs *inputs, char **text,
                       char hex[IB_SHA256_HEX_SIZE], ib_error *err);

/* "batch_size" for the option "batch-size"; fresh memory. */
char *ib_option_key(const ib_option *option);
/* Writes one option as key and value. */
void ib_option_write(const ib_option *option, const ib_config *config, const char *key,
                     ib_json *json);
/* Every option that a command of these bits takes, in table order, as one object. */
ib_status ib_config_write(const ib_config *config, unsigned commands, const char *key,
                          ib_json *json, ib_error *err);
/* The name of an option's chosen value ("adadelta"), for kinds CHOICE and NAME. */
const char *ib_option_choice_name(const ib_option *option, const ib_config *config);

#endif
