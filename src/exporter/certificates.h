/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Certificates of exporter.conf, as they are read, and noticed when they are others. What is wrong is logged here. */

#include "settings.h"

#define CERTIFICATE_FILES 3

typedef struct Certificates {
        char *certificate, *key, *client_ca; /* PEM texts; NULL: not set */
        uint64_t until; /* s: when the certificate ends; 0: there is none */
        uint64_t marks[CERTIFICATE_FILES]; /* what the files were when they were read */
        uint64_t seen[CERTIFICATE_FILES]; /* with the last look */
        bool told_end;
} Certificates;

/* now: s since 1970. renews: one that is not valid (now) is refused; at a start it is served, and that is said. -EINVAL, and whatever
 * keeps the files from being read; *ret is as it was then. */
int certificates_load(const Config *config, uint64_t now, bool renews, Certificates *ret);
void certificates_deinit(Certificates *c);
/* Now and then: true where the files are others than those that were read, and the same as with the look before, for who renews a
 * certificate does not write all of them in one go. */
bool certificates_look(const Config *config, uint64_t now, Certificates *c);
/* Those that are there now are not to be tried again. */
void certificates_give_up(const Config *config, Certificates *c);
