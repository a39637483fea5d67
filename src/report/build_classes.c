/* Figures of single classes: confusion matrices and images that were taken for another class. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_figures.h"

enum { SHOWN_IMAGES = 24 };

static char **class_names(ib_builder *b, size_t classes, size_t *count) {
    char **names = calloc(classes, sizeof *names);
    b->failed |= names == NULL;
    for (size_t i = 0; names != NULL && i < classes; ++i)
        names[i] = ib_keep(b, ib_format("%zu", i));
    *count = names == NULL ? 0 : classes;
    return names;
}

/* The most classes that a run of the bucket has in its matrix. */
static size_t most_classes(const ib_builder *b, ib_bucket bucket) {
    size_t most = 0;
    for (size_t i = 0; i < bucket.count; ++i) {
        const ib_run *run = &b->records[b->input->run_of_cell[bucket.entries[i].cell]].run;
        if (run->confusion != NULL && run->data.shape.classes > most)
            most = run->data.shape.classes;
    }
    return most;
}

/* Adds up the matrices of the bucket's different runs; returns how many there are. */
static size_t add_up(ib_builder *b, ib_bucket bucket, size_t classes, double *matrix) {
    unsigned char *seen = calloc(b->input->run_count + 1, 1);
    size_t runs = 0;
    b->failed |= seen == NULL;
    for (size_t i = 0; seen != NULL && i < bucket.count; ++i) {
        size_t run = b->input->run_of_cell[bucket.entries[i].cell];
        const ib_run *record = &b->records[run].run;
        size_t own = record->data.shape.classes;
        if (seen[run] || !ib_run_is_finished(b, run) || record->confusion == NULL)
            continue;
        seen[run] = 1;
        ++runs;
        for (size_t k = 0; k < own * own; ++k)
            matrix[k / own * classes + k % own] += record->confusion[k];
    }
    free(seen);
    return runs;
}

static size_t confusion_panel(ib_builder *b, const ib_cross *cross, size_t p,
                              ib_report_figure *figure) {
    ib_bucket bucket = ib_cross_bucket(cross, p, SIZE_MAX, 0);
    size_t classes = most_classes(b, bucket);
    double *sum = calloc(classes * classes + 1, sizeof *sum);
    b->failed |= sum == NULL;
    size_t runs = sum == NULL ? 0 : add_up(b, bucket, classes, sum);
    ib_figure_panel *panel =
        runs == 0 ? NULL : ib_add_panel(b, figure, ib_tuple_text(b, &cross->panels, p, 1));
    if (panel == NULL) {
        free(sum);
        return 0;
    }
    panel->matrix = sum;
    panel->row_labels = class_names(b, classes, &panel->row_count);
    panel->column_labels = class_names(b, classes, &panel->column_count);
    return runs;
}

/* The images of the first finished run of the panel. */
static void images_panel(ib_builder *b, const ib_cross *cross, size_t p, ib_report_figure *figure) {
    ib_bucket bucket = ib_cross_bucket(cross, p, SIZE_MAX, 0);
    size_t i = 0;
    while (i < bucket.count &&
           !ib_run_is_finished(b, b->input->run_of_cell[bucket.entries[i].cell]))
        ++i;
    if (i == bucket.count)
        return;
    size_t run = b->input->run_of_cell[bucket.entries[i].cell], count = 0, total = 0;
    ib_figure_image *images = NULL;
    char *missing = NULL;
    if (ib_report_misclassified(&b->records[run], SHOWN_IMAGES, &images, &count, &total, &missing,
                                NULL) != IB_OK)
        b->failed = 1;
    if (missing != NULL) {
        ib_extend(b, &figure->missing, " ", missing);
        ib_extend(b, &figure->missing, "", ".");
    }
    free(missing);
    char *title = count == 0 ? NULL : ib_tuple_text(b, &cross->panels, p, 1);
    char *whole =
        title == NULL
            ? NULL
            : ib_keep(b, ib_format("%s%s%zu of %zu images, %s", title, title[0] != '\0' ? ": " : "",
                                   count, total, b->input->runs[run].text));
    free(title);
    ib_figure_panel *panel = whole == NULL ? NULL : ib_add_panel(b, figure, whole);
    if (panel == NULL) {
        ib_figure_images_free(images, count);
        return;
    }
    panel->images = images;
    panel->image_count = count;
}

/* The panel of other that has the values of panel p; SIZE_MAX: none. */
static size_t same_panel(ib_builder *b, const ib_cross *cross, size_t p, const ib_cross *other) {
    char *wanted = ib_tuple_text(b, &cross->panels, p, 1);
    size_t q = 0;
    for (; q < other->panels.count; ++q) {
        char *text = ib_tuple_text(b, &other->panels, q, 1);
        int same = wanted != NULL && text != NULL && strcmp(wanted, text) == 0;
        free(text);
        if (same)
            break;
    }
    free(wanted);
    return q < other->panels.count ? q : SIZE_MAX;
}

void ib_build_classes(ib_builder *b, const ib_report_item *item, ib_report_figure *figure) {
    int confusion = item->kind == IB_FIGURE_CONFUSION;
    ib_axes axes = {.panels = item->panels};
    /* What select chooses, where it can choose; else everything. */
    ib_axes by_panel = {.rows = item->panels};
    unsigned char *best = b->study->select != NULL ? ib_best_cells(b, item, &by_panel) : NULL;
    ib_cross all, chosen;
    size_t runs = 0;
    ib_cross_make(b, item, &axes, &all);
    axes.cells = best;
    ib_cross_make(b, item, &axes, &chosen);
    if (!b->failed)
        figure->missing = ib_missing_text(b, &all);
    int fell_back = 0;
    for (size_t p = 0; p < all.panels.count && !b->failed; ++p) {
        size_t q = same_panel(b, &all, p, &chosen);
        const ib_cross *from = q != SIZE_MAX ? &chosen : &all;
        fell_back |= q == SIZE_MAX;
        if (confusion)
            runs += confusion_panel(b, from, q != SIZE_MAX ? q : p, figure);
        else
            images_panel(b, from, q != SIZE_MAX ? q : p, figure);
    }
    figure->x_label = ib_keep_copy(b, confusion ? "predicted class" : "");
    figure->y_label = ib_keep_copy(b, confusion ? "actual class" : "");
    const char *choice = best != NULL && !fell_back
                             ? "The configuration chosen on validation images"
                         : best != NULL ? "The configuration chosen on validation images, or all "
                                          "where runs have no validation results"
                                        : "All configurations";
    char *note = confusion ? ib_format("%s: test images of %zu run%s added up.", choice, runs,
                                       runs == 1 ? "" : "s")
                           : ib_format("%s, first seed; the most confident mistakes first.",
                                       best != NULL ? choice : "The first configuration");
    if (ib_keep(b, note) != NULL)
        ib_extend(b, &figure->note, " ", note);
    free(note);
    figure->description = ib_keep(
        b, ib_format("%s: %s.", figure->title,
                     confusion ? "how many images of each actual class (rows) were taken for each "
                                 "class (columns)"
                               : "images of the test set, each with its class and the class it was "
                                 "taken for"));
    ib_cross_free(&all);
    ib_cross_free(&chosen);
    free(best);
}
