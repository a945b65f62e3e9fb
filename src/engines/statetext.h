/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* UTF-8 (no surrogates, no overlong forms). control: C0 and C1 control characters may be in it. */
bool state_text_valid(const char *text, bool control);
/* Usable as one component of a path: not empty, not hidden, no slash, up to 255 bytes. */
bool state_id_valid(const char *id);
