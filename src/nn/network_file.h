/* Networks as files: the rows of a network in YAML, with blocks that are written once and used with
 * other numbers. What a row may say follows from its kind (ib_layer_kind.keys).
 *
 *     name: lenet5
 *     input: {channels: 1, height: 28, width: 28}
 *     rows:
 *       - conv: {name: conv1, out: 6, kernel: 5, pad: 2}
 *       - relu
 *       - max-pool: 2
 *       - flatten
 *       - linear: {name: fc, out: classes} */
#ifndef IB_NN_NETWORK_FILE_H
#define IB_NN_NETWORK_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/datasets.h"
#include "catalog/experiment.h"
#include "isobit/row.h"

enum {
    IB_NETWORK_MOST_ROWS = 4096,
    IB_NETWORK_MOST_NAME = 40, /* characters of a network's name */
    IB_NETWORK_MOST_BLOCKS = 4 /* used within each other */
};

/* Zero-initialise; the caller calls ib_network_file_close, also after a failure. */
typedef struct ib_network_file {
    char *path;                      /* for messages */
    char *name;                      /* "lenet5" */
    char *about;                     /* one sentence; NULL: none */
    int64_t channels, height, width; /* of the images that it is for; 0: any */
    ib_row *rows;                    /* ends with a kind of NULL; owns its texts but kind */
    size_t *lines;                   /* of each row, from 1 */
    size_t count;
} ib_network_file;

/* path names the text in messages. What is refused is IB_ERROR_USAGE naming file, line and what
 * fits. Whether the rows fit each other and the images, planning says (ib_network_open). */
ib_status ib_network_parse(const char *path, const char *text, size_t size, ib_network_file *file,
                           ib_error *err);
/* The network of an experiment: of the catalogue, or of the file that was given. */
ib_status ib_network_of(const ib_experiment *experiment, ib_network_file *file, ib_error *err);
/* Whether images of that shape are those that the network is for: else IB_ERROR_USAGE. */
ib_status ib_network_check_images(const ib_network_file *file, const ib_image_shape *image,
                                  const char *dataset, ib_error *err);
/* Copies rows that end with a kind of NULL. A kind that there is not is IB_ERROR_USAGE. */
ib_status ib_network_of_rows(const ib_row *rows, ib_network_file *file, ib_error *err);
void ib_network_file_close(ib_network_file *file);

/* What the canonical form of an experiment says of its network: *model is NULL where it is one of
 * the catalogue by name; a file that is one of those is that one; else "file", and *network its
 * canonical form, fresh memory. */
ib_status ib_network_identify(const ib_experiment *experiment, const char **model, char **network,
                              ib_error *err);

/* The canonical form: the rows in one line of JSON, which is YAML too, blocks unfolded and defaults
 * filled in; two files of one form are one network. Fresh memory. */
ib_status ib_network_canonical(const ib_network_file *file, char **text, ib_error *err);

#endif
