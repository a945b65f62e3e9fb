/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a person tells the guard to do: pause, resume, hold, undo, release.
 *
 * Both are kept as files in /run/bailiff, which the unit preserves, so that a
 * restart does not forget them: `pause` (also made by hand: `touch`; it works
 * without D-Bus), and `holds`, one JSON object a line. Deadlines are kept in realtime
 * there, for they must hold over a restart.
 */

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"
#include "guard.h"
#include "num.h"
#include "value.h"

#define UNDO_HOLD (3600 * USEC_PER_SEC)
#define HOLDS_FILE_MAX (64 * 1024 * 1024) /* a hold is some 230 bytes */
#define REASON_MAX 500
#define HOLD_KEY_MAX 512 /* of names that are longer nobody comes again */

static int run_dir(const Guard *g) {
        int fd = open(g->config.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* ---- event ids ---- */

#define EVENT_BLOCK 1000

/* `undo 17` must not mean another event after a restart. Where the file cannot be kept, ids begin anew: no harm but that. */
void control_reserve_events(Guard *g) {
        _cleanup_fd_ int dir = run_dir(g);
        _cleanup_free_ char *text = NULL;
        uint64_t saved = 0;
        char fresh[32];
        size_t len;
        int n;

        if (dir < 0)
                return;
        if (g->reserved_event_id == 0 &&
            fd_read_regular_at(dir, "events", 64, &text, &len, NULL, NULL) >= 0) {
                text[strcspn(text, "\n")] = '\0';
                if (num_parse_u64(text, &saved) >= 0)
                        g->next_event_id = MAX_OF(g->next_event_id, saved);
        }
        g->reserved_event_id = g->next_event_id + EVENT_BLOCK;
        n = snprintf(fresh, sizeof(fresh), "%llu\n", (unsigned long long)g->reserved_event_id);
        (void)fd_write_file_atomic(dir, "events", fresh, (size_t)n, 0644, false);
}

/* ---- pause ---- */

static void queue_all(Guard *g) {
        size_t i = 0;
        Target *t;

        while ((t = map_next(&g->targets, &i)))
                enforce_queue(g, t);
}

/* The file decides; an empty one (made by hand) lasts until it is removed. */
void control_check_pause(Guard *g, const Caller *c) {
        _cleanup_fd_ int dir = run_dir(g);
        _cleanup_free_ char *text = NULL;
        bool paused = false, released = false, by_file = false;
        uint64_t until = 0;
        size_t len;
        int r;

        if (dir < 0)
                return;
        r = fd_read_regular_at(dir, "pause", 4096, &text, &len, NULL, NULL);
        if (r != -ENOENT) {
                char *save = NULL;

                paused = true;
                by_file = true;
                for (char *line = r < 0 ? NULL : strtok_r(text, "\n", &save); line;
                     line = strtok_r(NULL, "\n", &save)) {
                        if (strncmp(line, "until=", 6) == 0 && num_parse_u64(line + 6, &until) >= 0)
                                by_file = false;
                        else if (STR_EQ(line, "released"))
                                released = true;
                }
                if (until > 0 && clock_realtime() >= until) {
                        (void)unlinkat(dir, "pause", 0);
                        paused = released = by_file = false;
                        until = 0;
                }
        }
        if (paused == g->paused && released == g->released && until == g->paused_until_realtime)
                return;
        g->paused = paused;
        g->released = released;
        g->paused_by_file = by_file;
        g->paused_until_realtime = until;
        if (released)
                announce(g, ANNOUNCE_RELEASE, NULL, NULL, c,
                         "every ceiling is given back; nothing is held until resumed");
        else if (paused)
                announce(g, ANNOUNCE_PAUSE, NULL, NULL, c, "paused%s: nothing is written on this host%s",
                         by_file ? " by the file pause in /run/bailiff" : "",
                         until ? " for a while" : " until resumed");
        else
                announce(g, ANNOUNCE_RESUME, NULL, NULL, c, "resumed: policy holds again");
        guard_update_status(g);
        if (paused)
                judging_forbid(g);
        queue_all(g);
}

static int write_pause(Guard *g, uint64_t until, bool released) {
        _cleanup_fd_ int dir = run_dir(g);
        char text[64];
        int n;

        if (dir < 0)
                return dir;
        n = snprintf(text, sizeof(text), "until=%llu\n%s", (unsigned long long)until,
                     released ? "released\n" : "");
        return fd_write_file_atomic(dir, "pause", text, (size_t)n, 0644, false);
}

int control_pause(Guard *g, usec_t span, const Caller *c) {
        uint64_t until = span == 0 ? 0 : num_add_sat(clock_realtime(), span);
        int r = write_pause(g, until, g->released);

        if (r < 0)
                return r;
        control_check_pause(g, c);
        return 0;
}

int control_resume(Guard *g, const Caller *c) {
        _cleanup_fd_ int dir = run_dir(g);

        if (dir < 0)
                return dir;
        if (unlinkat(dir, "pause", 0) < 0 && errno != ENOENT)
                return -errno;
        control_check_pause(g, c);
        return 0;
}

/* ---- holds ---- */

/* Below a delegation anybody can call himself anything: nobody gets another's hold that way. */
static int hold_key(const Target *t, char *key, size_t size) {
        char name[HOLD_KEY_MAX];
        bool forger = t->cg.rootless || t->trust.delegated;
        int r, n;

        if (!t->container)
                n = snprintf(key, size, "%s", t->node->path);
        else {
                r = target_key(t, name, sizeof(name));
                if (r < 0)
                        return r;
                n = forger ? snprintf(key, size, "%u/%s", t->cg.uid, name) : snprintf(key, size, "%s", name);
        }
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int put_line(Buf *b, const KeptHold *h) {
        /* No key where there is none, or one that JSON does not take. */
        json_t *o = json_pack("{s:I, s:s, s:I, s:s, s:I, s:b, s:o*}", "cgroup_id", (json_int_t)h->cgroup_id,
                              "cgroup", h->cgroup, "until", (json_int_t)h->until, "reason", h->reason, "uid",
                              (json_int_t)h->uid, "give_back", h->give_back, "key", json_string(h->key));
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;

        json_decref(o);
        if (!line)
                return -ENOMEM;
        buf_puts(b, line);
        buf_putc(b, '\n');
        free(line);
        return 0;
}

/* As it would wait for a target like this one; what is in it stays the target's. */
static KeptHold hold_of(const Target *t, char *key, size_t size) {
        const Hold *h = t->hold;

        return (KeptHold){
                .cgroup_id = t->id,
                .cgroup = (char *)t->node->path,
                .key = h && !t->leaving && hold_key(t, key, size) >= 0 ? key : NULL,
                .until = h ? h->until_realtime : t->operator_until,
                .reason = h ? h->reason : (char *)"an operator's systemctl set-property",
                .uid = h ? h->uid : 0,
                .give_back = h && h->give_back,
        };
}

static int write_holds(Guard *g) {
        _cleanup_fd_ int dir = run_dir(g);
        _cleanup_buf_ Buf b = BUF_INIT;
        char key[HOLD_KEY_MAX];
        size_t i = 0;
        Target *t;
        int r = 0;

        if (dir < 0)
                return dir;
        while (r >= 0 && (t = map_next(&g->targets, &i))) {
                KeptHold h;

                if (t->leaving || (!t->hold && t->operator_until <= clock_realtime()))
                        continue;
                h = hold_of(t, key, sizeof(key));
                r = put_line(&b, &h);
        }
        for (i = 0; r >= 0 && i < g->kept_holds.n; i++)
                r = put_line(&b, &g->kept_holds.holds[i]);
        if (r >= 0)
                r = buf_error(&b);
        if (r < 0)
                return r;
        if (b.len == 0)
                return unlinkat(dir, "holds", 0) < 0 && errno != ENOENT ? -errno : 0;
        return fd_write_file_atomic(dir, "holds", b.data, b.len, 0644, false);
}

/* All of them are written each time: so once for all that an act changes. */
int control_save_holds(Guard *g) {
        if (!g->holds_changed)
                return 0;
        g->holds_changed = false; /* where it fails, too: not in every turn of the loop */
        return write_holds(g);
}

static Hold *hold_new(Guard *g, uint64_t until_realtime, const char *reason, bool give_back, uint32_t uid) {
        Hold *h = calloc(1, sizeof(*h));
        uint64_t now = clock_realtime();

        if (!h)
                return NULL;
        *h = (Hold){
                .until = num_add_sat(guard_now(g), until_realtime > now ? until_realtime - now : 0),
                .until_realtime = until_realtime,
                .reason = strndup(reason, REASON_MAX),
                .uid = uid,
                .give_back = give_back,
        };
        if (!h->reason) {
                free(h);
                return NULL;
        }
        return h;
}

static void drop_hold(Target *t) {
        if (t->hold)
                free(t->hold->reason);
        free(t->hold);
        t->hold = NULL;
}

int control_hold(Guard *g, Target *t, usec_t span, const char *reason, bool give_back, const Caller *c) {
        Hold *h = hold_new(g, num_add_sat(clock_realtime(), span), reason, give_back, c ? c->uid : 0);
        char span_text[64];

        if (!h)
                return -ENOMEM;
        drop_hold(t);
        t->hold = h;
        g->holds_changed = true;
        announce(g, ANNOUNCE_HOLD, t, NULL, c, "%s: held for %s%s%s%s", target_name(t),
                 value_format_usec(span, span_text, sizeof(span_text)), *reason ? ": " : "", reason,
                 give_back ? "; its ceilings are given back" : "");
        enforce_queue(g, t);
        return 0;
}

void control_operator_hold(Guard *g, Target *t, usec_t until) {
        usec_t now = guard_now(g);

        t->operator_until = num_add_sat(clock_realtime(), until > now ? until - now : 0);
        g->holds_changed = true;
}

void control_unhold(Guard *g, Target *t, const Caller *c) {
        bool held = t->hold != NULL;

        for (size_t i = 0; i < t->recon.n; i++)
                held = held || t->recon.knobs[i].state == KNOB_HELD;
        drop_hold(t);
        t->operator_until = 0;
        recon_unhold(&t->recon);
        if (held)
                announce(g, ANNOUNCE_UNHOLD, t, NULL, c, "%s: no longer held", target_name(t));
        g->holds_changed = true;
        enforce_queue(g, t);
}

void control_adopt_hold(Guard *g, Target *t) {
        char key[HOLD_KEY_MAX];
        bool known = (!t->container || t->found) && hold_key(t, key, sizeof(key)) >= 0;
        KeptHold h;

        if (t->hold || !kept_holds_take(&g->kept_holds, t->id, t->node->path, known ? key : NULL, &h))
                return;
        if (h.until > clock_realtime())
                t->hold = hold_new(g, h.until, h.reason, h.give_back, h.uid);
        if (t->hold && h.cgroup_id != t->id)
                announce(g, ANNOUNCE_HOLD, t, NULL, NULL, "%s: made again, and held as before",
                         target_name(t));
        kept_hold_deinit(&h);
        g->holds_changed = true;
        enforce_queue(g, t);
}

void control_keep_hold(Guard *g, const Target *t) {
        char key[HOLD_KEY_MAX];
        KeptHold h;

        if (!t->hold)
                return;
        h = hold_of(t, key, sizeof(key));
        g->holds_changed = true;
        if (kept_holds_add(&g->kept_holds, &h) >= 0 && (h.key || t->leaving))
                return;
        announce(g, ANNOUNCE_UNHOLD, t, NULL, NULL, "%s: gone, and its hold with it", target_name(t));
}

static int load_line(Guard *g, const char *line) {
        json_int_t id, until, uid;
        KeptHold h = {};
        int give_back, r = -EINVAL;
        json_t *o;

        o = json_loads(line, 0, NULL);
        if (!o)
                return r;
        if (json_unpack(o, "{s:I, s:s, s:I, s:s, s:I, s:b, s?s}", "cgroup_id", &id, "cgroup", &h.cgroup,
                        "until", &until, "reason", &h.reason, "uid", &uid, "give_back", &give_back, "key",
                        &h.key) == 0) {
                h.cgroup_id = (uint64_t)id;
                h.until = (uint64_t)until;
                h.uid = (uint32_t)uid;
                h.give_back = give_back;
                r = kept_holds_add(&g->kept_holds, &h);
        }
        json_decref(o);
        return r;
}

int control_load(Guard *g) {
        _cleanup_fd_ int dir = run_dir(g);
        _cleanup_free_ char *text = NULL;
        char *save = NULL;
        unsigned bad = 0;
        size_t len;
        int r;

        if (dir < 0)
                return dir;
        r = fd_read_regular_at(dir, "holds", HOLDS_FILE_MAX, &text, &len, NULL, NULL);
        if (r >= 0)
                for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                        bad += load_line(g, line) < 0;
        if (bad > 0 || (r < 0 && r != -ENOENT))
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the holds of an earlier run could not all be read from %s/holds: set them again",
                         g->config.run_dir);
        control_check_pause(g, NULL);
        return 0;
}

void control_beat(Guard *g, usec_t now) {
        size_t i = 0;
        Target *t;

        if (g->paused)
                control_check_pause(g, NULL);
        while ((t = map_next(&g->targets, &i)))
                if (t->hold && now >= t->hold->until) {
                        drop_hold(t);
                        announce(g, ANNOUNCE_UNHOLD, t, NULL, NULL, "%s: its hold has ended", target_name(t));
                        enforce_queue(g, t);
                        g->holds_changed = true;
                }
        g->holds_changed |= kept_holds_expire(&g->kept_holds, clock_realtime());
        (void)control_save_holds(g);
}

/* ---- undo, release ---- */

int control_undo(Guard *g, uint64_t event_id, const Caller *c, char **ret_text, const char **ret_error) {
        const Event *e = event_find(g, event_id);
        bool lease;
        Target *t;
        int r;

        if (!e) {
                *ret_error = "no such event is kept";
                return -ENOENT;
        }
        lease = STR_EQ(e->kind, "throttle") || STR_EQ(e->kind, "freeze");
        if (!lease && !STR_EQ(e->kind, "set") && !STR_EQ(e->kind, "repaired") &&
            !STR_EQ(e->kind, "squeeze")) {
                *ret_error =
                        "that event changed no limit: only set, repaired, squeeze, throttle and freeze can "
                        "be undone";
                return -EINVAL;
        }
        t = map_get_u64(&g->targets, e->cgroup_id);
        if (!t || t->leaving) {
                *ret_error = "its cgroup is gone";
                return -ENOENT;
        }
        if (asprintf(ret_text,
                     "%s: %s given back and it is held for 1 h; end that with: bailiffctl unhold %s",
                     target_name(t), lease ? "what held it back is" : "its limits are", t->node->path) < 0)
                return -ENOMEM;
        announce(g, ANNOUNCE_UNDO, t, NULL, c, "%s: event %llu is undone", target_name(t),
                 (unsigned long long)event_id);
        if (lease)
                (void)leasing_release(g, t, _LEVER_INVALID, true);
        /* Of a lease, ceilings are no part: they stay. */
        r = control_hold(g, t, UNDO_HOLD, "undo", !lease, c);
        return r < 0 ? r : control_save_holds(g);
}

int control_release(Guard *g, Target *t, const Caller *c) {
        int r;

        if (t)
                return control_hold(g, t, 365 * 24 * UNDO_HOLD, "release --ceilings", true, c);
        r = write_pause(g, 0, true);
        if (r < 0)
                return r;
        control_check_pause(g, c);
        return 0;
}
