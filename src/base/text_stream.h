/* A stream into memory. Not open_memstream: where memory runs out, glibc's (2.36) leaves text out,
 * and neither ferror nor fclose tells. */
#ifndef IB_BASE_TEXT_STREAM_H
#define IB_BASE_TEXT_STREAM_H

#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

/* Stays where it is from opening to closing. */
typedef struct ib_text_stream {
    FILE *stream; /* write here */
    char *data;   /* what was written until the last flush or the end, and a NUL behind it */
    size_t size, capacity;
    int failed;
} ib_text_stream;

ib_status ib_text_open(ib_text_stream *text, ib_error *err);
/* Brings all that was written to data, which stays the stream's. */
ib_status ib_text_flush(ib_text_stream *text, ib_error *err);
/* Ends the stream. data is the caller's to free; NULL on failure. */
ib_status ib_text_close(ib_text_stream *text, ib_error *err);
/* Ends the stream and frees data. Nothing is done where it is not open. */
void ib_text_abort(ib_text_stream *text);

#endif
