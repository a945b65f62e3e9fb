/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who suffers, and whose doing it is: what all resources have in common.
 *
 * First whether: the share of time that somebody in the party waits, over its own window, against its target and one and a half
 * times what is normal for it. Once harmed it stays so until below four fifths of that, or a load at the line would
 * make a verdict each second.
 *
 * Then whose doing (harm-cpu.c, harm-memory.c, harm-io.c). Each resource has a row of questions, the ones that clear the others
 * first: is it held back by a ceiling of its own, of a group above or by us; does it get what it is entitled to; is there
 * any contention at all. Only who passes all of them is a victim. A number that is not known answers none of them:
 * then the class is mixed, for it cannot be told, and mixed is never acted upon.
 *
 * Confidence, for people: how far the number that decided is beyond its line, from 50 (on it: the toss of a coin) to
 * 100 (as far as it can be), the weakest where several had to agree; the excess over 50 shrinks as far as the window is not
 * half full yet. What is a fact (frozen, a count) is 100, mixed is 50, unknown is 0.
 */

#include "harm-internal.h"
#include "num.h"

#define PERMYRIAD 10000

usec_t harm_width(const Party *p) { return p->settings ? p->settings->pressure_window : HARM_WINDOW_DEFAULT; }

void harm_feed(const Party *p) {
        PartyMemory *m = p->memory;

        if (!p->now)
                return;
        window_feed(&m->window, p->now, harm_width(p));
        if (sample_has(p->now, SAMPLE_MEMORY))
                had_feed(&m->had,
                         num_add_sat(p->now->v[SAMPLE_MEMORY],
                                     sample_has(p->now, SAMPLE_SWAP) ? p->now->v[SAMPLE_SWAP] : 0),
                         p->now->at, m->harm[RESOURCE_MEMORY].class == HARM_NONE);
}

/* ---- findings ---- */

unsigned harm_margin(uint64_t v, uint64_t line, uint64_t end) {
        uint64_t way = end > line ? end - line : line - end, gone = 0;

        if (end > line && v > line)
                gone = v - line;
        else if (end < line && v < line)
                gone = line - v;
        return way > 0 ? (unsigned)MIN_OF(num_muldiv(gone, PERMYRIAD, way), (uint64_t)PERMYRIAD) : 0;
}

unsigned harm_confidence(const HarmCase *c, unsigned beyond) {
        usec_t half = MAX_OF(c->width / 2, (usec_t)1);

        return 50 + (unsigned)num_muldiv((uint64_t)50 * beyond, MIN_OF(window_span(c->window), half), half) /
                            PERMYRIAD;
}

void harm_set_class(const HarmCase *c, HarmClass class, HarmWhy why, unsigned beyond) {
        c->harm->class = class;
        c->harm->why = why;
        c->harm->confidence = class == HARM_MIXED ? 50 : harm_confidence(c, beyond);
}

void harm_own(const HarmCase *c, HarmWhy why, unsigned part, unsigned beyond) {
        c->harm->own = part;
        harm_set_class(c, HARM_OWN, why, beyond);
}

void harm_cannot_tell(const HarmCase *c) {
        harm_set_class(c, HARM_MIXED, HARM_WHY_UNKNOWN, 0);
        c->harm->confidence = 0;
}

bool harm_was(const HarmCase *c, HarmWhy why) {
        return c->before && c->before->class == HARM_OWN && c->before->why == why;
}

HarmWhy harm_ceiling_why(const HarmCase *c, uint32_t level, Lever lever, HarmWhy own_why, HarmWhy group_why) {
        if (c->scene->parties[level].leased[lever])
                return HARM_WHY_OUR_LEASE;
        return level == c->index ? own_why : group_why;
}

void harm_name_ceiling(const HarmCase *c, uint32_t level, HarmWhy why) {
        if (why == HARM_WHY_GROUP_QUOTA || why == HARM_WHY_GROUP_MEMORY)
                c->harm->why_party = level;
}

/* ---- parties ---- */

static const struct {
        SampleField some;
        BaselineResource baseline;
        unsigned target; /* where there are no settings; else pressure_target[index] */
        unsigned index;
        void (*judge)(const HarmCase *c);
} kinds[] = {
        [RESOURCE_CPU] = { SAMPLE_CPU_SOME, BASELINE_CPU, HARM_TARGET_DEFAULT_CPU, 0, harm_judge_cpu },
        [RESOURCE_MEMORY] = { SAMPLE_MEMORY_SOME, BASELINE_MEMORY, HARM_TARGET_DEFAULT_MEMORY, 2,
                              harm_judge_memory },
        [RESOURCE_IO] = { SAMPLE_IO_SOME, BASELINE_IO, HARM_TARGET_DEFAULT_IO, 1, harm_judge_io },
};

/* Whether it waits too much at all; else why not is set. */
static bool waits_too_much(const HarmCase *c, Resource resource) {
        const Party *p = c->party;
        unsigned days, line, floor;
        bool harmed;
        Harm *h = c->harm;

        h->target =
                p->settings ? p->settings->pressure_target[kinds[resource].index] : kinds[resource].target;
        if (p->baseline)
                (void)baseline_get(p->baseline, kinds[resource].baseline, &h->baseline, &days);
        if (!window_share(c->window, kinds[resource].some, c->width, &h->share))
                return false; /* HARM_WHY_UNKNOWN */
        floor = h->baseline * HARM_ABOVE_BASELINE / 100;
        line = MAX_OF(h->target, floor);
        h->calm = num_muldiv(h->share, 100, HARM_CALM) < line;
        harmed = c->before && c->before->class != HARM_NONE;
        if (harmed ? !h->calm : h->share >= h->target && h->share > floor)
                return true;
        h->why = num_muldiv(h->share, 100, harmed ? HARM_CALM : 100) < h->target ? HARM_WHY_BELOW_TARGET
                                                                                 : HARM_WHY_BASELINE;
        h->confidence = harm_confidence(c, harm_margin(h->share, line, 0));
        return false;
}

static void judge_party(const HarmCase *c, Resource resource) {
        const Party *p = c->party;
        usec_t grace = p->settings ? p->settings->startup_grace : HARM_GRACE_DEFAULT;
        bool frozen = p->now && p->now->v[SAMPLE_FROZEN] != 0;

        if (!waits_too_much(c, resource))
                return;
        if (frozen || (p->since > 0 && c->scene->now < num_add_sat(p->since, grace))) {
                c->harm->why = frozen ? HARM_WHY_FROZEN : HARM_WHY_START_UP;
                c->harm->confidence = 100; /* it is a fact */
                c->harm->calm = true;
                return;
        }
        kinds[resource].judge(c);
}

void harm_judge(const Scene *scene, const FairShare *fair, uint32_t party, Resource resource,
                const Harm *before, Harm *ret) {
        const Party *p = &scene->parties[party];
        Harm h = { .party = party,
                   .id = p->id,
                   .resource = resource,
                   .class = HARM_NONE,
                   .why = HARM_WHY_UNKNOWN,
                   .why_party = NO_PARTY,
                   .calm = true };
        HarmCase c = { scene, fair, party, p, &p->memory->window, harm_width(p), before, &h };

        switch (p->kind) {
        case PARTY_HOST:
                if (resource == RESOURCE_MEMORY)
                        harm_judge_host_memory(&c);
                else if (resource == RESOURCE_PIDS)
                        harm_judge_host_tasks(&c);
                break;
        case PARTY_CONTAINER:
        case PARTY_SERVICE:
                if (resource != RESOURCE_PIDS)
                        judge_party(&c, resource);
                break;
        case PARTY_GROUP: /* those in it are */
        case _PARTY_MAX:
                break;
        }
        *ret = h;
}
