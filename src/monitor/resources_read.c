#include "monitor/resources_read.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAT_FIELDS = 8, IDLE = 3, IO_WAIT = 4, TEXT_SIZE = 8192 };

/* The number after name at the beginning of a line. */
static int number_after(const char *text, const char *name, uint64_t *value) {
    size_t length = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0)
            return ib_leading_number(line + length, value) == 0;
        if (*line == '\0')
            break;
    }
    return 0;
}

/* count numbers separated by spaces; 0: there are fewer. */
static int take_numbers(const char *text, size_t count, uint64_t *values) {
    for (size_t i = 0; i < count; ++i) {
        if (ib_leading_number(text, &values[i]) != 0)
            return 0;
        text += strspn(text, " \t");
        text += strspn(text, "0123456789");
    }
    return 1;
}

int ib_read_cpu_ticks(const char *root, ib_cpu_ticks *ticks) {
    char text[256];
    uint64_t fields[STAT_FIELDS]; /* guest times are part of user times */
    if (ib_read_system_file(root, "proc/stat", text, sizeof text) < 0 ||
        strncmp(text, "cpu ", 4) != 0 || !take_numbers(text + 4, STAT_FIELDS, fields))
        return 0;
    *ticks = (ib_cpu_ticks){0};
    for (size_t i = 0; i < STAT_FIELDS; ++i) {
        ticks->total += fields[i];
        ticks->busy += i == IDLE || i == IO_WAIT ? 0 : fields[i];
    }
    return 1;
}

static long read_of_group(const char *root, const char *directory, const char *name, char *text,
                          size_t size) {
    char path[IB_LIMIT_PATH];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < 0 || (size_t)length >= sizeof path
               ? -1
               : ib_read_system_file(root, path, text, size);
}

int ib_read_group_cpu(const char *root, const ib_limits *limits, double *seconds) {
    char text[1024];
    uint64_t used = 0;
    int first = limits->version == 1;
    if (limits->cpus <= 0 ||
        read_of_group(root, limits->cpu_directory, first ? "cpuacct.usage" : "cpu.stat", text,
                      sizeof text) < 0)
        return 0;
    if (first ? ib_leading_number(text, &used) != 0 : !number_after(text, "usage_usec", &used))
        return 0;
    *seconds = (double)used * (first ? 1e-9 : 1e-6);
    return 1;
}

int ib_read_memory(const char *root, const ib_limits *limits, ib_memory_use *memory) {
    char text[TEXT_SIZE];
    uint64_t total = 0, available = 0, used = 0;
    if (ib_read_system_file(root, "proc/meminfo", text, sizeof text) < 0 ||
        !number_after(text, "MemTotal:", &total) ||
        !number_after(text, "MemAvailable:", &available) || available > total || total == 0 ||
        total > UINT64_MAX / 1024)
        return 0;
    *memory = (ib_memory_use){(total - available) * 1024, total * 1024};
    if (limits->memory_bytes == 0 || limits->memory_bytes >= memory->total)
        return 1;
    memory->total = limits->memory_bytes;
    const char *name = limits->version == 1 ? "memory.usage_in_bytes" : "memory.current";
    if (read_of_group(root, limits->memory_directory, name, text, sizeof text) < 0 ||
        ib_leading_number(text, &used) != 0)
        return 0;
    memory->used = used;
    return 1;
}

int ib_read_process_memory(const char *root, ib_process_memory *memory) {
    char text[TEXT_SIZE];
    uint64_t rss = 0, peak = 0;
    if (ib_read_system_file(root, "proc/self/status", text, sizeof text) < 0 ||
        !number_after(text, "VmRSS:", &rss) || !number_after(text, "VmHWM:", &peak) ||
        rss > UINT64_MAX / 1024 || peak > UINT64_MAX / 1024)
        return 0;
    *memory = (ib_process_memory){rss * 1024, peak * 1024};
    return 1;
}

int ib_read_network(const char *root, ib_network_use *network) {
    enum { RECEIVED = 0, SENT = 8, FIELDS = 9 };
    char text[TEXT_SIZE];
    uint64_t fields[FIELDS];
    int found = 0;
    if (ib_read_system_file(root, "proc/net/dev", text, sizeof text) < 0)
        return 0;
    *network = (ib_network_use){0};
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *next = strchr(line, '\n');
        const char *colon = strchr(line, ':');
        if (next != NULL && colon != NULL && colon < next &&
            take_numbers(colon + 1, FIELDS, fields)) {
            network->received += fields[RECEIVED];
            network->sent += fields[SENT];
            found = 1;
        }
        line = next == NULL ? NULL : next + 1;
    }
    return found;
}

/* ---- energy -------------------------------------------------------------------------------------
 */

#define POWERCAP "sys/class/powercap"

static void give_up(ib_rapl *rapl, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void give_up(ib_rapl *rapl, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rapl->reason, sizeof rapl->reason, format, arguments);
    va_end(arguments);
    rapl->count = 0;
}

static int read_zone(const char *root, const char *zone, const char *file, char *text,
                     size_t size) {
    char path[IB_LIMIT_PATH];
    snprintf(path, sizeof path, POWERCAP "/%s/%s", zone, file);
    return ib_read_system_file(root, path, text, size) >= 0;
}

static int read_counter(const char *root, const char *zone, const char *file, uint64_t *value) {
    char text[64];
    if (!read_zone(root, zone, file, text, sizeof text))
        return 0;
    errno = EINVAL; /* why, where the text is no number */
    return ib_leading_number(text, value) == 0;
}

/* A package holds its cores, and a platform (psys) its packages: they would count twice. */
static int is_counted(const char *root, const char *zone) {
    char name[64];
    return read_zone(root, zone, "name", name, sizeof name) &&
           (strncmp(name, "package", 7) == 0 || strncmp(name, "dram", 4) == 0);
}

static void add_zone(const char *root, const char *zone, ib_rapl *rapl) {
    uint64_t now = 0, range = 0;
    if (strlen(zone) >= sizeof rapl->zones[0].name || rapl->count == IB_RAPL_ZONES)
        give_up(rapl, "there are more energy counters than this program can follow");
    else if (!read_counter(root, zone, "energy_uj", &now))
        give_up(rapl, "cannot read %s/%s/energy_uj: %s", POWERCAP, zone, strerror(errno));
    else if (!read_counter(root, zone, "max_energy_range_uj", &range) || now > range)
        give_up(rapl, "%s/%s has no sensible max_energy_range_uj", POWERCAP, zone);
    else {
        memcpy(rapl->zones[rapl->count].name, zone, strlen(zone) + 1);
        rapl->zones[rapl->count].last = now;
        rapl->zones[rapl->count].range = range;
        ++rapl->count;
    }
}

void ib_rapl_open(const char *root, ib_rapl *rapl) {
    char path[IB_LIMIT_PATH];
    *rapl = (ib_rapl){0};
    snprintf(path, sizeof path, "%s/%s", root, POWERCAP);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    while (directory != NULL && rapl->reason[0] == '\0' && (entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, "intel-rapl:", 11) == 0 && is_counted(root, entry->d_name))
            add_zone(root, entry->d_name, rapl);
    if (directory != NULL)
        closedir(directory);
    if (rapl->count == 0 && rapl->reason[0] == '\0')
        give_up(rapl, "this machine shows no energy counters (/%s/intel-rapl:*)", POWERCAP);
}

void ib_rapl_read(const char *root, ib_rapl *rapl) {
    uint64_t microjoules = 0;
    for (size_t i = 0; i < rapl->count; ++i) {
        uint64_t now = 0, last = rapl->zones[i].last, range = rapl->zones[i].range;
        if (!read_counter(root, rapl->zones[i].name, "energy_uj", &now)) {
            give_up(rapl, "cannot read %s/%s/energy_uj any more: %s", POWERCAP, rapl->zones[i].name,
                    strerror(errno));
            return;
        }
        if (now > range) {
            give_up(rapl, "%s/%s/energy_uj is beyond its max_energy_range_uj", POWERCAP,
                    rapl->zones[i].name);
            return;
        }
        microjoules += now >= last ? now - last : range - last + now;
        rapl->zones[i].last = now;
    }
    rapl->joules += 1e-6 * (double)microjoules;
}
