/* Getting one file's bytes from a path or a URL. */
#ifndef IB_DATA_FETCH_H
#define IB_DATA_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Whether source is a URL (http, https, file or any other scheme) rather than a path. */
int ib_is_url(const char *source);

/* Reads source, a path or an http(s) or file URL, into fresh memory (the caller frees *data).
 * More than max_bytes or any other failure is IB_ERROR_RUNTIME, with the source and the reason in
 * the message; *absent tells a file that is not there from one that cannot be had. */
ib_status ib_fetch(const char *source, size_t max_bytes, uint8_t **data, size_t *size, int *absent,
                   ib_error *err);

#endif
