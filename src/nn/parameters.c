/* Parameters: PyTorch's layout and ours, initial values, normalisation, optimiser scalars. */
#include <math.h>
#include <string.h>

#include "base/settle.h"
#include "nn/network.h"

/* Position in our layout of element (o, i, y, x) of PyTorch's. */
static int64_t stored_index(const ib_parameter *p, int64_t o, int64_t i, int64_t y, int64_t x) {
    int64_t out16 = ib_pad16(p->shape.extent[0]);
    if (p->shape.rank == 1)
        return o;
    if (p->shape.rank == 2)
        return i * out16 + o;
    return ((y * p->shape.extent[3] + x) * p->stored_inputs + i) * out16 + o;
}

static void copy_parameter(const ib_parameter *p, float *stored, float *torch, int to_torch) {
    int64_t extent[4] = {1, 1, 1, 1};
    for (int i = 0; i < p->shape.rank; ++i)
        extent[i] = p->shape.extent[i];
    int64_t at = 0;
    for (int64_t o = 0; o < extent[0]; ++o)
        for (int64_t i = 0; i < extent[1]; ++i)
            for (int64_t y = 0; y < extent[2]; ++y)
                for (int64_t x = 0; x < extent[3]; ++x, ++at) {
                    int64_t index = stored_index(p, o, i, y, x);
                    if (to_torch)
                        torch[at] = stored[index];
                    else
                        stored[index] = torch[at];
                }
}

void ib_parameter_to_torch(const ib_parameter *p, const float *stored, float *torch) {
    copy_parameter(p, (float *)stored, torch, 1);
}

void ib_parameter_from_torch(const ib_parameter *p, const float *torch, float *stored) {
    memset(stored, 0, (size_t)p->floats * sizeof(float));
    copy_parameter(p, stored, (float *)torch, 0);
}

/* ---- initial values ---------------------------------------------------------------------------
 */

/* ln x for x in (0, 1), binary64: x = 2^-k m, m in [1, 2); ln m = 2 artanh(s), s = (m - 1) / (m +
 * 1), by its series up to s^23 (the next term is below 1e-13). */
static double logarithm(double x) {
    double k = 0;
    for (; x < 1.0; k += 1.0)
        x = x * 2.0;
    double s = (x - 1.0) / (x + 1.0), z = s * s, sum = 0;
    for (int n = 23; n > 0; n -= 2)
        sum = sum * z + 1.0 / n;
    return 2.0 * s * sum - k * 0.69314718055994530942;
}

/* Wichura's algorithm AS 241 (Applied Statistics 37, 1988), its seven-figure rational functions. */
double ib_normal_quantile(double p) {
    double q = p - 0.5, a = q < 0 ? -q : q;
    if (a <= 0.425) {
        double r = 0.180625 - q * q;
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
               (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
    }
    double r = sqrt(-logarithm(0.5 - a)) - 1.6;
    double z = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
               ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    return q < 0 ? -z : z;
}

/* A host scalar where it becomes a float: rounded once, then settled. */
static float rounded(double scalar) {
    return ib_settle((float)scalar);
}

/* One element from its word. */
static float initial_value(const ib_parameter *p, double scale, float bound, uint32_t word) {
    if (p->initial == IB_INIT_NORMAL)
        return rounded(ib_normal_quantile(((double)(word >> 8) + 0.5) * 0x1p-24) * scale);
    return ib_settle(((float)((int32_t)(word >> 8) - (1 << 23)) * 0x1p-23f) * bound);
}

void ib_initialize(uint64_t seed, uint32_t tensor, const ib_parameter *p, float *values) {
    int64_t elements = ib_shape_elements(&p->shape);
    if (p->initial == IB_INIT_ZERO || p->initial == IB_INIT_ONE) {
        for (int64_t i = 0; i < elements; ++i)
            values[i] = p->initial == IB_INIT_ONE ? 1.0f : 0.0f;
        return;
    }
    ib_rng rng = ib_rng_make(seed, IB_STREAM_INIT, tensor, 0);
    double scale = sqrt(2.0 / (double)p->fan);
    float bound = (float)(1.0 / sqrt((double)p->fan));
    for (int64_t first = 0; first < elements; first += 64)
        for (int64_t lane = 0; lane < 16; ++lane) {
            uint32_t words[4];
            ib_philox_block(&rng, (uint64_t)(first / 4 + lane), words);
            for (int64_t j = 0; j < 4 && first + 16 * j + lane < elements; ++j)
                values[first + 16 * j + lane] = initial_value(p, scale, bound, words[j]);
        }
}

void ib_normalization_table(double mean, double deviation, float table[256]) {
    for (int v = 0; v < 256; ++v)
        table[v] = rounded(((double)v / 255.0 - mean) / deviation);
}
