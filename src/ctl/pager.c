/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Long answers through a pager, as systemd's tools do: $BAILIFF_PAGER, $PAGER,
 * less, more; "" or "cat" for none.
 *
 * bailiffctl is what a rule in sudoers likes to allow, and a pager with a shell escape
 * makes root of whoever may only look. So less is told to be secure (no shell, no
 * editor), and under sudo and its kin nobody's environment chooses the program.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "fdio.h"

#define WORDS_MAX 16

static pid_t pager;

static bool on_behalf_of_another(void) {
        return geteuid() != getuid() || getegid() != getgid() || getenv("SUDO_UID") || getenv("PKEXEC_UID") ||
               getenv("DOAS_USER");
}

/* NULL: the usual ones; "": none. */
static const char *wanted(void) {
        const char *p;

        if (on_behalf_of_another())
                return NULL;
        p = getenv("BAILIFF_PAGER");
        if (!p)
                p = getenv("PAGER");
        return p && STR_EQ(p, "cat") ? "" : p;
}

/* Only where nothing can be executed: hand on what comes. */
static void copy(void) {
        char b[4096];
        ssize_t n;

        while ((n = read(STDIN_FILENO, b, sizeof(b))) != 0)
                if (n < 0 ? errno != EINTR : fd_write_all(STDOUT_FILENO, b, (size_t)n) < 0)
                        return;
}

static void run(const char *command) {
        static const char *const usual[] = { "less", "more" };
        char *words[WORDS_MAX + 1] = {}, *save = NULL;
        _cleanup_free_ char *text = command ? strdup(command) : NULL;
        size_t n = 0;

        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        /* F: gone if it fits the screen; R: colours; S: no folding of tables; X: stays on the screen; M: where we are. */
        (void)setenv("LESS", "FRSXMK", 1);
        (void)setenv("LESSCHARSET", "utf-8", 0);
        (void)setenv("LESSSECURE", "1", 1);
        (void)unsetenv("LESSOPEN");
        (void)unsetenv("LESSCLOSE");
        for (char *w = text ? strtok_r(text, " \t", &save) : NULL; w && n < WORDS_MAX;
             w = strtok_r(NULL, " \t", &save))
                words[n++] = w;
        if (n > 0)
                (void)execvp(words[0], words);
        for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
                (void)execlp(usual[i], usual[i], (char *)NULL);
        copy();
}

void pager_open(void) {
        const char *command = wanted();
        int fds[2];

        if (pager > 0 || !isatty(STDOUT_FILENO) || (command && !*command))
                return;
        (void)fflush(stdout);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        pager = fork();
        if (pager == 0) {
                (void)dup2(fds[0], STDIN_FILENO);
                run(command);
                _exit(EXIT_SUCCESS);
        }
        if (pager > 0 && dup2(fds[1], STDOUT_FILENO) >= 0) {
                /* ^C is the pager's; its early end is no failure of ours. */
                (void)signal(SIGINT, SIG_IGN);
                (void)signal(SIGPIPE, SIG_IGN);
        }
        (void)close(fds[0]);
        (void)close(fds[1]);
}

void pager_close(void) {
        int status;

        if (pager <= 0)
                return;
        (void)fclose(stdout);
        while (waitpid(pager, &status, 0) < 0 && errno == EINTR)
                ;
        pager = 0;
}
