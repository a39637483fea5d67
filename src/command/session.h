/* What train and test have in common: the parts an experiment is composed of. */
#ifndef IB_COMMAND_SESSION_H
#define IB_COMMAND_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "data/dataset.h"
#include "data/pixel_table.h"
#include "data/split.h"
#include "model/model.h"
#include "options/canonical.h"
#include "options/config.h"
#include "tensor/safetensors.h"

typedef struct ib_session {
    ib_backend *backend;
    ib_dataset dataset;
    ib_split split;
    ib_pixel_table table; /* of --normalize standard; else, and until it is asked for, zero */
    ib_model *model;
    ib_safetensors init; /* the file of --init-model, from hashing to loading */
} ib_session;

/* Backend, verified data set and split; then ib_session_open_model. Zero-initialise session; the
 * caller calls ib_session_close, also after a failure. */
ib_status ib_session_open(const ib_config *config, ib_session *session, ib_error *err);
/* The table of --normalize standard over the training images; nothing for other normalisations. */
ib_status ib_session_make_table(const ib_config *config, ib_session *session, ib_error *err);
/* The same as it lies beside a model's file: missing, or none of this data set, it is
 * IB_ERROR_VERIFY naming it. */
ib_status ib_session_read_table(const char *model_path, ib_session *session, ib_error *err);
/* training 1: initialised by the seed or from --init-model, with the table of ib_session_make_table
 * where it needs one. 0: for evaluation, without weights or table. */
ib_status ib_session_open_model(const ib_config *config, int training, ib_session *session,
                                ib_error *err);
/* IB_ERROR_USAGE when the model was opened for more than the memory of the machine, or of the
 * container: the kernel would kill the run once it touches that much. */
ib_status ib_check_model_memory(const ib_model *model, ib_error *err);
/* Images evaluated at a time: --test-batch-size, or fewer when there are fewer. */
size_t ib_session_test_batch(const ib_config *config, const ib_session *session);
void ib_session_close(ib_session *session);

/* Names the experiment ("mnist-cnn") and computes its canonical form and experiment_sha256. The
 * caller frees both texts, also after a failure. Reads the file of --init-model, once: before
 * ib_session_open_model. */
ib_status ib_identify(const ib_config *config, ib_session *session, char **experiment,
                      char **canonical, char hex[IB_SHA256_HEX_SIZE], ib_error *err);

/* Greatest resident memory of this process so far, in bytes. */
uint64_t ib_peak_rss_bytes(void);
/* The size of a file, 0 when it cannot be told. */
uint64_t ib_file_bytes(const ib_folder *folder, const char *name);

#endif
