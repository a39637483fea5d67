#include "base/sha256.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/file.h"

/* EVP_MD_CTX under our own name, so that no header of ours needs OpenSSL's. */
static EVP_MD_CTX *context_of(ib_sha256 *hash) {
    return (EVP_MD_CTX *)(void *)hash;
}

ib_status ib_sha256_begin(ib_sha256 **hash, ib_error *err) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    *hash = NULL;
    if (context == NULL)
        return ib_fail_memory(err);
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        return ib_fail(err, IB_ERROR_RUNTIME, "libcrypto offers no SHA-256");
    }
    *hash = (ib_sha256 *)(void *)context;
    return IB_OK;
}

ib_status ib_sha256_update(ib_sha256 *hash, const void *data, size_t size, ib_error *err) {
    if (EVP_DigestUpdate(context_of(hash), data, size) != 1)
        return ib_fail(err, IB_ERROR_RUNTIME, "SHA-256 failed in libcrypto");
    return IB_OK;
}

ib_status ib_sha256_end(ib_sha256 *hash, char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    hex[0] = '\0';
    if (hash == NULL)
        return IB_OK;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    int done = EVP_DigestFinal_ex(context_of(hash), digest, &size);
    EVP_MD_CTX_free(context_of(hash));
    if (done != 1 || size != 32)
        return ib_fail(err, IB_ERROR_RUNTIME, "SHA-256 failed in libcrypto");
    for (unsigned i = 0; i < size; ++i)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return IB_OK;
}

ib_status ib_sha256_bytes(const void *data, size_t size, char hex[IB_SHA256_HEX_SIZE],
                          ib_error *err) {
    ib_sha256 *hash = NULL;
    hex[0] = '\0';
    IB_TRY(ib_sha256_begin(&hash, err));
    ib_status status = ib_sha256_update(hash, data, size, err);
    ib_status ended = ib_sha256_end(hash, hex, err);
    return status != IB_OK ? status : ended;
}

ib_status ib_sha256_file(const char *path, char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    ib_map map;
    hex[0] = '\0';
    IB_TRY(ib_map_file(path, &map, err));
    ib_status status = ib_sha256_bytes(map.data, map.size, hex, err);
    ib_unmap(&map);
    return status;
}
