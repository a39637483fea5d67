/* The experiment files and the table of prices that are installed with the program. */
#ifndef IB_COMMAND_INSTALLED_H
#define IB_COMMAND_INSTALLED_H

#include "options/options.h"

/* They are found from any folder by the names that they have in the source tree: where there is no
 * file at a path that begins with "experiments/", be it a command's FILE or the table of prices,
 * the one below share/isobit of the program's own prefix takes its place in the arguments, if it is
 * there. *found is what a word then points to: the caller frees it after the arguments. */
ib_status ib_find_installed(ib_arguments *arguments, char **found, ib_error *err);

#endif
