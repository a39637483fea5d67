/* Folders that are held open. What is opened by a name in one is in it, whatever is renamed or
 * linked meanwhile: a link at that name, a pipe or a device is refused, so that nothing outside the
 * folder is written. */
#ifndef IB_BASE_FOLDER_H
#define IB_BASE_FOLDER_H

#include <stddef.h>

#include "base/status.h"

typedef struct ib_folder {
    char *path; /* as it was named, for messages; owned; NULL: none is open */
    int fd;
} ib_folder;

/* Opens a folder that is there; links to it are followed: the user names it. */
ib_status ib_folder_open(const char *path, ib_folder *folder, ib_error *err);
/* Opens a folder in another. make: it is made, and its name brought onto the disk, where there is
 * none; else *inner has no path then, and IB_OK. Anything but a folder of its own is
 * IB_ERROR_VERIFY.
 */
ib_status ib_folder_open_inner(const ib_folder *folder, const char *name, int make,
                               ib_folder *inner, ib_error *err);
/* The same folder once more, to be closed on its own. */
ib_status ib_folder_copy(const ib_folder *folder, ib_folder *copy, ib_error *err);
void ib_folder_close(ib_folder *folder);

/* Opens a regular file in the folder; flags as of open(2), without O_TRUNC. Anything else that has
 * the name is IB_ERROR_VERIFY saying what it is; so is, with O_APPEND, a file with other names. A
 * file that is missing, and not to be made, is IB_OK with *fd -1. The caller closes *fd. */
ib_status ib_folder_open_file(const ib_folder *folder, const char *name, int flags, int *fd,
                              ib_error *err);
/* What ib_folder_open_file would refuse is refused, without opening anything. */
ib_status ib_folder_check_file(const ib_folder *folder, const char *name, int flags, ib_error *err);

/* The names in the folder but for "." and ".."; the visitor may remove files meanwhile. */
typedef ib_status ib_folder_visitor(void *context, const char *name, ib_error *err);
ib_status ib_folder_visit(const ib_folder *folder, ib_folder_visitor *visit, void *context,
                          ib_error *err);

/* Brings the folder's names onto the disk. */
ib_status ib_folder_sync(const ib_folder *folder, ib_error *err);

#endif
