/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From what is measured to the rows of `top`: containers below their tenants, sums, order, folds, filter, and
 * where the cursor is.
 *
 * A tenant with slices of its own uses what those count, and what its containers outside of them do; one without
 * uses what its containers do. What is sent and received no slice counts: that is always its containers'.
 * Waiting does not add up: of a tenant it is that of whoever waits most.
 */

#include "cgpath.h"
#include "num.h"
#include "top-internal.h"

static const TopField sums[] = { TOP_CPU,   TOP_MEMORY, TOP_SWAP,     TOP_READ,
                                 TOP_WRITE, TOP_TASKS,  TOP_RECEIVED, TOP_SENT },
                      network[] = { TOP_RECEIVED, TOP_SENT },
                      worst[] = { TOP_THROTTLED,   TOP_CPU_SOME, TOP_CPU_FULL, TOP_MEMORY_SOME,
                                  TOP_MEMORY_FULL, TOP_IO_SOME,  TOP_IO_FULL };

static void put(TopNumbers *n, TopField f, uint64_t v) {
        n->v[f] = v;
        n->have |= UINT32_C(1) << f;
}

static void add_fields(TopNumbers *to, const TopNumbers *from, const TopField *fields, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (top_has(from, fields[i]))
                        put(to, fields[i], num_add_sat(to->v[fields[i]], from->v[fields[i]]));
}

static void add(TopNumbers *to, const TopNumbers *from) {
        add_fields(to, from, sums, ARRAY_SIZE(sums));
        for (size_t i = 0; i < ARRAY_SIZE(worst); i++)
                if (top_has(from, worst[i]))
                        put(to, worst[i], MAX_OF(to->v[worst[i]], from->v[worst[i]]));
}

static void add_ceilings(TopNumbers *to, const TopObject *o) {
        for (int f = 0; o && f < _TOP_FIELD_MAX; f++)
                if (top_has(&o->ceilings, (TopField)f))
                        put(to, (TopField)f, o->ceilings.v[f]);
}

static void member_object(TopRow *row, const TopObject *o) {
        add_ceilings(&row->numbers, o);
        row->throttled = o && o->throttled;
        row->frozen = o && o->frozen;
        row->network = o ? o->network : TOP_NETWORK_UNKNOWN;
}

/* ---- who is whose ---- */

TopTenant *top_tenant_free(TopTenant *t) {
        free(t->name);
        free(t->members);
        free(t->slices);
        free(t);
        return NULL;
}

static TopTenant *tenant_get(TopModel *m, const char *name) {
        TopTenant *t = map_get_str(&m->tenants, name);

        if (t)
                return t;
        t = calloc(1, sizeof(*t));
        if (!t)
                return NULL;
        t->name = strdup(name);
        if (!t->name || map_put_str(&m->tenants, t->name, t) < 0)
                return top_tenant_free(t);
        return t;
}

/* The guard's latest word on whose it is; else what its samples say. */
static const char *tenant_of(const TopModel *m, const TopSubject *s) {
        const TopObject *o = s->kind == HISTORY_CONTAINER ? map_get_u64(&m->containers, s->cgroup_id) : NULL;

        return o && *o->tenant ? o->tenant : s->tenant;
}

static const char *name_of(const TopModel *m, const TopSubject *s) {
        const TopObject *o = map_get_u64(&m->containers, s->cgroup_id);

        return o ? o->name : *s->name ? s->name : cgpath_basename(s->cgroup);
}

static int gather(TopModel *m) {
        size_t i = 0;
        TopSubject *s;
        TopTenant *t;

        while ((t = map_next(&m->tenants, &i))) {
                t->n_members = 0;
                t->n_slices = 0;
                t->numbers = (TopNumbers){};
        }
        i = 0;
        while ((s = map_next(&m->subjects, &i))) {
                if (s->kind == HISTORY_HOST)
                        continue;
                t = tenant_get(m, tenant_of(m, s));
                if (!t)
                        return -ENOMEM;
                if (s->kind == HISTORY_SLICE) {
                        if (GROW(t->slices, t->n_slices, t->slices_alloc) < 0)
                                return -ENOMEM;
                        t->slices[t->n_slices++] = s;
                        add(&t->numbers, &s->numbers);
                        continue;
                }
                if (GROW(t->members, t->n_members, t->alloc) < 0)
                        return -ENOMEM;
                t->members[t->n_members++] = (TopMember){ s,
                                                          { .name = name_of(m, s),
                                                            .cgroup = s->cgroup,
                                                            .cgroup_id = s->cgroup_id,
                                                            .numbers = s->numbers } };
                member_object(&t->members[t->n_members - 1].row, map_get_u64(&m->containers, s->cgroup_id));
        }
        return 0;
}

static bool is_below_own_slice(const TopTenant *t, const TopSubject *s) {
        for (size_t i = 0; i < t->n_slices; i++)
                if (cgpath_below(s->cgroup, t->slices[i]->cgroup))
                        return true;
        return false;
}

static bool is_there(const TopTenant *t) { return t->n_members > 0 || t->n_slices > 0; }

/* Those that have nothing left go, unless somebody folded them: they may come back. */
static void sum_up(TopModel *m) {
        size_t i = 0;
        TopTenant *t;

        m->host.n_tenants = m->host.n_containers = 0;
        while ((t = map_next(&m->tenants, &i))) {
                if (!is_there(t)) {
                        if (!t->folded) {
                                (void)map_remove_str(&m->tenants, t->name);
                                (void)top_tenant_free(t);
                        }
                        continue;
                }
                m->host.n_tenants++;
                m->host.n_containers += t->n_members;
                for (size_t k = 0; k < t->n_members; k++)
                        if (!is_below_own_slice(t, t->members[k].subject))
                                add(&t->numbers, &t->members[k].subject->numbers);
                        else
                                add_fields(&t->numbers, &t->members[k].subject->numbers, network,
                                           ARRAY_SIZE(network));
                add_ceilings(&t->numbers, map_get_str(&m->tenant_objects, t->name));
        }
}

/* ---- order ---- */

static uint64_t pressure_of(const TopNumbers *n) {
        return MAX_OF(MAX_OF(n->v[TOP_CPU_SOME], n->v[TOP_MEMORY_SOME]), n->v[TOP_IO_SOME]);
}

static uint64_t key_of(const TopNumbers *n, TopSort sort) {
        switch (sort) {
        case TOP_SORT_CPU:
                return n->v[TOP_CPU];
        case TOP_SORT_MEMORY:
                return n->v[TOP_MEMORY];
        case TOP_SORT_IO:
                return num_add_sat(n->v[TOP_READ], n->v[TOP_WRITE]);
        case TOP_SORT_NETWORK:
                return num_add_sat(n->v[TOP_RECEIVED], n->v[TOP_SENT]);
        case TOP_SORT_PRESSURE:
                return pressure_of(n);
        case TOP_SORT_TASKS:
                return n->v[TOP_TASKS];
        case TOP_SORT_NAME:
                break;
        }
        return 0;
}

/* Numbers: the highest first; equals by name, and of those the older cgroup. */
static int row_cmp(const TopRow *a, const TopRow *b, const TopModel *m) {
        uint64_t ka = key_of(&a->numbers, m->sort), kb = key_of(&b->numbers, m->sort);
        int order = ka != kb ? (ka > kb ? -1 : 1) : strcmp(a->name, b->name);

        if (order == 0)
                order = a->cgroup_id < b->cgroup_id ? -1 : a->cgroup_id > b->cgroup_id;
        return m->reverse ? -order : order;
}

static int member_cmp(const void *a, const void *b, void *m) {
        return row_cmp(&((const TopMember *)a)->row, &((const TopMember *)b)->row, m);
}

static int tenant_cmp(const void *pa, const void *pb, void *m) {
        const TopTenant *a = *(TopTenant *const *)pa, *b = *(TopTenant *const *)pb;
        const TopRow ra = { .name = a->name, .numbers = a->numbers },
                     rb = { .name = b->name, .numbers = b->numbers };

        return row_cmp(&ra, &rb, m);
}

/* Those that are there, in order, and their members in order. *ret is the caller's (free()). */
static int ordered(TopModel *m, TopTenant ***ret, size_t *ret_n) {
        TopTenant **list = calloc(m->tenants.n + 1, sizeof(*list)), *t;
        size_t i = 0, n = 0;

        if (!list)
                return -ENOMEM;
        while ((t = map_next(&m->tenants, &i))) {
                if (!is_there(t))
                        continue;
                if (t->n_members > 0)
                        qsort_r(t->members, t->n_members, sizeof(*t->members), member_cmp, m);
                list[n++] = t;
        }
        qsort_r(list, n, sizeof(*list), tenant_cmp, m);
        *ret = list;
        *ret_n = n;
        return 0;
}

/* ---- rows ---- */

static bool matches(const TopModel *m, const char *name) { return strcasestr(name, m->filter) != NULL; }

static int push(TopModel *m, const TopRow *row) {
        if (GROW(m->rows, m->n_rows, m->rows_alloc) < 0)
                return -ENOMEM;
        m->rows[m->n_rows++] = *row;
        return 0;
}

static int push_tenant(TopModel *m, const TopTenant *t) {
        const TopRow row = { .is_tenant = true,
                             .folded = t->folded,
                             .name = t->name,
                             .n_containers = t->n_members,
                             .numbers = t->numbers };
        bool all = matches(m, t->name), any = all;

        for (size_t i = 0; !any && i < t->n_members; i++)
                any = matches(m, t->members[i].row.name);
        if (!any)
                return 0;
        if (push(m, &row) < 0)
                return -ENOMEM;
        for (size_t i = 0; !t->folded && i < t->n_members; i++)
                if ((all || matches(m, t->members[i].row.name)) && push(m, &t->members[i].row) < 0)
                        return -ENOMEM;
        return 0;
}

/* What the cursor is on may have moved; where it is gone the cursor stays in its line. */
static void find_cursor(TopModel *m) {
        for (size_t i = 0; i < m->n_rows; i++)
                if (m->rows[i].cgroup_id == m->cursor_id &&
                    (m->cursor_id != 0 || STR_EQ(m->rows[i].name, m->cursor_name))) {
                        m->cursor = i;
                        return;
                }
        top_model_move(m, 0);
}

static void set_host(TopModel *m) {
        if (m->host.cpus > 0)
                put(&m->host.numbers, TOP_CPU_MAX, num_muldiv(m->host.cpus, 10000, 1));
}

int top_model_refresh(TopModel *m) {
        _cleanup_free_ TopTenant **list = NULL;
        size_t n;
        int r;

        m->n_rows = 0; /* they borrow names of what may go now */
        r = gather(m);
        if (r < 0)
                return r;
        sum_up(m);
        set_host(m);
        r = ordered(m, &list, &n);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = push_tenant(m, list[i]);
        if (r < 0)
                return r;
        find_cursor(m);
        return 0;
}

const TopRow *top_model_rows(const TopModel *m, size_t *ret_n) {
        *ret_n = m->n_rows;
        return m->rows;
}

/* ---- keys ---- */

size_t top_model_cursor_row(const TopModel *m) { return m->cursor; }

void top_model_sort(TopModel *m, TopSort sort) { m->sort = sort; }

TopSort top_model_get_sort(const TopModel *m, bool *ret_reverse) {
        *ret_reverse = m->reverse;
        return m->sort;
}

void top_model_reverse(TopModel *m) { m->reverse = !m->reverse; }

static void put_cursor(TopModel *m, size_t row) {
        char *name;

        m->cursor = row;
        if (row >= m->n_rows)
                return;
        name = strdup(m->rows[row].name);
        if (!name)
                return; /* it stays in its line, if not on its name */
        free(m->cursor_name);
        m->cursor_name = name;
        m->cursor_id = m->rows[row].cgroup_id;
}

void top_model_move(TopModel *m, long rows) {
        size_t last = m->n_rows > 0 ? m->n_rows - 1 : 0, at = MIN_OF(m->cursor, last), by;

        by = rows < 0 ? 0 - (size_t)rows : (size_t)rows;
        put_cursor(m, rows < 0 ? at - MIN_OF(at, by) : at + MIN_OF(last - at, by));
}

void top_model_fold(TopModel *m) {
        size_t row = m->cursor;
        TopTenant *t;

        if (row >= m->n_rows)
                return;
        while (row > 0 && !m->rows[row].is_tenant)
                row--;
        t = map_get_str(&m->tenants, m->rows[row].name);
        if (!t)
                return;
        t->folded = !t->folded;
        put_cursor(m, row);
}

int top_model_filter(TopModel *m, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        free(m->filter);
        m->filter = copy;
        return 0;
}

const char *top_model_get_filter(const TopModel *m) { return m->filter; }

/* ---- JSON ---- */

static void set_numbers(json_t *o, const TopNumbers *n) {
        for (int f = 0; f < _TOP_FIELD_MAX; f++)
                if (top_has(n, (TopField)f))
                        (void)json_object_set_new(
                                o, top_field_name((TopField)f),
                                json_integer(n->v[f] > INT64_MAX ? INT64_MAX : (json_int_t)n->v[f]));
}

static json_t *named(const char *name) {
        json_t *text = json_string(name);

        /* The stream has bytes; JSON has UTF-8 only. */
        return json_pack("{s:o}", "name", text ? text : json_string("?"));
}

static json_t *tenant_to_json(const TopTenant *t) {
        json_t *o = named(t->name), *containers = json_array();

        set_numbers(o, &t->numbers);
        for (size_t i = 0; i < t->n_members; i++) {
                json_t *c = named(t->members[i].row.name);

                (void)json_object_set_new(c, "cgroup_id",
                                          json_integer((json_int_t)t->members[i].row.cgroup_id));
                set_numbers(c, &t->members[i].row.numbers);
                (void)json_object_set_new(c, "network",
                                          json_string(top_network_name(t->members[i].row.network)));
                (void)json_object_set_new(c, "throttled", json_boolean(t->members[i].row.throttled));
                (void)json_object_set_new(c, "frozen", json_boolean(t->members[i].row.frozen));
                (void)json_array_append_new(containers, c);
        }
        (void)json_object_set_new(o, "containers", containers);
        return o;
}

json_t *top_model_to_json(TopModel *m) {
        _cleanup_free_ TopTenant **list = NULL;
        json_t *host = json_object(), *tenants = json_array();
        size_t n;

        if (ordered(m, &list, &n) < 0) {
                json_decref(host);
                json_decref(tenants);
                return NULL;
        }
        set_numbers(host, &m->host.numbers);
        for (size_t i = 0; i < n; i++)
                (void)json_array_append_new(tenants, tenant_to_json(list[i]));
        return json_pack("{s:I, s:o, s:o}", "time", (json_int_t)m->host.newest, "host", host, "tenants",
                         tenants);
}
