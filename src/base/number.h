/* Numbers in text, always in the C locale whatever the host program has set. */
#ifndef IB_BASE_NUMBER_H
#define IB_BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Each parses the whole string (no white space, no trailing text); 0 on success, -1 otherwise. */
int ib_parse_i64(const char *text, int64_t *value);
int ib_parse_u64(const char *text, uint64_t *value);
int ib_parse_double(const char *text, double *value); /* finite values only */

#define IB_DOUBLE_TEXT 32
/* The shortest decimal that reads back as the same binary64 ("0.1", not "0.10000000000000001"). */
void ib_print_double(double value, char text[IB_DOUBLE_TEXT]);

#endif
