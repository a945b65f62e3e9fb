/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Policy files as they lie on disk (adapter: store; INTERFACES.md "Files").
 * *.ini of policy.d under the given directories; a file name that appears in
 * several is taken from the first (most important) directory; all in order of
 * file name. A symlink to /dev/null masks. Backup and hidden names (".x", "x~", not *.ini) are skipped.
 */

#include "diag.h"
#include "policy.h"

#define POLICY_FILE_MAX (1024 * 1024)

typedef struct PolicyFiles {
        PolicyText *texts; /* file and text owned */
        size_t n, alloc;
} PolicyFiles;

void policy_files_deinit(PolicyFiles *f);
/* dirs: NULL-terminated, most important first, e.g. /etc/bailiff/policy.d, /run/…, /usr/lib/…; a missing directory is
 * empty. Unreadable files are errors in diags. 0 or -ENOMEM. */
int policy_files_read(const char *const *dirs, PolicyFiles *ret, Diags *diags);
/* Named files, in the given order. */
int policy_files_read_list(const char *const *paths, PolicyFiles *ret, Diags *diags);
/* Replaces the files of dir (policy.last-good) by these, so that a crash in between leaves a loadable set: written into
 * a sibling, renamed. Names: order prefix + base name. */
int policy_files_write(const char *dir, const PolicyFiles *f);
/* /etc/bailiff/policy.d, /run/bailiff/policy.d, /usr/lib/bailiff/policy.d; NULL-terminated. */
extern const char *const policy_dirs_default[];
