/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a fuzz target over a corpus: usage
 *
 *     fuzz-TARGET [-n MUTATIONS] [-s SEED] FILE|DIRECTORY...
 *
 * Each file as it is, and MUTATIONS (default 200) variants of it, made by a
 * seeded generator, so that every test run is the same and a failure can be
 * repeated: a handler names file, variant and seed of what crashed. Longer hunts
 * take a larger -n and another -s. The mutations are simple (bits, copies, cuts,
 * tokens), but parsers of small texts have few places to hide.
 */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "fuzz.h"
#include "num.h"

#define INPUT_MAX ((size_t)1 << 20)

static uint64_t arg_mutations = 200;
static uint64_t arg_seed = UINT64_C(0x2545f4914f6cdd1d);

static uint64_t random_state;
static char where[512]; /* for the handler: what runs now */

static uint64_t next_random(void) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        return random_state ^= random_state << 17;
}

static size_t below(size_t n) { return n ? (size_t)(next_random() % n) : 0; }

static void on_crash(int sig) {
        (void)!write(STDERR_FILENO, where, strnlen(where, sizeof(where)));
        (void)signal(sig, SIG_DFL);
        (void)raise(sig);
}

/* Replaces n bytes at `at` by m bytes of `with`. */
static void replace(Buf *b, size_t at, size_t n, const char *with, size_t m) {
        _cleanup_buf_ Buf out = BUF_INIT;

        buf_append(&out, b->data, at);
        buf_append(&out, with, m);
        buf_append(&out, b->data + at + n, b->len - at - n);
        buf_deinit(b);
        *b = out;
        out = BUF_INIT;
}

static void mutate(Buf *b) {
        static const char *const tokens[] = {
                "0",
                "-1",
                "18446744073709551615",
                "18446744073709551616",
                "9223372036854775808",
                "max",
                "8:0",
                "4294967296",
                "infinity",
                "default",
                "0:0",
                ":",
                "=",
                "%",
                ".",
                "-",
                " ",
                "\t",
                "\n",
                "\r\n",
                "\\",
                "\\x2d",
                "[",
                "]",
                "*",
                "K",
                "E",
                "\xef\xbb\xbf",
                "\xc2\xb5",
        };
        size_t at = below(b->len + 1), n = below(b->len - at + 1);
        char c;

        switch (next_random() % 7) {
        case 0: /* another byte */
                c = (char)next_random();
                replace(b, at, b->len > at, &c, 1);
                break;
        case 1: /* one bit of it */
                if (at == b->len)
                        break;
                b->data[at] = (char)(b->data[at] ^ 1 << below(8));
                break;
        case 2: /* a cut */
                replace(b, at, n, "", 0);
                break;
        case 3: { /* a part twice */
                _cleanup_buf_ Buf part = BUF_INIT;

                buf_append(&part, b->data + at, n);
                replace(b, below(b->len + 1), 0, part.data, part.len);
                break;
        }
        case 4: /* the end lost */
                replace(b, at, b->len - at, "", 0);
                break;
        default: {
                const char *t = tokens[below(ARRAY_SIZE(tokens))];

                replace(b, at, next_random() % 2 ? MIN_OF(n, strlen(t)) : 0, t, strlen(t));
        }
        }
}

/* In memory of exactly its size, as the target is promised. */
static int run_one(const char *data, size_t size) {
        _cleanup_free_ uint8_t *exact = malloc(size);

        if (!exact && size)
                return -ENOMEM;
        if (size)
                memcpy(exact, data, size);
        (void)fuzz_one(exact, size);
        return 0;
}

static int run_file(int dirfd, const char *name) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        r = fd_read_regular_at(dirfd, name, INPUT_MAX, &data, &size, NULL, NULL);
        if (r < 0) {
                fprintf(stderr, "Cannot read %s: %s\n", name, strerror(-r));
                return r;
        }
        for (uint64_t i = 0; i <= arg_mutations; i++) {
                _cleanup_buf_ Buf b = BUF_INIT;

                (void)snprintf(where, sizeof(where), "crashed: %s, variant %llu, -s %llu\n", name,
                               (unsigned long long)i, (unsigned long long)arg_seed);
                buf_append(&b, data, size);
                /* Each variant has a state of its own: it does not depend on those before it. */
                random_state = (arg_seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
                for (size_t k = i ? 1 + below(4) : 0; k > 0 && b.len < INPUT_MAX; k--)
                        mutate(&b);
                r = buf_error(&b) ?: run_one(b.data, b.len);
                if (r < 0) {
                        fprintf(stderr, "Cannot run %s: %s\n", name, strerror(-r));
                        return r;
                }
        }
        return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name); /* alphasort() asks the locale */
}

static int not_hidden(const struct dirent *e) { return e->d_name[0] != '.'; }

static int run_directory(const char *path, uint64_t *files) {
        _cleanup_fd_ int fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        struct dirent **entries = NULL;
        int n, r = 0;

        n = fd < 0 ? -1 : scandirat(fd, ".", &entries, not_hidden, by_name);
        if (n < 0) {
                r = -errno;
                fprintf(stderr, "Cannot list %s: %m\n", path);
                return r;
        }
        for (int i = 0; i < n; i++) {
                if (r >= 0) {
                        r = run_file(fd, entries[i]->d_name);
                        ++*files;
                }
                free(entries[i]);
        }
        free(entries);
        return r;
}

int main(int argc, char **argv) {
        uint64_t files = 0;
        int c;

        while ((c = getopt(argc, argv, "n:s:")) >= 0)
                if (c == '?' || num_parse_u64(optarg, c == 'n' ? &arg_mutations : &arg_seed) < 0) {
                        fprintf(stderr, "usage: %s [-n MUTATIONS] [-s SEED] FILE|DIRECTORY...\n", argv[0]);
                        return 2;
                }
        (void)signal(SIGABRT, on_crash);
        (void)signal(SIGSEGV, on_crash);
        for (int i = optind; i < argc; i++) {
                struct stat st;
                int r;

                if (stat(argv[i], &st) >= 0 && S_ISDIR(st.st_mode))
                        r = run_directory(argv[i], &files);
                else {
                        r = run_file(AT_FDCWD, argv[i]);
                        files++;
                }
                if (r < 0)
                        return 1;
        }
        printf("%llu files, %llu variants of each, seed %llu\n", (unsigned long long)files,
               (unsigned long long)arg_mutations, (unsigned long long)arg_seed);
        return files ? 0 : 1; /* an empty corpus proves nothing */
}
