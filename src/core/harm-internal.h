/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Shared by harm.c, harm-cpu.c, harm-memory.c, harm-io.c and harm-host.c only. */

#include "judge.h"

/* One harm_judge(). */
typedef struct HarmCase {
        const Scene *scene;
        const FairShare *fair;
        uint32_t index;
        const Party *party;
        const Window *window;
        usec_t width;
        const Harm *before; /* NULL: none */
        Harm *harm; /* of class HARM_NONE until something is found */
} HarmCase;

/* ---- harm.c ---- */

usec_t harm_width(const Party *p);
/* How far v is beyond `line` on the way to `end` (which may be below it), permyriad. */
unsigned harm_margin(uint64_t v, uint64_t line, uint64_t end);
unsigned harm_confidence(const HarmCase *c, unsigned beyond);
/* A finding; beyond: harm_margin() of what decided. */
void harm_set_class(const HarmCase *c, HarmClass class, HarmWhy why, unsigned beyond);
void harm_own(const HarmCase *c, HarmWhy why, unsigned part, unsigned beyond);
/* Something that would have to be known is not: mixed. */
void harm_cannot_tell(const HarmCase *c);
/* The step before found this to be its own doing. */
bool harm_was(const HarmCase *c, HarmWhy why);
/* Whose ceiling the one of this level is: ours, its own, or that of a group above. */
HarmWhy harm_ceiling_why(const HarmCase *c, uint32_t level, Lever lever, HarmWhy own_why, HarmWhy group_why);
/* Puts the group's name to a HARM_WHY_GROUP_…. */
void harm_name_ceiling(const HarmCase *c, uint32_t level, HarmWhy why);

/* ---- the resources: of a party that waits too much ---- */

void harm_judge_cpu(const HarmCase *c);
void harm_judge_memory(const HarmCase *c);
void harm_judge_io(const HarmCase *c);

/* ---- harm-host.c ---- */

void harm_judge_host_memory(const HarmCase *c);
void harm_judge_host_tasks(const HarmCase *c);
