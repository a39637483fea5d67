/* The compression function of SHA-256, in C and by the CPU's instructions (x86's SHA-NI, AArch64's
 * SHA2). For sha256.c. */
#ifndef IB_BASE_SHA256_BLOCKS_H
#define IB_BASE_SHA256_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

void ib_sha256_portable(uint32_t state[8], const uint8_t *data, size_t blocks);
int ib_sha256_has_instructions(void);
/* Only where there are such. */
void ib_sha256_instructions(uint32_t state[8], const uint8_t *data, size_t blocks);

#endif
