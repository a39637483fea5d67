/* Bytes of attached images to normalised floats through a table of 256 entries a channel, or by a
 * mean and a scale for each. Work items: images. */
#include <string.h>

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

/* An augmented image in bytes. Along a row sources move by one step, which the halving of doubled
 * distances divides. */
struct walk {
    const ib_load *shape;
    const uint8_t *image;
    int64_t h, w;
};

static int64_t byte_at(const struct walk *s, int64_t y, int64_t x, int64_t c) {
    return y < 0 || y >= s->h || x < 0 || x >= s->w
               ? 0
               : s->image[(y * s->w + x) * s->shape->channels + c];
}

static uint8_t between(const struct walk *s, int64_t x, int64_t y, int64_t c) {
    int64_t left = x >> 8, top = y >> 8, fx = x & 255, fy = y & 255, at[4];
    if (left < -1 || left >= s->w || top < -1 || top >= s->h)
        return 0;
    if (left >= 0 && left + 1 < s->w && top >= 0 && top + 1 < s->h) {
        int64_t channels = s->shape->channels;
        const uint8_t *here = s->image + (top * s->w + left) * channels + c;
        const uint8_t *under = here + s->w * channels;
        at[0] = here[0], at[1] = here[channels], at[2] = under[0], at[3] = under[channels];
    } else {
        at[0] = byte_at(s, top, left, c), at[1] = byte_at(s, top, left + 1, c);
        at[2] = byte_at(s, top + 1, left, c), at[3] = byte_at(s, top + 1, left + 1, c);
    }
    int64_t above = (256 - fx) * at[0] + fx * at[1], below = (256 - fx) * at[2] + fx * at[3];
    return (uint8_t)(((256 - fy) * above + fy * below + 32768) >> 16);
}

static void cut(const struct walk *s, const ib_placement *p, uint8_t *to) {
    int64_t channels = s->shape->channels;
    for (int64_t row = 0; row < s->h; ++row)
        for (int64_t column = 0; column < s->w; ++column)
            if (row >= p->cut_row && row < p->cut_row + p->cut_side && column >= p->cut_column &&
                column < p->cut_column + p->cut_side)
                memset(to + (row * s->w + column) * channels, 0, (size_t)channels);
}

static void augment(const ib_load *shape, int64_t item, const uint8_t *image, uint8_t *to) {
    const ib_augment *a = &shape->augment;
    struct walk s = {shape, image, a->height, a->width};
    ib_placement p = ib_augment_place(a, (uint64_t)(a->first_sample + item));
    uint8_t *next = to;
    int64_t u = 1 - s.w - 2 * p.shift_x;
    for (int64_t row = 0; row < s.h; ++row) {
        int64_t v = 2 * row + 1 - s.h - 2 * p.shift_y;
        int64_t x = ((p.xx * u + p.xy * v + (s.w - 1) * 65536) >> 1) + 128;
        int64_t y = ((p.yx * u + p.yy * v + (s.h - 1) * 65536) >> 1) + 128;
        for (int64_t column = 0; column < s.w; ++column, x += p.xx, y += p.yx)
            for (int64_t c = 0; c < shape->channels; ++c)
                *next++ = between(&s, x >> 8, y >> 8, c);
    }
    if (p.cut_side > 0)
        cut(&s, &p, to);
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
    const struct load *l = context;
    uint32_t index = l->p->order[item];
    const uint8_t *image = ib_cpu_image(l->cpu, index);
    float *x = l->p->x + (int64_t)item * l->shape->stride;
    if (l->shape->augment.enabled) {
        uint8_t *scratch = (uint8_t *)(void *)l->cpu->thread_scratch[thread];
        augment(l->shape, (int64_t)item, image, scratch);
        image = scratch;
    }
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

static void load_scratch(const ib_load *shape, size_t *per_thread, size_t *shared) {
    size_t bytes = (size_t)(shape->pixels * shape->channels);
    *per_thread = shape->augment.enabled ? bytes / sizeof(float) + 1 : 0;
    *shared = 0;
}

IB_ONE_KERNEL(load, IB_KERNEL(ib_load_batch), load_scratch, load_batch);
