/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the guard and the names helper say to each other (names.c, names-helper.c).
 * Both ends are the same binary, so plain structures. */

#include "names.h"

#define NAMES_ID_MAX 255
#define NAMES_CGROUP_MAX 4096
#define NAMES_CHUNK_MAX (32 * 1024)

typedef struct NamesAsk {
        uint64_t seq;
        uint32_t engine;
        uint32_t rootless;
        uint32_t uid;
        uint32_t id_len, cgroup_len; /* each followed by its NUL */
} NamesAsk;

typedef struct NamesChunk {
        uint64_t seq;
        uint32_t offset, total;
        uint32_t instalment; /* 0: files only, another one follows; 1: the last */
} NamesChunk;

/* The helper's main(), see child_start(). user is its NamesConfig. */
int names_helper_main(int fd, void *user);
