/* Which part of a sweep's runs is ours. */
#ifndef IB_STUDY_SHARD_H
#define IB_STUDY_SHARD_H

#include <stddef.h>

#include "base/status.h"

typedef struct ib_shard {
    size_t index, count; /* run r is ours when r mod count is index */
} ib_shard;

/* text: "I/N" of --shard, or NULL: then SLURM_ARRAY_TASK_ID with _COUNT, _MIN and _STEP, or
 * JOB_COMPLETION_INDEX with shards, else everything is ours. An index without a count is refused:
 * each of many jobs would do everything. */
ib_status ib_shard_choose(const char *text, size_t shards, char *(*environment)(const char *name),
                          ib_shard *shard, ib_error *err);

#endif
