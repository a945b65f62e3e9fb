/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hook is an executable in the hooks' directory, named of letters, digits, - and _ (so that editors' and package managers' leftovers
 * are none). It gets the state as its only argument, the incident's number and state in its environment, and
 * the incident as JSON on standard input: a sealed file in memory, so that one which reads nothing hurts nobody.
 *
 * One that does not end in time is killed with all of its process group; one that did end may have left something
 * in the background, such as a mailer that delivers.
 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "fdio.h"
#include "notify.h"

/* ---- news ---- */

void notify_known_deinit(NotifyKnown *k) {
        free(k->list);
        *k = (NotifyKnown){};
}

static const struct NotifyIncident *known(const NotifyKnown *k, uint64_t id) {
        for (size_t i = 0; i < k->n; i++)
                if (k->list[i].id == id)
                        return &k->list[i];
        return NULL;
}

int notify_look(NotifyKnown *k, const json_t *incidents,
                void (*tell)(void *user, const json_t *incident, const char *state), void *user) {
        size_t n = json_array_size(incidents);
        NotifyKnown fresh = { .begun = true };

        fresh.list = calloc(n + 1, sizeof(*fresh.list));
        if (!fresh.list)
                return -ENOMEM;
        for (size_t i = n; i-- > 0;) {
                const json_t *o = json_array_get(incidents, i);
                uint64_t id = (uint64_t)json_integer_value(json_object_get(o, "id"));
                bool open = !json_is_integer(json_object_get(o, "closed"));
                const struct NotifyIncident *before = known(k, id);

                if (id == 0 || known(&fresh, id))
                        continue;
                fresh.list[fresh.n++] = (struct NotifyIncident){ id, open };
                if (!k->begun)
                        continue;
                if (before ? !before->open && open : true)
                        tell(user, o, "opened");
                if (before ? before->open && !open : !open)
                        tell(user, o, "closed");
        }
        notify_known_deinit(k);
        *k = fresh;
        return 0;
}

/* ---- hooks ---- */

static int is_hook(const struct dirent *d) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

        return d->d_name[strspn(d->d_name, allowed)] == '\0';
}

static bool trusted(const struct stat *st, uid_t owner) {
        return st->st_uid == owner && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int input_of(const json_t *incident) {
        _cleanup_fd_ int fd = memfd_create("incident", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        _cleanup_free_ char *text = json_dumps(incident, JSON_COMPACT);
        int r;

        if (fd < 0)
                return -errno;
        if (!text)
                return -ENOMEM;
        r = fd_write_all(fd, text, strlen(text));
        if (r >= 0)
                r = fd_write_all(fd, "\n", 1);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;
        return steal_fd(&fd);
}

static void become(const char *path, int input, const char *id, const char *state) {
        (void)setpgid(0, 0);
        if (dup2(input, STDIN_FILENO) < 0 || setenv("BAILIFF_INCIDENT_ID", id, 1) < 0 ||
            setenv("BAILIFF_INCIDENT_STATE", state, 1) < 0)
                _exit(126);
        (void)execl(path, path, state, (char *)NULL);
        _exit(127);
}

/* 0: it ended well. Positive: it did not, and that was said. Negative errno: it could not be started. */
static int run(const char *path, int input, const char *id, const char *state, usec_t deadline) {
        struct pollfd p = { .events = POLLIN };
        _cleanup_fd_ int pidfd = -1;
        int status, n = 0;
        pid_t pid;

        (void)fflush(NULL);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                become(path, input, id, state);
        (void)setpgid(pid, pid);
        p.fd = pidfd = pidfd_open(pid, 0);
        if (pidfd >= 0)
                do
                        n = poll(&p, 1, (int)(deadline / 1000));
                while (n < 0 && errno == EINTR);
        if (n <= 0) /* it did not end in time, or there is no telling */
                (void)kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (n == 0)
                return ctl_fail(STATUS_FAILED, "%s did not end in time and was killed", path);
        if (WIFSIGNALED(status))
                return ctl_fail(STATUS_FAILED, "%s was ended by signal %d", path, WTERMSIG(status));
        if (WEXITSTATUS(status) != 0)
                return ctl_fail(STATUS_FAILED, "%s failed with exit status %d", path, WEXITSTATUS(status));
        return 0;
}

static int run_hook(const NotifyHooks *h, const char *name, const json_t *incident, const char *id,
                    const char *state) {
        _cleanup_free_ char *path = NULL;
        _cleanup_fd_ int input = -1;
        struct stat st;
        int r;

        if (asprintf(&path, "%s/%s", h->dir, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (stat(path, &st) < 0)
                return ctl_fail(STATUS_FAILED, "%s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
                return 1; /* a directory, a README */
        if (!trusted(&st, h->owner))
                return ctl_fail(STATUS_FAILED, "%s is not run: it is not root's own, or others may write it",
                                path);
        input = input_of(incident);
        r = input < 0 ? input : run(path, input, id, state, h->deadline);
        if (r < 0)
                return ctl_fail(STATUS_FAILED, "%s cannot be run: %s", path, strerror(-r));
        return r;
}

int notify_run(const NotifyHooks *h, const json_t *incident, const char *state) {
        struct dirent **names = NULL;
        int n, n_well = 0;
        struct stat st;
        char id[24];

        if (stat(h->dir, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!trusted(&st, h->owner))
                return -EPERM;
        n = scandir(h->dir, &names, is_hook, alphasort);
        if (n < 0)
                return -errno;
        (void)snprintf(id, sizeof(id), "%lld",
                       (long long)json_integer_value(json_object_get(incident, "id")));
        for (int i = 0; i < n; i++) {
                n_well += run_hook(h, names[i]->d_name, incident, id, state) == 0;
                free(names[i]);
        }
        free(names);
        return n_well;
}
