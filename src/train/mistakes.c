#include "train/mistakes.h"

#include <string.h>

void ib_mistakes_add(ib_mistakes *mistakes, ib_mistake mistake) {
    ++mistakes->total;
    size_t at = mistakes->count;
    while (at > 0 && mistakes->kept[at - 1].log_probability < mistake.log_probability)
        --at;
    if (at == IB_MISTAKES_KEPT)
        return;
    if (mistakes->count < IB_MISTAKES_KEPT)
        ++mistakes->count;
    memmove(&mistakes->kept[at + 1], &mistakes->kept[at],
            (mistakes->count - 1 - at) * sizeof mistake);
    mistakes->kept[at] = mistake;
}
