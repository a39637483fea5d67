#include "command/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { LONGEST_CHARACTER = 4, READY_BYTES = 4096 };

typedef struct terminal {
    int fd;
    char held[LONGEST_CHARACTER]; /* the beginning of a character */
    size_t held_bytes;
    char ready[READY_BYTES];
    size_t ready_bytes;
    int failed; /* errno; 0: not */
} terminal;

static void send_ready(terminal *t) {
    size_t sent = 0;
    while (!t->failed && sent < t->ready_bytes) {
        ssize_t n = write(t->fd, t->ready + sent, t->ready_bytes - sent);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno != EINTR)
            t->failed = errno;
    }
    t->ready_bytes = 0;
}

static void put(terminal *t, const char *bytes, size_t size) {
    if (t->ready_bytes + size > sizeof t->ready)
        send_ready(t);
    memcpy(t->ready + t->ready_bytes, bytes, size);
    t->ready_bytes += size;
}

/* Whether more bytes can make a character of those held. */
static int may_go_on(const terminal *t) {
    char longer[LONGEST_CHARACTER];
    memcpy(longer, t->held, t->held_bytes);
    for (size_t size = t->held_bytes + 1; size <= LONGEST_CHARACTER; ++size)
        for (int next = 0x80; next < 0xC0; next += 0x10) {
            memset(longer + t->held_bytes, 0x80, sizeof longer - t->held_bytes);
            longer[t->held_bytes] = (char)next;
            if (ib_utf8_length(longer, size) == size)
                return 1;
        }
    return 0;
}

/* at_end: nothing more will come. */
static void take_held(terminal *t, int at_end) {
    while (t->held_bytes > 0) {
        char shown[IB_TEXT_ESCAPE];
        size_t length = ib_text_shown(t->held, t->held_bytes);
        if (length > 0) {
            put(t, t->held, length);
        } else if (!at_end && t->held_bytes < LONGEST_CHARACTER && may_go_on(t)) {
            return;
        } else {
            length = 1;
            ib_text_escape((unsigned char)t->held[0], shown);
            put(t, shown, IB_TEXT_ESCAPE - 1);
        }
        t->held_bytes -= length;
        memmove(t->held, t->held + length, t->held_bytes);
    }
}

static ssize_t take(void *cookie, const char *bytes, size_t size) {
    terminal *t = cookie;
    for (size_t i = 0; i < size && !t->failed; ++i) {
        t->held[t->held_bytes++] = bytes[i];
        take_held(t, 0);
    }
    send_ready(t);
    if (!t->failed)
        return (ssize_t)size;
    errno = t->failed;
    return 0; /* an error, which the stream keeps */
}

static int finish(void *cookie) {
    terminal *t = cookie;
    take_held(t, 1);
    send_ready(t);
    int failed = t->failed;
    free(t);
    errno = failed;
    return failed ? EOF : 0;
}

FILE *ib_terminal_open(int fd, int mode) {
    terminal *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->fd = fd;
    FILE *stream = fopencookie(t, "w", (cookie_io_functions_t){.write = take, .close = finish});
    if (stream == NULL || setvbuf(stream, NULL, mode, mode == _IONBF ? 0 : BUFSIZ) != 0) {
        if (stream != NULL)
            fclose(stream);
        else
            free(t);
        return NULL;
    }
    return stream;
}
