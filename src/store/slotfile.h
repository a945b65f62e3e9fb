/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A small file of slots that outlives its writer (adapter: store): leases.c and kills.c keep in one what must be known to the
 * next guard, however this one ends.
 *
 * All room is taken when the file is made (fallocate, mapped, locked): writing a slot allocates nothing, needs no system call and
 * cannot fail for a full /run. Each slot has two copies, written alternately, with a sequence number and a checksum: of a torn
 * write the other copy holds. The header has a checksum, the boot id, version, and the sizes of header and slot; a later version may
 * make slots longer, the known part in front stays what it is: so the next and the previous version read each other's
 * files. A file of another boot, or with an unreadable header or an incompatible version, is set aside as NAME.old.
 */

#include "macro.h"

#define SLOTFILE_COPY_MAX 8192 /* bytes; more is nonsense */
#define SLOTFILE_HEAD 16 /* bytes of each copy that are the file's own: checksum, sequence number */
#define SLOTFILE_BOOT_BYTES 64

typedef struct SlotFormat {
        const char *name, *name_old, *name_new;
        char magic[16];
        uint32_t version; /* of the oldest reader, too */
        size_t n_slots;
        size_t known_bytes; /* of a copy, head and payload, that this version knows */
        size_t copy_bytes; /* in a file that this version makes; not more than SLOTFILE_COPY_MAX */
} SlotFormat;

typedef enum SlotAside {
        SLOT_ASIDE_NONE,
        SLOT_ASIDE_BOOT, /* only of another boot */
        SLOT_ASIDE_UNREADABLE, /* nobody knows what it held; of which boot, neither */
        _SLOT_ASIDE_MAX,
} SlotAside;

typedef struct SlotHead {
        bool second; /* the copy that counts */
        uint64_t seq; /* of it; 0: none */
} SlotHead;

typedef struct SlotFile { /* embedded; the fields are slotfile.c's, but for those that are named as results */
        const SlotFormat *format;
        int dirfd;
        bool read_only;
        char boot_id[SLOTFILE_BOOT_BYTES];
        size_t header_bytes, copy_bytes;
        uint8_t *map; /* NULL: read_only */
        SlotHead *heads;
        size_t n_slots; /* result: of this file; not more than the format's */
        SlotAside aside; /* result: what became of a file that was there */
        bool locked; /* result: in memory */
} SlotFile;

/* One slot as it is on file: known_bytes of the copy that counts, its head included; all zero: never written. NULL: neither copy
 * is any good. copy is valid for the call only. */
typedef void (*SlotLoad)(void *user, size_t slot, const void *copy);

/*
 * dir must exist; boot_id of this boot. read_only: nothing is made, renamed or written; a missing file has no slots then, and
 * one that would be set aside neither. Negative errno: -ENOSPC where the room cannot be had. f needs slotfile_deinit() in any case.
 */
int slotfile_init(SlotFile *f, const SlotFormat *format, const char *dir, const char *boot_id, bool read_only,
                  SlotLoad load, void *user);
void slotfile_deinit(SlotFile *f); /* all zero is fine */
/* copy: known_bytes, whose head is ignored. keep_rest: what a later version keeps behind our payload goes on (it is the same
 * record, changed a bit); else it is zero. Not read_only. No allocation. */
void slotfile_write(SlotFile *f, size_t slot, const void *copy, bool keep_rest);
