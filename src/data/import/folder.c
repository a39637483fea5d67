/* Folders of image files: FOLDER/train/CLASS/file and FOLDER/test/CLASS/file, or FOLDER/CLASS/file
 * of which a share becomes the test images. Classes are numbered in the order of their names. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/import/readers.h"

/* No image file is greater. */
enum { MOST_FILE = 64 << 20 };

static const struct {
    const char *suffix;
    ib_raster_decode *decode;
} DECODERS[] = {
    {".png", ib_raster_decode_png},
    {".jpg", ib_raster_decode_jpeg},
    {".jpeg", ib_raster_decode_jpeg},
    {".pgm", ib_raster_decode_pgm},
};

static ib_raster_decode *decoder_of(const char *name) {
    for (size_t i = 0; i < sizeof DECODERS / sizeof DECODERS[0]; ++i)
        if (ib_import_has_suffix(name, DECODERS[i].suffix))
            return DECODERS[i].decode;
    return NULL;
}

static int is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static ib_status read_image(const char *path, const char *name, ib_import_part part, size_t label,
                            ib_import_set *set, ib_error *err) {
    ib_raster_decode *decode = decoder_of(name);
    ib_import_content content;
    ib_raster raster = {0};
    struct stat info;
    if (is_folder(path))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: a folder in that of a class: put the images of a class into one folder",
                       path);
    if (decode == NULL)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: no image: the folder of a class holds .png, .jpg, .jpeg or .pgm files "
                       "only",
                       path);
    if (stat(path, &info) == 0 && info.st_size > MOST_FILE)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: more than %d MiB: make the image smaller", path,
                       (int)(MOST_FILE >> 20));
    ib_status status = ib_import_content_open(path, &content, err);
    if (status == IB_OK)
        status = decode(path, content.data, content.size, &raster, err);
    if (status == IB_OK)
        status = ib_import_add(set, path, part, raster.shape, raster.pixels, (int64_t)label, err);
    ib_raster_free(&raster);
    ib_import_content_close(&content);
    return status;
}

static ib_status read_class(const char *folder, ib_import_part part, size_t label,
                            ib_import_set *set, ib_error *err) {
    ib_import_names names;
    ib_status status = ib_import_names_of(folder, &names, err);
    for (size_t i = 0; status == IB_OK && i < names.count; ++i) {
        char *path = ib_path_join(folder, names.items[i]);
        status = path == NULL ? ib_fail_memory(err)
                              : read_image(path, names.items[i], part, label, set, err);
        free(path);
    }
    ib_import_names_free(&names);
    return status;
}

/* The number of the class; class_count: there is none of that name. */
static size_t find_class(const ib_import_set *set, const char *name) {
    size_t i = 0;
    while (i < set->class_count && strcmp(set->class_names[i], name) != 0)
        ++i;
    return i;
}

static ib_status read_folder(const char *path, const char *name, ib_import_part part, int defines,
                             ib_import_set *set, ib_error *err) {
    if (!is_folder(path))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: a file beside the folders of the classes: put it into one of them, or "
                       "elsewhere",
                       path);
    if (defines)
        IB_TRY(ib_import_add_class(set, path, name, err));
    size_t label = find_class(set, name);
    if (label == set->class_count)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: no training images are of a class of this name: name folders alike",
                       path);
    return read_class(path, part, label, set, err);
}

/* The folders of all classes of a part; defines: they are the classes. */
static ib_status read_part(const char *folder, ib_import_part part, int defines, ib_import_set *set,
                           ib_error *err) {
    ib_import_names names;
    ib_status status = ib_import_names_of(folder, &names, err);
    for (size_t i = 0; status == IB_OK && i < names.count; ++i) {
        char *path = ib_path_join(folder, names.items[i]);
        status = path == NULL ? ib_fail_memory(err)
                              : read_folder(path, names.items[i], part, defines, set, err);
        free(path);
    }
    ib_import_names_free(&names);
    return status;
}

/* Where there is test/, the images of val/ are training images; else they are for testing. */
static ib_status read_parts(char *const parts[3], ib_import_set *set, ib_error *err) {
    int has_test = is_folder(parts[1]), has_validation = is_folder(parts[2]);
    IB_TRY(read_part(parts[0], IB_PART_TRAIN, 1, set, err));
    if (has_test)
        IB_TRY(read_part(parts[1], IB_PART_TEST, 0, set, err));
    if (has_validation)
        IB_TRY(read_part(parts[2], has_test ? IB_PART_TRAIN : IB_PART_TEST, 0, set, err));
    return IB_OK;
}

ib_status ib_import_folder(const ib_import_source *source, ib_import_set *set, int *found,
                           ib_error *err) {
    static const char *const NAMES[] = {"train", "test", "val"};
    char *parts[3] = {NULL};
    ib_status status = IB_OK;
    if (source->folder == NULL)
        return IB_OK;
    *found = 1;
    set->by_class = 1;
    for (size_t i = 0; status == IB_OK && i < 3; ++i)
        if ((parts[i] = ib_path_join(source->folder, NAMES[i])) == NULL)
            status = ib_fail_memory(err);
    if (status == IB_OK && is_folder(parts[0]))
        status = read_parts(parts, set, err);
    else if (status == IB_OK)
        status = read_part(source->folder, IB_PART_TRAIN, 1, set, err);
    for (size_t i = 0; i < 3; ++i)
        free(parts[i]);
    return status;
}
