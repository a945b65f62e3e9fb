/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the sample parsers say to each other (sample-parse.c, sample-io.c, sample-net.c). */

#include "sample.h"

static inline bool is_blank(char c) { return c == ' ' || c == '\t'; }
static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

/*
 * The files with devices. Put what they say into s and its bits into *got, which the caller has zeroed;
 * *understood: the text is what it should be, even if nothing could be put. 0 or -ENOMEM (io is then not complete).
 */
int sample_parse_io_stat(const char *text, size_t len, Sample *s, SampleIo *io, SampleMask *got,
                         bool *understood);
int sample_parse_diskstats(const char *text, size_t len, Sample *s, SampleIo *io, SampleMask *got,
                           bool *understood);

/* Puts the sums of /proc/PID/net/dev into s; their bits, or 0: the text is not whole. */
SampleMask sample_parse_net_dev(const char *text, size_t len, Sample *s);
