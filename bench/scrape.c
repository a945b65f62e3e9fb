/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a scrape costs the exporter, and what it holds: a stream of many busy containers as the guard would give it, read and
 * written into a history, then pages made of it.
 *
 *   bench-scrape DIRECTORY [CONTAINERS...]
 */

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "exporter.h"
#include "fdio.h"
#include "num.h"

#define T0 (UINT64_C(1700006400) * USEC_PER_SEC)
#define PAGES 20

static uint64_t rss_bytes(void) {
        char text[64];
        const char *p;
        uint64_t pages = 0;

        if (fd_read_at(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) <= 0 || !(p = strchr(text, ' ')))
                return 0;
        p++;
        (void)num_scan_u64(&p, text + strlen(text), &pages);
        return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int look_at_all(History *h, const uint32_t *indices, uint64_t n, uint64_t second) {
        for (uint64_t i = 0; i < n; i++) {
                Sample s = { .at = second * USEC_PER_SEC };
                int r;

                for (int f = 0; f <= SAMPLE_FROZEN; f++)
                        sample_put(&s, (SampleField)f, (second + i) * 1000003 % 9999991 + second * 77777);
                r = history_append(h, indices[i], &s, s.have, T0 + second * USEC_PER_SEC);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int fetch(History *h, Collect *c, uint64_t second, uint64_t *ret_spent) {
        uint64_t now = T0 + second * USEC_PER_SEC, before;
        _cleanup_buf_ Buf out = BUF_INIT;
        int r = history_export(h, history_reader_instance(c->reader), history_reader_cursor(c->reader), 0,
                               now, second * USEC_PER_SEC, &out);

        before = clock_usec(CLOCK_PROCESS_CPUTIME_ID);
        if (r >= 0)
                r = collect_stream(c, out.data, out.len, now);
        *ret_spent = clock_usec(CLOCK_PROCESS_CPUTIME_ID) - before;
        return r;
}

static int pages(const Pages *p, uint64_t n, uint64_t round) {
        uint64_t before = clock_usec(CLOCK_PROCESS_CPUTIME_ID);
        size_t bytes = 0;

        for (int i = 0; i < PAGES; i++) {
                _cleanup_buf_ Buf page = BUF_INIT;
                int r = pages_metrics(p, false, &page);

                if (r < 0)
                        return r;
                bytes = page.len;
        }
        printf("%llu containers: a scrape %.1f ms CPU, %.2f MB; a round of their samples %.1f ms; RSS %.1f "
               "MB\n",
               (unsigned long long)n, (double)(clock_usec(CLOCK_PROCESS_CPUTIME_ID) - before) / 1000 / PAGES,
               (double)bytes / 1e6, (double)round / 1000, (double)rss_bytes() / 1e6);
        return 0;
}

static int run(const char *dir, uint64_t n) {
        char label[] = "tenant";
        const Config config = { .containers = true, .tenant_label = label };
        _cleanup_(cleanup_history_db_free) HistoryDb *db = NULL;
        _cleanup_(cleanup_collect_free) Collect *c = NULL;
        _cleanup_(cleanup_history_free) History *h = NULL;
        _cleanup_free_ uint32_t *indices = calloc(n, sizeof(*indices));
        _cleanup_free_ char *path = NULL;
        HistoryDbOptions o = { .keep_sec = { 86400, 86400, 86400 }, .max_bytes = UINT64_C(1) << 30 };
        uint64_t spent = 0;
        int r;

        if (!indices || asprintf(&path, "%s/scrape-%llu.db", dir, (unsigned long long)n) < 0)
                return -ENOMEM;
        o.path = path;
        r = history_db_new(&o, &db);
        if (r >= 0) {
                const CollectOptions collect = { .jobs = history_jobs_at_once(db) };

                r = collect_new(&collect, &c);
        }
        if (r >= 0)
                r = history_new(1, 64 << 20, HISTORY_SPAN_USEC, &h);
        for (uint64_t i = 0; i < n && r >= 0; i++) {
                char name[64], cgroup[160];
                HistoryWho who = { HISTORY_CONTAINER, i + 2, T0, i % 2 ? "acme" : "other", name, cgroup };

                (void)snprintf(name, sizeof(name), "web-%llu", (unsigned long long)i);
                (void)snprintf(cgroup, sizeof(cgroup), "/tenant.slice/tenant-acme.slice/docker-%064llx.scope",
                               (unsigned long long)i);
                r = history_add(h, &who, &indices[i]);
        }
        for (uint64_t second = 1; second <= 40 && r >= 0; second++) {
                r = look_at_all(h, indices, n, second);
                if (r >= 0 && second % 10 == 0)
                        r = fetch(h, c, second, &spent);
        }
        if (r >= 0) {
                const Pages p = { .config = &config, .collect = c };

                r = pages(&p, n, spent);
        }
        return r;
}

int main(int argc, char *argv[]) {
        static const char *const usual[] = { "1000", "3000" };
        size_t n = argc > 2 ? (size_t)argc - 2 : ARRAY_SIZE(usual);

        if (argc < 2) {
                fprintf(stderr, "bench-scrape DIRECTORY [CONTAINERS...]\n");
                return 2;
        }
        for (size_t i = 0; i < n; i++) {
                const char *text = argc > 2 ? argv[i + 2] : usual[i];
                uint64_t containers;
                int r = num_parse_u64(text, &containers);

                if (r >= 0 && containers > 0)
                        r = run(argv[1], containers);
                if (r < 0) {
                        fprintf(stderr, "%s: %s\n", text, strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        return EXIT_SUCCESS;
}
