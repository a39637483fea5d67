/* misclassified.json of a record: the images that the finished model takes for another class. */
#ifndef IB_RECORD_MISTAKES_FILE_H
#define IB_RECORD_MISTAKES_FILE_H

#include "base/folder.h"
#include "base/status.h"
#include "data/dataset.h"
#include "train/mistakes.h"

/* {"images": all of them, "shown": [{"file", "index", "actual", "predicted", "probability",
 * "pixels"}]}. index counts from 0 within the data set's file. probability is the model's own of
 * the class it predicts; null with has_probability 0. pixels are the image's bytes in base64,
 * whose height, width and channels stand above the list. */
ib_status ib_mistakes_write(const ib_mistakes *mistakes, const ib_dataset *dataset,
                            int has_probability, const ib_folder *folder, ib_error *err);

#endif
