/* JPEG by libjpeg-turbo, whose errors are jumps: all that is owned lies in one structure outside of
 * the function that they leave. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "data/import/raster.h"

typedef struct decoding {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    const char *file;
    const uint8_t *data;
    size_t size;
    char problem[JMSG_LENGTH_MAX]; /* what libjpeg said */
    int no_memory;
    ib_raster *raster;
    ib_error *err;
} decoding;

static void take_error(j_common_ptr jpeg) {
    decoding *d = jpeg->client_data;
    jpeg->err->format_message(jpeg, d->problem);
    d->no_memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
    longjmp(d->out, 1);
}

/* Warnings (level -1) are of damaged data, which libjpeg would make up pixels for. */
static void take_message(j_common_ptr jpeg, int level) {
    if (level < 0)
        take_error(jpeg);
}

/* A progressive image may go over all pixels as often as it likes. */
static void count_scans(j_common_ptr jpeg) {
    enum { MOST_SCANS = 100 };
    decoding *d = jpeg->client_data;
    if (d->jpeg.input_scan_number <= MOST_SCANS)
        return;
    snprintf(d->problem, sizeof d->problem, "more than %d scans", (int)MOST_SCANS);
    longjmp(d->out, 1);
}

static ib_status decode(decoding *d) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    if (setjmp(d->out) != 0)
        return d->no_memory ? ib_fail_memory(d->err)
                            : ib_fail(d->err, IB_ERROR_VERIFY, "%s: no whole JPEG file: %s",
                                      d->file, d->problem);
    jpeg_create_decompress(jpeg);
    jpeg->progress = &d->progress;
    jpeg_mem_src(jpeg, d->data, (unsigned long)d->size);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->num_components != 1 && jpeg->num_components != 3)
        return ib_fail(d->err, IB_ERROR_VERIFY,
                       "%s: an image of %d components: grey and colour (YCbCr, RGB) are read: "
                       "convert it first",
                       d->file, jpeg->num_components);
    IB_TRY(ib_raster_make(
        d->file,
        (ib_image_shape){jpeg->num_components == 1 ? 1 : 3, jpeg->image_height, jpeg->image_width},
        d->raster, d->err));
    jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW; /* whole numbers, the same in C and in vector code */
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = d->raster->pixels + (size_t)jpeg->output_scanline * d->raster->shape.width *
                                               d->raster->shape.channels;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    return IB_OK;
}

ib_status ib_raster_decode_jpeg(const char *file, const uint8_t *data, size_t size,
                                ib_raster *raster, ib_error *err) {
    decoding d = {.file = file, .data = data, .size = size, .raster = raster, .err = err};
    *raster = (ib_raster){0};
    if (size < 3 || data[0] != 0xFF || data[1] != 0xD8)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: offset 0: no JPEG file", file);
    d.jpeg.err = jpeg_std_error(&d.manager);
    d.jpeg.client_data = &d;
    d.manager.error_exit = take_error;
    d.manager.emit_message = take_message;
    d.progress.progress_monitor = count_scans;
    ib_status status = decode(&d);
    jpeg_destroy_decompress(&d.jpeg);
    return status;
}
