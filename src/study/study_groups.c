/* A list of names of groups. */
#include <stdlib.h>
#include <string.h>

#include "study/study_parts.h"

ib_status ib_study_groups(const ib_study *study, const ib_yaml *yaml, const ib_yaml_node *list,
                          size_t **groups, size_t *count, ib_error *err) {
    size_t wanted = list != NULL ? list->count : study->group_count;
    *count = 0;
    *groups = calloc(wanted > 0 ? wanted : 1, sizeof **groups);
    if (*groups == NULL)
        return ib_fail_memory(err);
    if (list != NULL && list->count == 0)
        return ib_yaml_fail(yaml, list->line, "cells", err, "no group: leave it out");
    for (size_t i = 0; i < wanted; ++i) {
        size_t g = i;
        if (list != NULL) {
            const ib_yaml_node *item = list->items[i];
            for (g = 0; g < study->group_count; ++g)
                if (item->kind == IB_YAML_TEXT && strcmp(item->text, study->groups[g].name) == 0)
                    break;
            if (g == study->group_count)
                return ib_yaml_fail(yaml, item->line, "cells", err,
                                    "there is no group of cells named '%s'",
                                    item->kind == IB_YAML_TEXT ? item->text : "...");
        }
        (*groups)[(*count)++] = g;
    }
    return IB_OK;
}
