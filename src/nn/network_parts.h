/* Reading networks from files, from inside: scopes and rows (network_row.c), blocks and the file
 * (network_file.c). */
#ifndef IB_NN_NETWORK_PARTS_H
#define IB_NN_NETWORK_PARTS_H

#include "base/yaml.h"
#include "nn/network_file.h"

/* Where rows stand: at the top of the file, or in a block with the values it is used with. */
struct network_scope {
    const ib_yaml_node *values; /* NULL at the top */
    const char *prefix;         /* "layer1.0"; "" at the top */
    const char *input;          /* the row that the block reads; NULL: one without a name */
    const struct network_scope *outer;
};

struct network_reader {
    const ib_yaml *yaml;
    const ib_yaml_node *blocks; /* NULL: none */
    ib_network_file *file;
    size_t capacity;
    int depth; /* of blocks in blocks */
};

/* A layer: its kind and what the file says behind it, NULL for nothing. at: for messages. */
ib_status ib_network_add_layer(struct network_reader *r, const ib_yaml_node *at, const char *kind,
                               const ib_yaml_node *value, const struct network_scope *scope,
                               ib_error *err);
void ib_network_free_row(ib_row *row);

/* A value of a key, or what "$name" stands for in a block. */
ib_status ib_network_take_text(const struct network_reader *r, const struct network_scope *scope,
                               const char *key, const ib_yaml_node *node, const char **text,
                               ib_error *err);
ib_status ib_network_take_integer(const struct network_reader *r, const struct network_scope *scope,
                                  const char *key, const ib_yaml_node *node, int64_t least,
                                  int64_t most, int64_t *value, ib_error *err);

/* "layer1.0.conv1" for "conv1" in the block "layer1.0"; fresh memory. */
char *ib_network_prefixed(const struct network_scope *scope, const char *name);
int ib_network_is_taken(const struct network_reader *r, const char *name);
/* Letters, digits, '.', '_' and '-', as PyTorch's modules are called. */
int ib_network_is_row_name(const char *name);

#endif
