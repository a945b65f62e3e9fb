/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Filling a ContainerInfo within its bounds: whatever a state file says is
 * copied only if it is short and clean, else counted.
 */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "num.h"
#include "state.h"

#define PROBLEM_MAX 1024

ContainerInfo *container_info_free(ContainerInfo *i) {
        if (!i)
                return NULL;
        for (size_t k = 0; k < i->n_labels; k++) {
                free(i->labels[k].key);
                free(i->labels[k].value);
        }
        free(i->labels);
        for (char **g = i->groups; g && *g; g++)
                free(*g);
        free(i->groups);
        limit_set_deinit(&i->requested);
        free(i->name);
        free(i->image);
        free(i->health_check);
        free(i->stop_signal);
        free(i->source);
        free(i->problem);
        free(i->user_name);
        free(i);
        return NULL;
}

void state_problem(State *s, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        if (s->problem.len + (size_t)n + 2 > PROBLEM_MAX || !state_text_valid(text, false))
                return;
        if (s->problem.len > 0)
                buf_puts(&s->problem, "; ");
        buf_puts(&s->problem, text);
}

void state_problem_file(State *s, const char *path, int r) {
        const char *what;

        switch (-r) {
        case ENOENT:
                what = "is not there";
                break;
        case ELOOP:
                what = "is a symbolic link";
                break;
        case EINVAL:
                what = "is not a regular file with the expected content";
                break;
        case EFBIG:
                what = "is larger than 4 MiB";
                break;
        case E2BIG:
                what = "takes too much memory to parse";
                break;
        case EAGAIN:
                what = "grew while it was read";
                break;
        case EPERM:
                what = "belongs to another user";
                break;
        default:
                what = strerrordesc_np(-r);
        }
        state_problem(s, "%s: %s", path, what ? what : "unknown error");
}

int state_set(State *s, char **target, const char *text) {
        char *copy;

        if (!text || !*text)
                return 0;
        if (strlen(text) > NAMES_STRING_MAX || !state_text_valid(text, false)) {
                s->n_dropped++;
                return 0;
        }
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*target);
        *target = copy;
        return 0;
}

int state_set_source(State *s, const char *path) {
        char *copy;

        if (strlen(path) > NAMES_SOURCE_MAX || !state_text_valid(path, false))
                return 0;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        free(s->info->source);
        s->info->source = copy;
        return 0;
}

int state_add_label(State *s, const char *key, const char *value) {
        ContainerInfo *i = s->info;
        size_t k = strlen(key), v = strlen(value);
        Label l;

        if (k == 0 || k > NAMES_STRING_MAX || v > NAMES_STRING_MAX || i->n_labels >= NAMES_LABELS_MAX ||
            s->labels_bytes + k + v > NAMES_LABELS_BYTES_MAX || !state_text_valid(key, false) ||
            !state_text_valid(value, true)) {
                s->n_dropped++;
                return 0;
        }
        if (!i->labels) {
                i->labels = calloc(NAMES_LABELS_MAX, sizeof(Label));
                if (!i->labels)
                        return -ENOMEM;
        }
        l = (Label){ .key = strdup(key), .value = strdup(value) };
        if (!l.key || !l.value) {
                free(l.key);
                free(l.value);
                return -ENOMEM;
        }
        i->labels[i->n_labels++] = l;
        s->labels_bytes += k + v;
        return 0;
}

int state_add_labels(State *s, const json_t *object) {
        const char *key;
        json_t *v;

        json_object_foreach((json_t *)(uintptr_t)object, key, v) {
                int r;

                if (!json_is_string(v))
                        continue;
                r = state_add_label(s, key, json_string_value(v));
                if (r < 0)
                        return r;
        }
        return 0;
}

int state_set_signal(State *s, const char *text) {
        char name[24] = "SIG";
        uint32_t number;
        size_t n = 3;

        if (!text || !*text)
                return 0;
        if (num_parse_u32(text, &number) == 0) {
                const char *abbrev = number < NSIG ? sigabbrev_np((int)number) : NULL;

                if (abbrev)
                        (void)snprintf(name, sizeof(name), "SIG%s", abbrev);
                else if (number >= (uint32_t)SIGRTMIN && number <= (uint32_t)SIGRTMAX)
                        (void)snprintf(name, sizeof(name), "SIGRTMIN+%u", number - (uint32_t)SIGRTMIN);
                else
                        return 0;
                return state_set(s, &s->info->stop_signal, name);
        }
        for (const char *p = text; *p; p++) {
                char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;

                if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '+' && c != '-')
                        return 0;
                if (n + 1 >= sizeof(name))
                        return 0;
                name[n++] = c;
        }
        name[n] = '\0';
        return state_set(s, &s->info->stop_signal, strncmp(name + 3, "SIG", 3) == 0 ? name + 3 : name);
}

int state_read_pid(State *s, const StateDir *d, const char *name) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        uint32_t pid;

        if (state_open_file(s, d, name, &f) < 0 || state_file_load(&f, 64) < 0)
                return 0;
        f.data[strcspn(f.data, "\n")] = '\0';
        if (num_parse_u32(f.data, &pid) < 0 || pid == 0 || pid > INT32_MAX)
                return 0;
        s->info->main_pid = (pid_t)pid;
        state_used(s, &f, false);
        return 0;
}
