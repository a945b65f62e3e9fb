/* SPDX-License-Identifier: Apache-2.0 */

/* Whether an answer of bailiff-exporter is as its description says: conforms OPENAPI-FILE PATH <ANSWER. What is wrong, on stdout. */

#include <stdio.h>

#include "schema.h"

int main(int argc, char *argv[]) {
        _cleanup_buf_ Buf wrong = BUF_INIT;
        json_t *document, *answer;
        const json_t *schema;

        if (argc != 3)
                return 2;
        document = json_load_file(argv[1], 0, NULL);
        answer = json_loadf(stdin, 0, NULL);
        schema = schema_of_path(document, argv[2]);
        if (!answer || !schema)
                buf_puts(&wrong, answer ? "there is no such path\n" : "no JSON\n");
        else
                schema_check(document, schema, answer, argv[2], &wrong);
        fputs(buf_str(&wrong), stdout);
        json_decref(document);
        json_decref(answer);
        return wrong.len > 0;
}
