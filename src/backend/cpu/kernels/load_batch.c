/* Bytes of attached images to normalised floats through a table of 256 entries a channel, or by a
 * mean and a scale for each. Work items: images. */
#include "kernel.h"

#include "base/settle.h"

struct load {
    ib_cpu *cpu;
    const ib_load *shape;
    const ib_load_pointers *p;
};

static void grey(const ib_load *shape, const float *table, const uint8_t *image, float *x) {
    int64_t p = 0;
    for (; p + VL <= shape->pixels; p += VL)
        v_store(x + p, v_gather(table, vi_load_bytes(image + p)));
    for (; p < shape->pixels; ++p)
        x[p] = table[image[p]];
}

static void coloured(const ib_load *shape, const float *table, const uint8_t *image, float *x) {
    int64_t channels = shape->channels, stored = ib_pad16(channels);
    for (int64_t pixel = 0; pixel < shape->pixels; ++pixel)
        for (int64_t c = 0; c < channels; ++c)
            x[pixel * stored + c] = table[256 * c + image[pixel * channels + c]];
}

static void grey_by_pixel(const ib_load *shape, const float *table, const uint8_t *image,
                          float *x) {
    const float *scale = table + shape->pixels;
    int64_t p = 0;
    for (; p + VL <= shape->pixels; p += VL) {
        vf moved = v_sub(v_from_int(vi_load_bytes(image + p)), v_load(table + p));
        v_store(x + p, v_settle(v_mul(moved, v_load(scale + p))));
    }
    for (; p < shape->pixels; ++p)
        x[p] = ib_settle(((float)image[p] - table[p]) * scale[p]);
}

static void coloured_by_pixel(const ib_load *shape, const float *table, const uint8_t *image,
                              float *x) {
    int64_t channels = shape->channels, stored = ib_pad16(channels), at = 0;
    const float *scale = table + shape->pixels * channels;
    for (int64_t pixel = 0; pixel < shape->pixels; ++pixel)
        for (int64_t c = 0; c < channels; ++c, ++at)
            x[pixel * stored + c] = ib_settle(((float)image[at] - table[at]) * scale[at]);
}

static void load_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct load *l = context;
    uint32_t index = l->p->order[item];
    const uint8_t *image = ib_cpu_image(l->cpu, index);
    float *x = l->p->x + (int64_t)item * l->shape->stride;
    if (l->shape->by_pixel)
        (l->shape->channels == 1 ? grey_by_pixel : coloured_by_pixel)(l->shape, l->p->table, image,
                                                                      x);
    else
        (l->shape->channels == 1 ? grey : coloured)(l->shape, l->p->table, image, x);
    if (l->p->labels != NULL && l->cpu->data.labels != NULL)
        l->p->labels[item] = l->cpu->data.labels[index];
}

static void load_batch(ib_cpu *cpu, const ib_load *shape, const ib_load_pointers *p) {
    struct load l = {cpu, shape, p};
    ib_pool_run(cpu->pool, (size_t)shape->n, load_item, &l);
}

IB_ONE_KERNEL(load, IB_KERNEL(ib_load_batch), NULL, load_batch);
