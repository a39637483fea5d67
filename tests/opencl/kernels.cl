/* The definitions of NUMERICS.md as a GPU would share them out, OpenCL C 1.2. Each kernel gives many
 * work-items one chain each; what one chain sees, and how chains are added, is the definition's.
 *
 * SEGMENT, LEAF and STRETCH come from the build options. SPOIL builds a wrong version on purpose, so that the
 * test can show that it would notice. Layouts: src/backend/backend.h. */
#pragma OPENCL FP_CONTRACT OFF

#define SPOIL_UNFUSED 1   /* a product rounded before it is added */
#define SPOIL_UNORDERED 2 /* two sums side by side in place of one chain */
#define SPOIL_NO_TREE 3   /* leaves added one after another */
#define SPOIL_UNSETTLED 4 /* outputs kept as they are */

#if SPOIL == SPOIL_UNFUSED
#define TERM(a, b, c) ((a) * (b) + (c))
#else
#define TERM(a, b, c) fma(a, b, c)
#endif

/* ---- settling (section 1) ---------------------------------------------------------------------- */

float settle_below(float x, float limit)
{
#if SPOIL == SPOIL_UNSETTLED
    return x;
#else
    return fabs(x) < limit ? 0.0f : x;
#endif
}

float settle(float x)
{
    return settle_below(x, 0x1p-40f);
}

float settle_square(float x)
{
    return settle_below(x, 0x1p-80f);
}

float settle_average(float x)
{
    return settle_below(x, 0x1p-100f);
}

float output(int relu, float x)
{
    return !relu ? settle(x) : x >= 0x1p-40f ? x : 0.0f;
}

/* What the device makes of denormals as the program was built: 1 bit for a result, 1 for an operand
 * that it does not keep. */
kernel void denormals(global const float *normal, global const uint *denormal, global uint *lost)
{
    *lost = (*normal * 0.5f == 0.0f) + 2 * (as_float(*denormal) * 0x1p100f == 0.0f);
}

/* ---- dot products (sections 2, 4, 5) ----------------------------------------------------------- */

/* One work-item, one segment of one output: chains of all outputs and segments run side by side.
 * A work-group owns a square of outputs of one segment and walks along it in steps of TILE terms
 * that it shares through local memory. Outside the matrices it reads +0: terms with a zero factor
 * may be added. Global size: (columns, rows, segments), the first two rounded up to TILE. */
__attribute__((reqd_work_group_size(TILE, TILE, 1)))
kernel void product_segments(int rows, int columns, int terms,
                             global const float *a, int a_row,
                             global const float *b, int b_term, int b_column,
                             global float *partial) /* [segment][row][column] */
{
    local float a_tile[TILE][TILE], b_tile[TILE][TILE];
    int x = get_local_id(0), y = get_local_id(1);
    int column = get_global_id(0), row = get_global_id(1), segment = get_global_id(2);
    int end = min(terms, (segment + 1) * SEGMENT);
    float chain = 0.0f;
#if SPOIL == SPOIL_UNORDERED
    float second = 0.0f;
#endif
    for (int first = segment * SEGMENT; first < end; first += TILE) {
        a_tile[y][x] = row < rows && first + x < end ? a[row * a_row + first + x] : 0.0f;
        b_tile[y][x] = column < columns && first + y < end
                           ? b[(first + y) * b_term + column * b_column] : 0.0f;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < TILE; ++k) {
            chain = TERM(a_tile[y][k], b_tile[k][x], chain);
#if SPOIL == SPOIL_UNORDERED
            float other = chain;
            chain = second;
            second = other;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#if SPOIL == SPOIL_UNORDERED
    chain = chain + second;
#endif
    if (row < rows && column < columns)
        partial[(segment * rows + row) * columns + column] = chain;
}

/* h, w, ci: the input; oh, ow, co: the output; ci and co as stored, multiples of 16 (or ci = 1).
 * The same struct in test_opencl.c. */
struct conv {
    int n, h, w, ci, oh, ow, co, kh, kw, stride, pad, group, stretches;
};

/* The input at a tap of an output pixel; +0 in the padding. */
float input_at(constant struct conv *c, global const float *x, int n, int pixel, int ky, int kx,
               int ci)
{
    int row = pixel / c->ow * c->stride + ky - c->pad;
    int column = pixel % c->ow * c->stride + kx - c->pad;
    if (row < 0 || row >= c->h || column < 0 || column >= c->w)
        return 0.0f;
    return x[((n * c->h + row) * c->w + column) * c->ci + ci];
}

/* One work-item, one segment of one output value; neighbours are output channels, which read
 * neighbouring weights and the same input. Global size: (co, pixels, n * segments). */
kernel void conv_segments(constant struct conv *c, int segments, global const float *x,
                          global const float *w,
                          global float *partial) /* [segment][n][pixel][co] */
{
    int co = get_global_id(0), pixel = get_global_id(1);
    int n = get_global_id(2) / segments, segment = get_global_id(2) % segments;
    int term = segment * SEGMENT, end = min(c->kh * c->kw * c->ci, term + SEGMENT);
    int ci = term % c->ci, kx = term / c->ci % c->kw, ky = term / c->ci / c->kw;
    float chain = 0.0f;
    for (; term < end; ++term) {
        chain = TERM(input_at(c, x, n, pixel, ky, kx, ci), w[term * c->co + co], chain);
        if (++ci == c->ci) {
            ci = 0;
            if (++kx == c->kw) {
                kx = 0;
                ++ky;
            }
        }
    }
    partial[((segment * c->n + n) * c->oh * c->ow + pixel) * c->co + co] = chain;
}

/* The flipped kernel, with which a forward convolution of the gradient is the input gradient.
 * Global size: (ci, co, taps). */
kernel void turn_weights(constant struct conv *c, global const float *w, global float *turned)
{
    int ci = get_global_id(0), co = get_global_id(1), tap = get_global_id(2);
    int opposite = c->kh * c->kw - 1 - tap;
    turned[(tap * c->co + co) * c->ci + ci] = w[(opposite * c->ci + ci) * c->co + co];
}

/* The second kernel of a dot product: a few additions an output, in segment order. */
float add_segments(global const float *partial, int output, int outputs, int segments)
{
    float sum = partial[output];
    for (int segment = 1; segment < segments; ++segment)
        sum = sum + partial[segment * outputs + output];
    return sum + 0.0f;
}

/* ---- randomness (section 8), activations and pooling (section 6) ------------------------------- */

/* Philox4x32-10: the word of an element depends on its number alone, so that every work-item finds
 * its own. rng: key 0, key 1, step, tag. */
uint philox_word(uint4 rng, ulong element)
{
    ulong block = 16 * (element / 64) + element % 16;
    uint c0 = (uint)block, c1 = (uint)(block >> 32), c2 = rng.z, c3 = rng.w;
    uint k0 = rng.x, k1 = rng.y;
    for (int round = 0; round < 10; ++round) {
        uint high0 = mul_hi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint high1 = mul_hi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    uint words[4] = {c0, c1, c2, c3};
    return words[element / 16 % 4];
}

float dropped(float y, int dropout, uint4 rng, uint threshold, float scale, ulong element)
{
    if (!dropout)
        return y;
    return philox_word(rng, element) < threshold ? 0.0f : y * scale;
}

/* Segments, bias, ReLU, dropout. Global size: (columns, rows). */
kernel void finish_outputs(int rows, int columns, int segments, global const float *partial,
                           global const float *b, int relu, int dropout, uint4 rng, uint threshold,
                           float scale, global float *y, int y_row)
{
    int column = get_global_id(0), row = get_global_id(1), at = row * columns + column;
    float value = output(relu, add_segments(partial, at, rows * columns, segments) + b[column]);
    y[row * y_row + column] = dropped(value, dropout, rng, threshold, scale, (ulong)at);
}

/* Segments, then where it is asked for the mask of the activation that made x. Global size:
 * (columns, rows). */
kernel void finish_gradients(int rows, int columns, int segments, global const float *partial,
                             int mask, global const float *x, float scale, global float *dx,
                             int dx_row)
{
    int column = get_global_id(0), row = get_global_id(1);
    float g = settle(add_segments(partial, row * columns + column, rows * columns, segments));
    int at = row * dx_row + column;
    dx[at] = !mask ? g : x[at] > 0.0f ? g * scale : 0.0f;
}

/* One work-item, one cell of one channel. Features are numbered channel, row, column; element of
 * the dropout = sample * features + feature. Global size: (channels, cells, n). */
kernel void pool_outputs(constant struct conv *c, global const float *pixels, int dropout,
                         uint4 rng, uint threshold, float scale, global float *y, int y_row,
                         global uchar *argmax)
{
    int co = get_global_id(0), cell = get_global_id(1), n = get_global_id(2);
    int channels = get_global_size(0), cells = get_global_size(1), across = c->ow / 2;
    int first = (n * c->oh + cell / across * 2) * c->ow + cell % across * 2, best = 0;
    float greatest = pixels[first * c->co + co];
    for (int q = 1; q < 4; ++q) {
        float candidate = pixels[(first + q / 2 * c->ow + q % 2) * c->co + co];
        if (candidate > greatest) {
            greatest = candidate;
            best = q;
        }
    }
    int feature = co * cells + cell;
    ulong element = (ulong)n * channels * cells + feature;
    argmax[(n * cells + cell) * c->co + co] = best;
    y[n * y_row + feature] = dropped(greatest, dropout, rng, threshold, scale, element);
}

/* The gradient of every output pixel: its cell's where it was the greatest, else +0.
 * Global size: (channels, pixels, n). */
kernel void unpool_gradients(constant struct conv *c, global const float *dy, int dy_row,
                             global const uchar *argmax, global float *gradient)
{
    int co = get_global_id(0), pixel = get_global_id(1), n = get_global_id(2);
    int row = pixel / c->ow, column = pixel % c->ow, across = c->ow / 2, cells = c->oh / 2 * across;
    float g = 0.0f;
    if (row / 2 < c->oh / 2 && column / 2 < across) {
        int cell = row / 2 * across + column / 2;
        if (argmax[(n * cells + cell) * c->co + co] == row % 2 * 2 + column % 2)
            g = dy[n * dy_row + co * cells + cell];
    }
    gradient[((n * c->oh + row) * c->ow + column) * c->co + co] = g;
}

/* ---- sums over the batch (section 3) ----------------------------------------------------------- */

/* One work-item, one leaf of one weight: a chain of up to LEAF samples. The row past the weights is
 * the bias, x = 1. Global size: (columns, in + 1, leaves). */
kernel void linear_leaves(int samples, int in, global const float *x, int x_row,
                          global const float *dy, int dy_row,
                          global float *partial) /* [leaf][in + 1][column] */
{
    int column = get_global_id(0), k = get_global_id(1), leaf = get_global_id(2);
    float chain = 0.0f;
    for (int n = leaf * LEAF; n < min(samples, (leaf + 1) * LEAF); ++n)
        chain = TERM(k < in ? x[n * x_row + k] : 1.0f, dy[n * dy_row + column], chain);
    partial[(leaf * (in + 1) + k) * get_global_size(0) + column] = chain;
}

/* One work-item, one group of samples of one weight: a chain over (sample, row, column). Large
 * images have groups of one sample, so that a batch of 64 gives 64 chains a weight; larger ones have a
 * group for each stretch of their pixels.
 * Global size: (co, taps * ci + 1, groups). */
kernel void conv_groups(constant struct conv *c, global const float *x,
                        global const float *gradient,
                        global float *partial) /* [group][taps * ci + 1][co] */
{
    int co = get_global_id(0), row = get_global_id(1), group = get_global_id(2);
    int ci = row % c->ci, kx = row / c->ci % c->kw, ky = row / c->ci / c->kw;
    int bias = row == c->kh * c->kw * c->ci, pixels = c->oh * c->ow;
    int first = group / c->stretches * c->group, from = group % c->stretches * STRETCH;
    float chain = 0.0f;
    for (int n = first; n < min(c->n, first + c->group); ++n)
        for (int pixel = from; pixel < min(pixels, from + STRETCH); ++pixel)
            chain = TERM(bias ? 1.0f : input_at(c, x, n, pixel, ky, kx, ci),
                         gradient[(n * pixels + pixel) * c->co + co], chain);
    partial[(group * get_global_size(1) + row) * c->co + co] = chain;
}

/* One work-item, one weight: a leaf's groups in order, then the tree level by level in place. Adding
 * neighbours and letting a last odd one pass is the tree of NUMERICS.md. A gradient settles, a sum that
 * goes on does not. Global size: (weights). */
kernel void leaf_tree(int groups, int groups_in_leaf, int settles, global float *partial,
                      global float *sums)
{
    int weight = get_global_id(0), weights = get_global_size(0);
    int leaves = (groups + groups_in_leaf - 1) / groups_in_leaf;
    global float *node = partial + weight;
    for (int leaf = 0; leaf < leaves; ++leaf) {
        int first = leaf * groups_in_leaf;
        float sum = node[first * weights];
        for (int group = first + 1; group < min(groups, first + groups_in_leaf); ++group)
            sum = sum + node[group * weights];
        node[leaf * weights] = sum;
    }
#if SPOIL == SPOIL_NO_TREE
    for (int leaf = 1; leaf < leaves; ++leaf)
        node[0] = node[0] + node[leaf * weights];
#else
    for (int reach = 1; reach < leaves; reach *= 2)
        for (int left = 0; left + reach < leaves; left += 2 * reach)
            node[left * weights] = node[left * weights] + node[(left + reach) * weights];
#endif
    sums[weight] = settles ? settle(node[0]) : node[0] + 0.0f;
}

/* ---- strided convolutions (section 4) ---------------------------------------------------------- */

/* The gradient spread by the stride over zeros, as the stride-1 convolution of the same input would
 * have had it: its forward convolution with the turned kernel is the input gradient.
 * Global size: (channels, positions of stride 1, n). */
kernel void spread_gradients(constant struct conv *c, int across, global const float *gradient,
                             global float *spread)
{
    int co = get_global_id(0), position = get_global_id(1), n = get_global_id(2);
    int row = position / across, column = position % across;
    float g = 0.0f;
    if (row % c->stride == 0 && column % c->stride == 0)
        g = gradient[((n * c->oh + row / c->stride) * c->ow + column / c->stride) * c->co + co];
    spread[(n * get_global_size(1) + position) * c->co + co] = g;
}

/* ---- batch normalisation (section 15): one work-item, one chain of a sample and channel --------- */

/* Global size: (channels, n * stretches), as of all the sums here; the tree is leaf_tree's, eight
 * samples to a leaf. */
kernel void norm_sums(int pixels, int stretches, global const float *x, global float *partial)
{
    int c = get_global_id(0), chains = get_global_id(1), channels = get_global_size(0);
    int n = chains / stretches, first = chains % stretches * STRETCH;
    float chain = 0.0f;
    for (int pixel = first; pixel < min(pixels, first + STRETCH); ++pixel)
        chain = chain + x[(n * pixels + pixel) * channels + c];
    partial[chains * channels + c] = chain;
}

/* The sums of d = x - mean and of t d, t being d itself or the gradient. */
kernel void norm_products(int pixels, int stretches, global const float *x,
                          global const float *mean, int by_gradient, global const float *g,
                          global float *first, global float *second)
{
    int c = get_global_id(0), chains = get_global_id(1), channels = get_global_size(0);
    int n = chains / stretches, from = chains % stretches * STRETCH;
    float chain = 0.0f, products = 0.0f;
    for (int pixel = from; pixel < min(pixels, from + STRETCH); ++pixel) {
        int at = (n * pixels + pixel) * channels + c;
        float d = x[at] - mean[c], term = by_gradient ? g[at] : d;
        chain = chain + term;
        products = TERM(term, d, products);
    }
    first[chains * channels + c] = chain;
    second[chains * channels + c] = products;
}

kernel void norm_mean(global const float *sums, float inverse_count, global float *mean)
{
    int c = get_global_id(0);
    mean[c] = settle(sums[c] * inverse_count);
}

/* saved: mean, 1 / deviation, scale, beta, a row each. Global size: (channels). */
kernel void norm_statistics(global const float *mean, global const float *rests,
                            global const float *squares, float inverse_count, float unbiased,
                            float momentum, float eps, global const float *gamma,
                            global const float *beta, global float *running, global float *saved)
{
    int c = get_global_id(0), channels = get_global_size(0);
    float rest = settle(rests[c] * inverse_count), m = settle(mean[c] + rest);
    float square = settle_square(settle_square(squares[c]) * inverse_count);
    float variance = output(1, fma(-rest, rest, square));
    running[c] = settle(fma(momentum, m - running[c], running[c]));
    running[channels + c] =
        settle(fma(momentum, variance * unbiased - running[channels + c], running[channels + c]));
    float inverse = settle(1.0f / sqrt(variance + eps));
    saved[c] = m;
    saved[channels + c] = inverse;
    saved[2 * channels + c] = settle(gamma[c] * inverse);
    saved[3 * channels + c] = beta[c];
}

/* Global size: (channels, n * pixels). */
kernel void norm_outputs(global const float *x, global const float *saved, int adds,
                         global const float *added, int relu, global float *y)
{
    int c = get_global_id(0), channels = get_global_size(0), at = get_global_id(1) * channels + c;
    float value = fma(x[at] - saved[c], saved[2 * channels + c], saved[3 * channels + c]);
    if (adds)
        value = settle(value) + added[at];
    y[at] = output(relu, value);
}

kernel void norm_masked(global const float *dy, int has_second, global const float *second,
                        int relu, global const float *y, global float *g)
{
    int at = get_global_id(1) * get_global_size(0) + get_global_id(0);
    float value = has_second ? settle(dy[at] + second[at]) : dy[at];
    g[at] = relu && !(y[at] > 0.0f) ? 0.0f : value;
}

kernel void norm_input_gradients(global const float *x, global const float *saved,
                                 global const float *g, global const float *sums,
                                 global const float *products, float inverse_count,
                                 global float *dgamma, global float *dx)
{
    int c = get_global_id(0), channels = get_global_size(0), at = get_global_id(1) * channels + c;
    float inverse = saved[channels + c], scale = saved[2 * channels + c];
    float gradient = settle(settle_square(products[c]) * inverse);
    float slope = settle(-(scale * settle(settle(gradient * inverse) * inverse_count)));
    float level = settle(-(scale * settle(sums[c] * inverse_count)));
    if (get_global_id(1) == 0)
        dgamma[c] = gradient;
    dx[at] = settle(fma(g[at], scale, fma(x[at] - saved[c], slope, level)));
}

/* The mean over pixels. Global size: (channels, n). */
kernel void mean_outputs(int pixels, float inverse, global const float *x, global float *y)
{
    int c = get_global_id(0), n = get_global_id(1), channels = get_global_size(0);
    float sum = 0.0f;
    for (int pixel = 0; pixel < pixels; ++pixel)
        sum = sum + x[(n * pixels + pixel) * channels + c];
    y[n * channels + c] = settle(sum * inverse);
}

/* ---- max-pool (section 6) ---------------------------------------------------------------------- */

struct window {
    int h, w, oh, ow, kernel_size, stride, pad;
};

/* The first greatest tap inside the image. Global size: (channels, output pixels, n). */
kernel void max_pool_outputs(constant struct window *s, global const float *x, global float *y,
                             global uchar *argmax)
{
    int c = get_global_id(0), o = get_global_id(1), n = get_global_id(2);
    int channels = get_global_size(0), at = (n * s->oh * s->ow + o) * channels + c, best = -1;
    float greatest = 0.0f;
    for (int tap = 0; tap < s->kernel_size * s->kernel_size; ++tap) {
        int row = o / s->ow * s->stride - s->pad + tap / s->kernel_size;
        int column = o % s->ow * s->stride - s->pad + tap % s->kernel_size;
        if (row < 0 || row >= s->h || column < 0 || column >= s->w)
            continue;
        float candidate = x[((n * s->h + row) * s->w + column) * channels + c];
        if (best < 0 || candidate > greatest) {
            best = tap;
            greatest = candidate;
        }
    }
    y[at] = greatest;
    argmax[at] = best;
}

/* One input pixel gathers from the windows that chose it. Global size: (channels, input pixels, n). */
kernel void max_pool_gradients(constant struct window *s, global const float *dy, int has_second,
                               global const float *second, global const uchar *argmax,
                               global float *dx)
{
    int c = get_global_id(0), pixel = get_global_id(1), n = get_global_id(2);
    int channels = get_global_size(0), row = pixel / s->w, column = pixel % s->w;
    float sum = 0.0f;
    for (int oy = 0; oy < s->oh; ++oy)
        for (int ox = 0; ox < s->ow; ++ox) {
            int ky = row - (oy * s->stride - s->pad), kx = column - (ox * s->stride - s->pad);
            int at = ((n * s->oh + oy) * s->ow + ox) * channels + c;
            if (ky < 0 || ky >= s->kernel_size || kx < 0 || kx >= s->kernel_size ||
                argmax[at] != ky * s->kernel_size + kx)
                continue;
            sum = sum + (has_second ? settle(dy[at] + second[at]) : dy[at]);
        }
    dx[((n * s->h + row) * s->w + column) * channels + c] = settle(sum);
}

/* ---- optimisers (section 10): one work-item, one weight ---------------------------------------- */

float decayed(float g, float w, float weight_decay)
{
    return weight_decay != 0.0f ? settle(fma(weight_decay, w, g)) : g;
}

kernel void adadelta(float lr, float weight_decay, float rho, float one_minus_rho, float eps,
                     global float *w, global const float *dw, global float *v, global float *u)
{
    int i = get_global_id(0);
    float g = decayed(dw[i], w[i], weight_decay);
    v[i] = settle_average(fma(rho, v[i], (g * g) * one_minus_rho));
    float d = settle(sqrt(settle_square((u[i] + eps) / (v[i] + eps))) * g);
    u[i] = settle_average(fma(rho, u[i], (d * d) * one_minus_rho));
    w[i] = settle(fma(-lr, d, w[i]));
}

kernel void sgd(float lr, float weight_decay, int has_momentum, float momentum, global float *w,
                global const float *dw, global float *m)
{
    int i = get_global_id(0);
    float g = decayed(dw[i], w[i], weight_decay);
    if (has_momentum) {
        m[i] = settle(fma(momentum, m[i], g));
        g = m[i];
    }
    w[i] = settle(fma(-lr, g, w[i]));
}

kernel void adam(float step_size, float weight_decay, float beta1_complement, float beta2,
                 float beta2_complement, float root_correction, float eps, global float *w,
                 global const float *dw, global float *m, global float *v)
{
    int i = get_global_id(0);
    float g = decayed(dw[i], w[i], weight_decay);
    m[i] = settle(fma(beta1_complement, g - m[i], m[i]));
    v[i] = settle_average(fma(beta2, v[i], (g * g) * beta2_complement));
    float quotient = settle(m[i] / fma(sqrt(v[i]), root_correction, eps));
    w[i] = settle(fma(-step_size, quotient, w[i]));
}

kernel void adamw(float step_size, float weight_decay, float beta1_complement, float beta2,
                  float beta2_complement, float root_correction, float eps, global float *w,
                  global const float *dw, global float *m, global float *v)
{
    int i = get_global_id(0);
    float g = dw[i], kept = settle(fma(-weight_decay, w[i], w[i]));
    m[i] = settle(fma(beta1_complement, g - m[i], m[i]));
    v[i] = settle_average(fma(beta2, v[i], (g * g) * beta2_complement));
    float quotient = settle(m[i] / fma(sqrt(v[i]), root_correction, eps));
    w[i] = settle(fma(-step_size, quotient, kept));
}
