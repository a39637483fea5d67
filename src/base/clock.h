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

/* UTC that never runs backwards and jumps nowhere: what the clock said once, and the monotonic time
 * since, whatever is done to the clock meanwhile. */
typedef struct ib_steady_clock {
    int64_t utc_ms;
    double seconds; /* ib_seconds() then */
} ib_steady_clock;

static inline ib_steady_clock ib_steady_begin(void) {
    return (ib_steady_clock){ib_unix_milliseconds(), ib_seconds()};
}

static inline double ib_steady_seconds(const ib_steady_clock *clock) { /* since its beginning */
    return ib_seconds() - clock->seconds;
}

static inline int64_t ib_steady_milliseconds(const ib_steady_clock *clock) {
    return clock->utc_ms + (int64_t)(ib_steady_seconds(clock) * 1000);
}

#endif
