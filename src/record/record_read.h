/* Reading run records, each file with the checks that tell whether it is what was written. All that
 * reads records reads them through this. */
#ifndef IB_RECORD_RECORD_READ_H
#define IB_RECORD_RECORD_READ_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

enum { IB_RECORD_FORMAT = 2, IB_RECORD_UNSEALED = 1 };

/* The files that run.json names when its run has ended, where they are there; ends with NULL. */
extern const char *const IB_RECORD_FILES[];
/* What may lie beside them: notes about a record that are no part of it. */
int ib_record_is_beside(const char *name);

/* Reads <directory>/run.json. Not there: *record is NULL and IB_OK. IB_ERROR_VERIFY naming what
 * does not fit: no JSON; a broken seal, or none where there must be one; a canonical form that has
 * not experiment_sha256, or that says otherwise than the configuration; an accuracy that is not
 * that of the confusion matrix. The caller calls json_decref. */
ib_status ib_record_read(const char *directory, json_t **record, ib_error *err);
/* 0: an earlier version wrote it: its files' hashes are not known, but those of the models. */
int ib_record_is_sealed(const json_t *record);

/* The record's size and SHA-256 of a file; 0: it names none. */
int ib_record_names(const json_t *record, const char *name);
/* One file, which must be what the record says of it: else IB_ERROR_VERIFY. A file that the record
 * does not name is IB_OK, also where it is missing. */
ib_status ib_record_check_file(const char *directory, const json_t *record, const char *name,
                               ib_error *err);
/* All that it names. */
ib_status ib_record_check_files(const char *directory, const json_t *record, ib_error *err);

/* metrics.jsonl: as a whole where the record names it, line by line where the run goes on. */
ib_status ib_record_check_metrics(const char *directory, const json_t *record, ib_error *err);
/* trace.bin, likewise. */
ib_status ib_record_check_trace(const char *directory, const json_t *record, ib_error *err);

#endif
