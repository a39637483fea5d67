#include "command/data_show.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/import/raster.h"

/* ---- counts -------------------------------------------------------------------------------------
 */

/* Each class's images: training, then test. */
static ib_status count_classes(const ib_dataset *dataset, size_t (**counts)[2], ib_error *err) {
    *counts = calloc(dataset->info->classes, sizeof **counts);
    if (*counts == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < dataset->train_count + dataset->test_count; ++i)
        ++(*counts)[ib_dataset_label(dataset, i)][i >= dataset->train_count];
    return IB_OK;
}

static void print_name(const ib_dataset_info *info, uint32_t label, FILE *out) {
    if (info->class_names != NULL)
        fprintf(out, "%" PRIu32 " %s", label, info->class_names[label]);
    else
        fprintf(out, "%" PRIu32, label);
}

static void print_counts(const ib_dataset *dataset, size_t (*counts)[2], FILE *out) {
    fprintf(out, "\n%10s %10s  class\n", "training", "test");
    for (uint32_t c = 0; c < dataset->info->classes; ++c) {
        fprintf(out, "%10zu %10zu  ", counts[c][0], counts[c][1]);
        print_name(dataset->info, c, out);
        fputc('\n', out);
    }
    fprintf(out, "%10zu %10zu  all\n", dataset->train_count, dataset->test_count);
}

static void print_brightness(const ib_dataset *dataset, FILE *out) {
    uint64_t sum = 0, squares = 0;
    for (size_t i = 0; i < dataset->train_count; ++i) {
        const uint8_t *pixels = ib_dataset_pixels(dataset, i);
        for (size_t k = 0; k < dataset->image_bytes; ++k) {
            sum += pixels[k];
            squares += (uint64_t)pixels[k] * pixels[k];
        }
    }
    double count = (double)dataset->train_count * (double)dataset->image_bytes;
    double mean = (double)sum / count, variance = (double)squares / count - mean * mean;
    fprintf(out, "\nmeasured over the training images: mean %.4f, standard deviation %.4f\n",
            mean / 255, sqrt(variance > 0 ? variance : 0) / 255);
}

/* ---- one image of each class --------------------------------------------------------------------
 */

/* The first training image of a class; train_count: there is none. */
static size_t first_image(const ib_dataset *dataset, size_t from, uint32_t label) {
    while (from < dataset->train_count && ib_dataset_label(dataset, from) != label)
        ++from;
    return from;
}

/* Grey of 1 and 2 channels, the colours of 3 and 4. */
static unsigned channel_of(const ib_dataset_info *info, unsigned colour) {
    return info->image.channels < 3 ? 0 : colour;
}

enum { CELL_WIDTH = 18, CELL_HEIGHT = 9, CELL_GAP = 2, CELLS_A_ROW = 4, MOST_CELLS = 20 };

/* An image in CELL_HEIGHT lines of CELL_WIDTH grey values: a character is twice as high as wide. */
static ib_status shade(const ib_dataset *dataset, size_t index, uint8_t *cell, ib_error *err) {
    const ib_dataset_info *info = dataset->info;
    const uint8_t *pixels = ib_dataset_pixels(dataset, index);
    size_t count = (size_t)info->image.height * info->image.width, channels = info->image.channels;
    uint8_t *grey = malloc(count);
    if (grey == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i) {
        const uint8_t *p = pixels + i * channels;
        grey[i] = (uint8_t)((2u * p[channel_of(info, 0)] + 5u * p[channel_of(info, 1)] +
                             p[channel_of(info, 2)]) /
                            8);
    }
    ib_resize_image((ib_image_shape){1, info->image.height, info->image.width}, grey, CELL_HEIGHT,
                    CELL_WIDTH, cell);
    free(grey);
    return IB_OK;
}

static void print_cells(uint8_t cells[][CELL_HEIGHT * CELL_WIDTH], size_t count, uint32_t first,
                        FILE *out) {
    static const char *const SHADES[] = {" ", "\u2591", "\u2592", "\u2593", "\u2588"};
    for (size_t i = 0; i < count; ++i)
        fprintf(out, "%-*" PRIu32, CELL_WIDTH + CELL_GAP, first + (uint32_t)i);
    for (size_t y = 0; y < CELL_HEIGHT; ++y) {
        fputc('\n', out);
        for (size_t i = 0; i < count; ++i) {
            for (size_t x = 0; x < CELL_WIDTH; ++x)
                fputs(SHADES[cells[i][y * CELL_WIDTH + x] * 5 / 256], out);
            fprintf(out, "%*s", CELL_GAP, "");
        }
    }
    fputc('\n', out);
}

static ib_status print_sheet(const ib_dataset *dataset, FILE *out, ib_error *err) {
    uint32_t classes =
        dataset->info->classes < MOST_CELLS ? dataset->info->classes : (uint32_t)MOST_CELLS;
    fprintf(out, "\nthe first training image of %s\n",
            classes < dataset->info->classes ? "the first classes" : "each class");
    for (uint32_t first = 0; first < classes; first += CELLS_A_ROW) {
        uint8_t cells[CELLS_A_ROW][CELL_HEIGHT * CELL_WIDTH] = {{0}};
        size_t count = classes - first < CELLS_A_ROW ? classes - first : CELLS_A_ROW;
        for (size_t i = 0; i < count; ++i) {
            size_t index = first_image(dataset, 0, first + (uint32_t)i);
            if (index < dataset->train_count)
                IB_TRY(shade(dataset, index, cells[i], err));
        }
        print_cells(cells, count, first, out);
    }
    return IB_OK;
}

ib_status ib_show_images(const ib_dataset *dataset, FILE *out, ib_error *err) {
    size_t(*counts)[2] = NULL;
    IB_TRY(count_classes(dataset, &counts, err));
    print_counts(dataset, counts, out);
    free(counts);
    print_brightness(dataset, out);
    return print_sheet(dataset, out, err);
}

/* ---- the contact sheet --------------------------------------------------------------------------
 */

enum { SHEET_COLUMNS = 12, SHEET_ROWS = 50, SHEET_GAP = 2 };

/* Puts one image at a row and column of the sheet. */
static void place(const ib_dataset *dataset, size_t index, size_t row, size_t column,
                  ib_raster *sheet) {
    const ib_dataset_info *info = dataset->info;
    const ib_image_shape image = info->image;
    const uint8_t *from = ib_dataset_pixels(dataset, index);
    size_t top = SHEET_GAP + row * (image.height + SHEET_GAP);
    size_t left = SHEET_GAP + column * (image.width + SHEET_GAP);
    for (size_t y = 0; y < image.height; ++y)
        for (size_t x = 0; x < image.width; ++x)
            for (unsigned c = 0; c < sheet->shape.channels; ++c)
                sheet->pixels[((top + y) * sheet->shape.width + left + x) * sheet->shape.channels +
                              c] =
                    from[(y * image.width + x) * image.channels + channel_of(info, c)];
}

ib_status ib_write_contact_sheet(const ib_dataset *dataset, const char *path, ib_error *err) {
    const ib_dataset_info *info = dataset->info;
    uint32_t rows = info->classes < SHEET_ROWS ? info->classes : (uint32_t)SHEET_ROWS;
    ib_raster sheet = {.shape = {info->image.channels < 3 ? 1 : 3,
                                 SHEET_GAP + rows * (info->image.height + SHEET_GAP),
                                 SHEET_GAP + SHEET_COLUMNS * (info->image.width + SHEET_GAP)}};
    sheet.pixels = malloc(ib_image_bytes(sheet.shape));
    if (sheet.pixels == NULL)
        return ib_fail_memory(err);
    memset(sheet.pixels, 128, ib_image_bytes(sheet.shape));
    for (uint32_t c = 0; c < rows; ++c) {
        size_t index = first_image(dataset, 0, c);
        for (size_t k = 0; k < SHEET_COLUMNS && index < dataset->train_count; ++k) {
            place(dataset, index, c, k, &sheet);
            index = first_image(dataset, index + 1, c);
        }
    }
    uint8_t *file = NULL;
    size_t size = 0;
    ib_status status = ib_raster_encode_png(&sheet, &file, &size, err);
    if (status == IB_OK)
        status = ib_write_file_atomic(path, file, size, err);
    free(file);
    ib_raster_free(&sheet);
    return status;
}
