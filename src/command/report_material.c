/* What a report's material owns. */
#include <stdlib.h>

#include "command/report_input.h"

void *ib_material_keep(ib_report_material *material, void *memory) {
    char **owned = memory == NULL
                       ? NULL
                       : realloc(material->owned, (material->owned_count + 1) * sizeof *owned);
    if (owned == NULL) {
        free(memory);
        return NULL;
    }
    material->owned = owned;
    owned[material->owned_count++] = memory;
    return memory;
}

void ib_report_material_close(ib_report_material *material) {
    for (size_t i = 0; i < material->owned_count; ++i)
        free(material->owned[i]);
    free(material->owned);
    free(material->input.unreadable);
    free(material->runs);
    free(material->run_of_cell);
    free(material->parameters);
    free(material->flops);
    free(material->overrides);
    free(material->directory);
    free(material->runs_dir);
    free(material->command);
    free(material->source);
    json_decref(material->study_json);
    ib_prices_close(&material->prices);
    ib_study_plan_close(&material->plan);
    ib_study_close(&material->study);
    *material = (ib_report_material){0};
}

ib_status ib_material_unreadable(ib_report_material *material, char *directory, ib_error *err) {
    ib_report_input *input = &material->input;
    const char **list = realloc(input->unreadable, (input->unreadable_count + 1) * sizeof *list);
    if (list != NULL)
        input->unreadable = list;
    const char *kept = ib_material_keep(material, directory);
    if (list == NULL || kept == NULL)
        return ib_fail_memory(err);
    list[input->unreadable_count++] = kept;
    return IB_OK;
}
