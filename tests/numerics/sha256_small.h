/* SHA-256 (FIPS 180-4) without a library, so that the numerics binary links for any target. */
#ifndef TESTS_NUMERICS_SHA256_SMALL_H
#define TESTS_NUMERICS_SHA256_SMALL_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct sha256_small {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t length;
};

static inline void sha256_small_begin(struct sha256_small *s) {
    static const uint32_t START[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                                      0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
    memcpy(s->state, START, sizeof START);
    s->length = 0;
}

static inline uint32_t sha256_small_rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static inline void sha256_small_block(struct sha256_small *s) {
    static const uint32_t K[64] = {
        0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u,
        0xAB1C5ED5u, 0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu,
        0x9BDC06A7u, 0xC19BF174u, 0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu,
        0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu, 0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u,
        0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u, 0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu,
        0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u, 0xA2BFE8A1u, 0xA81A664Bu,
        0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u, 0x19A4C116u,
        0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
        0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u,
        0xC67178F2u};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; ++i)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
               (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; ++i) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] +
               (sha256_small_rotate(a, 7) ^ sha256_small_rotate(a, 18) ^ a >> 3) +
               (sha256_small_rotate(b, 17) ^ sha256_small_rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, s->state, sizeof v);
    for (int i = 0; i < 64; ++i) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 =
            v[7] + K[i] + w[i] + ((e & v[5]) ^ (~e & v[6])) +
            (sha256_small_rotate(e, 6) ^ sha256_small_rotate(e, 11) ^ sha256_small_rotate(e, 25));
        uint32_t t2 =
            ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2])) +
            (sha256_small_rotate(a, 2) ^ sha256_small_rotate(a, 13) ^ sha256_small_rotate(a, 22));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; ++i)
        s->state[i] += v[i];
}

static inline void sha256_small_add(struct sha256_small *s, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; ++i) {
        s->block[s->length++ % 64] = bytes[i];
        if (s->length % 64 == 0)
            sha256_small_block(s);
    }
}

static inline void sha256_small_end(struct sha256_small *s, char hex[65]) {
    uint64_t bits = s->length * 8;
    uint8_t byte = 0x80;
    sha256_small_add(s, &byte, 1);
    for (byte = 0; s->length % 64 != 56;)
        sha256_small_add(s, &byte, 1);
    for (int i = 7; i >= 0; --i) {
        byte = (uint8_t)(bits >> 8 * i);
        sha256_small_add(s, &byte, 1);
    }
    for (int i = 0; i < 8; ++i)
        snprintf(hex + 8 * i, 9, "%08x", s->state[i]);
}

#endif
