/* Text as HTML and SVG want it. */
#ifndef IB_REPORT_MARKUP_H
#define IB_REPORT_MARKUP_H

#include <stdio.h>

/* Writes text with markup escaped; control characters become spaces, and what
 * is no character of XML is replaced, so that every text makes a page that can be read. */
void ib_write_markup(FILE *out, const char *text);
void ib_write_markup_character(FILE *out, char character);

#endif
