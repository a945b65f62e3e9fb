/* SPDX-License-Identifier: Apache-2.0 */

/* The file of kills. Records are found by their numbers; the one with the lowest is written over next. */

#include <fcntl.h>
#include <unistd.h>

#include "bytes.h"
#include "fdio.h"
#include "kills.h"

#define FILE_NAME "kills"
#define BOOT_ID_BYTES 64
#define FILE_BYTES_MAX (UINT32_C(1) << 20) /* more is nonsense */
#define RECORD_BYTES_MAX 1024

static const char magic[16] = "bailiff-kills";

typedef struct FileHeader {
        uint8_t checksum[8];
        char magic[sizeof(magic)];
        uint8_t version[4], oldest_reader[4], header_bytes[4], record_bytes[4], n_records[4], reserved[4];
        char boot_id[BOOT_ID_BYTES];
} FileHeader;
_Static_assert(sizeof(FileHeader) == 112, "no padding on file");

/* All zero: never written. */
typedef struct FileRecord {
        uint8_t checksum[8], seq[8],
                at[8]; /* checksum: of the rest of the record, what a later version adds included */
        char tenant[POLICY_NAME_MAX + 1];
} FileRecord;
_Static_assert(sizeof(FileRecord) == 88, "no padding on file");

typedef struct Shape {
        size_t header_bytes, record_bytes, n_records;
} Shape;

struct Kills {
        int fd;
        Shape shape;
        uint64_t seq; /* the highest one */
        size_t next; /* record to write */
        Kill kills[KILLS_MAX];
        uint64_t seqs[KILLS_MAX]; /* of each, in order */
        size_t n;
};

#define PUT(field, v) bytes_put_le((field), sizeof(field), (v))
#define GET(field) bytes_get_le((field), sizeof(field))

/* ---- records ---- */

static uint64_t checksum_of(const void *from, size_t size) {
        return bytes_fnv1a(FNV_BASIS, (const uint8_t *)from + 8, size - 8);
}

static bool is_zero(const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (p[i])
                        return false;
        return true;
}

static void insert(Kills *k, uint64_t seq, const FileRecord *r) {
        size_t at = k->n++;

        for (; at > 0 && k->seqs[at - 1] > seq; at--) {
                k->kills[at] = k->kills[at - 1];
                k->seqs[at] = k->seqs[at - 1];
        }
        k->seqs[at] = seq;
        k->kills[at].at = GET(r->at);
        memcpy(k->kills[at].tenant, r->tenant, sizeof(r->tenant));
}

/* Those that are damaged are the first to be written over. */
static unsigned load_records(Kills *k, const uint8_t *records, usec_t now) {
        uint64_t lowest = UINT64_MAX;
        unsigned damaged = 0;

        for (size_t i = 0; i < k->shape.n_records; i++) {
                const uint8_t *from = records + i * k->shape.record_bytes;
                uint64_t seq = 0;
                FileRecord r;

                memcpy(&r, from, sizeof(r));
                if (!is_zero(from, k->shape.record_bytes)) {
                        if (GET(r.checksum) == checksum_of(from, k->shape.record_bytes) && GET(r.at) <= now &&
                            memchr(r.tenant, '\0', sizeof(r.tenant)))
                                seq = GET(r.seq);
                        damaged += seq == 0;
                        if (seq > 0)
                                insert(k, seq, &r);
                }
                if (seq < lowest) {
                        lowest = seq;
                        k->next = i;
                }
                k->seq = MAX_OF(k->seq, seq);
        }
        return damaged;
}

/* ---- the file ---- */

/* 1: ours to go on with; 0: of another boot, or a version that we cannot read; -EBADMSG: it cannot be told of which boot. */
static int check_file(const char *text, size_t len, const char *boot_id, Shape *ret) {
        FileHeader h;
        Shape s;

        if (len < sizeof(h))
                return -EBADMSG;
        memcpy(&h, text, sizeof(h));
        if (memcmp(h.magic, magic, sizeof(magic)) != 0 || GET(h.checksum) != checksum_of(&h, sizeof(h)))
                return -EBADMSG;
        if (strncmp(h.boot_id, boot_id, sizeof(h.boot_id)) != 0)
                return 0;
        s = (Shape){ GET(h.header_bytes), GET(h.record_bytes), GET(h.n_records) };
        if (GET(h.oldest_reader) > KILLS_VERSION || s.header_bytes < sizeof(h) || s.header_bytes > len ||
            s.record_bytes < sizeof(FileRecord) || s.record_bytes > RECORD_BYTES_MAX || s.n_records == 0 ||
            s.n_records > KILLS_MAX || s.header_bytes + s.n_records * s.record_bytes > len)
                return -EBADMSG;
        *ret = s;
        return 1;
}

static int make_file(int dirfd, const char *boot_id, Shape *ret) {
        const Shape s = { sizeof(FileHeader), sizeof(FileRecord), KILLS_MAX };
        size_t size = s.header_bytes + s.n_records * s.record_bytes;
        _cleanup_free_ uint8_t *data = calloc(1, size);
        FileHeader h = {};

        if (!data)
                return -ENOMEM;
        memcpy(h.magic, magic, sizeof(magic));
        PUT(h.version, KILLS_VERSION);
        PUT(h.oldest_reader, KILLS_VERSION);
        PUT(h.header_bytes, s.header_bytes);
        PUT(h.record_bytes, s.record_bytes);
        PUT(h.n_records, s.n_records);
        memcpy(h.boot_id, boot_id, strlen(boot_id));
        PUT(h.checksum, checksum_of(&h, sizeof(h)));
        memcpy(data, &h, sizeof(h));
        *ret = s;
        return fd_write_file_atomic(dirfd, FILE_NAME, data, size, 0600, false);
}

static int load(Kills *k, int dirfd, const char *boot_id, usec_t now, unsigned *ret_damaged) {
        _cleanup_free_ char *text = NULL;
        size_t len;
        int r;

        r = fd_read_regular_at(dirfd, FILE_NAME, FILE_BYTES_MAX, &text, &len, NULL, NULL);
        if (r == -ENOENT)
                return make_file(dirfd, boot_id, &k->shape);
        if (r >= 0)
                r = check_file(text, len, boot_id, &k->shape);
        if (r > 0) {
                *ret_damaged = load_records(k, (const uint8_t *)text + k->shape.header_bytes, now);
                return 0;
        }
        if (r < 0)
                *ret_damaged = KILLS_MAX;
        return make_file(dirfd, boot_id, &k->shape);
}

int kills_open(const char *dir, const char *boot_id, usec_t now, Kills **ret, unsigned *ret_damaged) {
        _cleanup_(cleanup_kills_free) Kills *k = NULL;
        _cleanup_fd_ int dirfd = -1;
        int r;

        *ret_damaged = 0;
        if (!boot_id[0] || strlen(boot_id) >= BOOT_ID_BYTES)
                return -EINVAL;
        k = calloc(1, sizeof(*k));
        if (!k)
                return -ENOMEM;
        k->fd = -1;
        dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return -errno;
        r = load(k, dirfd, boot_id, now, ret_damaged);
        if (r < 0)
                return r;
        k->fd = openat(dirfd, FILE_NAME, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (k->fd < 0)
                return -errno;
        *ret = steal_ptr(k);
        return 0;
}

Kills *kills_free(Kills *k) {
        if (k)
                (void)fd_close(k->fd);
        free(k);
        return NULL;
}

int kills_add(Kills *k, const char *tenant, usec_t at) {
        uint8_t record[RECORD_BYTES_MAX] = {};
        size_t size = k->shape.record_bytes;
        FileRecord r = {};
        ssize_t n;

        PUT(r.seq, k->seq + 1);
        PUT(r.at, at);
        memcpy(r.tenant, tenant, strnlen(tenant, sizeof(r.tenant) - 1));
        memcpy(record, &r, sizeof(r));
        bytes_put_le(record, sizeof(r.checksum), checksum_of(record, size));
        n = pwrite(k->fd, record, size, (off_t)(k->shape.header_bytes + k->next * k->shape.record_bytes));
        if (n < 0)
                return -errno;
        if ((size_t)n != size)
                return -EIO;
        k->seq++;
        k->next = (k->next + 1) % k->shape.n_records;
        return 0;
}

bool kills_get(const Kills *k, size_t i, Kill *ret) {
        if (i >= k->n)
                return false;
        *ret = k->kills[i];
        return true;
}
