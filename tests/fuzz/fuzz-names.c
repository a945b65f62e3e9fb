/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Engines' state files given anything, one reader after the other. Beyond not
 * crashing: what a reader made fits into an answer, arrives unchanged, and is
 * within the bounds that names.h promises. The input is also taken for an
 * answer of a helper that was taken over: whatever the guard accepts of it,
 * it would have said in the same words.
 */

#include "fuzz.h"
#include "names-wire.h"
#include "state.h"

static void check_string(const char *s, size_t max, bool control) {
        must(!s || (strlen(s) <= max && state_text_valid(s, control)));
}

static void check_info(const ContainerInfo *i) {
        check_string(i->name, NAMES_STRING_MAX, false);
        check_string(i->image, NAMES_STRING_MAX, false);
        check_string(i->health_check, NAMES_STRING_MAX, false);
        check_string(i->stop_signal, NAMES_STRING_MAX, false);
        check_string(i->source, NAMES_SOURCE_MAX, false);
        check_string(i->problem, NAMES_SOURCE_MAX, false);
        must(i->n_labels <= NAMES_LABELS_MAX);
        for (size_t k = 0; k < i->n_labels; k++) {
                must(i->labels[k].key && *i->labels[k].key && i->labels[k].value);
                check_string(i->labels[k].key, NAMES_STRING_MAX, false);
                check_string(i->labels[k].value, NAMES_STRING_MAX, true);
        }
        must(i->main_pid >= 0);
}

/* A second trip changes nothing. */
static void check_wire(const ContainerInfo *i) {
        _cleanup_(cleanup_container_info_free) ContainerInfo *back = NULL;
        _cleanup_buf_ Buf once = BUF_INIT, twice = BUF_INIT;

        must(names_encode(i, &once) == 0);
        must(once.len <= NAMES_ANSWER_MAX);
        must(names_decode(once.data, once.len, &back) == 0);
        must(names_encode(back, &twice) == 0);
        must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
}

static int parse_oci_podman(State *s, const char *d, size_t n) {
        return state_oci_parse(s, OCI_PODMAN, d, n);
}
static int parse_oci_crio(State *s, const char *d, size_t n) { return state_oci_parse(s, OCI_CRIO, d, n); }
static int parse_oci_containerd(State *s, const char *d, size_t n) {
        return state_oci_parse(s, OCI_CONTAINERD, d, n);
}

static int parse_machine(State *s, const char *d, size_t n) {
        _cleanup_free_ char *copy = strndup(d, n);

        must(copy != NULL);
        return state_machine_parse(s, copy);
}

static int parse_lxc(State *s, const char *d, size_t n) {
        _cleanup_free_ char *copy = strndup(d, n);

        must(copy != NULL);
        return state_lxc_parse(s, copy);
}

static int parse_table(State *s, const char *d, size_t n) { return state_podman_parse_table(s, d, n); }

static int parse_settings(State *s, const char *d, size_t n) {
        _cleanup_free_ char *copy = strndup(d, n), *graph = NULL, *data_root = NULL;

        must(copy != NULL);
        graph = state_podman_parse_conf(copy, "graphroot");
        if (state_docker_parse_daemon(d, n, &data_root) == 0)
                must(data_root && data_root[0] == '/');
        return state_set_signal(s, copy);
}

int fuzz_one(const uint8_t *data, size_t size) {
        static int (*const parsers[])(State * s, const char *data, size_t len) = {
                state_docker_parse_config,
                state_docker_parse_hostconfig,
                parse_oci_podman,
                parse_oci_crio,
                parse_oci_containerd,
                parse_machine,
                parse_lxc,
                parse_table,
                parse_settings,
        };
        static const NamesConfig config = { .root = "" };
        static const NamesQuery query = { .engine = ENGINE_DOCKER, .id = "c0ffee", .uid = (uid_t)-1 };
        _cleanup_(cleanup_container_info_free) ContainerInfo *answer = NULL;
        const char *text = (const char *)data;

        for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
                _cleanup_state_ State s;

                must(state_init(&s, &config, &query) == 0);
                (void)parsers[i](&s, text, size);
                check_info(s.info);
                check_wire(s.info);
        }
        if (names_decode(data, size, &answer) == 0) {
                check_info(answer);
                check_wire(answer);
        }
        return 0;
}
