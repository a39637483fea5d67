/* A report's figures: SVG files and parts of its page, which need no other program. */
#ifndef IB_REPORT_FIGURE_H
#define IB_REPORT_FIGURE_H

#include "base/status.h"
#include "report/report.h"

/* Finds out which figures are too large to be drawn, and says so in their missing texts. */
ib_status ib_report_measure(ib_report *report, ib_error *err);

/* Draws every figure that has panels and is not too large. With a directory, each becomes
 * <name>.svg there. *svgs gets one text per figure for use inside a page (colours are classes of
 * report.css, ids are the figure's own), NULL for a figure without a drawing;
 * ib_report_free_drawings frees them. */
ib_status ib_report_draw(const ib_report *report, const char *directory, char ***svgs,
                         ib_error *err);
void ib_report_free_drawings(char **svgs, size_t count);

/* Makes <name>.png and <name>.pdf of the drawn <name>.svg by rsvg-convert. Without that program
 * there are none, not even those of an earlier report, and *converted is 0. */
ib_status ib_report_convert(const ib_report *report, const char *directory, int *converted,
                            ib_error *err);

#endif
