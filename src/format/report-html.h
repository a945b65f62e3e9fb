/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A report (report-model.h) as a page (adapter: format). */

#include <jansson.h>

#include "buf.h"

/* XHTML that needs nothing else: style and plots are in it, scripts there are none. Times are local. Appended to out; 0, -ENOMEM. */
int report_html(const json_t *report, Buf *out);
