#include "backend/ops/linear.h"

const char *ib_linear_fault(const ib_linear *l, ib_direction direction) {
    (void)direction;
    if (!ib_are_sizes(l->n, ib_padded(l->in), 1, 1) ||
        !ib_are_sizes(l->n, ib_padded(l->out), 1, 1) ||
        !ib_are_sizes(ib_padded(l->in), ib_padded(l->out), 1, 1))
        return "shape out of range";
    return l->dropout.enabled && !l->relu ? "dropout follows a ReLU only" : NULL;
}

/* Weight buffers hold pad16(in) rows: kernels read whole blocks of 16. */
void ib_linear_need(const ib_linear *l, ib_direction direction, ib_linear_sizes *sizes) {
    int64_t in = ib_pad16(l->in), out = ib_pad16(l->out);
    *sizes = (ib_linear_sizes){.x = l->n * in, .w = in * out};
    if (direction == IB_FORWARD) {
        sizes->b = -out;
        sizes->y = l->n * out;
        return;
    }
    sizes->dy = l->n * out;
    sizes->dx = -(l->n * in);
    sizes->dw = in * out;
    sizes->db = -out;
}

double ib_linear_macs(const ib_linear *l, ib_direction direction) {
    double forward = (double)l->n * (double)(l->in * l->out);
    return direction == IB_FORWARD ? forward : 2 * forward;
}
