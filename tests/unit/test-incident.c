/* SPDX-License-Identifier: Apache-2.0 */

/* Which act belongs to which incident: scripts of acts in time, and random ones for the promises. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "incident.h"
#include "random.h"

#define S USEC_PER_SEC
#define REALTIME(now) (UINT64_C(1700000000000000) + (now))

static const Culprit web = { "acme", "web", "/docker/web", 7 };

static Act act(ActKind kind, ActWhy why) {
        return (Act){ .kind = kind, .why = why, .resource = RESOURCE_CPU, .lever = LEVER_CPU };
}

static Incident *tell(Incidents *all, const Culprit *c, const Act *a, uint64_t event, usec_t now,
                      bool *ret_opened) {
        Incident *i = incidents_take(all, c, incident_opens(a), event, now, REALTIME(now), ret_opened);
        char text[64];

        (void)snprintf(text, sizeof(text), "event %llu", (unsigned long long)event);
        if (i)
                incident_add(i, &(IncidentAct){ .act = a, .done = !a->would, .event = event, .text = text },
                             now, REALTIME(now));
        return i;
}

static void test_opens(void **state) {
        static const struct {
                ActKind kind;
                ActWhy why;
                bool opens;
        } rows[] = {
                { ACT_NOTIFY, ACT_WHY_HARM, true },      { ACT_NOTIFY, ACT_WHY_OUT_OF_REACH, true },
                { ACT_NOTIFY, ACT_WHY_MIXED, false },    { ACT_NOTIFY, ACT_WHY_THRASH, false },
                { ACT_NOTIFY, ACT_WHY_CALM, false },     { ACT_THROTTLE, ACT_WHY_HARM, true },
                { ACT_THROTTLE, ACT_WHY_THRASH, true },  { ACT_RELAX, ACT_WHY_CALM, false },
                { ACT_RELEASE, ACT_WHY_NO_HELP, false }, { ACT_FREEZE, ACT_WHY_HARM, true },
                { ACT_THAW, ACT_WHY_POLICY, false },     { ACT_STOP, ACT_WHY_HARM, true },
                { ACT_KILL, ACT_WHY_HARM, true },        { ACT_ALARM, ACT_WHY_BUDGET, true },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Act a = act(rows[i].kind, rows[i].why);

                if (incident_opens(&a) != rows[i].opens)
                        fail_msg("row %zu", i);
        }
}

typedef struct Line {
        usec_t at; /* seconds */
        char what; /* t throttle, r relax, n mixed note, s: something stands, q: nothing stands */
        const Culprit *who;
        uint64_t id; /* of the incident; 0: none */
        bool news; /* t r n: opened; s q: closed */
} Line;

static void run(const char *name, const Line *lines, size_t n) {
        Incidents all = {};

        for (size_t i = 0; i < n; i++) {
                const Line *l = &lines[i];
                Act a = l->what == 't'   ? act(ACT_THROTTLE, ACT_WHY_HARM)
                        : l->what == 'r' ? act(ACT_RELAX, ACT_WHY_CALM)
                                         : act(ACT_NOTIFY, ACT_WHY_MIXED);
                bool news = false;
                Incident *x;

                if (l->what == 's' || l->what == 'q') {
                        x = incidents_by_id(&all, l->id);
                        assert_non_null(x);
                        news = incident_step(x, l->what == 's', l->at * S, REALTIME(l->at * S));
                } else
                        x = tell(&all, l->who, &a, 100 + i, l->at * S, &news);
                if ((x ? x->id : 0) != l->id || news != l->news)
                        fail_msg("%s, line %zu: incident %llu, news %d", name, i,
                                 (unsigned long long)(x ? x->id : 0), news);
        }
        incidents_deinit(&all);
}

static void test_scripts(void **state) {
        static const Culprit other = { "acme", "db", "/docker/db", 8 },
                             namesake = { "beta", "web", "/docker/web2", 9 },
                             reborn = { "acme", "web", "/docker/web3", 10 };
        const Line story[] = {
                { 0, 'r', &web, 0, false }, /* a step back of an earlier run's: of none */
                { 1, 'n', &web, 0, false }, /* a note opens nothing */
                { 2, 't', &web, 102, true },      { 3, 't', &other, 103, true },
                { 4, 't', &namesake, 104, true }, { 5, 'n', &web, 102, false },
                { 6, 's', NULL, 102, false },     { 400, 't', &web, 102, false }, /* open all the while */
                { 401, 'r', &web, 102, false },   { 402, 'q', NULL, 102, false },
                { 461, 'q', NULL, 102, false },   { 462, 'q', NULL, 102, true },
                { 463, 'q', NULL, 102, false }, /* told once */
                { 500, 'n', &web, 102, false }, /* belongs to it, but does not open it */
                { 501, 'q', NULL, 102, false },   { 800, 't', &reborn, 102, true }, /* 300 s after the note */
                { 801, 'q', NULL, 102, false },   { 830, 's', NULL, 102, false },
                { 870, 'q', NULL, 102, false }, /* calm begins anew */
                { 929, 'q', NULL, 102, false },   { 930, 'q', NULL, 102, true },
                { 1101, 't', &web, 121, true }, /* 301 s after the last act: another one */
        };

        (void)state;
        run("story", story, ARRAY_SIZE(story));
}

/* An act in the calm begins the calm anew. */
static void test_calm(void **state) {
        const Line lines[] = {
                { 0, 't', &web, 100, true },   { 1, 'q', NULL, 100, false },   { 50, 'r', &web, 100, false },
                { 70, 'q', NULL, 100, false }, { 129, 'q', NULL, 100, false }, { 130, 'q', NULL, 100, true },
        };

        (void)state;
        run("calm", lines, ARRAY_SIZE(lines));
}

static void test_sums(void **state) {
        IncidentVictim v[] = { { "db", "beta" }, { "db", "gamma" }, { "db", "beta" } };
        Act throttle = act(ACT_THROTTLE, ACT_WHY_HARM), kill = act(ACT_KILL, ACT_WHY_HARM),
            relax = act(ACT_RELAX, ACT_WHY_CALM), dry = act(ACT_KILL, ACT_WHY_HARM);
        const IncidentAct acts[] = {
                { .act = &throttle,
                  .done = true,
                  .event = 1,
                  .worst = 4000,
                  .victims = v,
                  .n_victims = 3,
                  .text = "a" },
                { .act = &throttle, .done = false, .event = 2, .worst = 3000, .text = "b" },
                { .act = &kill, .done = true, .event = 3, .worst = 5000, .text = "c" },
                { .act = &dry, .done = false, .event = 4, .text = "d" },
                { .act = &throttle, .done = true, .event = 5, .text = "e" },
                { .act = &relax, .done = true, .event = 6, .text = "f" },
        };
        Incidents all = {};
        bool opened;
        Incident *i;

        (void)state;
        dry.would = true;
        kill.resource = RESOURCE_MEMORY;
        kill.lever = LEVER_KILL;
        i = incidents_take(&all, &web, true, 1, 0, 0, &opened);
        assert_non_null(i);
        for (size_t k = 0; k < ARRAY_SIZE(acts); k++)
                incident_add(i, &acts[k], k, k);
        assert_int_equal(i->n_acts, 4);
        assert_int_equal(i->n_would, 1);
        assert_int_equal(i->n_kills, 1);
        assert_int_equal(i->worst, 5000);
        assert_int_equal(i->rung, RUNG_KILL);
        assert_string_equal(i->text, "d");
        assert_int_equal(i->n_victims, 2);
        assert_int_equal(i->resources, 1u << RESOURCE_CPU | 1u << RESOURCE_MEMORY);
        assert_int_equal(i->last, 5);
        incidents_deinit(&all);
}

/* What io.max was last set to is known until it is given back, and only of that cgroup. */
static void test_io(void **state) {
        static const Culprit again = { "acme", "web", "/docker/web3", 10 };
        Act a = act(ACT_THROTTLE, ACT_WHY_HARM), release = act(ACT_RELEASE, ACT_WHY_CALM);
        Incidents all = {};
        bool opened;
        Incident *i;

        (void)state;
        a.lever = release.lever = LEVER_IO;
        a.n = 2;
        a.values[1] = (LimitEntry){ { LIMIT_IO_WRITE_BANDWIDTH_MAX, 42 }, 1000000, 0 };
        i = tell(&all, &web, &a, 1, 0, &opened);
        assert_int_equal(i->n_io, 2);
        assert_int_equal(i->io[1].value, 1000000);
        (void)tell(&all, &web, &release, 2, 1, &opened);
        assert_int_equal(i->n_io, 0);
        (void)tell(&all, &web, &a, 3, 2, &opened);
        assert_int_equal(i->n_io, 2);
        assert_ptr_equal(incidents_take(&all, &again, true, 4, 3, 3, &opened), i);
        assert_int_equal(i->n_io, 0);
        assert_string_equal(i->cgroup, "/docker/web3");
        a.n = 1000; /* nonsense stays in bounds */
        (void)tell(&all, &again, &a, 5, 4, &opened);
        assert_int_equal(i->n_io, LADDER_VALUES_MAX);
        incidents_deinit(&all);
}

static void test_events_ring(void **state) {
        Act a = act(ACT_THROTTLE, ACT_WHY_HARM);
        Incidents all = {};
        bool opened;
        Incident *i = NULL;

        (void)state;
        for (uint64_t e = 1; e <= INCIDENT_EVENTS_MAX + 3; e++)
                i = tell(&all, &web, &a, e, e, &opened);
        assert_int_equal(incident_event(i, 0), INCIDENT_EVENTS_MAX + 3);
        assert_int_equal(incident_event(i, INCIDENT_EVENTS_MAX - 1), 4);
        assert_int_equal(incident_event(i, INCIDENT_EVENTS_MAX), 0);
        incidents_deinit(&all);
}

/* A full list loses what is over first, then the oldest. */
static void test_bounded(void **state) {
        Act a = act(ACT_THROTTLE, ACT_WHY_HARM);
        Incidents all = {};
        bool opened;

        (void)state;
        for (uint64_t k = 1; k <= INCIDENTS_MAX + 2; k++) {
                char name[32];
                Culprit c = { "acme", name, "/x", k };

                (void)snprintf(name, sizeof(name), "c%llu", (unsigned long long)k);
                if (k == INCIDENTS_MAX + 1) {
                        Incident *third = incidents_by_id(&all, 3);

                        (void)incident_step(third, false, 10 * S, REALTIME(0));
                        assert_true(incident_step(third, false, 10 * S + INCIDENT_CALM_USEC, REALTIME(0)));
                }
                assert_non_null(tell(&all, &c, &a, k, 0, &opened));
                assert_true(opened);
        }
        assert_int_equal(all.n, INCIDENTS_MAX);
        assert_null(incidents_by_id(&all, 3));
        assert_null(incidents_by_id(&all, 1));
        assert_non_null(incidents_by_id(&all, 2));
        assert_int_equal(all.list[all.n - 1]->id, INCIDENTS_MAX + 2);
        incidents_deinit(&all);
}

/* Whatever happens in whatever order: one open incident a culprit at most; none closes while something stands, or within the calm
 * span of an act; an act within INCIDENT_USEC of the one before has its incident. */
static void test_promises(void **state) {
        uint64_t seed = (uint64_t)time(NULL) | 1;

        (void)state;
        random_state = seed;
        print_message("seed %llu\n", (unsigned long long)seed);
        for (unsigned round = 0; round < 200; round++) {
                static const char *const names[] = { "a", "b", "c" };
                uint64_t last_id[3] = {}, event = 1;
                usec_t last_at[3] = {}, now = 1;
                Incidents all = {};

                for (unsigned step = 0; step < 200; step++) {
                        size_t who = next_random() % 3;
                        Culprit c = { "t", names[who], "/x", 1 + who };
                        unsigned n_open[3] = {};

                        now += next_random() % (90 * S);
                        if (next_random() % 2) {
                                Act a = act((ActKind)(next_random() % _ACT_MAX),
                                            (ActWhy)(next_random() % _ACT_WHY_MAX));
                                bool opened, opens = incident_opens(&a);
                                Incident *x;

                                a.would = next_random() % 4 == 0;
                                x = tell(&all, &c, &a, event++, now, &opened);
                                if (opens && (!x || x->closed != 0))
                                        fail_msg("seed %llu: an act without open incident",
                                                 (unsigned long long)seed);
                                if (x && last_id[who] && now - last_at[who] <= INCIDENT_USEC &&
                                    x->id != last_id[who])
                                        fail_msg("seed %llu: another incident", (unsigned long long)seed);
                                if (!x && last_id[who] && now - last_at[who] <= INCIDENT_USEC)
                                        fail_msg("seed %llu: no incident", (unsigned long long)seed);
                                if (x) {
                                        last_id[who] = x->id;
                                        last_at[who] = now;
                                }
                        } else {
                                Incident *x = incidents_of(&all, c.tenant, c.name);
                                bool standing = next_random() % 3 == 0;

                                if (x && incident_step(x, standing, now, REALTIME(now)) &&
                                    (standing || now - last_at[who] < INCIDENT_CALM_USEC))
                                        fail_msg("seed %llu: closed too early", (unsigned long long)seed);
                        }
                        for (size_t k = 0; k < all.n; k++)
                                for (size_t w = 0; w < 3; w++)
                                        n_open[w] += all.list[k]->closed == 0 &&
                                                     STR_EQ(all.list[k]->container, names[w]);
                        for (size_t w = 0; w < 3; w++)
                                assert_true(n_open[w] <= 1);
                }
                incidents_deinit(&all);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_opens),   cmocka_unit_test(test_scripts),
                cmocka_unit_test(test_calm),    cmocka_unit_test(test_sums),
                cmocka_unit_test(test_io),      cmocka_unit_test(test_events_ring),
                cmocka_unit_test(test_bounded), cmocka_unit_test(test_promises),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
