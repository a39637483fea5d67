/* A pool of worker threads for steps of a few milliseconds: a call to ib_pool_run costs a
 * few hundred nanoseconds, because workers spin for a while before they sleep. */
#ifndef IB_BASE_THREADS_H
#define IB_BASE_THREADS_H

#include <sched.h>
#include <stddef.h>

#include "base/fpenv.h"
#include "base/status.h"

typedef struct ib_pool ib_pool;

/* One item of work. thread is in [0, ib_pool_size): use it to pick scratch memory, never results.
 */
typedef void ib_work(void *context, size_t item, unsigned thread);

/* threads from 1 to 1024, the caller's own included. All of them are pinned to the process's
 * allowed CPUs while there is one for each; the caller until ib_pool_close. *pool is the caller's.
 */
ib_status ib_pool_open(unsigned threads, ib_pool **pool, ib_error *err);
/* For programs of others: no thread is pinned, and the workers leave signals to the program's. */
ib_status ib_pool_open_unpinned(unsigned threads, ib_pool **pool, ib_error *err);
void ib_pool_close(ib_pool *pool);
unsigned ib_pool_size(const ib_pool *pool);

/* Runs work for every item in [0, items), each once, and returns when all are done. Each
 * thread begins with a stretch of its own, in order, the same for every run of as many items, and
 * then takes from the others': results must not depend on which thread has which item. */
void ib_pool_run(ib_pool *pool, size_t items, ib_work *work, void *context);

/* For tests: how the pool's threads treat denormals (begins as IB_FP_KEEP), and whether any met one
 * since this was set. The caller's own thread enters and leaves where it computes; it says what it
 * met by ib_pool_note_denormals before it leaves. */
void ib_pool_set_fp_mode(ib_pool *pool, ib_fp_mode mode);
ib_fp_mode ib_pool_fp_mode(const ib_pool *pool);
void ib_pool_note_denormals(ib_pool *pool);
int ib_pool_met_denormal(const ib_pool *pool);

/* The CPUs that the caller may run on, into *cpus: a pool will pin it to one. NULL: not known. */
const cpu_set_t *ib_allowed_cpus(cpu_set_t *cpus);

/* CPUs this process may use: the affinity mask, limited by the container's CPU quota. */
unsigned ib_usable_cpus(void);

#endif
