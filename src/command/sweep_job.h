/* One run of a sweep: its lock, and the process that does it. */
#ifndef IB_COMMAND_SWEEP_JOB_H
#define IB_COMMAND_SWEEP_JOB_H

#include <sched.h>
#include <sys/types.h>

#include "base/status.h"
#include "study/study_plan.h"

/* Locks <folder>/.locks/<identity>.lock: whoever holds it is the only one to do the run. *lock is
 * -1 when another process holds it. The kernel gives it up when the last process that holds it has
 * ended, however it ended: the process that does the run inherits it. Close it to give it up. */
ib_status ib_sweep_lock(const ib_study_plan *plan, const ib_study_run *run, int *lock,
                        ib_error *err);

/* What killed processes left of this run. With resume, *go_on is the directory of the newest record
 * that was stopped or killed, to be gone on with: fresh memory, NULL when there is none. What else
 * was killed is moved to <folder>/.set-aside/, with a line to log. *live says that a process is at
 * one of them after all. For the holder of the run's lock. */
ib_status ib_sweep_leftovers(const ib_study_plan *plan, const ib_study_run *run, int resume,
                             FILE *log, char **go_on, int *live, ib_error *err);

typedef struct ib_sweep_job {
    pid_t pid; /* 0: none */
    size_t run;
    int lock, log; /* log: what the process writes to its standard error */
    double started;
} ib_sweep_job;

/* Starts `isobit train` with the options of the run's first cell, by way of /proc/self/exe; go_on
 * not NULL: the rest of the run with that directory. cpus NULL: all. threads 0: as the cell says.
 * Takes ownership of lock, also on failure. */
ib_status ib_sweep_start(const ib_study_plan *plan, size_t run, const char *go_on, int lock,
                         const cpu_set_t *cpus, unsigned threads, ib_sweep_job *job, ib_error *err);
/* *ended: the process is gone, and *code is its exit code, or 128 and its signal. */
ib_status ib_sweep_poll(const ib_sweep_job *job, int *ended, int *code, ib_error *err);
/* The last line that the process wrote to its standard error, without "isobit: "; fresh memory. */
char *ib_sweep_last_words(const ib_sweep_job *job);
/* Gives up lock and log. */
void ib_sweep_job_close(ib_sweep_job *job);

/* The share of the CPUs we may use that is slot's, of jobs; returns how many. */
unsigned ib_sweep_share_cpus(unsigned slot, unsigned jobs, cpu_set_t *cpus);

#endif
