/* Bytes of images to normalised floats through a table of 256 entries. Work items: images. */
#include "../cpu.h"
#include "simd.h"

struct load {
    int64_t pixels, stride;
    const uint8_t *const *images;
    const float *table;
    float *x;
};

static void load_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct load *l = context;
    const uint8_t *image = l->images[item];
    float *x = l->x + (int64_t)item * l->stride;
    int64_t p = 0;
    for (; p + VL <= l->pixels; p += VL)
        v_store(x + p, v_gather(l->table, vi_load_bytes(image + p)));
    for (; p < l->pixels; ++p)
        x[p] = l->table[image[p]];
}

void IB_KERNEL(ib_load_images)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t stride,
                               const uint8_t *const *images, const float *table, float *x);
void IB_KERNEL(ib_load_images)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t stride,
                               const uint8_t *const *images, const float *table, float *x) {
    struct load l = {pixels, stride, images, table, x};
    ib_pool_run(cpu->pool, (size_t)n, load_item, &l);
}
