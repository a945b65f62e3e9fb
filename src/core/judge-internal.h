/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the judge's files share. */

#include "judge.h"

#define JUDGE_GROUPS_MAX 8 /* of a step; the worst ones */

typedef struct JudgeGroup {
        Resource resource;
        dev_t dev;
        const Harm **victims;
        size_t n;
        const Harm *worst[VERDICT_VICTIMS_MAX]; /* of them, the worst first */
        unsigned n_worst;
        uint64_t weight;
        bool told; /* somebody is held back, or it was said that nobody is */
        Blame blame;
} JudgeGroup;

typedef struct JudgeStep {
        Judge *judge;
        const JudgeOps *ops;
        const Scene *scene;
        Verdict *out;
        unsigned n, n_groups, n_throttled;
        size_t n_victims;
        bool killed; /* one verdict of this step kills */
} JudgeStep;

/* judge.c */
const Settings *judge_settings(const Party *p); /* built-in ones where it has none */
Mode judge_mode(const Scene *s, const Party *p);
/* NULL: no room. */
Verdict *judge_add_verdict(JudgeStep *t, ActKind kind, ActWhy why, Resource r);
void judge_show_victims(Verdict *v, const JudgeGroup *g);

/* judge-look.c: in this order, before anything else */
void judge_look(JudgeStep *t);
void judge_form_groups(JudgeStep *t);
void judge_add_to_group(JudgeGroup *g, const Harm *h);
/* Whether an external harm is one still, by the last look. */
bool judge_goes_on(const JudgeStep *t, const Harm *h);
/* Whether the party of that id is harmed by others, by the window, and by may be held back for its sake; raises *share to its share. */
bool judge_still_hurt(const JudgeStep *t, const Party *by, Resource r, uint64_t id, unsigned *share);

static inline const Harm *judge_harm_of(const JudgeStep *t, uint32_t party, int r) {
        return &t->judge->harms[(size_t)party * _RESOURCE_MAX + (size_t)r];
}

/* judge-climb.c: in this order */
void judge_run_forbidden(JudgeStep *t);
void judge_run_group(JudgeStep *t, JudgeGroup *g);
void judge_run_holders(JudgeStep *t);
