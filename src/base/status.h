/* Status codes and error messages. A status is also the process's exit code. */
#ifndef IB_BASE_STATUS_H
#define IB_BASE_STATUS_H

#include "isobit/status.h"

/* What went wrong, in words. Zero-initialise; the caller owns it and calls ib_error_clear. */
typedef struct ib_error {
    ib_status status;
    char *message; /* heap, or a static text when memory is exhausted */
    int message_is_static;
    int is_memory; /* memory ran out: nothing is known of what was looked at */
} ib_error;

/* Records a formatted message (replacing any earlier one) and returns status. err may be NULL. What
 * would command a terminal is escaped in every message, and passwords are left out (text.h). */
ib_status ib_fail(ib_error *err, ib_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "text: " in front of the message, for callers that know the context. Returns the status. */
ib_status ib_fail_context(ib_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Like ib_fail, with ": " and strerror(errno_value) at the end. */
ib_status ib_fail_errno(ib_error *err, ib_status status, int errno_value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

ib_status ib_fail_memory(ib_error *err);
/* Whether that is why: a reader that goes on after what is damaged or missing must not do so then.
 */
int ib_error_is_memory(const ib_error *err);

/* Gives err (may be NULL) what from says, which is cleared. Returns the status. */
ib_status ib_error_pass(ib_error *from, ib_error *err);

/* The message, never NULL. */
const char *ib_error_text(const ib_error *err);
void ib_error_clear(ib_error *err);

#define IB_TRY(expression)                                                                         \
    do {                                                                                           \
        ib_status ib_try_status_ = (expression);                                                   \
        if (ib_try_status_ != IB_OK)                                                               \
            return ib_try_status_;                                                                 \
    } while (0)

#endif
