#include "monitor/resources.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text_stream.h"
#include "monitor/resources_totals.h"

enum { NICE = 10, LINE_BYTES = 1 << 15 };

struct ib_sampler {
    ib_sampler_options options;
    ib_steady_clock clock;
    cpu_set_t cpus;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int has_thread, stopping; /* stopping under the mutex */

    /* The thread's own while it runs. */
    FILE *file;                /* NULL: not, or not any more, written */
    ib_sha256 hash;            /* of the file */
    ib_resource_totals before; /* of earlier processes */
    ib_resource_totals totals;
    ib_limits limits;
    ib_rapl rapl;
    ib_gpus gpus;
    double gpu_watts[IB_MAX_GPUS]; /* of the last reading; negative: unknown */
    double last_seconds, last_cpu_seconds, last_joules, last_group_seconds;
    ib_cpu_ticks last_ticks;
    ib_network_use first_network;
    int has_ticks, has_group, has_network;
};

static void note_error(ib_sampler *sampler, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note_error(ib_sampler *sampler, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (sampler->totals.error[0] == '\0')
        vsnprintf(sampler->totals.error, sizeof sampler->totals.error, format, arguments);
    va_end(arguments);
}

static void stop_writing(ib_sampler *sampler) {
    if (sampler->file != NULL)
        fclose(sampler->file);
    sampler->file = NULL;
}

/* ---- one sample ---------------------------------------------------------------------------------
 */

static double of_timeval(struct timeval time) {
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

static void put(ib_json *json, const char *name, double value) {
    char key[96];
    snprintf(key, sizeof key, "system/%s", name);
    ib_json_double(json, key, value);
}

static void put_gpu(ib_json *json, unsigned gpu, const char *name, double value) {
    char key[64];
    snprintf(key, sizeof key, "gpu_%u_%s", gpu, name);
    put(json, key, value);
}

/* Percent of the CPUs there are, or that the limited group may use, since the sample before;
 * negative: unknown. */
static double machine_percent(ib_sampler *sampler, double elapsed) {
    double group = 0, percent = -1;
    ib_cpu_ticks ticks;
    if (sampler->limits.cpus > 0) {
        int known = ib_read_group_cpu(sampler->options.root, &sampler->limits, &group);
        if (known && sampler->has_group && elapsed > 0 && group >= sampler->last_group_seconds)
            percent = 100 * (group - sampler->last_group_seconds) / elapsed / sampler->limits.cpus;
        sampler->has_group = known;
        sampler->last_group_seconds = group;
        return percent;
    }
    if (!ib_read_cpu_ticks(sampler->options.root, &ticks))
        return -1;
    const ib_cpu_ticks *last = &sampler->last_ticks;
    if (sampler->has_ticks && ticks.total > last->total && ticks.busy >= last->busy)
        percent = 100 * (double)(ticks.busy - last->busy) / (double)(ticks.total - last->total);
    sampler->last_ticks = ticks;
    sampler->has_ticks = 1;
    return percent > 100 ? 100 : percent; /* idle time may step back */
}

static void sample_machine(ib_sampler *sampler, double elapsed, ib_json *json) {
    const char *root = sampler->options.root;
    double percent = machine_percent(sampler, elapsed);
    ib_memory_use memory;
    ib_network_use network;
    struct statvfs disk;
    if (percent >= 0) {
        put(json, "cpu_utilization_percentage", percent);
        sampler->totals.machine_percent_sum += percent;
        ++sampler->totals.machine_percent_count;
    }
    if (ib_read_memory(root, &sampler->limits, &memory)) {
        put(json, "system_memory_usage_megabytes", (double)memory.used / 1e6);
        put(json, "system_memory_usage_percentage",
            100 * (double)memory.used / (double)memory.total);
    }
    if (statvfs(root[0] == '\0' ? "/" : root, &disk) == 0 && disk.f_blocks > disk.f_bfree) {
        double unit = (double)disk.f_frsize;
        double used = unit * (double)(disk.f_blocks - disk.f_bfree);
        double available = unit * (double)disk.f_bavail;
        put(json, "disk_usage_percentage", 100 * used / (used + available));
        put(json, "disk_usage_megabytes", used / 1e6);
        put(json, "disk_available_megabytes", available / 1e6);
    }
    if (ib_read_network(root, &network)) {
        if (!sampler->has_network)
            sampler->first_network = network;
        sampler->has_network = 1;
        put(json, "network_receive_megabytes",
            ((double)network.received - (double)sampler->first_network.received) / 1e6);
        put(json, "network_transmit_megabytes",
            ((double)network.sent - (double)sampler->first_network.sent) / 1e6);
    }
}

static void sample_process(ib_sampler *sampler, double elapsed, ib_json *json) {
    const ib_resource_totals *before = &sampler->before;
    ib_resource_totals *totals = &sampler->totals;
    struct rusage usage = {0};
    ib_process_memory memory;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime);
    totals->seconds = before->seconds + ib_seconds() - sampler->options.start_seconds;
    totals->cpu_seconds = before->cpu_seconds + cpu;
    totals->minor_faults = before->minor_faults + (uint64_t)usage.ru_minflt;
    totals->major_faults = before->major_faults + (uint64_t)usage.ru_majflt;
    totals->voluntary_switches = before->voluntary_switches + (uint64_t)usage.ru_nvcsw;
    totals->involuntary_switches = before->involuntary_switches + (uint64_t)usage.ru_nivcsw;
    put(json, "process_seconds", totals->seconds);
    put(json, "process_cpu_seconds", totals->cpu_seconds);
    if (elapsed > 0)
        put(json, "process_cpu_utilization_percentage",
            100 * (cpu - sampler->last_cpu_seconds) / elapsed);
    sampler->last_cpu_seconds = cpu;
    if (ib_read_process_memory(sampler->options.root, &memory)) {
        put(json, "process_rss_megabytes", (double)memory.rss / 1e6);
        put(json, "process_peak_rss_megabytes", (double)memory.peak_rss / 1e6);
        if (memory.peak_rss > totals->rss_max)
            totals->rss_max = memory.peak_rss;
    }
    put(json, "process_minor_faults", (double)totals->minor_faults);
    put(json, "process_major_faults", (double)totals->major_faults);
    put(json, "process_voluntary_switches", (double)totals->voluntary_switches);
    put(json, "process_involuntary_switches", (double)totals->involuntary_switches);
}

static void sample_energy(ib_sampler *sampler, double elapsed, ib_json *json) {
    ib_resource_totals *totals = &sampler->totals;
    ib_rapl *rapl = &sampler->rapl;
    ib_rapl_read(sampler->options.root, rapl);
    if (totals->energy_reason[0] == '\0')
        memcpy(totals->energy_reason, rapl->reason, sizeof totals->energy_reason);
    totals->joules = sampler->before.joules + rapl->joules;
    if (totals->energy_reason[0] == '\0')
        put(json, "energy_joules", totals->joules);
    if (rapl->reason[0] == '\0' && elapsed > 0)
        put(json, "power_watts", (rapl->joules - sampler->last_joules) / elapsed);
    sampler->last_joules = rapl->joules;
}

/* Energy is the power between two readings times the time between them. */
static void sample_gpu(ib_sampler *sampler, unsigned i, double elapsed, ib_json *json) {
    ib_gpu_totals *total = &sampler->totals.gpus[i];
    ib_gpu_reading now;
    ib_gpus_read(&sampler->gpus, i, &now);
    if (now.utilization >= 0) {
        put_gpu(json, i, "utilization_percentage", now.utilization);
        total->utilization_sum += now.utilization;
        ++total->utilization_count;
    }
    if (now.memory_used >= 0) {
        put_gpu(json, i, "memory_usage_megabytes", now.memory_used / 1e6);
        if (now.memory_total > 0)
            put_gpu(json, i, "memory_usage_percentage", 100 * now.memory_used / now.memory_total);
        if (now.memory_used > total->memory_max)
            total->memory_max = now.memory_used;
    }
    if (now.watts >= 0) {
        put_gpu(json, i, "power_usage_watts", now.watts);
        if (now.watts_limit > 0)
            put_gpu(json, i, "power_usage_percentage", 100 * now.watts / now.watts_limit);
    }
    if (now.celsius >= 0) {
        put_gpu(json, i, "temperature_celsius", now.celsius);
        if (now.celsius > total->celsius_max)
            total->celsius_max = now.celsius;
    }
    if (now.watts >= 0 && sampler->gpu_watts[i] >= 0) {
        total->joules += 0.5 * (now.watts + sampler->gpu_watts[i]) * elapsed;
        total->has_energy = 1;
    }
    sampler->gpu_watts[i] = now.watts;
    if (total->has_energy)
        put_gpu(json, i, "energy_joules", total->joules);
}

static double own_cpu_seconds(void) {
    struct timespec time = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void write_line(ib_sampler *sampler, const ib_text_stream *line) {
    char tail[IB_CHAIN_TAIL];
    ib_chain_seal_line(&sampler->hash, line->data, line->size, tail);
    fwrite(line->data, 1, line->size - 2, sampler->file);
    fputs(tail, sampler->file);
    if (fflush(sampler->file) != 0 || ferror(sampler->file)) {
        note_error(sampler, "cannot write resources.jsonl: %s", strerror(errno));
        stop_writing(sampler);
    }
}

static void sample(ib_sampler *sampler) {
    double now = ib_seconds(), elapsed = now - sampler->last_seconds;
    ib_resource_totals *totals = &sampler->totals;
    ib_text_stream line;
    if (ib_text_open(&line, NULL) != IB_OK) {
        note_error(sampler, "out of memory");
        stop_writing(sampler);
        return;
    }
    ib_json json = {.out = line.stream};
    sampler->last_seconds = now;
    ib_json_open(&json, NULL, '{');
    ib_json_int(&json, "time", ib_steady_milliseconds(&sampler->clock));
    ib_json_uint(&json, "sample", totals->samples++);
    ib_json_open(&json, "values", '{');
    sample_machine(sampler, elapsed, &json);
    sample_process(sampler, elapsed, &json);
    sample_energy(sampler, elapsed, &json);
    for (unsigned i = 0; i < sampler->gpus.count; ++i)
        sample_gpu(sampler, i, elapsed, &json);
    totals->sampler_cpu_seconds = sampler->before.sampler_cpu_seconds + own_cpu_seconds();
    put(&json, "sampler_cpu_seconds", totals->sampler_cpu_seconds);
    ib_json_close(&json, '}');
    ib_json_close(&json, '}');
    fputc('\n', json.out);
    if (ib_text_close(&line, NULL) != IB_OK) {
        note_error(sampler, "out of memory");
        stop_writing(sampler);
        return;
    }
    write_line(sampler, &line);
    free(line.data);
}

/* ---- the thread ---------------------------------------------------------------------------------
 */

/* What the first sample is measured from. */
static void begin(ib_sampler *sampler) {
    struct rusage usage = {0};
    ib_resource_totals *totals = &sampler->totals;
    const char *root = sampler->options.root;
    ib_limits_read(root, &sampler->limits);
    ib_rapl_open(root, &sampler->rapl);
    ib_gpus_open(sampler->options.nvml, &sampler->gpus);
    for (unsigned i = 0; i < sampler->gpus.count; ++i) {
        ib_gpu_reading reading;
        if (i >= totals->gpu_count)
            totals->gpus[totals->gpu_count++] =
                (ib_gpu_totals){.memory_max = -1, .celsius_max = -1};
        memcpy(totals->gpus[i].name, sampler->gpus.names[i], IB_GPU_NAME);
        ib_gpus_read(&sampler->gpus, i, &reading);
        sampler->gpu_watts[i] = reading.watts;
    }
    machine_percent(sampler, 0);
    sampler->has_network = ib_read_network(root, &sampler->first_network);
    getrusage(RUSAGE_SELF, &usage);
    sampler->last_cpu_seconds = of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime);
    sampler->last_seconds = ib_seconds();
}

/* Sleeps until the monotonic time until, or until it is woken to stop. 1: to stop. */
static int wait_until(ib_sampler *sampler, double until) {
    time_t seconds = (time_t)until;
    struct timespec time = {seconds, (long)((until - (double)seconds) * 1e9)};
    pthread_mutex_lock(&sampler->mutex);
    while (!sampler->stopping &&
           pthread_cond_timedwait(&sampler->wake, &sampler->mutex, &time) != ETIMEDOUT)
        ;
    int stopping = sampler->stopping;
    pthread_mutex_unlock(&sampler->mutex);
    return stopping;
}

/* Computing comes first: the thread gives way to it, and runs wherever there is room. */
static void *thread_main(void *argument) {
    ib_sampler *sampler = argument;
    id_t self = (id_t)gettid();
    if (getpriority(PRIO_PROCESS, self) < NICE)
        setpriority(PRIO_PROCESS, self, NICE);
    if (sampler->options.cpus != NULL)
        sched_setaffinity(0, sizeof sampler->cpus, &sampler->cpus);
    begin(sampler);
    double period = sampler->options.period, next = sampler->last_seconds;
    int stopping = 0;
    while (!stopping && sampler->file != NULL) {
        double now = ib_seconds();
        next = next + period > now ? next + period : now + period; /* late: nothing is made up */
        stopping = wait_until(sampler, next);
        sample(sampler);
    }
    ib_gpus_close(&sampler->gpus);
    return NULL;
}

static void open_file(ib_sampler *sampler, const ib_resource_past *past, const ib_folder *folder,
                      const char *name) {
    ib_error err = {0};
    int fd;
    if (ib_folder_open_file(folder, name, O_WRONLY | O_APPEND | O_CREAT, &fd, &err) == IB_OK) {
        if (ftruncate(fd, (off_t)past->bytes) != 0)
            ib_fail_errno(&err, IB_ERROR_RUNTIME, errno, "cannot shorten resources.jsonl");
        else if ((sampler->file = fdopen(fd, "a")) == NULL)
            ib_fail_memory(&err);
        if (sampler->file == NULL)
            close(fd);
    }
    if (sampler->file == NULL) {
        note_error(sampler, "%s", ib_error_text(&err));
        ib_error_clear(&err);
        return;
    }
    setvbuf(sampler->file, NULL, _IOFBF, LINE_BYTES); /* a line is written at once */
    sampler->hash = past->hash;
    if (past->bytes == 0)
        ib_sha256_begin(&sampler->hash);
    sampler->before = sampler->totals = past->totals;
}

static void start_thread(ib_sampler *sampler) {
    sigset_t all, before;
    sigfillset(&all); /* signals are for the thread that computes */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&sampler->thread, NULL, thread_main, sampler);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sampler->has_thread = failed == 0;
    if (failed != 0)
        note_error(sampler, "cannot start the thread: %s", strerror(failed));
}

ib_sampler *ib_sampler_start(const ib_sampler_options *options, const ib_resource_past *past,
                             const ib_folder *folder, const char *name) {
    ib_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_mutex_init(&sampler->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sampler->options = *options;
    sampler->clock = ib_steady_begin();
    if (options->cpus != NULL) {
        sampler->cpus = *options->cpus;
        sampler->options.cpus = &sampler->cpus;
    }
    open_file(sampler, past, folder, name);
    sampler->totals.period = options->period;
    if (sampler->file != NULL)
        start_thread(sampler);
    return sampler;
}

const ib_resource_totals *ib_sampler_stop(ib_sampler *sampler) {
    if (sampler->has_thread) {
        pthread_mutex_lock(&sampler->mutex);
        sampler->stopping = 1;
        pthread_cond_signal(&sampler->wake);
        pthread_mutex_unlock(&sampler->mutex);
        pthread_join(sampler->thread, NULL);
        sampler->has_thread = 0;
    }
    stop_writing(sampler);
    return &sampler->totals;
}

int ib_sampler_written(const ib_sampler *sampler, ib_prefix *file) {
    if (sampler->totals.error[0] != '\0') /* perhaps it did not even begin */
        return 0;
    ib_chain_prefix(&sampler->hash, file);
    return 1;
}

void ib_sampler_close(ib_sampler *sampler) {
    if (sampler == NULL)
        return;
    ib_sampler_stop(sampler);
    pthread_cond_destroy(&sampler->wake);
    pthread_mutex_destroy(&sampler->mutex);
    free(sampler);
}
