/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether JSON is as openapi.json says; shared by a unit test and a tool of the scenarios. */

#include <jansson.h>

#include "buf.h"

/* What is wrong, a line each, with the place in the value. Stricter than the description is for others: a member that is not described
 * is wrong, too. document: where $ref leads to. */
void schema_check(const json_t *document, const json_t *schema, const json_t *value, const char *place,
                  Buf *wrong);
/* The schema of a path's answer of 200; NULL: none. */
const json_t *schema_of_path(const json_t *document, const char *path);
