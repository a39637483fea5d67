/* Philox4x32-10 counter-based random numbers (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC'11). Counter layout and word choice: NUMERICS.md, "Randomness". */
#ifndef IB_BASE_PHILOX_H
#define IB_BASE_PHILOX_H

#include <stdint.h>

#define IB_PHILOX_M0 0xD2511F53u
#define IB_PHILOX_M1 0xCD9E8D57u
#define IB_PHILOX_W0 0x9E3779B9u
#define IB_PHILOX_W1 0xBB67AE85u

/* What the numbers are for: the top byte of counter word 3. Never renumbered. */
enum ib_stream {
    IB_STREAM_INIT = 0,    /* step 0, sub = tensor index in the model */
    IB_STREAM_SHUFFLE = 1, /* step = epoch (from 0) */
    IB_STREAM_DROPOUT = 2, /* step = optimiser step (from 0), sub = dropout layer (from 0) */
    IB_STREAM_SPLIT = 3,   /* step 0 */
    IB_STREAM_DIGITS = 4,  /* step = image index, sub = 0 train, 1 test */
    IB_STREAM_AUGMENT = 5, /* step = optimiser step (from 0), sub = number of the augmentation */
    IB_STREAM_IMPORT = 6,  /* step = class; 2^16 + part */
};

/* The part of the counter shared by every element of one draw. */
typedef struct ib_rng {
    uint32_t key0, key1; /* low and high word of the seed */
    uint32_t step_low;   /* counter word 2 */
    uint32_t tag;        /* counter word 3: stream << 24 | sub << 16 | step bits 32..47 */
} ib_rng;

static inline ib_rng ib_rng_make(uint64_t seed, enum ib_stream stream, uint32_t sub,
                                 uint64_t step) {
    return (ib_rng){(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)step,
                    (uint32_t)stream << 24 | (sub & 0xFFu) << 16 |
                        ((uint32_t)(step >> 32) & 0xFFFFu)};
}

static inline void ib_philox_block(const ib_rng *rng, uint64_t block, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = rng->step_low, c3 = rng->tag;
    uint32_t k0 = rng->key0, k1 = rng->key1;
    for (int round = 0; round < 10; ++round) {
        uint64_t p0 = (uint64_t)IB_PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)IB_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += IB_PHILOX_W0;
        k1 += IB_PHILOX_W1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Element e of a draw: lanes of 16 share the four words of 16 neighbouring blocks, so that a
 * vector of up to 16 lanes needs no shuffle: block 16 * (e / 64) + e % 16, word (e / 16) % 4. */
static inline uint32_t ib_rng_word(const ib_rng *rng, uint64_t element) {
    uint32_t words[4];
    ib_philox_block(rng, (element / 64) * 16 + element % 16, words);
    return words[(element / 16) % 4];
}

/* A bounded integer in [0, bound) for bound <= 2^32: the high half of word * bound. */
static inline uint32_t ib_rng_below(const ib_rng *rng, uint64_t element, uint32_t bound) {
    return (uint32_t)(((uint64_t)ib_rng_word(rng, element) * bound) >> 32);
}

#endif
