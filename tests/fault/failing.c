#include "failing.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#ifdef UNDER_SANITIZER
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *old, size_t size);
void *REAL(memalign)(size_t alignment, size_t size);

enum { MOST_PLACES = 256, DEEPEST = 64, PLACE_DEPTH = 12 };

typedef enum owner { OTHER, OWN, BETWEEN } owner; /* BETWEEN: its caller decides */

static struct {
    uintptr_t begin, end;
    owner owner;
} places[MOST_PLACES]; /* where the libraries lie */
static size_t place_count;
static const char *chosen; /* NULL: ours */
static atomic_size_t count;
static size_t failing;
static int persistent;
static atomic_int active;
static void (*watcher)(size_t n);
static _Thread_local int inside; /* the watcher allocates, too */
static _Thread_local uintptr_t caller_now;

/* ---- whose it is --------------------------------------------------------------------------------
 */

static owner owner_of_library(const char *name, int is_program) {
    static const char *const SERVING[] = {"/libc.so",    "/libc-",      "/ld-linux",
                                          "/libpthread", "/libasan.so", "/libtsan.so",
                                          "/libubsan.so"};
    for (size_t i = 0; i < sizeof SERVING / sizeof SERVING[0]; ++i)
        if (strstr(name, SERVING[i]) != NULL)
            return BETWEEN;
    if (chosen != NULL)
        return strstr(name, chosen) != NULL ? OWN : OTHER;
    return is_program || strstr(name, "/libjansson.so") != NULL ? OWN : OTHER;
}

static int note_library(struct dl_phdr_info *info, size_t size, void *context) {
    size_t *seen = context;
    owner whose = owner_of_library(info->dlpi_name, *seen == 0);
    (void)size;
    ++*seen;
    for (size_t i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) == 0 || whose == OTHER ||
            place_count == MOST_PLACES)
            continue;
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        places[place_count].begin = begin;
        places[place_count].end = begin + segment->p_memsz;
        places[place_count++].owner = whose;
    }
    return 0;
}

static owner owner_at(uintptr_t address) {
    for (size_t i = 0; i < place_count; ++i)
        if (address >= places[i].begin && address < places[i].end)
            return places[i].owner;
    return OTHER;
}

typedef struct walk {
    int below;    /* the caller has been passed */
    size_t depth; /* frames from the caller on */
    owner owner;  /* of the first that is not BETWEEN */
    int hashes;   /* 1: goes on to the end for hash */
    uint64_t hash;
} walk;

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *argument) {
    walk *w = argument;
    uintptr_t at = _Unwind_GetIP(context);
    w->below |= at == caller_now;
    if (!w->below)
        return _URC_NO_REASON;
    if (w->hashes && w->depth < PLACE_DEPTH)
        w->hash = (w->hash ^ at) * UINT64_C(0x100000001b3);
    else if (w->hashes)
        return _URC_END_OF_STACK;
    if (!w->hashes && (w->owner = owner_at(at)) != BETWEEN)
        return _URC_END_OF_STACK;
    return ++w->depth == DEEPEST ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static int is_own(uintptr_t caller) {
    owner whose = owner_at(caller);
    if (whose != BETWEEN)
        return whose == OWN;
    walk w = {.owner = OTHER};
    _Unwind_Backtrace(step, &w);
    return w.owner == OWN;
}

uint64_t failing_place(void) {
    walk w = {.hashes = 1, .hash = UINT64_C(0xcbf29ce484222325)};
    _Unwind_Backtrace(step, &w);
    return w.hash;
}

/* ---- the functions ------------------------------------------------------------------------------
 */

static int fails(const void *caller) {
    if (!atomic_load_explicit(&active, memory_order_relaxed) || inside)
        return 0;
    inside = 1;
    caller_now = (uintptr_t)caller;
    int now = 0;
    if (is_own((uintptr_t)caller)) {
        size_t n = atomic_fetch_add(&count, 1) + 1;
        if (watcher != NULL)
            watcher(n);
        now = failing != 0 && (n == failing || (persistent && n > failing));
    }
    inside = 0;
    if (now)
        errno = ENOMEM;
    return now;
}

/* In front of the C library's for all libraries. */
#pragma GCC visibility push(default)
#define CALLER __builtin_extract_return_addr(__builtin_return_address(0))

void *malloc(size_t size) {
    return fails(CALLER) ? NULL : REAL(malloc)(size);
}

void *calloc(size_t number, size_t size) {
    return fails(CALLER) ? NULL : REAL(calloc)(number, size);
}

void *realloc(void *old, size_t size) {
    return fails(CALLER) ? NULL : REAL(realloc)(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(CALLER) ? NULL : REAL(memalign)(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    int before = errno;
    void *made = fails(CALLER) ? NULL : REAL(memalign)(alignment, size);
    errno = before;
    if (made != NULL)
        *memory = made;
    return made != NULL ? 0 : ENOMEM;
}

/* Memory that is mapped is allocated, too; files that are mapped are not. */
void *mmap(void *where, size_t size, int protection, int flags, int file, off_t offset) {
    if ((flags & MAP_ANONYMOUS) != 0 && fails(CALLER))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, where, size, protection, flags, file, offset);
}

/* Here because a sanitizer's do not call malloc. */
static char *copy(const char *text, size_t length, const void *caller) {
    char *made = fails(caller) ? NULL : REAL(malloc)(length + 1);
    if (made != NULL) {
        memcpy(made, text, length);
        made[length] = '\0';
    }
    return made;
}

char *strdup(const char *text) {
    return copy(text, strlen(text), CALLER);
}

char *strndup(const char *text, size_t size) {
    return copy(text, strnlen(text, size), CALLER);
}

#pragma GCC visibility pop

/* ---- what tests call ----------------------------------------------------------------------------
 */

void failing_choose(const char *library) {
    chosen = library;
}

void failing_watch(void (*watch)(size_t n)) {
    watcher = watch;
}

void failing_change(size_t n, int all_later) {
    failing = n;
    persistent = all_later;
}

void failing_begin(size_t n, int all_later) {
    size_t seen = 0;
    failing_change(n, all_later);
    place_count = 0;
    dl_iterate_phdr(note_library, &seen);
    failing_place(); /* the unwinder gets what it needs now */
    atomic_store(&count, 0);
    atomic_store(&active, 1);
}

size_t failing_end(void) {
    atomic_store(&active, 0);
    return atomic_load(&count);
}
