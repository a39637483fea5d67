/* A report as files. Every file is written atomically. */
#ifndef IB_REPORT_WRITE_H
#define IB_REPORT_WRITE_H

#include "base/status.h"
#include "report/report.h"

/* GitHub's Markdown; figures are linked as figures/<name>.svg. */
ib_status ib_report_write_markdown(const ib_report *report, const char *path, ib_error *err);
/* RFC 4180: the columns' keys, then values at full precision. */
ib_status ib_report_write_csv(const ib_report_table *table, const char *path, ib_error *err);
/* Everything that the report holds, figures' data included. */
ib_status ib_report_write_json(const ib_report *report, const char *path, ib_error *err);

#endif
