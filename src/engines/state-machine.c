/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Machines: containers whose cgroup already says their name.
 *
 *   systemd-nspawn  /run/systemd/machines/NAME, lines of KEY=value by systemd-machined
 *   LXC             /var/lib/lxc/NAME/config (lxc.container.conf(5)), or the user's own
 *
 * Incus and LXD run LXC with configs of their own elsewhere; there the name is
 * all we know, and that is no problem to complain about.
 */

#include <stdio.h>

#include "num.h"
#include "state.h"

/* The next line of *text, cut off and trimmed; NULL at the end. */
static char *next_line(char **text) {
        char *line = *text, *end;

        if (!*line)
                return NULL;
        end = line + strcspn(line, "\n");
        *text = *end ? end + 1 : end;
        *end = '\0';
        line += strspn(line, " \t");
        for (end = line + strlen(line); end > line && strchr(" \t\r", end[-1]); end--)
                ;
        *end = '\0';
        return line;
}

/* Splits "key = value" in place. */
static char *split(char *line) {
        char *value = strchr(line, '='), *end;

        if (!value)
                return NULL;
        for (end = value; end > line && (end[-1] == ' ' || end[-1] == '\t'); end--)
                ;
        *end = '\0';
        return value + 1 + strspn(value + 1, " \t");
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

int state_machine_parse(State *s, char *data) {
        char *line;

        while ((line = next_line(&data))) {
                char *value = split(line);
                uint32_t pid;
                int r;

                if (!value)
                        continue;
                if (STR_EQ(line, "ROOT")) {
                        r = state_set(s, &s->info->image, value);
                        if (r < 0)
                                return r;
                } else if (STR_EQ(line, "CLASS"))
                        s->info->is_vm = STR_EQ(value, "vm");
                else if (STR_EQ(line, "LEADER") && num_parse_u32(value, &pid) == 0 && pid <= INT32_MAX)
                        s->info->main_pid = (pid_t)pid;
        }
        return 0;
}

int state_lxc_parse(State *s, char *data) {
        char *line;

        while ((line = next_line(&data))) {
                static const char cgroup2[] = "lxc.cgroup2.";
                char *value;
                int r = 0;

                if (*line == '[') /* Proxmox: sections of snapshots follow */
                        break;
                if (*line == '#')
                        continue;
                value = split(line);
                if (!value)
                        continue;
                if (starts(line, cgroup2))
                        r = state_add_limit_file(s, line + sizeof(cgroup2) - 1, value);
                else if (STR_EQ(line, "lxc.rootfs.path"))
                        r = state_set(s, &s->info->image, value);
                else if (STR_EQ(line, "lxc.signal.halt"))
                        r = state_set_signal(s, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* shown: path of d. limits: the file holds limits too. */
static int read_text(State *s, const StateDir *d, const char *shown, const char *name, bool limits,
                     int (*parse)(State *s, char *data)) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", shown, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = state_read_file(s, d, name, &f);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = parse(s, f.data);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                state_problem_file(s, path, r);
                return 0;
        }
        state_used(s, &f, limits);
        return state_set_source(s, path);
}

int state_machine_read(State *s) {
        static const char machines[] = "/run/systemd/machines";
        _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;

        if (state_open_dir(s, machines, &d) < 0)
                return 0;
        return read_text(s, &d, machines, s->query->id, false, state_machine_parse);
}

int state_lxc_read(State *s) {
        const char *base = s->query->rootless ? s->home : "/var/lib/lxc";
        _cleanup_state_dir_ StateDir root = STATE_DIR_INIT, d = STATE_DIR_INIT;
        _cleanup_free_ char *below = NULL, *shown = NULL;
        int r;

        if (asprintf(&below, "%s%s", s->query->rootless ? ".local/share/lxc/" : "", s->query->id) < 0) {
                below = NULL;
                return -ENOMEM;
        }
        if (asprintf(&shown, "%s/%s", base, below) < 0) {
                shown = NULL;
                return -ENOMEM;
        }
        r = state_open_dir(s, base, &root);
        if (r >= 0)
                r = state_open_below(s, &root, below, &d);
        if (r < 0) {
                if (r != -ENOENT)
                        state_problem_file(s, shown, r);
                return 0;
        }
        return read_text(s, &d, shown, "config", true, state_lxc_parse);
}
