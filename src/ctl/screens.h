/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From the guard's JSON (bus.h) to what people read. Pure but for the View they
 * print to: `now` is realtime in µs, absent members are no error. Each returns 0 or
 * -ENOMEM.
 */

#include <jansson.h>
#include <stdint.h>

#include "diag.h"
#include "jsonget.h"
#include "table.h"

/* ---- say.c: small things ---- */

#define SAY_MAX 64
const char *say_time(uint64_t realtime, char buf[static SAY_MAX]); /* local time; "-" for 0 */
const char *say_span(usec_t usec, char buf[static SAY_MAX]); /* two units at most: "2h 3min" */
const char *say_size(uint64_t bytes,
                     char buf[static SAY_MAX]); /* rounded down to five characters: "9.7G", "1023M" */
const char *say_permyriad(uint64_t permyriad, char buf[static SAY_MAX]); /* "0%", "0.5%", "12.3%", "250%" */
/* "  Policy: text", the key right-aligned and bold; key "" continues the one above. Escaped. */
void say_field(const View *v, const char *key, TextStyle style, const char *format, ...) _printf_(4, 5);
void say_line(const View *v, TextStyle style, const char *format, ...) _printf_(3, 4);
/*
 * Prose: `head` padded to `indent` columns, then the text, folded between words to the width of the view (100 at most) with
 * `indent` blanks before each further line. Escaped; a word that is too long for a line is broken. Where the view has
 * no width it stays one line.
 */
void say_prose(const View *v, const char *head, TextStyle head_style, unsigned indent, TextStyle style,
               const char *text);
#define SAY_FIELD_INDENT 12 /* of say_field() */
/* Likewise, as a field. */
void say_prose_field(const View *v, const char *key, TextStyle style, const char *text);
/* "FILE:LINE", "" where there is none */
void say_where(Buf *b, const json_t *o);
/* The name that people know it by: name, else unit, else twelve characters of the id, else the cgroup. */
const char *say_container(const json_t *container, char buf[static SAY_MAX]);

/* The limit (a JSON "limit") of that key in an array, NULL: none. */
const json_t *limit_of(const json_t *limits, const char *key);
/* "312M/1G": use, and the ceiling that is in the kernel or that the engine asked for. */
void say_use(Buf *b, const json_t *o, const char *usage, const char *limit);

/* "12.5%/50%": CPU use (of one CPU) and its ceiling, likewise */
void say_cpu(Buf *b, const json_t *o);
/* Of cpu, memory and io the one that is waited for most, and the share of time: "io 34%". */
TextStyle say_pressure(Buf *b, const json_t *o);
TextStyle pressure_style(uint64_t permyriad);
/* Behind a table_print() that returned r: says that columns were left out. r, or 0 where it is one of success. */
int say_left_out(const View *v, int r);

/* ---- screens ---- */

/* Of `why`: for_tenant NULL: all is told; status, for what the host has, may be NULL. */
int screen_why(const json_t *why, const json_t *status, const char *for_tenant, const View *v, uint64_t now);
int screen_incidents(const json_t *incidents, const View *v, uint64_t now);
int screen_observed(const json_t *report, const View *v, uint64_t now);
/* verb-report.c: report-model.h's JSON; as CSV (RFC 4180) a line a tenant. */
int screen_report(const json_t *report, const View *v, uint64_t now);
int report_csv(const json_t *report, Buf *out);
/* show-judged.c: what holds a container or tenant back, and what the judge finds of it. */
int screen_judged(const json_t *object, const View *v, uint64_t now);
/* What is held back by leases: "throttled", "frozen", NULL. */
const char *held_back(const json_t *leases);

/* verb-processes.c: the answer of GetProcesses(). */
int screen_processes(const json_t *answer, const View *v);
/* Of one of its processes: what it waited for most of the span; nothing where that is little, or not known. */
void process_wait(Buf *b, const json_t *process, uint64_t span);
uint64_t process_cpu(const json_t *process, uint64_t span); /* within the span, permyriad of one CPU */
#define TOLD_PROCESSES_MAX 3
/* Those of a "judged", in one sentence; nothing where none are known. */
void tell_processes(Buf *b, const json_t *judged);

/* verb-act.c: "cpu=50%" … as Throttle() wants them. 0, or -EINVAL with what is wrong in *error. */
int throttle_values(char *const *words, size_t n, Buf *values, Buf *error);
/* What `kill` is asked for: as Kill() wants it. 0, or -EINVAL: neither. */
int kill_target(const char *word, Buf *name, bool *ret_tenant);

TextStyle state_style(const char *state); /* of a limit's state: "drifted" is bad */
int screen_status(const json_t *status, const View *v, uint64_t now);
/* One line for Nagios into *line; returns its code 0..2. */
int screen_check(const json_t *status, Buf *line);
int screen_tenants(const json_t *tenants, const View *v);
/* Sets "containers_held_back" in each of tenants. */
void tenants_count_held_back(json_t *tenants, const json_t *containers);
int screen_containers(const json_t *containers, const char *tenant, const View *v); /* tenant NULL: all */
/* "members": a tenant's containers; "why_now": what `why` says of now (bus.h), both the caller's additions. */
int screen_show(const json_t *object, const View *v, uint64_t now);
/* show-measured.c: what was measured of a container or tenant, and its books. */
void screen_measured(const json_t *object, const View *v);
/* One event as one line (more where its text has more). */
void screen_event(const json_t *event, const View *v);
int screen_policy(const json_t *policy, const View *v);
int screen_diff(const json_t *diff, const View *v);
int screen_released(const json_t *released, const View *v);

/* A first policy from two looks at what runs, `span` apart (the second may be NULL: no rates). Always a policy that parses. */
int suggest_policy(const json_t *first, const json_t *second, usec_t span, const json_t *status, Buf *out);

/* Findings as an array of {"area","subject","text","remedy"}; any argument may be NULL. NULL: out of memory. */
json_t *doctor_find(const json_t *status, const json_t *containers, const json_t *tenants);
int screen_findings(const json_t *findings, const View *v);

/* Policy files as `policy check` sees them: {"ok","files",…,"diagnostics"}; takes the reference of files. */
json_t *check_to_json(const Diags *diags, json_t *files, size_t tenants, size_t templates, size_t plans,
                      size_t containers);
