/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The page as a file, for the textfile collector of Prometheus' node_exporter. */

#include "macro.h"

struct Pages;

#define TEXTFILE_NAME "bailiff.prom"

/* Written beside it and renamed: a reader has the old one or the new one. Negative errno. */
int textfile_write(const char *dir, const struct Pages *pages);
/* What nobody writes any more would be told for ever. */
void textfile_remove(const char *dir);
