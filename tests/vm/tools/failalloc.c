/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory that runs out now and then: a library for LD_PRELOAD that makes every
 * Nth allocation fail with ENOMEM, libc's own (strdup, asprintf, fopen ...) too,
 * for they come through the same symbols. N can be changed while the program
 * runs: it is read from a file that is mapped, FAILALLOC=PATH in the
 * environment; without it, or while the file says 0, nothing fails.
 *
 * The file is a page of text that whoever wants failures makes before, with dd:
 *
 *   byte 0    N in decimal, ended by any other byte; a program that shares a
 *             mapping sees a new one at once
 *   byte 64   two 64-bit numbers in host order, added up here by all processes that have
 *             the file mapped (helpers inherit it): allocations asked for, and made to fail, while N was not 0
 *
 * A prime N meets every place in turn. The program cannot tell this from a real
 * shortage, but for one thing: free memory comes back at once.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

typedef struct Control {
        volatile char every[64];
        uint64_t n_asked, n_failed;
} Control;

/* glibc's own, which these stand before. free() is theirs as it is. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static Control *control;

__attribute__((constructor)) static void map_control(void) {
        const char *path = getenv("FAILALLOC");
        void *p;
        int fd;

        if (!path)
                return;
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return;
        p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
        if (p != MAP_FAILED)
                control = p;
}

static bool is_due(void) {
        uint64_t every = 0, asked;

        if (!control)
                return false;
        for (size_t i = 0; i < sizeof(control->every) && control->every[i] >= '0' && control->every[i] <= '9';
             i++)
                every = every * 10 + (uint64_t)(control->every[i] - '0');
        if (every == 0)
                return false;
        asked = __atomic_add_fetch(&control->n_asked, 1, __ATOMIC_RELAXED);
        if (asked % every != 0)
                return false;
        (void)__atomic_add_fetch(&control->n_failed, 1, __ATOMIC_RELAXED);
        errno = ENOMEM;
        return true;
}

#define EXPORT __attribute__((__visibility__("default")))

EXPORT void *malloc(size_t size) { return is_due() ? NULL : __libc_malloc(size); }

EXPORT void *calloc(size_t n, size_t size) { return is_due() ? NULL : __libc_calloc(n, size); }

EXPORT void *realloc(void *p, size_t size) { return is_due() ? NULL : __libc_realloc(p, size); }

EXPORT void *reallocarray(void *p, size_t n, size_t size) {
        size_t bytes;

        if (__builtin_mul_overflow(n, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(p, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
        return is_due() ? NULL : __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size) {
        void *p = aligned_alloc(alignment, size);

        if (!p)
                return ENOMEM;
        *ret = p;
        return 0;
}
