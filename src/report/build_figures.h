/* What build_figures.c and build_classes.c share. */
#ifndef IB_REPORT_BUILD_FIGURES_H
#define IB_REPORT_BUILD_FIGURES_H

#include "report/build_parts.h"

/* Takes the title, fresh memory. NULL: out of memory. */
ib_figure_panel *ib_add_panel(ib_builder *b, ib_report_figure *figure, char *title);
/* Confusion matrices and misclassified images. */
void ib_build_classes(ib_builder *b, const ib_report_item *item, ib_report_figure *figure);
/* Accuracy over cost, and what runs took over time. */
void ib_build_cost(ib_builder *b, const ib_report_item *item, ib_report_figure *figure);
void ib_build_usage(ib_builder *b, const ib_report_item *item, ib_report_figure *figure);
ib_figure_series *ib_add_series(ib_builder *b, ib_figure_panel *panel, char *name);
void ib_drop_last_series(ib_figure_panel *panel);
void ib_add_point(ib_builder *b, ib_figure_series *series, double x, double y, double low,
                  double high, char *label);
void ib_drop_panels(ib_report_figure *figure);

#endif
