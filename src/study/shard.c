#include "study/shard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum { MOST_SHARDS = 1000000 };

static ib_status check(const char *origin, const char *given, int64_t index, int64_t count,
                       ib_shard *shard, ib_error *err) {
    if (count < 1 || count > MOST_SHARDS || index < 0 || index >= count)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s: '%s' is not valid: give I/N, with I from 0 to N-1 and N from 1 to %d",
                       origin, given, MOST_SHARDS);
    *shard = (ib_shard){(size_t)index, (size_t)count};
    return IB_OK;
}

static ib_status from_text(const char *text, ib_shard *shard, ib_error *err) {
    const char *slash = strchr(text, '/');
    char *index_text = slash == NULL ? NULL : strndup(text, (size_t)(slash - text));
    int64_t index = -1, count = -1;
    if (slash != NULL && index_text == NULL)
        return ib_fail_memory(err);
    if (slash == NULL || ib_parse_i64(index_text, &index) != 0 ||
        ib_parse_i64(slash + 1, &count) != 0)
        index = count = -1;
    free(index_text);
    return check("--shard", text, index, count, shard, err);
}

static const char *variable(char *(*environment)(const char *name), const char *name) {
    const char *value = environment == NULL ? NULL : environment(name);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static ib_status from_slurm(char *(*environment)(const char *name), ib_shard *shard,
                            ib_error *err) {
    const char *id_text = variable(environment, "SLURM_ARRAY_TASK_ID");
    const char *count_text = variable(environment, "SLURM_ARRAY_TASK_COUNT");
    const char *first_text = variable(environment, "SLURM_ARRAY_TASK_MIN");
    const char *step_text = variable(environment, "SLURM_ARRAY_TASK_STEP");
    int64_t id = -1, count = -1, first = 0, step = 1;
    if (count_text == NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "SLURM_ARRAY_TASK_ID is set, SLURM_ARRAY_TASK_COUNT is not: give --shard "
                       "I/N");
    if (ib_parse_i64(id_text, &id) != 0 || ib_parse_i64(count_text, &count) != 0 ||
        (first_text != NULL && ib_parse_i64(first_text, &first) != 0) ||
        (step_text != NULL && ib_parse_i64(step_text, &step) != 0) || step < 1 || first < 0 ||
        id < first)
        id = first = count = -1;
    return check("SLURM_ARRAY_TASK_ID", id_text, (id - first) / step, count, shard, err);
}

ib_status ib_shard_choose(const char *text, size_t shards, char *(*environment)(const char *name),
                          ib_shard *shard, ib_error *err) {
    *shard = (ib_shard){0, 1};
    if (text != NULL)
        return from_text(text, shard, err);
    if (variable(environment, "SLURM_ARRAY_TASK_ID") != NULL)
        return from_slurm(environment, shard, err);
    const char *completion = variable(environment, "JOB_COMPLETION_INDEX");
    if (completion == NULL && shards > 1)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--shards %zu says how many there are, and nothing says which is ours: "
                       "give --shard I/%zu",
                       shards, shards);
    if (completion == NULL)
        return IB_OK;
    if (shards == 0)
        return ib_fail(err, IB_ERROR_USAGE,
                       "JOB_COMPLETION_INDEX is set, but not how many jobs there are: give "
                       "--shards N, or set ISOBIT_SHARDS in the job's manifest");
    int64_t index = -1;
    if (ib_parse_i64(completion, &index) != 0)
        index = -1;
    return check("JOB_COMPLETION_INDEX", completion, index, (int64_t)shards, shard, err);
}
