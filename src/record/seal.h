/* The seal of a JSON text: its last member, "sha256", is the SHA-256 of all bytes before it. It
 * guards against errors of disks and hands, not against forgers, who can seal anew. */
#ifndef IB_RECORD_SEAL_H
#define IB_RECORD_SEAL_H

#include <stddef.h>

#include "base/json_text.h"
#include "base/status.h"
#include "base/text_stream.h"

/* An object while it is written to memory. It must not be moved. */
typedef struct ib_sealing {
    ib_json json;        /* write members here */
    ib_text_stream text; /* data is the caller's after ib_seal_close */
} ib_sealing;

/* Opens the outermost object, of one line (indent 0) or several. */
ib_status ib_seal_open(ib_sealing *sealing, int indent, ib_error *err);
/* Adds the seal and closes the object; after a failure there is no text. */
ib_status ib_seal_close(ib_sealing *sealing, ib_error *err);
void ib_seal_abort(ib_sealing *sealing);

typedef enum ib_seal {
    IB_SEAL_NONE, /* the text does not end as a sealed one does */
    IB_SEAL_GOOD,
    IB_SEAL_BROKEN,
} ib_seal;

ib_seal ib_seal_look(const char *text, size_t size);

#endif
