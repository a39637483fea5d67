/* A report's figures, drawn by gnuplot: by as many processes as there are CPUs. */
#ifndef IB_REPORT_FIGURE_H
#define IB_REPORT_FIGURE_H

#include "base/status.h"
#include "report/report.h"

/* Finds out which figures are too large to be drawn, and says so in their missing texts. */
ib_status ib_report_measure(ib_report *report, ib_error *err);

/* Draws every figure that has panels and is not too large. With a directory, each becomes
 * <name>.svg, .png and .pdf there. *svgs gets one text per figure for use inside a page (colours
 * are CSS variables, ids are the figure's own), NULL for a figure without a drawing;
 * ib_report_free_drawings frees them. */
ib_status ib_report_draw(const ib_report *report, const char *directory, char ***svgs,
                         ib_error *err);
void ib_report_free_drawings(char **svgs, size_t count);

#endif
