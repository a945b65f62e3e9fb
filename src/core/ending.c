/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who killed it?
 *
 * The kernel's word is a wait status. A SIGKILL says nothing of its sender, so what is known of the moment decides: the guard's
 * own acts first, for a stop that was not heeded ends in a kill, and then the cgroup's count of OOM kills. What ends by itself after the
 * guard told it to stop has obeyed: that, too, was the guard.
 */

#include <string.h>

#include "ending.h"

#define SIGNAL_KILL 9 /* the numbers are the same on every machine */

static unsigned signal_of(const Ending *e) { return e->code & 0x7f; }

const char *ending_cause_to_string(EndingCause c) {
        static const char *const names[_ENDING_MAX] = {
                [ENDING_UNKNOWN] = "unknown", [ENDING_EXIT] = "exit", [ENDING_SIGNAL] = "signal",
                [ENDING_CORE] = "core",       [ENDING_OOM] = "oom",   [ENDING_OURS] = "bailiff",
        };

        return names[c];
}

EndingCause ending_cause(const Ending *e) {
        if (e->ours)
                return ENDING_OURS;
        if (!e->known)
                return ENDING_UNKNOWN;
        if (signal_of(e) == 0)
                return ENDING_EXIT;
        if (signal_of(e) == SIGNAL_KILL && e->oom)
                return ENDING_OOM;
        return e->code & 0x80 ? ENDING_CORE : ENDING_SIGNAL;
}

void ending_format(const Ending *e, Buf *b) {
        unsigned s = signal_of(e);
        const char *name = s ? sigabbrev_np((int)s) : NULL;

        if (!e->known)
                buf_puts(b, "how is not known, for the kernel's word of it was lost");
        else if (s == 0)
                buf_printf(b, "exit status %u", e->code >> 8 & 0xff);
        else if (name)
                buf_printf(b, "SIG%s", name);
        else
                buf_printf(b, "signal %u", s);
        switch (ending_cause(e)) {
        case ENDING_OURS:
                buf_puts(b, ", after bailiff had told it to");
                break;
        case ENDING_OOM:
                buf_puts(b, ", by the kernel, for memory (OOM)");
                break;
        case ENDING_CORE:
                buf_puts(b, ", core dumped");
                break;
        case ENDING_SIGNAL:
                if (s == SIGNAL_KILL)
                        buf_puts(b, e->unread ? ", by somebody else than bailiff (whether by the kernel, for "
                                                "memory, could "
                                                "not be read any more)"
                                              : ", by somebody else than bailiff, not for memory");
                break;
        default:
                break;
        }
}
