/* The files of a run record, each with the checks that tell whether it is what was written. */
#ifndef IB_RECORD_RUN_FILES_H
#define IB_RECORD_RUN_FILES_H

#include "base/lines.h"
#include "base/status.h"
#include "record/run.h"
#include "record/trace.h"

/* The files that run.json names when its run has ended, where they are there; ends with NULL. */
extern const char *const IB_RECORD_FILES[];

/* Whether a name in the record's directory is of the record, or of what may lie beside: notes about
 * it that are no part of it. */
int ib_run_knows(const ib_run *run, const char *name);

/* One file, which must be what the record says of it: else IB_ERROR_VERIFY. Of a file that the
 * record does not name, as while its run goes on, metrics.jsonl must be there, and rows of it, of
 * resources.jsonl and of trace.bin must be those that were written. run.json must have its seal. */
ib_status ib_run_check_file(const ib_run *run, const char *name, ib_error *err);
/* All files of a record. */
ib_status ib_run_check_files(const ib_run *run, ib_error *err);

/* The same of one file, and what was checked: its bytes, its lines from offset on, its steps. A
 * file that is rightly missing is empty; *trace is NULL then. path is the file's and outlives
 * *contents. The caller calls ib_contents_close, ib_lines_close (both also after a failure),
 * ib_trace_free. */
ib_status ib_run_contents_open(const ib_run *run, const char *path, const char *name,
                               ib_contents *contents, ib_error *err);
ib_status ib_run_lines_open(const ib_run *run, const char *name, uint64_t offset, ib_lines *lines,
                            ib_error *err);
ib_status ib_run_trace_open(const ib_run *run, ib_trace **trace, ib_error *err);

/* Calls visit with the directory of each record: the one given, or those up to four levels below,
 * by name; what begins with a dot is passed over. A folder that cannot be read is IB_ERROR_RUNTIME;
 * one that is not there, or is none, holds no records. */
typedef ib_status ib_run_visit(void *context, const char *directory, ib_error *err);
ib_status ib_runs_visit(const char *directory, ib_run_visit *visit, void *context, ib_error *err);

/* Whether a process is training into this directory: it holds the lock of metrics.jsonl. Looking
 * takes that lock for a moment: only for whoever has the right to continue the run. */
int ib_run_is_live(const char *directory);

#endif
