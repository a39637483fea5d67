#include "record/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/limits.h"
#include "base/numerics_version.h"
#include "build_info.h"

/* "model name" of the first CPU as Linux tells it; fresh memory, NULL where it does not. */
static ib_status cpu_model(char **model, ib_error *err) {
    FILE *stream = fopen("/proc/cpuinfo", "re");
    *model = NULL;
    if (stream == NULL)
        return errno == ENOMEM ? ib_fail_memory(err) : IB_OK;
    char *line = NULL;
    size_t capacity = 0;
    int found = 0;
    while (!found && getline(&line, &capacity, stream) >= 0) {
        const char *colon = strchr(line, ':');
        found = strncmp(line, "model name", strlen("model name")) == 0 && colon != NULL;
        if (!found)
            continue;
        ++colon;
        colon += strspn(colon, " \t");
        *model = strndup(colon, strcspn(colon, "\n"));
    }
    int failed = found ? *model == NULL : !feof(stream);
    free(line);
    fclose(stream);
    return failed ? ib_fail_memory(err) : IB_OK;
}

/* What the container may have of the machine; null where there is no limit. */
static void write_limits(ib_json *json) {
    ib_limits limits;
    ib_limits_read("", &limits);
    ib_json_open(json, "limits", '{');
    if (limits.version > 0)
        ib_json_int(json, "cgroup_version", limits.version);
    else
        ib_json_string(json, "cgroup_version", NULL);
    if (limits.cpus > 0)
        ib_json_double(json, "cpus", limits.cpus);
    else
        ib_json_string(json, "cpus", NULL);
    if (limits.memory_bytes > 0)
        ib_json_uint(json, "memory_bytes", limits.memory_bytes);
    else
        ib_json_string(json, "memory_bytes", NULL);
    ib_json_close(json, '}');
}

ib_status ib_environment_write(const ib_backend_info *backend, unsigned usable_cpus,
                               const char *key, ib_json *json, ib_error *err) {
    char *model;
    IB_TRY(cpu_model(&model, err));
    struct utsname system = {0};
    int has_system = uname(&system) == 0;
    ib_json_open(json, key, '{');
    ib_json_string(json, "isobit_version", IB_VERSION);
    ib_json_string(json, "git_commit", IB_GIT_COMMIT);
    ib_json_string(json, "build_type", IB_BUILD_TYPE);
    ib_json_string(json, "compiler", IB_COMPILER);
    ib_json_string(json, "numerics", IB_NUMERICS_VERSION);
    ib_json_string(json, "backend", backend->name);
    ib_json_string(json, "isa", backend->isa);
    ib_json_uint(json, "threads", backend->threads);
    ib_json_string(json, "cpu_model", model);
    ib_json_uint(json, "usable_cpus", usable_cpus);
    write_limits(json);
    ib_json_string(json, "kernel", has_system ? system.sysname : NULL);
    ib_json_string(json, "kernel_release", has_system ? system.release : NULL);
    ib_json_string(json, "architecture", has_system ? system.machine : NULL);
    ib_json_close(json, '}');
    free(model);
    return IB_OK;
}
