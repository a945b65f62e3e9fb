/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ownership helpers and a few macros that every layer uses.
 *
 * A resource is owned by exactly one variable; _cleanup_(f) releases it when
 * the variable goes out of scope, steal_ptr()/steal_fd() hand it on.
 * Destructors take NULL (or -1) and return NULL (or -1), so that
 * `x = foo_free(x)` can be written everywhere.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((__cleanup__(f)))
#define _public_ __attribute__((__visibility__("default")))
#define _printf_(a, b) __attribute__((__format__(printf, a, b)))
#define _unused_ __attribute__((__unused__))
#define _const_ __attribute__((__const__))
#define _pure_ __attribute__((__pure__))

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))
/* Each argument is evaluated once; the counter keeps nested uses from shadowing each other. */
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define MIN_OF_(a, b, n)                                                   \
        ({                                                                 \
                __typeof__(a) PASTE(a_, n) = (a);                          \
                __typeof__(b) PASTE(b_, n) = (b);                          \
                PASTE(a_, n) < PASTE(b_, n) ? PASTE(a_, n) : PASTE(b_, n); \
        })
#define MAX_OF_(a, b, n)                                                   \
        ({                                                                 \
                __typeof__(a) PASTE(a_, n) = (a);                          \
                __typeof__(b) PASTE(b_, n) = (b);                          \
                PASTE(a_, n) > PASTE(b_, n) ? PASTE(a_, n) : PASTE(b_, n); \
        })
#define MIN_OF(a, b) MIN_OF_(a, b, __COUNTER__)
#define MAX_OF(a, b) MAX_OF_(a, b, __COUNTER__)
#define STR_EQ(a, b) (strcmp((a), (b)) == 0)

/* Time: microseconds everywhere. */
typedef uint64_t usec_t;
#define USEC_INFINITY UINT64_MAX
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_PER_MSEC ((usec_t)1000)

#define steal_ptr(p)                      \
        ({                                \
                __typeof__(p) *p_ = &(p); \
                __typeof__(p) v_ = *p_;   \
                *p_ = NULL;               \
                v_;                       \
        })
static inline int steal_fd(int *fd) {
        int v = *fd;
        *fd = -1;
        return v;
}

static inline void cleanup_free(void *p) { free(*(void **)p); }
#define _cleanup_free_ _cleanup_(cleanup_free)

/* For a type T with T *t_free(T *): DEFINE_CLEANUP(Buf *, buf_free) gives
 * cleanup_buf_free(), to be used as _cleanup_(cleanup_buf_free). */
#define DEFINE_CLEANUP(type, func)                   \
        static inline void cleanup_##func(type *p) { \
                if (*p)                              \
                        (void)func(*p);              \
        }

/* Grow an array so that it has room for one more element. 0 or -ENOMEM; the
 * old array stays valid on failure. */
#define GROW(array, n, alloc)                                                   \
        ({                                                                      \
                int r_ = 0;                                                     \
                if ((n) >= (alloc)) {                                           \
                        size_t c_ = (alloc) ? (size_t)(alloc)*2 : 8;            \
                        void *p_ = reallocarray((array), c_, sizeof(*(array))); \
                        if (!p_)                                                \
                                r_ = -ENOMEM;                                   \
                        else {                                                  \
                                (array) = p_;                                   \
                                (alloc) = c_;                                   \
                        }                                                       \
                }                                                               \
                r_;                                                             \
        })
