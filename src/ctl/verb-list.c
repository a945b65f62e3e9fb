/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `tenants` and `containers`: one line each, the numbers that people look for
 * first, use beside its ceiling, and one word for whether what policy promises is so.
 * A narrow terminal has what they are and whether that is well; the rest gives way.
 */

#include <stdio.h>

#include "ctl.h"
#include "screens.h"

/* ---- STATE: the worst of its limits ---- */

/* From harmless to alarming; unknown words of a newer guard come between. */
static const struct {
        const char *state;
        TextStyle style;
} states[] = {
        { "ok", STYLE_GOOD },          { "held", STYLE_DIM },       { "observed", STYLE_DIM },
        { "kernel-only", STYLE_WARN }, { "restoring", STYLE_WARN }, { "pending", STYLE_WARN },
        { "squeezing", STYLE_WARN },   { "unwritable", STYLE_BAD }, { "drifted", STYLE_BAD },
};

static size_t rank_of(const char *state) {
        for (size_t i = 0; i < ARRAY_SIZE(states); i++)
                if (STR_EQ(states[i].state, state))
                        return i;
        return 5;
}

TextStyle state_style(const char *state) { return state ? states[rank_of(state)].style : STYLE_PLAIN; }

typedef struct State {
        const char *worst; /* NULL: no limit at all */
        Buf text;
        TextStyle style;
} State;

static void state_add(State *s, const json_t *limits, bool has_unit) {
        const json_t *l;
        size_t i;

        json_array_foreach(limits, i, l) {
                const char *state = json_text(l, "state"), *origin = json_text(l, "origin");

                /* A share is a lease and never systemd's; without a unit there is nobody to be told. */
                if (state && STR_EQ(state, "kernel-only") &&
                    (!has_unit || (origin && STR_EQ(origin, "share"))))
                        state = "ok";
                if (state && (!s->worst || rank_of(state) > rank_of(s->worst)))
                        s->worst = state;
        }
        s->style = state_style(s->worst);
}

static void state_word(State *s, bool holds, const char *word, TextStyle style) {
        if (!holds)
                return;
        buf_printf(&s->text, "%s%s", s->text.len ? "," : "", word);
        s->style = MAX_OF(s->style, style);
}

static void state_of_container(State *s, const json_t *o) {
        const char *back = held_back(json_member(o, "leases"));

        state_add(s, json_member(o, "limits"), json_has(o, "unit"));
        state_word(s, back != NULL, back, STYLE_WARN); /* first: what is cut off is the end */
        state_word(s, s->worst != NULL, s->worst, STYLE_PLAIN);
        state_word(s, json_flag(o, "kube"), "kube", STYLE_PLAIN);
        state_word(s, json_has(o, "protected"), "protected", STYLE_PLAIN);
        state_word(s, json_has(o, "hold"), "hold", STYLE_WARN);
        state_word(s, json_flag(o, "pending"), "name-pending", STYLE_PLAIN);
        state_word(s, json_has(o, "contradiction"), "contradiction", STYLE_WARN);
        state_word(s, json_has(o, "problem"), "problem", STYLE_WARN);
        state_word(s, s->text.len == 0, "no-ceiling", STYLE_DIM);
}

static void state_of_tenant(State *s, const json_t *o) {
        const char *sum = json_text(o, "sum");
        const json_t *slice;
        bool hold = false;
        char back[SAY_MAX];
        size_t i;

        json_array_foreach(json_member(o, "slice_limits"), i, slice) {
                state_add(s, json_member(slice, "limits"), true);
                hold |= json_has(slice, "hold");
        }
        (void)snprintf(back, sizeof(back), "%llu-held-back",
                       (unsigned long long)json_number(o, "containers_held_back"));
        state_word(s, json_number(o, "containers_held_back") > 0, back, STYLE_WARN);
        state_word(s, s->worst != NULL, s->worst, STYLE_PLAIN);
        state_word(s, hold, "hold", STYLE_WARN);
        state_word(s, sum && STR_EQ(sum, "advisory"), "advisory", STYLE_WARN);
        state_word(s, json_array_size(json_member(o, "notes")) > 0, "notes", STYLE_PLAIN);
}

/* ---- tables ---- */

static void cell_use(Table *t, const json_t *o, const char *usage, const char *limit) {
        _cleanup_buf_ Buf b = BUF_INIT;

        say_use(&b, o, usage, limit);
        table_cell(t, STYLE_PLAIN, buf_str(&b));
}

static void columns_measured(Table *t) {
        table_column(t, "MEMORY", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "CPU", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "PRESSURE", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "TASKS", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "STATE", TABLE_CUT);
}

static void cells_measured(Table *t, const json_t *o) {
        _cleanup_buf_ Buf cpu = BUF_INIT, pressure = BUF_INIT;
        TextStyle style = say_pressure(&pressure, o);

        say_cpu(&cpu, o);
        cell_use(t, o, "memory_bytes", "MemoryMax");
        table_cell(t, STYLE_PLAIN, buf_str(&cpu));
        table_cell(t, style, buf_str(&pressure));
        cell_use(t, o, "tasks", "TasksMax");
}

static void cell_state(Table *t, State *s) {
        table_cell(t, s->style, buf_str(&s->text));
        buf_deinit(&s->text);
}

static int nothing(const View *v, const char *text) {
        say_line(v, STYLE_DIM, "%s", text);
        return 0;
}

int screen_containers(const json_t *containers, const char *tenant, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *o;
        size_t i;

        if (!t)
                return -ENOMEM;
        table_column(t, "NAME", TABLE_CUT);
        table_column(t, "TENANT", TABLE_CUT);
        table_column(t, "ENGINE", TABLE_DROP);
        table_column(t, "MODE", TABLE_DROP);
        columns_measured(t);
        json_array_foreach(containers, i, o) {
                const char *its = json_text(o, "tenant");
                State s = { .text = BUF_INIT };
                char name[SAY_MAX];

                if (tenant && (!its || !STR_EQ(its, tenant)))
                        continue;
                table_cell(t, STYLE_PLAIN, say_container(o, name));
                table_cell(t, STYLE_PLAIN, its);
                table_cell(t, STYLE_PLAIN, json_text(o, "engine"));
                table_cell(t, STYLE_PLAIN, json_text(o, "mode"));
                cells_measured(t, o);
                state_of_container(&s, o);
                cell_state(t, &s);
        }
        if (table_rows(t) == 0)
                return nothing(v, "no containers run here");
        return say_left_out(v, table_print(t, v, 0));
}

int screen_tenants(const json_t *tenants, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *o;
        size_t i;

        if (!t)
                return -ENOMEM;
        table_column(t, "TENANT", TABLE_CUT);
        table_column(t, "PLAN", TABLE_CUT | TABLE_DROP);
        table_column(t, "MODE", TABLE_DROP);
        table_column(t, "CONTAINERS", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "SUM", TABLE_DROP);
        columns_measured(t);
        json_array_foreach(tenants, i, o) {
                const char *sum = json_text(o, "sum");
                State s = { .text = BUF_INIT };

                table_cell(t, STYLE_PLAIN, json_text(o, "name"));
                table_cell(t, STYLE_PLAIN, json_text(o, "plan"));
                table_cell(t, STYLE_PLAIN, json_text(o, "mode"));
                table_cellf(t, STYLE_PLAIN, "%llu", (unsigned long long)json_number(o, "containers"));
                table_cell(t, sum && STR_EQ(sum, "advisory") ? STYLE_WARN : STYLE_PLAIN, sum);
                cells_measured(t, o);
                state_of_tenant(&s, o);
                cell_state(t, &s);
        }
        if (table_rows(t) == 0)
                return nothing(v, "no tenants: policy names none, and nothing runs here");
        return say_left_out(v, table_print(t, v, 0));
}

/* ---- verbs ---- */

void tenants_count_held_back(json_t *tenants, const json_t *containers) {
        const json_t *o;
        json_t *tenant;
        size_t i, k;

        json_array_foreach(tenants, k, tenant) {
                const char *name = json_text(tenant, "name"), *its;
                json_int_t n = 0;

                json_array_foreach(containers, i, o) {
                        its = json_text(o, "tenant");
                        n += name && its && STR_EQ(name, its) && held_back(json_member(o, "leases"));
                }
                (void)json_object_set_new(tenant, "containers_held_back", json_integer(n));
        }
}

static int get(Ctl *c, const char *method, json_t **ret) {
        int r = client_get(c->client, method, NULL, ret);

        return r == STATUS_DONE ? r : ctl_client_failed(c, r);
}

int verb_tenants(Ctl *c) {
        json_t *j = NULL, *all = NULL;
        int r = get(c, "ListTenants", &j);

        if (r != STATUS_DONE)
                return r;
        if (c->json)
                return ctl_print_json(c, j);
        /* Leases are of containers. */
        if (client_get(c->client, "ListContainers", NULL, &all) == STATUS_DONE) {
                tenants_count_held_back(json_object_get(j, "tenants"), json_member(all, "containers"));
                json_decref(all);
        }
        ctl_page(c);
        r = screen_tenants(json_member(j, "tenants"), &c->view);
        json_decref(j);
        return ctl_rendered(r);
}

int verb_containers(Ctl *c) {
        json_t *j = NULL;
        int r = get(c, "ListContainers", &j);

        if (r != STATUS_DONE)
                return r;
        if (c->json)
                return ctl_print_json(c, j);
        ctl_page(c);
        r = screen_containers(json_member(j, "containers"), NULL, &c->view);
        json_decref(j);
        return ctl_rendered(r);
}
