#include "data/split.h"

#include <stdlib.h>

#include "base/philox.h"

void ib_shuffle(uint32_t *entries, size_t count, uint64_t seed, unsigned stream, uint64_t step) {
    ib_rng rng = ib_rng_make(seed, (enum ib_stream)stream, 0, step);
    for (size_t i = count; i-- > 1;) {
        uint32_t j = ib_rng_below(&rng, i, (uint32_t)(i + 1));
        uint32_t kept = entries[i];
        entries[i] = entries[j];
        entries[j] = kept;
    }
}

static ib_status limit(const char *option, size_t wanted, size_t *count, ib_error *err) {
    if (wanted > *count)
        return ib_fail(err, IB_ERROR_USAGE, "%s %zu is more than the %zu images there are", option,
                       wanted, *count);
    if (wanted > 0)
        *count = wanted;
    return IB_OK;
}

/* The parts before any limit. */
static void whole_parts(ib_split_kind kind, size_t train_images, size_t test_images,
                        ib_split *parts) {
    size_t total = train_images + test_images;
    *parts = (ib_split){.kind = kind, .train_count = train_images};
    if (kind == IB_SPLIT_70_10_20) {
        parts->train_count = total * 7 / 10;
        parts->validation_count = total / 10;
    }
    /* with what rounding down left over */
    parts->test_count = total - parts->train_count - parts->validation_count;
}

ib_status ib_split_count(ib_split_kind kind, size_t train_images, size_t test_images,
                         size_t train_limit, size_t test_limit, ib_split *counts, ib_error *err) {
    *counts = (ib_split){0};
    if (train_images > UINT32_MAX || test_images >= UINT32_MAX - train_images)
        return ib_fail(err, IB_ERROR_USAGE, "a split of %zu and %zu images: at most 2^32 - 2",
                       train_images, test_images);
    whole_parts(kind, train_images, test_images, counts);
    counts->train_part = counts->train_count;
    counts->train_limit = train_limit;
    IB_TRY(limit("--train-size", train_limit, &counts->train_count, err));
    return limit("--test-size", test_limit, &counts->test_count, err);
}

ib_status ib_split_make(ib_split_kind kind, size_t train_images, size_t test_images, uint64_t seed,
                        size_t train_limit, size_t test_limit, ib_split *split, ib_error *err) {
    ib_split parts, whole;
    *split = (ib_split){0};
    IB_TRY(ib_split_count(kind, train_images, test_images, train_limit, test_limit, &parts, err));
    whole_parts(kind, train_images, test_images, &whole);
    size_t total = train_images + test_images;
    parts.storage = malloc((total > 0 ? total : 1) * sizeof *parts.storage);
    if (parts.storage == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < total; ++i)
        parts.storage[i] = (uint32_t)i;
    if (kind == IB_SPLIT_70_10_20)
        ib_shuffle(parts.storage, total, seed, IB_STREAM_SPLIT, 0);
    parts.train = parts.storage;
    parts.validation = parts.storage + whole.train_count;
    parts.test = parts.validation + whole.validation_count;
    *split = parts;
    return IB_OK;
}

/* From the end of the training part: what is left may be limited further. */
static ib_status hold_back(ib_split *split, size_t wanted, ib_error *err) {
    size_t least = split->train_limit > 0 ? split->train_limit : 1;
    if (wanted > split->train_part || split->train_part - wanted < least)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--validation-size %zu takes images from the %zu of the training part, and "
                       "%zu of them are to be trained on: fewer are left",
                       wanted, split->train_part, least);
    split->train_count = split->train_limit > 0 ? split->train_limit : split->train_part - wanted;
    split->validation_count = wanted;
    if (split->storage != NULL)
        split->validation = split->train + (split->train_part - wanted);
    return IB_OK;
}

ib_status ib_split_limit_validation(ib_split *split, size_t validation_limit, ib_error *err) {
    if (split->kind == IB_SPLIT_OFFICIAL)
        return validation_limit == 0 ? IB_OK : hold_back(split, validation_limit, err);
    return limit("--validation-size", validation_limit, &split->validation_count, err);
}

void ib_split_close(ib_split *split) {
    free(split->storage);
    *split = (ib_split){0};
}
