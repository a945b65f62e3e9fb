/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Strict numbers from text: no leading blanks, no sign, no trailing junk, no
 * silent overflow. 0 or -EINVAL / -ERANGE; *ret_x is untouched on failure.
 */

#include "macro.h"

int num_parse_u64(const char *s, uint64_t *ret);
int num_parse_u32(const char *s, uint32_t *ret);
/* Takes the digits at *p (not beyond end) and moves *p behind them. */
int num_scan_u64(const char **p, const char *end, uint64_t *ret);
/* Hexadecimal, no 0x. */
int num_parse_hex64(const char *s, uint64_t *ret);

/* a*b/c without overflow in between, saturating at UINT64_MAX; c must not be 0. */
uint64_t num_muldiv(uint64_t a, uint64_t b, uint64_t c);
uint64_t num_add_sat(uint64_t a, uint64_t b);
