/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The measured part of `show`: how often it is looked at and why, how fast it
 * uses what, the links of the host that lead to it, what it waits for now and what is normal for it, its peaks and how far they can be trusted, and
 * the books: of a container since it is known, of a tenant with its dead and with what nobody saw.
 */

#include <stdio.h>

#include "books.h"
#include "num.h"
#include "screens.h"
#include "value.h"

static const char *why_text(const char *why) {
        static const struct {
                const char *why, *text;
        } texts[] = {
                { "new", "it is new" },
                { "cpu", "it uses CPU" },
                { "stall", "it waits for something" },
                { "io", "it does IO" },
                { "memory", "its memory changes" },
                { "limit", "a limit was hit" },
                { "trigger", "the kernel said that it stalls" },
                { "asked", "somebody looks at it" },
                { "quiet", "nothing happens in it" },
        };

        for (size_t i = 0; why && i < ARRAY_SIZE(texts); i++)
                if (STR_EQ(texts[i].why, why))
                        return texts[i].text;
        return why;
}

static void looks(const json_t *m, const View *v) {
        const char *tier = json_text(m, "tier"), *why = why_text(json_text(m, "tier_why"));
        char when[SAY_MAX];

        if (tier)
                say_field(v, "Looks", STYLE_PLAIN, "%s (%s)%s%s; the last at %s%s",
                          STR_EQ(tier, "hot") ? "each second" : "each ten seconds", tier, why ? ": " : "",
                          why ? why : "", say_time(json_number(m, "time"), when),
                          json_flag(m, "trigger") ? "; the kernel wakes us when it stalls" : "");
}

static void rates_line(const json_t *rates, const View *v) {
        char cpu[SAY_MAX], read[SAY_MAX], written[SAY_MAX], span[SAY_MAX];
        _cleanup_buf_ Buf b = BUF_INIT;

        if (json_has(rates, "cpu_permyriad"))
                buf_printf(&b, "CPU %s", say_permyriad(json_number(rates, "cpu_permyriad"), cpu));
        if (json_has(rates, "io_read_bytes") || json_has(rates, "io_write_bytes"))
                buf_printf(&b, "%sread %s/s (%llu/s), written %s/s (%llu/s)", b.len ? ", " : "",
                           say_size(json_number(rates, "io_read_bytes"), read),
                           (unsigned long long)json_number(rates, "io_read_ops"),
                           say_size(json_number(rates, "io_write_bytes"), written),
                           (unsigned long long)json_number(rates, "io_write_ops"));
        if (b.len > 0 && json_has(rates, "span_usec"))
                buf_printf(&b, ", over %s", say_span(json_number(rates, "span_usec"), span));
        if (b.len > 0)
                say_field(v, "Rates", STYLE_PLAIN, "%s", buf_str(&b));
}

static void put_rate(Buf *b, const json_t *rates, const char *key, const char *text) {
        uint64_t n = json_number(rates, key);

        if (n > 0)
                buf_printf(b, ", %llu/s %s", (unsigned long long)n, text);
}

/* Whose it is; of its own, and of a tenant's containers together, how fast. */
static void network(const json_t *m, const View *v) {
        const json_t *rates = json_member(m, "rates"), *n = json_member(m, "network");
        const char *state = json_text(n, "state"), *with = json_text(n, "counted_at_name");
        char received[SAY_MAX], sent[SAY_MAX];
        _cleanup_buf_ Buf b = BUF_INIT;

        if (state && STR_EQ(state, "host"))
                buf_puts(&b, "the host's: what it sends and receives is not counted");
        else if (state && STR_EQ(state, "shared"))
                buf_printf(&b, "that of %s, and counted there", with ? with : "another container");
        else if (json_has(rates, "network_receive_bytes")) {
                buf_printf(&b, "received %s/s (%llu packets/s), sent %s/s (%llu packets/s)",
                           say_size(json_number(rates, "network_receive_bytes"), received),
                           (unsigned long long)json_number(rates, "network_receive_packets"),
                           say_size(json_number(rates, "network_transmit_bytes"), sent),
                           (unsigned long long)json_number(rates, "network_transmit_packets"));
                put_rate(&b, rates, "network_receive_packets_dropped", "dropped on arrival");
                put_rate(&b, rates, "network_transmit_packets_dropped", "dropped on sending");
                put_rate(&b, rates, "network_receive_errors", "errors on arrival");
                put_rate(&b, rates, "network_transmit_errors", "errors on sending");
        } else if (state && STR_EQ(state, "unknown"))
                buf_puts(&b, "not known: it has no process that could be asked");
        if (b.len > 0)
                say_field(v, "Network", STYLE_PLAIN, "%s", buf_str(&b));
}

static void put_link_count(Buf *b, const json_t *traffic, const char *key, const char *text, bool always) {
        uint64_t n = json_number(traffic, key);

        if (n > 0 || always)
                buf_printf(b, ", %llu %s", (unsigned long long)n, text);
}

/* The links by which it is reached, one a line: drops there are in none of its own counters. */
static void host_side(const json_t *o, const View *v) {
        const json_t *links = json_member(o, "links"), *l;
        const char *error = json_text(o, "links_error"),
                   *network = json_text(json_member(json_member(o, "measured"), "network"), "state");
        uint64_t n = json_array_size(links), all = json_number(o, "links_all");
        size_t i;

        json_array_foreach(links, i, l) {
                const char *name = json_text(l, "name"), *master = json_text(l, "master"),
                           *state = json_text(l, "state");
                const json_t *to = json_member(l, "to_container"), *from = json_member(l, "from_container");
                bool well = !state || STR_EQ(state, "up") || STR_EQ(state, "unknown");
                _cleanup_buf_ Buf b = BUF_INIT;

                buf_puts(&b, name ? name : "?");
                if (master)
                        buf_printf(&b, " on %s", master);
                if (!well)
                        buf_printf(&b, " (%s)", state);
                put_link_count(&b, to, "dropped", "dropped towards it", true);
                put_link_count(&b, from, "dropped", "dropped from it", true);
                put_link_count(&b, to, "errors", "errors towards it", false);
                put_link_count(&b, from, "errors", "errors from it", false);
                say_field(v, i == 0 ? "Host side" : "", well ? STYLE_PLAIN : STYLE_WARN, "%s", buf_str(&b));
        }
        if (n > 0 && all > n)
                say_field(v, "", STYLE_DIM, "and %llu more links", (unsigned long long)(all - n));
        if (error)
                say_field(v, "Host side", STYLE_DIM, "not known: %s", error);
        else if (json_is_array(links) && n == 0 && network && !STR_EQ(network, "host"))
                say_field(v, "Host side", STYLE_DIM, "no link of the host leads to it");
}

/* One line per resource: some, full, and what is normal for it. */
static void pressure(const json_t *m, const View *v) {
        static const char *const resources[] = { "cpu", "memory", "io", "irq" };
        const json_t *rates = json_member(m, "rates"), *calm = json_member(m, "baselines");
        const char *key = "Pressure";

        for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
                char some[SAY_MAX], full[SAY_MAX], a[SAY_MAX], b[SAY_MAX], normal[SAY_MAX];
                _cleanup_buf_ Buf line = BUF_INIT;
                uint64_t now;

                (void)snprintf(some, sizeof(some), "%s_some_permyriad", resources[i]);
                (void)snprintf(full, sizeof(full), "%s_full_permyriad", resources[i]);
                if (!json_has(rates, some) && json_number(rates, full) == 0)
                        continue;
                now = json_number(rates, json_has(rates, some) ? some : full);
                buf_printf(&line, "%s", resources[i]);
                if (json_has(rates, some))
                        buf_printf(&line, " some %s", say_permyriad(json_number(rates, some), a));
                if (json_has(rates, full))
                        buf_printf(&line, " full %s", say_permyriad(json_number(rates, full), b));
                if (json_has(calm, resources[i]))
                        buf_printf(&line, ", in calm %s (of %llu days)",
                                   say_permyriad(json_number(calm, resources[i]), normal),
                                   (unsigned long long)json_number(calm, "days"));
                else if (json_is_object(calm) && json_member(calm, resources[i]))
                        buf_puts(&line, ", in calm not known yet");
                say_field(v, key, pressure_style(now), "%s", buf_str(&line));
                key = "";
        }
}

static void memory(const json_t *m, const View *v) {
        const json_t *s = json_member(m, "sample");
        const char *kind = json_text(m, "peak_kind");
        char size[SAY_MAX];
        _cleanup_buf_ Buf b = BUF_INIT;

        if (json_has(m, "working_set_bytes"))
                buf_printf(&b, "working set %s", say_size(json_number(m, "working_set_bytes"), size));
        if (json_has(s, sample_info(SAMPLE_ANON)->name))
                buf_printf(&b, "%sanonymous %s", b.len ? ", " : "",
                           say_size(json_number(s, sample_info(SAMPLE_ANON)->name), size));
        if (json_has(s, sample_info(SAMPLE_MEMORY_PEAK)->name))
                buf_printf(&b, "%speak since the look before %s%s", b.len ? ", " : "",
                           say_size(json_number(s, sample_info(SAMPLE_MEMORY_PEAK)->name), size),
                           !kind || STR_EQ(kind, "none") ? ""
                           : STR_EQ(kind, "sampled")     ? " (or more: only looks tell)"
                                                         : " (exact)");
        if (b.len > 0)
                say_field(v, "Memory", STYLE_PLAIN, "%s", buf_str(&b));
}

static void throttling(const json_t *m, const View *v) {
        const json_t *rates = json_member(m, "rates"), *s = json_member(m, "sample");
        uint64_t now = json_number(rates, "throttled_permyriad"),
                 all = json_number(s, sample_info(SAMPLE_CPU_THROTTLED_USEC)->name);
        char share[SAY_MAX], time[SAY_MAX];

        if (now > 0 || all > 0)
                say_field(v, "Throttled", now > 0 ? STYLE_WARN : STYLE_PLAIN,
                          "by its CPU quota: %s of the periods now, %s in all", say_permyriad(now, share),
                          say_span(all, time));
}

/* ---- books ---- */

static void put_count(Buf *b, const json_t *book, BookField f, const char *text) {
        uint64_t n = json_number(book, book_info(f)->name);

        if (n > 0)
                buf_printf(b, "%s%llu %s", b->len ? ", " : "", (unsigned long long)n, text);
}

static void put_span(Buf *b, const json_t *book, BookField f, const char *text) {
        uint64_t n = json_number(book, book_info(f)->name);
        char span[SAY_MAX];

        if (n > 0)
                buf_printf(b, "%s%s %s", b->len ? ", " : "", text, say_span(n, span));
}

static void put_bytes(Buf *b, const json_t *book, BookField f, const char *text) {
        uint64_t n = json_number(book, book_info(f)->name);
        char size[SAY_MAX];

        if (n > 0)
                buf_printf(b, "%s%s %s", b->len ? ", " : "", text, say_size(n, size));
}

static void book_line(const View *v, const char *key, const json_t *book) {
        uint64_t hundredths = num_muldiv(json_number(book, book_info(BOOK_MEMORY_KIB_SECONDS)->name), 100,
                                         UINT64_C(3600) * 1024 * 1024);
        _cleanup_buf_ Buf b = BUF_INIT;

        put_span(&b, book, BOOK_CPU_USEC, "CPU");
        if (hundredths > 0)
                buf_printf(&b, "%smemory %llu.%02llu GiB hours", b.len ? ", " : "",
                           (unsigned long long)(hundredths / 100), (unsigned long long)(hundredths % 100));
        put_bytes(&b, book, BOOK_PEAK_MEMORY, "peak");
        put_bytes(&b, book, BOOK_IO_RBYTES, "read");
        put_bytes(&b, book, BOOK_IO_WBYTES, "written");
        put_bytes(&b, book, BOOK_NET_RX_BYTES, "received");
        put_bytes(&b, book, BOOK_NET_TX_BYTES, "sent");
        put_count(&b, book, BOOK_NET_RX_DROPPED, "packets dropped on arrival");
        put_count(&b, book, BOOK_NET_TX_DROPPED, "on sending");
        put_span(&b, book, BOOK_CPU_SOME_USEC, "waited for CPU");
        put_span(&b, book, BOOK_MEMORY_SOME_USEC, "for memory");
        put_span(&b, book, BOOK_IO_SOME_USEC, "for IO");
        put_span(&b, book, BOOK_THROTTLED_USEC, "throttled");
        put_count(&b, book, BOOK_HITS_MEMORY_HIGH, "times at MemoryHigh");
        put_count(&b, book, BOOK_HITS_MEMORY_MAX, "times at MemoryMax");
        put_count(&b, book, BOOK_HITS_TASKS_MAX, "forks refused");
        put_count(&b, book, BOOK_OOM_KILLS, "OOM kills");
        put_count(&b, book, BOOK_STARTS, "starts");
        put_count(&b, book, BOOK_ENDS, "ends");
        say_field(v, key, STYLE_PLAIN, "%s", b.len > 0 ? buf_str(&b) : "nothing");
}

static void tenant_books(const json_t *books, const View *v) {
        char when[SAY_MAX];

        if (!json_is_object(books))
                return;
        say_line(v, STYLE_BOLD, "Used since %s", say_time(json_number(books, "since"), when));
        book_line(v, "In all", json_member(books, "book"));
        book_line(v, "Running", json_member(books, "live"));
        book_line(v, "Ended", json_member(books, "ended"));
        book_line(v, "Unseen", json_member(books, "unseen"));
}

void screen_measured(const json_t *object, const View *v) {
        const json_t *m = json_member(object, "measured"), *rates = json_member(m, "rates");

        if (json_object_size(m) > 0) {
                say_line(v, STYLE_BOLD, "Measured");
                looks(m, v);
                rates_line(rates, v);
                network(m, v);
                host_side(object, v);
                pressure(m, v);
                memory(m, v);
                throttling(m, v);
        }
        if (json_is_object(json_member(object, "book")))
                book_line(v, "Used", json_member(object, "book"));
        tenant_books(json_member(object, "books"), v);
}
