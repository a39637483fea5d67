#include "record/seal.h"

#include <string.h>

#include "base/sha256.h"

enum { HEX = IB_SHA256_HEX_SIZE - 1 };

ib_status ib_seal_open(ib_sealing *sealing, int indent, ib_error *err) {
    *sealing = (ib_sealing){0};
    IB_TRY(ib_text_open(&sealing->text, err));
    sealing->json = (ib_json){.out = sealing->text.stream, .indent = indent};
    ib_json_open(&sealing->json, NULL, '{');
    return IB_OK;
}

void ib_seal_abort(ib_sealing *sealing) {
    ib_text_abort(&sealing->text);
}

ib_status ib_seal_close(ib_sealing *sealing, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    ib_status status = ib_text_flush(&sealing->text, err);
    if (status != IB_OK) {
        ib_text_abort(&sealing->text);
        return status;
    }
    ib_sha256_bytes(sealing->text.data, sealing->text.size, hex);
    ib_json_string(&sealing->json, "sha256", hex);
    ib_json_close(&sealing->json, '}');
    fputc('\n', sealing->json.out);
    return ib_text_close(&sealing->text, err);
}

/* Whether the text ends with head, 64 characters and tail; their place in *hex then. */
static int ends_with(const char *text, size_t size, const char *head, const char *tail,
                     const char **hex, size_t *before) {
    size_t heads = strlen(head), tails = strlen(tail), all = heads + HEX + tails;
    if (size < all || memcmp(text + size - tails, tail, tails) != 0 ||
        memcmp(text + size - all, head, heads) != 0)
        return 0;
    *before = size - all;
    *hex = text + *before + heads;
    return 1;
}

ib_seal ib_seal_look(const char *text, size_t size) {
    const char *hex;
    size_t before;
    char found[IB_SHA256_HEX_SIZE];
    if (!ends_with(text, size, ",\"sha256\":\"", "\"}\n", &hex, &before) &&
        !ends_with(text, size, ",\n  \"sha256\": \"", "\"\n}\n", &hex, &before))
        return IB_SEAL_NONE;
    ib_sha256_bytes(text, before, found);
    return memcmp(found, hex, HEX) == 0 ? IB_SEAL_GOOD : IB_SEAL_BROKEN;
}
