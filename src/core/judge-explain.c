/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Why nothing is done about a party, or to it: the last step's findings of one resource, as a sentence. What
 * comes first is what a person asks about first: what stands on it, then what it suffers,
 * then what it was blamed for. Percentages are of the pressure window.
 */

#include "judge.h"
#include "tier.h"

static void put_percent(Buf *out, unsigned permyriad) {
        buf_printf(out, "%u.%u %%", permyriad / 100, permyriad / 10 % 10);
}

static const char *stall_of(Resource r) {
        switch (r) {
        case RESOURCE_CPU:
                return "waits for CPUs";
        case RESOURCE_MEMORY:
                return "waits for memory";
        case RESOURCE_IO:
                return "waits for IO";
        default:
                return "is short of tasks";
        }
}

static void put_rung(const PartyMemory *m, Resource r, Buf *out) {
        const Ladder *l = &m->ladders[r];

        if (l->dry)
                buf_printf(
                        out,
                        "would be held back for what others suffer (%s, at %s; its mode does not allow it)",
                        resource_to_string(r), ladder_rung_to_string(l->rung));
        else if (ladder_holds(l))
                buf_printf(out, "is held back for what others suffer (%s, at %s)", resource_to_string(r),
                           ladder_rung_to_string(l->rung));
        else
                buf_printf(out, "is watched for what others suffer (%s, at %s)", resource_to_string(r),
                           ladder_rung_to_string(l->rung));
        if (m->told_at[r] != 0)
                buf_printf(out, ": %s", act_why_text(m->told[r].why));
}

static void put_threshold(const Harm *h, Buf *out) {
        buf_puts(out, " (target ");
        put_percent(out, h->target);
        if (h->baseline > 0) {
                buf_puts(out, ", normal ");
                put_percent(out, h->baseline);
        }
        buf_putc(out, ')');
}

static void put_outcome(const PartyMemory *m, Resource r, Buf *out) {
        if (m->outcome_at[r] != m->harm_seen)
                return;
        if (m->outcome[r] == BLAME_CULPRIT)
                buf_puts(out, ", and whoever does it is being held back");
        else
                buf_printf(out, ", but nobody is held back; of the one with the highest score: %s",
                           blame_why_text(m->outcome[r]));
}

static void put_harm(const PartyMemory *m, Resource r, Buf *out) {
        const Harm *h = &m->harm[r];

        switch (h->class) {
        case HARM_OWN:
                buf_printf(out, "%s ", stall_of(r));
                put_percent(out, h->share);
                buf_printf(out, " of the time by its own doing: %s", harm_why_text(h->why));
                break;
        case HARM_MIXED:
                buf_printf(out, "%s ", stall_of(r));
                put_percent(out, h->share);
                buf_printf(out, " of the time, and it is not clear enough whose doing that is: %s",
                           harm_why_text(h->why));
                break;
        case HARM_EXTERNAL:
                buf_printf(out, "%s ", stall_of(r));
                put_percent(out, h->share);
                buf_printf(out, " of the time because of others: %s", harm_why_text(h->why));
                put_outcome(m, r, out);
                break;
        default:
                buf_printf(out, "is not hurt: it %s ", stall_of(r));
                put_percent(out, h->share);
                buf_printf(out, " of the time; %s", harm_why_text(h->why));
        }
        put_threshold(h, out);
}

static void put_blame(const PartyMemory *m, Resource r, Buf *out) {
        if (m->blamed_at[r] != m->harm_seen || m->blamed[r] == BLAME_CULPRIT)
                return;
        buf_puts(out, "; others are hurt, and of it as a candidate (");
        put_percent(out, m->score[r]);
        buf_printf(out, " above its entitlement): %s", blame_why_text(m->blamed[r]));
}

void judge_explain(const PartyMemory *m, Resource r, const char *name, Buf *out) {
        buf_printf(out, "%s ", name);
        if ((unsigned)r >= _RESOURCE_MAX || m->harm_seen == 0) {
                buf_puts(out, "was not looked at yet.");
                return;
        }
        if (m->ladders[r].rung != RUNG_NONE) {
                put_rung(m, r, out);
                buf_puts(out, "; it ");
        }
        put_harm(m, r, out);
        put_blame(m, r, out);
        buf_putc(out, '.');
}

void judge_explain_quiet(const char *name, Buf *out) {
        buf_printf(out, "%s is not hurt: it is quiet; it waits for CPUs, memory or IO less than ", name);
        put_percent(out, TIER_ACTIVE_STALL_PERMYRIAD);
        buf_puts(out, " of the time, and uses less than ");
        put_percent(out, TIER_ACTIVE_CPU_PERMYRIAD);
        buf_puts(out, " of a CPU.");
}
