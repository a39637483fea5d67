/* A report as one HTML page that loads nothing. */
#ifndef IB_REPORT_WRITE_HTML_H
#define IB_REPORT_WRITE_HTML_H

#include "base/status.h"
#include "report/report.h"

/* svgs: from ib_report_draw, one per figure, NULL where there is no drawing. */
ib_status ib_report_write_html(const ib_report *report, char *const *svgs, const char *path,
                               ib_error *err);

#endif
