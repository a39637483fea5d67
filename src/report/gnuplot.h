/* gnuplot as a program of its own. */
#ifndef IB_REPORT_GNUPLOT_H
#define IB_REPORT_GNUPLOT_H

#include <stddef.h>

#include "base/status.h"

/* Runs count scripts, <folder>/script-0 and so on, at the same time and waits for all of them.
 * gnuplot that is not there is IB_ERROR_UNAVAILABLE. */
ib_status ib_gnuplot_run(const char *folder, size_t count, ib_error *err);
/* "<folder>/script-<number>", fresh memory. */
char *ib_gnuplot_script(const char *folder, size_t number);

#endif
