/* Getting the files of one described data set; ib_dataset_prepare for a catalogue entry or a test's
 * own. */
#ifndef IB_DATA_PREPARE_H
#define IB_DATA_PREPARE_H

#include <stdio.h>

#include "base/status.h"
#include "data/dataset.h"

/* As ib_dataset_prepare. */
ib_status ib_prepare_files(const ib_dataset_info *info, const char *data_dir, const char *mirror,
                           FILE *log, ib_error *err);

/* Compares content with what is pinned: IB_ERROR_VERIFY with the size or hash wanted and found.
 * found gets the content's hash, or "" where the size is already wrong. */
ib_status ib_dataset_check(const ib_dataset_info *info, ib_file_role role, const char *file,
                           const uint8_t *data, size_t size, char found[IB_SHA256_HEX_SIZE],
                           ib_error *err);

#endif
