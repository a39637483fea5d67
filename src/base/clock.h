/* Time: a monotonic clock for durations, UTC for records. */
#ifndef IB_BASE_CLOCK_H
#define IB_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline double ib_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline int64_t ib_unix_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
