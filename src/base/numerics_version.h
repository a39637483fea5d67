/* The version of NUMERICS.md that this source implements. It enters experiment_sha256: two versions
 * may give different bits. */
#ifndef IB_BASE_NUMERICS_VERSION_H
#define IB_BASE_NUMERICS_VERSION_H

#define IB_NUMERICS_VERSION "0.3"

#endif
