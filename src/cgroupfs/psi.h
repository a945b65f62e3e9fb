/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * PSI triggers (adapter: cgroupfs; Documentation/accounting/psi.rst). An fd
 * that is ready for EPOLLPRI when stall within the window went over the
 * threshold, at most once a window. With CAP_SYS_RESOURCE any window from 500 ms; without it the kernel wants
 * multiples of 2 s, which psi_trigger_open() then falls back to.
 *
 * The fd of a removed cgroup signals EPOLLERR for ever: whoever polls it must drop the fd then
 * (psi_trigger_is_dead()).
 */

#include <sys/epoll.h>

#include "cgfile.h"
#include "macro.h"

typedef enum PsiResource { PSI_CPU, PSI_MEMORY, PSI_IO, _PSI_MAX } PsiResource;
const char *psi_resource_to_string(PsiResource r); /* "cpu" "memory" "io" */

#define PSI_WINDOW_MIN (500 * USEC_PER_MSEC)
#define PSI_WINDOW_MAX (10 * USEC_PER_SEC)
#define PSI_WINDOW_STEP (2 * USEC_PER_SEC) /* without CAP_SYS_RESOURCE */

/* What the kernel takes (pure): the window within its bounds, a multiple of PSI_WINDOW_STEP if not privileged; the stall
 * from 1 to that. */
void psi_trigger_bound(bool privileged, usec_t *stall, usec_t *window);

/*
 * "some STALL WINDOW" on the cgroup's file, or with cgroup false on pressure/RESOURCE below dirfd (/proc). stall is
 * bounded to 1..window, the window to what the kernel takes. A longer window than asked for has the stall
 * that was asked for. 0; CG_GONE: the cgroup went; -EOPNOTSUPP, -ENOENT: no PSI here; other errno.
 */
int psi_trigger_open(int dirfd, bool cgroup, PsiResource r, usec_t stall, usec_t window, int *ret_fd);
static inline bool psi_trigger_is_dead(uint32_t revents) { return revents & (EPOLLERR | EPOLLHUP); }
