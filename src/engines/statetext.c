/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a text from a state file must be before it travels on: people see it on
 * terminals, programs as JSON, and paths are made of it.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "statetext.h"

static size_t utf8_continuation(const unsigned char *p, uint32_t *ret_min, uint32_t *ret_first) {
        if (*p < 0x80) {
                *ret_min = 0;
                *ret_first = *p;
                return 0;
        }
        if ((*p & 0xe0) == 0xc0) {
                *ret_min = 0x80;
                *ret_first = *p & 0x1f;
                return 1;
        }
        if ((*p & 0xf0) == 0xe0) {
                *ret_min = 0x800;
                *ret_first = *p & 0x0f;
                return 2;
        }
        if ((*p & 0xf8) == 0xf0) {
                *ret_min = 0x10000;
                *ret_first = *p & 0x07;
                return 3;
        }
        return SIZE_MAX;
}

bool state_text_valid(const char *text, bool control) {
        const unsigned char *p = (const unsigned char *)text;

        while (*p) {
                uint32_t min, c;
                size_t more = utf8_continuation(p, &min, &c);

                if (more == SIZE_MAX)
                        return false;
                p++;
                for (; more > 0; more--, p++) {
                        if ((*p & 0xc0) != 0x80)
                                return false;
                        c = c << 6 | (*p & 0x3f);
                }
                if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                        return false;
                if (!control && (c < 0x20 || (c >= 0x7f && c < 0xa0)))
                        return false;
        }
        return true;
}

bool state_id_valid(const char *id) {
        size_t len = strlen(id);

        return len > 0 && len <= 255 && id[0] != '.' && !strchr(id, '/');
}
