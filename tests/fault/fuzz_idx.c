/* libFuzzer harness: whatever a mirror sends goes through gunzip and the idx parser.
 * clang -fsanitize=fuzzer,address,undefined; -max_len=4096 is plenty. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "data/gunzip.h"
#include "data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *data, size_t size) {
    static const ib_dataset_info infos[] = {
        {.name = "fuzz", .image = {1, 28, 28}, .classes = 10},
        {.name = "coloured", .image = {3, 5, 4}, .classes = 26, .first_label = 1}};
    static const ib_idx_kind kinds[] = {IB_IDX_IMAGES, IB_IDX_LABELS};
    for (int i = 0; i < 4; ++i) {
        const ib_dataset_info *info = &infos[i / 2];
        ib_idx_kind kind = kinds[i % 2];
        ib_idx idx;
        ib_error err = {0};
        if (ib_idx_parse("fuzz", data, size, info, kind, &idx, &err) == IB_OK) {
            volatile uint8_t last = 0; /* every byte promised can be read */
            size_t bytes = idx.count * (kind == IB_IDX_IMAGES ? ib_image_bytes(info->image) : 1);
            for (size_t k = 0; k < bytes; ++k)
                last = idx.values[k];
            (void)last;
        } else if (err.message == NULL) {
            abort(); /* a refusal without a reason */
        }
        ib_error_clear(&err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    parse(data, size);
    uint8_t *out = NULL;
    size_t out_size = 0;
    ib_error err = {0};
    if (ib_gunzip("fuzz", data, size, 65536, &out, &out_size, &err) == IB_OK)
        parse(out, out_size);
    else if (out != NULL || err.message == NULL)
        abort();
    ib_error_clear(&err);
    free(out);
    return 0;
}
