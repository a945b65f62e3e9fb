/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who is to blame: every leaf's use above its entitlement, put in one order. There is no threshold between parties, only the order
 * decides; and whoever stands first and may not be held back ends the search, for the next one would only
 * stand in for him.
 *
 * Shares of growth and of refaults are of the sum over all candidates, so a first pass sums and a second scores.
 */

#include "blame.h"
#include "judge.h"
#include "num.h"

#define PERMYRIAD 10000
#define FORKS_PART 10
#define REST_MIN 200 /* permyriad of the host's memory: the kernel takes less than that now and then */

typedef struct Sums {
        uint64_t growth, takes, refaults, tasks;
} Sums;

static unsigned part(uint64_t v, uint64_t all) {
        return all > 0 ? (unsigned)num_muldiv(MIN_OF(v, all), PERMYRIAD, all) : 0;
}

static bool is_candidate(const Party *p) { return p->kind == PARTY_CONTAINER || p->kind == PARTY_SERVICE; }

static uint64_t gauge(const Party *p, SampleField f) {
        return p->now && sample_has(p->now, f) ? p->now->v[f] : 0;
}

/* What it took, and what it will have taken in a moment if it goes on. */
static uint64_t takes(const Candidate *c) {
        return num_add_sat(c->grown, num_muldiv(c->growth, HARM_HORIZON, USEC_PER_SEC));
}

/* Tasks: who takes more of them, and in part who only passes them through. */
static uint64_t takes_tasks(const Candidate *c) { return num_add_sat(c->growth, c->forks / FORKS_PART); }

static uint64_t per_sec(int64_t change, usec_t span) {
        return change <= 0 || span == 0 ? 0 : num_muldiv((uint64_t)change, USEC_PER_SEC, span);
}

static void measure(const Party *p, const FairShare *fair, Resource resource, Candidate *c) {
        const Window *w = &p->memory->window;
        int64_t change;

        switch (resource) {
        case RESOURCE_CPU:
                c->used = fair->cpu_used;
                c->entitled = fair->cpu_entitled;
                break;
        case RESOURCE_MEMORY:
                c->used = gauge(p, SAMPLE_MEMORY);
                c->entitled = MAX_OF(fair->memory_entitled, p->limits.memory_protected);
                c->grown = had_grown(&p->memory->had);
                c->growth = per_sec((int64_t)had_growth(&p->memory->had, w), window_span(w));
                c->refaults = num_add_sat(num_add_sat(window_per_sec(w, SAMPLE_REFAULT_ANON),
                                                      window_per_sec(w, SAMPLE_REFAULT_FILE)),
                                          window_per_sec(w, SAMPLE_PGSCAN));
                break;
        case RESOURCE_IO:
                break;
        case RESOURCE_PIDS:
                c->used = gauge(p, SAMPLE_PIDS);
                c->entitled = p->limits.tasks_max;
                if (window_change(w, SAMPLE_PIDS, &change))
                        c->growth = per_sec(change, window_span(w));
                c->growth = num_add_sat(c->growth, window_per_sec(w, SAMPLE_PIDS_EVENTS_MAX));
                c->forks = p->have_forks ? p->forks_per_sec : 0;
                break;
        default:
                break;
        }
}

static void score(const Scene *scene, const FairShare *fair, Resource resource, dev_t dev, const Sums *sums,
                  Candidate *c) {
        uint64_t above = c->used - MIN_OF(c->used, c->entitled);

        switch (resource) {
        case RESOURCE_CPU:
                /* The kernel holds it to its quota: what looks like more is caught up with in the next periods. */
                above = MIN_OF(c->used, fair[c->party].cpu_quota);
                above -= MIN_OF(above, c->entitled);
                c->used_part = part(above, (uint64_t)scene->n_cpus * USEC_PER_SEC);
                c->score = c->used_part;
                return;
        case RESOURCE_MEMORY:
                c->growth_part = part(takes(c), sums->takes);
                c->used_part = part(above, scene->memory_bytes);
                c->refault_part = part(c->refaults, sums->refaults);
                if (sums->takes == 0)
                        c->score = c->used_part * 5 / 6 + c->refault_part / 6;
                else
                        c->score = c->growth_part / 2 + c->used_part / 3 + c->refault_part / 6;
                /* Who is within what is his by right, is not to blame for needing it. */
                if (above == 0)
                        c->score = 0;
                return;
        case RESOURCE_IO:
                c->used = fair_device_part(scene, c->party, dev);
                c->entitled = fair[c->party].io_entitled;
                above = c->used - MIN_OF(c->used, c->entitled);
                c->used_part = (unsigned)MIN_OF(above, (uint64_t)PERMYRIAD);
                c->score = c->used_part;
                return;
        case RESOURCE_PIDS:
                c->growth_part = part(takes_tasks(c), sums->growth);
                /* Of all there are: who is too quiet to be in the scene has some, too. */
                c->used_part = part(c->used, MAX_OF(sums->tasks, scene->host_tasks));
                c->score = c->growth_part / 2 + c->used_part / 2;
                return;
        default:
                return;
        }
}

/* What the kernel, and whoever is in no cgroup of the scene, uses. It is not weighed against anybody: half of CPU and disk is its right. */
static void measure_rest(const Scene *scene, const FairShare *fair, const Blame *b, uint64_t cpu_explained,
                         Candidate *c) {
        usec_t span = rest_span(scene->rest);

        switch (b->resource) {
        case RESOURCE_CPU:
                c->used = fair[0].cpu_used - MIN_OF(fair[0].cpu_used, cpu_explained);
                c->entitled = c->used / 2;
                break;
        case RESOURCE_MEMORY:
                c->used = c->entitled = rest_bytes(scene->rest);
                c->grown = rest_grown(scene->rest);
                c->growth = per_sec((int64_t)rest_growth(scene->rest), span);
                if (part(takes(c), scene->memory_bytes) < REST_MIN)
                        c->grown = c->growth = 0;
                break;
        case RESOURCE_IO:
                c->used = fair_device_rest(scene, b->dev);
                c->entitled = c->used / 2;
                break;
        default:
                break;
        }
}

static void score_rest(const Scene *scene, Resource resource, const Sums *sums, Candidate *c) {
        uint64_t above = c->used - c->entitled;

        switch (resource) {
        case RESOURCE_CPU:
                c->score = part(above, (uint64_t)scene->n_cpus * USEC_PER_SEC);
                break;
        case RESOURCE_MEMORY:
                c->growth_part = part(takes(c), sums->takes);
                c->score = c->growth_part / 2;
                break;
        case RESOURCE_IO:
                c->used_part = c->score = (unsigned)above;
                break;
        default:
                break;
        }
}

static bool goes_before(const Candidate *a, const Candidate *b) {
        return a->score != b->score ? a->score > b->score : a->id < b->id;
}

static void insert(Blame *b, const Candidate *c) {
        unsigned i = b->n;

        if (b->n == CANDIDATES_MAX) {
                if (!goes_before(c, &b->candidates[b->n - 1]))
                        return;
                i--;
        } else
                b->n++;
        for (; i > 0 && goes_before(c, &b->candidates[i - 1]); i--)
                b->candidates[i] = b->candidates[i - 1];
        b->candidates[i] = *c;
}

static unsigned priority_of(const Party *p) { return p->settings ? p->settings->priority : 100; }

static bool is_only_victim(const Party *p, const Harm *const *victims, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (victims[i]->id != p->id)
                        return false;
        return n > 0;
}

bool blame_counts(const Party *p, const Party *v) {
        return v->id != p->id && (v->kind != PARTY_CONTAINER || priority_of(v) >= priority_of(p));
}

static bool hurts_its_better(const Scene *scene, const Party *p, const Harm *const *victims, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (blame_counts(p, &scene->parties[victims[i]->party]))
                        return true;
        return false;
}

static BlameWhy why(const Scene *scene, const Candidate *c, const Harm *const *victims, size_t n) {
        const Party *p;

        if (c->party == NO_PARTY)
                return BLAME_KERNEL;
        p = &scene->parties[c->party];
        if (is_only_victim(p, victims, n))
                return BLAME_VICTIM;
        if (p->kind == PARTY_SERVICE)
                return BLAME_SERVICE;
        if (p->protected_why)
                return BLAME_PROTECTED;
        if (!hurts_its_better(scene, p, victims, n))
                return BLAME_PRIORITY;
        if (p->held)
                return BLAME_HELD;
        return BLAME_CULPRIT;
}

void blame_rank(const Scene *scene, const FairShare *fair, const Harm *const *victims, size_t n,
                Resource resource, Blame *ret) {
        Sums sums = {};
        uint64_t explained = 0;
        Candidate rest = { .party = NO_PARTY, .kind = PARTY_HOST, .why = BLAME_KERNEL };

        *ret = (Blame){ .resource = resource, .culprit = NO_PARTY, .outcome = BLAME_SMALL };
        if (resource == RESOURCE_IO && n > 0)
                ret->dev = victims[0]->dev;
        for (uint32_t i = 1; i < scene->n; i++) {
                Candidate c = { .party = i };

                if (!is_candidate(&scene->parties[i]))
                        continue;
                measure(&scene->parties[i], &fair[i], resource, &c);
                sums.growth = num_add_sat(sums.growth, takes_tasks(&c));
                sums.takes = num_add_sat(sums.takes, takes(&c));
                sums.refaults = num_add_sat(sums.refaults, c.refaults);
                if (resource == RESOURCE_PIDS)
                        sums.tasks = num_add_sat(sums.tasks, c.used);
                explained = num_add_sat(explained, fair[i].cpu_used);
        }
        if (scene->n > 0)
                measure_rest(scene, fair, ret, explained, &rest);
        sums.takes = num_add_sat(sums.takes, takes(&rest));
        for (uint32_t i = 1; i < scene->n; i++) {
                const Party *p = &scene->parties[i];
                Candidate c = { .party = i, .id = p->id, .kind = p->kind };

                if (!is_candidate(p))
                        continue;
                measure(p, &fair[i], resource, &c);
                score(scene, fair, resource, ret->dev, &sums, &c);
                c.why = why(scene, &c, victims, n);
                insert(ret, &c);
        }
        score_rest(scene, resource, &sums, &rest);
        if (rest.score >= BLAME_MIN)
                insert(ret, &rest);
        for (unsigned i = 0; i < ret->n; i++) {
                Candidate *c = &ret->candidates[i];

                if (i > 0 && c->why == BLAME_CULPRIT)
                        c->why = BLAME_LESS;
                if (c->score < BLAME_MIN && c->why != BLAME_VICTIM)
                        c->why = c->used <= c->entitled && resource != RESOURCE_PIDS ? BLAME_ENTITLED
                                                                                     : BLAME_SMALL;
        }
        if (ret->n == 0)
                return;
        /* The only victim stands first: what it does to itself is nobody's fault, the next one counts. */
        for (unsigned i = 0; i < ret->n; i++) {
                Candidate *c = &ret->candidates[i];

                if (c->why == BLAME_VICTIM)
                        continue;
                if (c->why == BLAME_LESS)
                        c->why = BLAME_CULPRIT;
                ret->outcome = c->why;
                ret->culprit = c->why == BLAME_CULPRIT ? c->party : NO_PARTY;
                return;
        }
        ret->outcome = BLAME_VICTIM;
}
