/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Integers and checksums in files: little-endian whatever the machine is; FNV-1a, 64 bit, which is
 * against torn and truncated files and editors, no more.
 */

#include "macro.h"

void bytes_put_le(uint8_t *to, size_t n, uint64_t v); /* n ≤ 8 */
uint64_t bytes_get_le(const uint8_t *from, size_t n);

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
/* h: FNV_BASIS, or what an earlier part gave. */
uint64_t bytes_fnv1a(uint64_t h, const void *data, size_t n);
