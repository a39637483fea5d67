/* What a network of the public library is opened with, in our own memory. */
#ifndef IB_API_NET_OPTIONS_H
#define IB_API_NET_OPTIONS_H

#include "options/options.h"

/* network NULL: the default. options ("name=value", ended by NULL; or NULL) go through the parser
 * of `isobit train`; what is no option of the experiment is IB_ERROR_USAGE. The caller calls
 * ib_arguments_free, also after a failure. */
ib_status ib_net_options_parse(const char *network, const char *const *options,
                               ib_arguments *arguments, ib_error *err);

#endif
