/* Allocations that fail when a test says so: malloc and its like and mmap of memory, defined here
 * in front of the C library's. Those of our own code count, and what the C library and jansson
 * allocate for it; what other libraries allocate for themselves does not. One test at a time. */
#ifndef ISOBIT_TESTS_FAILING_H
#define ISOBIT_TESTS_FAILING_H

#include <stddef.h>
#include <stdint.h>

/* From now on allocations are counted from 1. The n-th fails (0: none), and with persistent all
 * after it too. */
void failing_begin(size_t n, int persistent);
/* Without counting anew. */
void failing_change(size_t n, int persistent);
/* Nothing fails any more. Returns how many were counted, those of all threads together. */
size_t failing_end(void);

/* Whose allocations count instead of ours: those that a library with this text in its name makes,
 * itself or by the C library. Before failing_begin; the text is kept. */
void failing_choose(const char *library);

/* Called at each allocation that counts, before it is made. */
void failing_watch(void (*watch)(size_t n));
/* Of the call that is going on, and those around it: the same for the same place. In a watcher. */
uint64_t failing_place(void);

#endif
