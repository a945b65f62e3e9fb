/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* openapi.json, as it is served and installed; made by the build. */

#include <stddef.h>

extern const char openapi_text[];
extern const size_t openapi_len;
