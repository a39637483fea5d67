#include "command/progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

enum { BAR_WIDTH = 20 };
static const double REDRAW_SECONDS = 0.1;

void ib_progress_begin(ib_progress *progress, const ib_train_plan *plan) {
    progress->plan = *plan;
    progress->begun = ib_seconds();
}

static char *eta_text(double seconds) {
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        return ib_format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    return ib_format("%ld:%02ld", whole / 60, whole % 60);
}

static char *line_text(const ib_progress *progress, const ib_step_event *event, double now) {
    const ib_train_plan *plan = &progress->plan;
    double all = (double)plan->steps_per_epoch * (double)plan->epochs;
    double done = all > 0 ? (double)event->step / all : 1;
    double images = (double)(event->epoch - 1) * (double)plan->train_count +
                    (double)(event->images_seen + event->batch);
    double in_epoch = (double)(event->step_in_epoch + 1) / (double)plan->steps_per_epoch;
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; ++i)
        bar[i] = (double)i < in_epoch * BAR_WIDTH ? '#' : '-';
    bar[BAR_WIDTH] = '\0';
    char *eta = eta_text(done > 0 ? (now - progress->begun) * (1 - done) / done : 0);
    char *text = NULL;
    if (eta != NULL)
        text = ib_format("epoch %zu/%zu [%s] %3.0f%% %6.0f images/s loss %.4f ETA %s", event->epoch,
                         plan->epochs, bar, 100 * in_epoch,
                         event->train_seconds > 0 ? images / event->train_seconds : 0.0,
                         (double)event->loss, eta);
    free(eta);
    return text;
}

void ib_progress_step(ib_progress *progress, const ib_step_event *event) {
    if (progress->out == NULL)
        return;
    double now = ib_seconds();
    if (now - progress->drawn < REDRAW_SECONDS)
        return;
    progress->drawn = now;
    char *text = line_text(progress, event, now);
    if (text == NULL)
        return; /* a bar is not worth failing for */
    int width = (int)strlen(text);
    int shorter = progress->width > width ? progress->width - width : 0;
    if (progress->use_escapes)
        fprintf(progress->out, "\r\x1b[2K%s", text);
    else
        fprintf(progress->out, "\r%s%*s", text, shorter, "");
    fflush(progress->out);
    progress->width = width;
    free(text);
}

void ib_progress_clear(ib_progress *progress) {
    if (progress->out == NULL || progress->width == 0)
        return;
    if (progress->use_escapes)
        fputs("\r\x1b[2K", progress->out);
    else
        fprintf(progress->out, "\r%*s\r", progress->width, "");
    fflush(progress->out);
    progress->width = 0;
}
