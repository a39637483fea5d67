/* The run record from inside: what record.c keeps and record_write.c writes. */
#ifndef IB_RECORD_RECORD_PARTS_H
#define IB_RECORD_RECORD_PARTS_H

#include "base/chain.h"
#include "base/clock.h"
#include "monitor/resources.h"
#include "record/record.h"
#include "record/run.h"

struct ib_record {
    ib_record_start start;
    char *run_id;
    ib_folder folder;      /* all that is written is written in it */
    FILE *metrics;         /* its file carries the run's lock */
    ib_sha256 chain;       /* of all lines of metrics.jsonl */
    ib_steady_clock clock; /* begun with this process's part */
    double flushed;        /* ib_seconds() */
    ib_run previous;       /* as it was found: a run that goes on; else empty */
    json_t *resumed;       /* the times, as texts; NULL: never */
    double earlier_seconds;
    int watched;
    ib_resource_past past; /* of processes before this one */
    ib_sampler *sampler;   /* NULL: not watched, or no memory for it */
    ib_prefix trace;       /* 0 bytes: there is none */
};

/* How the run stands. running: outcome and what follows mean nothing yet. */
typedef struct ib_run_standing {
    int running;
    ib_status outcome;
    const char *message;
    const ib_run_results *results;
    const ib_evaluation *test;
} ib_run_standing;

/* "20261123T101530Z" for names, else "2026-11-23T10:15:30Z"; fresh memory. */
char *ib_record_utc(int64_t milliseconds, int for_name);

/* Writes run.json, sealed. Of a run that has ended it names the files, as they are on the disk:
 * each must be there as a whole before. */
ib_status ib_record_write(const ib_record *record, const ib_run_standing *state, ib_error *err);

#endif
