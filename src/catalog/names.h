/* What a row of the catalogue says about options, by their names. */
#ifndef IB_CATALOG_NAMES_H
#define IB_CATALOG_NAMES_H

/* Room for the names in a row, and for the NULL that ends them. */
enum { IB_ROW_NAMES = 8 };

/* Whether name is among names, which end with NULL. */
int ib_is_listed(const char *const *names, const char *name);

#endif
