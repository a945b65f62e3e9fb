/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lines of /proc/PID/mountinfo (proc(5)), for host.c and block.c.
 */

#include <stdio.h>
#include <sys/types.h>

#include "macro.h"

typedef struct Mount {
        uint64_t id;
        dev_t dev; /* of the super block; st_dev of its files may differ (btrfs) */
        /* Borrowed from the line; unescaped, but for the options. */
        const char *root, *mount_point, *fstype, *source;
        const char *super_options; /* "rw,nsdelegate" */
} Mount;

/* Takes a line apart in place. 0 or -EINVAL (*ret is then untouched). */
int mount_parse(char *line, Mount *ret);
/* Is there an option `name` or `name=…` among the super block's? */
bool mount_has_option(const Mount *m, const char *name);
/* The value of `name=…` as the one who mounted it gave it, the caller's; a
 * comma within is `\,`. 1, 0: not there, -ENOMEM. */
int mount_get_option(const Mount *m, const char *name, char **ret);

typedef struct MountReader {
        FILE *file;
        char *line;
        size_t alloc;
} MountReader;

/* proc: "/proc"; reads self/mountinfo below it. Negative errno. */
int mount_reader_init(MountReader *r, const char *proc);
void mount_reader_deinit(MountReader *r);
/* 1: *ret is valid until the next call, 0: end, negative errno. Lines that are
 * no mounts are skipped. */
int mount_reader_next(MountReader *r, Mount *ret);
