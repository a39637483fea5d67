/* Status codes of the isobit library. Each is also the exit code of the command-line program. */
#ifndef ISOBIT_STATUS_H
#define ISOBIT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, short text) */
#define IB_STATUS_TABLE(X)                                                                         \
    X(IB_OK, 0, "done")                                                                            \
    X(IB_ERROR_RUNTIME, 1, "run-time failure")                                                     \
    X(IB_ERROR_USAGE, 2, "usage error")                                                            \
    X(IB_ERROR_VERIFY, 3, "data, model or checkpoint failed verification")                         \
    X(IB_ERROR_DIVERGED, 4, "diverged")                                                            \
    X(IB_ERROR_NOT_REPRODUCED, 5, "not reproduced")                                                \
    X(IB_ERROR_UNAVAILABLE, 6, "backend, device or instruction set not available")                 \
    X(IB_ERROR_SOAK, 7, "soak found a mismatch")                                                   \
    X(IB_INTERRUPTED, 130, "interrupted")                                                          \
    X(IB_TERMINATED, 143, "terminated")

typedef enum ib_status {
#define IB_STATUS_ENUM(name, value, text) name = value,
    IB_STATUS_TABLE(IB_STATUS_ENUM)
#undef IB_STATUS_ENUM
} ib_status;

#pragma GCC visibility push(default)
/* A short English text; never NULL. */
const char *ib_status_text(ib_status status);
#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
