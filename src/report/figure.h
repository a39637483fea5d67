/* A report's figures, drawn by gnuplot: one process for all of them. */
#ifndef IB_REPORT_FIGURE_H
#define IB_REPORT_FIGURE_H

#include "base/status.h"
#include "report/report.h"

/* Draws every figure that has panels. With a directory, each becomes <name>.svg, .png and .pdf
 * there. *svgs gets one text per figure for use inside a page (colours are CSS variables, ids are
 * the figure's own), NULL for a figure without data; ib_report_free_drawings frees them. */
ib_status ib_report_draw(const ib_report *report, const char *directory, char ***svgs,
                         ib_error *err);
void ib_report_free_drawings(char **svgs, size_t count);

#endif
