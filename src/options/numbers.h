/* Numbers as the values of options have them. */
#ifndef IB_OPTIONS_NUMBERS_H
#define IB_OPTIONS_NUMBERS_H

#include "options/options.h"

/* One number, or with option->many several with commas between, each in its shortest form; fresh
 * memory. NULL: out of memory, or, *valid 0, text is not that or has a number that does not fit. */
char *ib_shortest_numbers(const ib_option *option, const char *text,
                          int (*fits)(const ib_option *option, double value), int *valid);

#endif
