#include "base/threads.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"

enum {
    CACHE_LINE = 64,
    MOST_THREADS = 1024,
    SPINS = 4000,       /* roughly 100 us: longer than the gaps inside a training step */
    SPINS_CROWDED = 20, /* with more threads than CPUs, spinning keeps others from working */
};

/* A thread's items: those it begins with. Whoever has none left takes from the others. */
struct share {
    _Alignas(CACHE_LINE) atomic_size_t next;
    size_t end;
};

struct ib_pool {
    unsigned size;
    unsigned started;
    pthread_t *workers;
    struct worker *arguments;
    int pin;
    int spins; /* before a waiting thread sleeps or yields */
    cpu_set_t caller_affinity;

    ib_work *work;
    void *context;
    ib_fp_mode fp_mode;
    atomic_int met_denormal;

    struct share *shares; /* one a thread */
    _Alignas(CACHE_LINE)
        atomic_uint generation;            /* bumped to start a run; even workers asleep see it */
    _Alignas(CACHE_LINE) atomic_uint busy; /* workers still inside the current run */
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_uint sleepers;
    atomic_int closing;
};

struct worker {
    ib_pool *pool;
    unsigned index;
    int cpu; /* -1: not pinned */
};

static inline void spin_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Items are shared out in the same stretches each time, so that what a thread computed for an image
 * or a part of the weights in one operation is still in its caches in the next; on CPUs whose cores
 * do not all share one cache that halves the time of what is bound by memory. */
static void share_out(ib_pool *pool, size_t items) {
    size_t each = items / pool->size, more = items % pool->size, begin = 0;
    for (unsigned i = 0; i < pool->size; ++i) {
        pool->shares[i].end = begin + each + (i < more);
        atomic_store_explicit(&pool->shares[i].next, begin, memory_order_relaxed);
        begin = pool->shares[i].end;
    }
}

static void take_items(ib_pool *pool, unsigned thread) {
    for (unsigned i = 0; i < pool->size; ++i) {
        struct share *share = &pool->shares[(thread + i) % pool->size];
        /* Looked at first: a share that is used up must not be fetched for writing. */
        while (atomic_load_explicit(&share->next, memory_order_relaxed) < share->end) {
            size_t item = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (item < share->end)
                pool->work(pool->context, item, thread);
        }
    }
}

static unsigned wait_for_generation(ib_pool *pool, unsigned seen) {
    for (int spin = 0; spin < pool->spins; ++spin) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen)
            return now;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    unsigned now;
    while ((now = atomic_load(&pool->generation)) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return now;
}

static void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    ib_pool *pool = self->pool;
    if (self->cpu >= 0)
        pin_to(self->cpu);
    ib_fp_enter();
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_generation(pool, seen);
        if (atomic_load(&pool->closing))
            return NULL;
        if (pool->fp_mode == IB_FP_KEEP) {
            take_items(pool, self->index);
        } else {
            ib_fp_enter_as(pool->fp_mode);
            take_items(pool, self->index);
            ib_pool_note_denormals(pool);
            ib_fp_enter();
        }
        atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_release);
    }
}

void ib_pool_set_fp_mode(ib_pool *pool, ib_fp_mode mode) {
    pool->fp_mode = mode;
    atomic_store(&pool->met_denormal, 0);
}

ib_fp_mode ib_pool_fp_mode(const ib_pool *pool) {
    return pool->fp_mode;
}

void ib_pool_note_denormals(ib_pool *pool) {
    if (pool->fp_mode == IB_FP_WATCH && ib_fp_met_denormal())
        atomic_store(&pool->met_denormal, 1);
}

int ib_pool_met_denormal(const ib_pool *pool) {
    return atomic_load(&pool->met_denormal);
}

static void announce_generation(ib_pool *pool) {
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void ib_pool_run(ib_pool *pool, size_t items, ib_work *work, void *context) {
    if (pool->size == 1 || items <= 1) {
        for (size_t i = 0; i < items; ++i)
            work(context, i, 0);
        return;
    }
    pool->work = work;
    pool->context = context;
    share_out(pool, items);
    atomic_store_explicit(&pool->busy, pool->size - 1, memory_order_relaxed);
    announce_generation(pool);
    take_items(pool, 0);
    for (int spin = 0; atomic_load_explicit(&pool->busy, memory_order_acquire) > 0; ++spin) {
        spin_pause();
        if (spin >= pool->spins) {
            sched_yield(); /* let the last worker run if it shares this CPU */
            spin = pool->spins;
        }
    }
}

/* The quota of the process's control groups in whole CPUs, rounded up; UINT_MAX: there is none. */
static unsigned cgroup_cpus(void) {
    ib_limits limits;
    ib_limits_read("", &limits);
    if (limits.cpus <= 0 || limits.cpus >= UINT_MAX)
        return UINT_MAX;
    unsigned whole = (unsigned)limits.cpus;
    return whole + (whole < limits.cpus);
}

const cpu_set_t *ib_allowed_cpus(cpu_set_t *cpus) {
    return sched_getaffinity(0, sizeof *cpus, cpus) == 0 ? cpus : NULL;
}

unsigned ib_usable_cpus(void) {
    cpu_set_t set;
    unsigned allowed = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        allowed = (unsigned)CPU_COUNT(&set);
    unsigned quota = cgroup_cpus();
    return allowed < quota ? allowed : quota;
}

static ib_status start_workers(ib_pool *pool, ib_error *err) {
    int cpu = -1;
    for (unsigned i = 0; i < pool->size; ++i) {
        if (pool->pin)
            do
                ++cpu;
            while (!CPU_ISSET((unsigned)cpu, &pool->caller_affinity));
        pool->arguments[i] = (struct worker){pool, i, pool->pin ? cpu : -1};
        if (i == 0) {
            if (pool->pin)
                pin_to(cpu);
            continue;
        }
        int failed = pthread_create(&pool->workers[i], NULL, worker_main, &pool->arguments[i]);
        if (failed != 0)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, failed, "cannot start thread %u of %u",
                                 i + 1, pool->size);
        ++pool->started;
    }
    return IB_OK;
}

/* Threads inherit the mask: signals then come to those that the program knows. */
static ib_status start_workers_masked(ib_pool *pool, ib_error *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ib_status status = start_workers(pool, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static ib_status open_pool(unsigned threads, int pin, ib_pool **result, ib_error *err) {
    *result = NULL;
    if (threads == 0 || threads > MOST_THREADS)
        return ib_fail(err, IB_ERROR_USAGE, "a pool has 1 to %d threads, not %u", MOST_THREADS,
                       threads);
    ib_pool *pool =
        aligned_alloc(CACHE_LINE, (sizeof *pool + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (pool == NULL)
        return ib_fail_memory(err);
    *pool = (ib_pool){.size = threads};
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = calloc(threads, sizeof *pool->workers);
    pool->arguments = calloc(threads, sizeof *pool->arguments);
    pool->shares = aligned_alloc(CACHE_LINE, threads * sizeof *pool->shares);
    if (pool->workers == NULL || pool->arguments == NULL || pool->shares == NULL) {
        ib_pool_close(pool);
        return ib_fail_memory(err);
    }
    CPU_ZERO(&pool->caller_affinity);
    int known = sched_getaffinity(0, sizeof pool->caller_affinity, &pool->caller_affinity) == 0;
    int roomy = known && threads > 1 && threads <= (unsigned)CPU_COUNT(&pool->caller_affinity);
    pool->pin = pin && roomy;
    pool->spins = roomy ? SPINS : SPINS_CROWDED;
    ib_status status = pin ? start_workers(pool, err) : start_workers_masked(pool, err);
    if (status != IB_OK) {
        ib_pool_close(pool);
        return status;
    }
    *result = pool;
    return IB_OK;
}

ib_status ib_pool_open(unsigned threads, ib_pool **pool, ib_error *err) {
    return open_pool(threads, 1, pool, err);
}

ib_status ib_pool_open_unpinned(unsigned threads, ib_pool **pool, ib_error *err) {
    return open_pool(threads, 0, pool, err);
}

void ib_pool_close(ib_pool *pool) {
    if (pool == NULL)
        return;
    atomic_store(&pool->closing, 1);
    announce_generation(pool);
    for (unsigned i = 1; i <= pool->started; ++i)
        pthread_join(pool->workers[i], NULL);
    if (pool->pin)
        pthread_setaffinity_np(pthread_self(), sizeof pool->caller_affinity,
                               &pool->caller_affinity);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    free(pool->workers);
    free(pool->arguments);
    free(pool->shares);
    free(pool);
}

unsigned ib_pool_size(const ib_pool *pool) {
    return pool->size;
}
