/* Looking at a data set. */
#ifndef IB_COMMAND_DATA_SHOW_H
#define IB_COMMAND_DATA_SHOW_H

#include <stdio.h>

#include "base/status.h"
#include "data/dataset.h"

/* Images of each class, how bright they are, and one image of each of the first classes in block
 * characters. The data set is open. */
ib_status ib_show_images(const ib_dataset *dataset, FILE *out, ib_error *err);
/* The first training images of the first classes, a class a row, as a PNG file. */
ib_status ib_write_contact_sheet(const ib_dataset *dataset, const char *path, ib_error *err);

#endif
