#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char OUT_OF_MEMORY[] = "out of memory";

const char *ib_status_text(ib_status status) {
    switch (status) {
#define IB_STATUS_CASE(name, value, text)                                                          \
    case name:                                                                                     \
        return text;
        IB_STATUS_TABLE(IB_STATUS_CASE)
#undef IB_STATUS_CASE
    }
    return "unknown status";
}

/* Takes over message; NULL: there was no memory for it. */
static void set_message(ib_error *err, ib_status status, char *message) {
    ib_error_clear(err);
    err->status = status;
    err->message = message == NULL ? NULL : ib_text_safe(message);
    free(message);
    if (err->message == NULL) {
        err->message = (char *)OUT_OF_MEMORY;
        err->message_is_static = 1;
    }
}

__attribute__((format(printf, 1, 0))) static char *format_message(const char *format,
                                                                  va_list args) {
    char *text = NULL;
    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

ib_status ib_fail(ib_error *err, ib_status status, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        set_message(err, status, format_message(format, args));
        va_end(args);
    }
    return status;
}

ib_status ib_fail_context(ib_error *err, const char *format, ...) {
    if (err == NULL)
        return IB_ERROR_RUNTIME;
    va_list args;
    va_start(args, format);
    char *context = format_message(format, args);
    va_end(args);
    char *joined = NULL;
    if (context == NULL || asprintf(&joined, "%s: %s", context, ib_error_text(err)) < 0)
        joined = NULL;
    free(context);
    int is_memory = err->is_memory;
    if (joined != NULL)
        set_message(err, err->status, joined);
    err->is_memory = is_memory;
    return err->status;
}

ib_status ib_fail_errno(ib_error *err, ib_status status, int errno_value, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        char *what = format_message(format, args);
        va_end(args);
        char buffer[128];
        const char *reason = strerror_r(errno_value, buffer, sizeof buffer);
        char *joined = NULL;
        if (what == NULL || asprintf(&joined, "%s: %s", what, reason) < 0)
            joined = NULL;
        free(what);
        set_message(err, status, joined);
        err->is_memory = errno_value == ENOMEM;
    }
    return status;
}

ib_status ib_fail_memory(ib_error *err) {
    if (err != NULL) {
        set_message(err, IB_ERROR_RUNTIME, NULL);
        err->is_memory = 1;
    }
    return IB_ERROR_RUNTIME;
}

ib_status ib_error_pass(ib_error *from, ib_error *err) {
    ib_status status = from->status;
    ib_error_clear(err);
    if (err != NULL)
        *err = *from;
    else
        ib_error_clear(from);
    *from = (ib_error){0};
    return status;
}

int ib_error_is_memory(const ib_error *err) {
    return err->is_memory;
}

const char *ib_error_text(const ib_error *err) {
    return err != NULL && err->message != NULL ? err->message : "no further detail";
}

void ib_error_clear(ib_error *err) {
    if (err == NULL)
        return;
    if (!err->message_is_static)
        free(err->message);
    *err = (ib_error){0};
}
