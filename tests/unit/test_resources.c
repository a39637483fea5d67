/* What the kernel and NVML say, from trees and a library of the test's own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "monitor/resources_totals.h"
#include "record/run_files.h"
#include "temp_dir.h"

static int set_up(void **state) {
    *state = temp_dir_make();
    return 0;
}

static int tear_down(void **state) {
    temp_dir_remove(*state);
    return 0;
}

static void put(const char *root, const char *name, const char *text) {
    temp_dir_write(root, name, text, strlen(text));
}

static void cpu_time(void **state) {
    ib_cpu_ticks ticks;
    put(*state, "proc/stat", "cpu  10 20 30 400 5 6 7 8 9 9\ncpu0 1 1 1 1\n");
    assert_true(ib_read_cpu_ticks(*state, &ticks));
    assert_int_equal(ticks.total, 486);
    assert_int_equal(ticks.busy, 81);
    static const char *const HOSTILE[] = {"",
                                          "cpu",
                                          "cpu  1 2 3",
                                          "cpu  -1 2 3 4 5 6 7 8",
                                          "intr 1 2 3 4 5 6 7 8\n",
                                          "cpu  99999999999999999999999 2 3 4 5 6 7 8",
                                          "cpu  1 2 3 4 x 6 7 8"};
    for (size_t i = 0; i < sizeof HOSTILE / sizeof HOSTILE[0]; ++i) {
        put(*state, "proc/stat", HOSTILE[i]);
        assert_false(ib_read_cpu_ticks(*state, &ticks));
    }
}

static void memory_and_network(void **state) {
    ib_limits none = {0}, limits;
    ib_memory_use memory;
    ib_process_memory process;
    ib_network_use network;
    put(*state, "proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n");
    assert_true(ib_read_memory(*state, &none, &memory));
    assert_int_equal(memory.used, 600 * 1024);
    assert_int_equal(memory.total, 1000 * 1024);
    put(*state, "proc/self/cgroup", "0::/\n");
    put(*state, "sys/fs/cgroup/memory.max", "8192\n");
    put(*state, "sys/fs/cgroup/memory.current", "4096\n");
    ib_limits_read(*state, &limits);
    assert_true(ib_read_memory(*state, &limits, &memory));
    assert_int_equal(memory.used, 4096);
    assert_int_equal(memory.total, 8192);
    put(*state, "proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:  4000 kB\n");
    assert_false(ib_read_memory(*state, &none, &memory));
    put(*state, "proc/self/status", "Name: x\nVmHWM:\t  70 kB\nVmRSS:\t 50 kB\n");
    assert_true(ib_read_process_memory(*state, &process));
    assert_int_equal(process.rss, 50 * 1024);
    assert_int_equal(process.peak_rss, 70 * 1024);
    put(*state, "proc/self/status", "VmHWM:\t  many kB\n");
    assert_false(ib_read_process_memory(*state, &process));
    put(*state, "proc/net/dev",
        "Inter-| Receive\n face |bytes\n    lo: 5 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n"
        "  eth0: 100 0 0 0 0 0 0 0 200 0 0 0 0 0 0 0\n");
    assert_true(ib_read_network(*state, &network));
    assert_int_equal(network.received, 105);
    assert_int_equal(network.sent, 207);
    put(*state, "proc/net/dev", "lo: 5");
    assert_false(ib_read_network(*state, &network));
}

static void limits_of_version_2(void **state) {
    ib_limits limits;
    double seconds;
    put(*state, "proc/self/cgroup", "0::/outer/inner\n");
    put(*state, "sys/fs/cgroup/outer/cpu.max", "150000 100000\n");
    put(*state, "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    put(*state, "sys/fs/cgroup/outer/inner/memory.max", "max\n");
    put(*state, "sys/fs/cgroup/outer/cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
    ib_limits_read(*state, &limits);
    assert_int_equal(limits.version, 2);
    assert_true(limits.cpus == 1.5);
    assert_int_equal(limits.memory_bytes, 0);
    assert_true(ib_read_group_cpu(*state, &limits, &seconds));
    assert_true(seconds == 2.5);
    static const char *const HOSTILE[] = {"", "0 100000", "5 0", "-1 5", "x y", "100000"};
    for (size_t i = 0; i < sizeof HOSTILE / sizeof HOSTILE[0]; ++i) {
        put(*state, "sys/fs/cgroup/outer/cpu.max", HOSTILE[i]);
        ib_limits_read(*state, &limits);
        assert_true(limits.cpus == 0);
    }
    put(*state, "proc/self/cgroup", "0::/../../outside\n");
    put(*state, "sys/fs/cgroup/cpu.max", "200000 100000\n");
    ib_limits_read(*state, &limits);
    assert_true(limits.cpus == 2);
}

static void limits_of_version_1(void **state) {
    ib_limits limits;
    double seconds;
    put(*state, "proc/self/cgroup", "9:memory:/m\n4:cpu,cpuacct:/c\n1:name=x:/\n0::/\n");
    put(*state, "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "-1\n");
    put(*state, "sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    put(*state, "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n");
    ib_limits_read(*state, &limits);
    assert_int_equal(limits.version, 1);
    assert_true(limits.cpus == 0 && limits.memory_bytes == 0);
    put(*state, "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "50000\n");
    put(*state, "sys/fs/cgroup/cpu/c/cpuacct.usage", "3000000000\n");
    put(*state, "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "1048576\n");
    ib_limits_read(*state, &limits);
    assert_true(limits.cpus == 0.5);
    assert_int_equal(limits.memory_bytes, 1048576);
    assert_true(ib_read_group_cpu(*state, &limits, &seconds) && seconds == 3);
}

#define ZONE "sys/class/powercap/intel-rapl:"

static void put_zone(const char *root, const char *zone, const char *name, const char *energy) {
    char path[128];
    snprintf(path, sizeof path, ZONE "%s/name", zone);
    put(root, path, name);
    snprintf(path, sizeof path, ZONE "%s/max_energy_range_uj", zone);
    put(root, path, "1000000\n");
    snprintf(path, sizeof path, ZONE "%s/energy_uj", zone);
    put(root, path, energy);
}

static void energy_wraps(void **state) {
    ib_rapl rapl;
    ib_rapl_open(*state, &rapl);
    assert_non_null(strstr(rapl.reason, "no energy counters"));
    put_zone(*state, "0", "package-0\n", "900000\n");
    put_zone(*state, "0:0", "core\n", "1\n");
    put_zone(*state, "0:1", "dram\n", "100\n");
    put_zone(*state, "1", "psys\n", "5\n");
    ib_rapl_open(*state, &rapl);
    assert_string_equal(rapl.reason, "");
    assert_int_equal(rapl.count, 2);
    put(*state, ZONE "0/energy_uj", "200000\n"); /* over the end: 100000 + 200000 */
    put(*state, ZONE "0:1/energy_uj", "200100\n");
    ib_rapl_read(*state, &rapl);
    assert_float_equal(rapl.joules, 0.5, 1e-12);
    put(*state, ZONE "0/energy_uj", "nonsense\n");
    ib_rapl_read(*state, &rapl);
    assert_non_null(strstr(rapl.reason, "intel-rapl:0/energy_uj"));
    put(*state, ZONE "0/energy_uj", "1000001\n");
    ib_rapl_open(*state, &rapl);
    assert_non_null(strstr(rapl.reason, "max_energy_range_uj"));
}

/* ---- a library that is none ---------------------------------------------------------------------
 */

static int done(void) {
    return 0;
}
static int failing(void) {
    return 9;
}
static int two_devices(unsigned *count) {
    *count = 2;
    return 0;
}
static int device_of(unsigned index, void **device) {
    static const char DEVICES[2];
    *device = (void *)(uintptr_t)&DEVICES[index];
    return index == 0 ? 0 : 15; /* the second is lost */
}
static int name_of(void *device, char *name, unsigned size) {
    (void)device;
    snprintf(name, size, "Test GPU");
    return 0;
}
static int memory_of(void *device, ib_nvml_memory *memory) {
    (void)device;
    *memory = (ib_nvml_memory){.total = 4000000, .used = 1000000};
    return 0;
}
static int utilization_of(void *device, ib_nvml_utilization *utilization) {
    (void)device;
    utilization->gpu = 75;
    return 0;
}
static int power_of(void *device, unsigned *milliwatts) {
    (void)device;
    *milliwatts = 200000;
    return 0;
}
static int no_limit(void *device, unsigned *milliwatts) {
    (void)device, (void)milliwatts;
    return 3; /* not supported */
}
static int temperature_of(void *device, int sensor, unsigned *celsius) {
    (void)device, (void)sensor;
    *celsius = 61;
    return 0;
}

static ib_nvml test_library(void) {
    return (ib_nvml){NULL,      done,           done,     two_devices, device_of,     name_of,
                     memory_of, utilization_of, power_of, no_limit,    temperature_of};
}

static json_t *last_line(const char *path, size_t *lines) {
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(ib_read_file(path, 1 << 20, &text, &size, NULL), IB_OK);
    json_t *last = NULL;
    *lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), ++*lines) {
        json_decref(last);
        last = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(last);
    }
    free(text);
    return last;
}

/* After what is in the file already. */
static ib_sampler *start_in(const char *directory, const ib_sampler_options *options) {
    ib_folder folder;
    ib_lines lines;
    ib_resource_past past = {0};
    const ib_run run = {.directory = (char *)(uintptr_t)directory, .sealed = 1};
    if (ib_run_lines_open(&run, "resources.jsonl", 0, &lines, NULL) == IB_OK) {
        assert_int_equal(ib_resources_replay(&lines, &past, NULL), IB_OK);
    }
    ib_lines_close(&lines);
    assert_int_equal(ib_folder_open(directory, &folder, NULL), IB_OK);
    ib_sampler *sampler = ib_sampler_start(options, &past, &folder, "resources.jsonl");
    ib_folder_close(&folder);
    assert_non_null(sampler);
    return sampler;
}

static void sampler_writes_and_goes_on(void **state) {
    const char *root = *state;
    ib_nvml nvml = test_library();
    put_zone(root, "0", "package-0\n", "900000\n");
    char *path = ib_path_join(root, "resources.jsonl");
    ib_sampler_options options = {
        .period = 3600, .start_seconds = ib_seconds(), .root = root, .nvml = &nvml};
    ib_sampler *sampler = start_in(root, &options);
    ib_resource_totals totals = *ib_sampler_stop(sampler);
    assert_string_equal(totals.error, "");
    assert_int_equal(totals.samples, 1);
    assert_int_equal(ib_sampler_stop(sampler)->samples, 1);
    ib_sampler_close(sampler);
    size_t lines = 0;
    json_t *line = last_line(path, &lines);
    const json_t *values = json_object_get(line, "values");
    assert_int_equal(lines, 1);
    assert_true(json_number_value(json_object_get(values, "system/gpu_0_utilization_percentage")) ==
                75);
    assert_null(json_object_get(values, "system/gpu_0_power_usage_percentage"));
    assert_null(json_object_get(values, "system/gpu_1_utilization_percentage"));
    assert_non_null(json_object_get(values, "system/energy_joules"));
    double joules = json_number_value(json_object_get(values, "system/gpu_0_energy_joules"));
    assert_true(joules >= 0 && joules < 200 * 60);
    json_decref(line);

    FILE *stream = fopen(path, "a"); /* killed while it wrote */
    fputs("{\"time\":1,\"sample\":7,\"val", stream);
    fclose(stream);
    sampler = start_in(root, &options);
    ib_resource_totals again = *ib_sampler_stop(sampler);
    ib_sampler_close(sampler);
    line = last_line(path, &lines);
    assert_int_equal(lines, 2);
    assert_non_null(json_object_get(line, "chain"));
    assert_int_equal(json_integer_value(json_object_get(line, "sample")), 1);
    json_decref(line);
    assert_int_equal(again.samples, 2);
    assert_true(again.cpu_seconds >= 2 * totals.cpu_seconds);
    assert_string_equal(again.gpus[0].name, "Test GPU");
    assert_int_equal(again.gpus[0].utilization_count, 2);
    assert_true(again.gpus[0].memory_max == 1000000 && again.gpus[0].celsius_max == 61);
    free(path);
}

static void trouble_is_told(void **state) {
    ib_nvml nvml = test_library();
    nvml.init = failing;
    ib_sampler_options options = {.period = 1, .root = *state, .nvml = &nvml};
    char *path = ib_path_join(*state, "resources.jsonl");
    assert_int_equal(mkdir(path, 0777), 0);
    ib_sampler *sampler = start_in(*state, &options);
    assert_non_null(strstr(ib_sampler_stop(sampler)->error, "resources.jsonl is a folder"));
    ib_sampler_close(sampler);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    sampler = start_in(*state, &options);
    assert_non_null(strstr(ib_sampler_stop(sampler)->error, "resources.jsonl is a link"));
    ib_sampler_close(sampler);
    assert_int_equal(unlink(path), 0);
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0); /* the disk is full */
    sampler = start_in(*state, &options);
    assert_non_null(strstr(ib_sampler_stop(sampler)->error, "File too large"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(ib_sampler_stop(sampler)->gpu_count, 0);
    ib_sampler_close(sampler);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cpu_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_and_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_of_version_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_of_version_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(energy_wraps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sampler_writes_and_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trouble_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
