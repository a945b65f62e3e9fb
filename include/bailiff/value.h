/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Values of policy and configuration files as systemd writes them
 * (systemd.syntax(7), systemd.resource-control(5), systemd.time(7)); layer:
 * model. All parsers are total, take the whole NUL-terminated text, and return
 * 0, -EINVAL or -ERANGE with *ret untouched. Checked against systemd itself in
 * tests/vm.
 */

#include <stdint.h>

#include "macro.h"

/* "512M", "1.5G", "1G 512M", "infinity" (UINT64_MAX; a number never gives it);
 * suffixes B K M G T P E, base 1024 for memory and 1000 for IO bandwidth. Blanks as
 * systemd has them: before a number and a suffix, not behind the last suffix. */
int value_parse_size(const char *s, uint64_t base, uint64_t *ret);
/* "10%", "12.5%", "0.01%", also with the signs for per mille and permyriad; in
 * permyriad (1/100 percent), up to INT32_MAX. */
int value_parse_permyriad(const char *s, uint64_t *ret);
/* "10s", "1min 30s", "500ms", "5" (seconds), "infinity": microseconds. */
int value_parse_usec(const char *s, usec_t *ret);
/* 1 yes y true t on / 0 no n false f off, in any case. */
int value_parse_boolean(const char *s, bool *ret);
/* "4/1h": a count, which may be 0, in a window, neither 0 nor infinity (KillBudget=). */
int value_parse_rate(const char *s, uint64_t *ret_count, usec_t *ret_window);
/* "2000", "2000-2099": inclusive. */
int value_parse_range(const char *s, uint64_t *ret_from, uint64_t *ret_to);

/*
 * For people, into a caller's buffer (size ≥ 1; VALUE_FORMAT_MAX holds them
 * all, less cuts). Return buf. What they print value_parse_…() reads back:
 * times exactly; sizes exactly where one decimal can say it, else rounded.
 */
#define VALUE_FORMAT_MAX 64
/* "1h", "1min 30s", "250ms", "infinity" */
const char *value_format_usec(usec_t usec, char *buf, size_t size);
/* "1.5G", "100B", "infinity"; base 1000 or 1024 */
const char *value_format_size(uint64_t v, uint64_t base, char *buf, size_t size);
const char *value_format_bytes(uint64_t bytes, char *buf, size_t size); /* base 1024 */

/* Shell-style glob (* ? [a-z] [!a-z]) over bytes, case-sensitive, '/' and a
 * leading '.' not special, no escapes beyond '\'; time at most pattern times
 * text (no exponential backtracking). A '[' that nothing closes is itself. */
bool value_glob(const char *pattern, const char *text);
/* As value_glob for patterns with exactly one '*': the part of text that it
 * stands for, as offset and length. False as well for other patterns. */
bool value_glob_capture(const char *pattern, const char *text, size_t *ret_off, size_t *ret_len);

/* Best near miss for an unknown word among n known ones, NULL if none is near
 * (more than one edit in three letters, case aside). The first of equals. */
const char *value_suggest(const char *word, const char *const *known, size_t n);
