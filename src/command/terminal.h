/* The standard streams as commands print on them: what came from names, files or a server and would
 * command a terminal (text.h) is escaped, whatever is printed and wherever it goes. */
#ifndef IB_COMMAND_TERMINAL_H
#define IB_COMMAND_TERMINAL_H

#include <stdio.h>

/* A stream on an open descriptor, which stays open when it is closed; NULL: no memory. mode: one of
 * setvbuf's. */
FILE *ib_terminal_open(int fd, int mode);

#endif
