/* isobit devices: what can compute on this machine. */
#include "command/command.h"

#include <string.h>

#include "backend/backend.h"
#include "base/json_text.h"
#include "base/threads.h"
#include "catalog/backends.h"

static int available(const char *name, const char *isa, char reason[], size_t size) {
    ib_backend_options options = {.backend = name, .isa = isa, .threads = 1};
    ib_backend *backend = NULL;
    ib_error why = {0};
    ib_status status = ib_backend_open(&options, &backend, &why);
    snprintf(reason, size, "%s", status == IB_OK ? backend->info.isa : ib_error_text(&why));
    if (status == IB_OK)
        ib_backend_close(backend);
    ib_error_clear(&why);
    return status == IB_OK;
}

/* The backends of this build beside the CPU, each tried. */
static void show_others(ib_json *json, FILE *out) {
    const ib_backend_name *known;
    char text[256];
    if (json != NULL) {
        ib_json_open(json, "backends", '[');
        ib_json_string(json, NULL, "cpu");
    }
    for (size_t i = 0; (known = ib_backend_name_at(i)) != NULL; ++i) {
        if (!known->is_built || strcmp(known->name, "cpu") == 0)
            continue;
        int works = available(known->name, "auto", text, sizeof text);
        if (json != NULL && works)
            ib_json_string(json, NULL, known->name);
        else if (json == NULL)
            fprintf(out, "%s: %s\n", known->name, works ? "available" : text);
    }
    if (json != NULL)
        ib_json_close(json, ']');
}

ib_status ib_command_devices(ib_arguments *arguments, const ib_command_context *context,
                             ib_error *err) {
    const ib_config *config = &arguments->config;
    char text[256];
    unsigned cpus = ib_usable_cpus();
    if (!available("cpu", "auto", text, sizeof text))
        return ib_fail(err, IB_ERROR_UNAVAILABLE, "the cpu backend does not work here: %s", text);
    ib_json json = {.out = context->out};
    if (config->output.json) {
        ib_json_open(&json, NULL, '{');
        ib_json_string(&json, "backend", "cpu");
        ib_json_uint(&json, "usable_cpus", cpus);
        ib_json_string(&json, "isa", text);
        ib_json_open(&json, "isas", '[');
    } else {
        fprintf(context->out, "cpu: %u usable CPU%s, --isa auto is %s\n", cpus,
                cpus == 1 ? "" : "s", text);
    }
    /* The instruction sets are those of --isa, each tried. */
    ib_choices *isas = ib_option_find("isa", strlen("isa"))->choices;
    for (size_t i = 0; isas(i).name != NULL; ++i) {
        const char *isa = isas(i).name;
        if (strcmp(isa, "auto") == 0)
            continue;
        int works = available("cpu", isa, text, sizeof text);
        if (config->output.json && works)
            ib_json_string(&json, NULL, isa);
        else if (!config->output.json)
            fprintf(context->out, "  %-8s %s\n", isa, works ? "available" : text);
    }
    if (config->output.json) {
        ib_json_close(&json, ']');
        show_others(&json, context->out);
        ib_json_close(&json, '}');
        fputc('\n', context->out);
    } else {
        show_others(NULL, context->out);
    }
    return IB_OK;
}
