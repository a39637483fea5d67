/* Text that people look at. Names and files may hold bytes that command a terminal; here is what of
 * a text may be shown as it is. */
#ifndef IB_BASE_TEXT_H
#define IB_BASE_TEXT_H

#include <stddef.h>

/* The length of the well-formed UTF-8 sequence at text; 0: there is none in size bytes. */
size_t ib_utf8_length(const char *text, size_t size);

/* How many bytes at text may be shown as they are: those of a character in UTF-8 that is no control
 * character, but for line breaks and tabs. 0: the first byte is to be shown as ib_text_escape. */
size_t ib_text_shown(const char *text, size_t size);
enum { IB_TEXT_ESCAPE = 5 };
void ib_text_escape(unsigned char byte, char shown[IB_TEXT_ESCAPE]); /* "\x1b" */

/* Text with all other bytes escaped, and without users and passwords of URLs; escaping again
 * changes nothing. Fresh memory; NULL: there is none. */
char *ib_text_safe(const char *text);

#endif
