/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The service's state: service.c turns the loop and listens, answers.c says it to the guard, question.c looks at processes,
 * links.c asks for links. */

#include <dirent.h>
#include <time.h>

#include "clock.h"
#include "cnsock.h"
#include "kin.h"
#include "nlwire.h"
#include "service.h"
#include "tasksock.h"
#include "watches.h"

#define RECORDS_PER_TURN 2048

#define QUESTIONS_MAX 4
#define LINKS_ASKS_MAX 8

typedef struct Looked { /* a process asked about */
        uint32_t pid;
        bool there;
        uint64_t start, cpu_usec;
        uint64_t delays[_TALLY_TASK_MAX];
} Looked;

typedef struct Question {
        NlAsk ask;
        usec_t asked, due; /* due USEC_INFINITY: there is none */
        size_t n;
        Looked first[NLWIRE_ASK_MAX];
} Question;

typedef struct Service {
        ServiceConfig config;
        int client, proc;
        Cnsock events;
        Tasksock tasks;
        Kin kin;
        Watches watches;

        uint32_t wants; /* of the client */
        unsigned kinds; /* bits 1 << KinWhat: what is listened to now, exits of watched ones apart */
        bool watching; /* exits and executions of watched processes are listened to */
        int events_error, tasks_error;
        bool relisten; /* wants or watched pids changed */

        usec_t turn_at; /* the sockets are read then, and not before */
        unsigned budget; /* looks into /proc that this turn may still make */
        DIR *census; /* processes are being met */
        uint32_t census_pid; /* to be met next; 0: read on */
        usec_t census_at; /* a census is due then; USEC_INFINITY: none */
        bool hurry; /* there is more to be done at the next turn, whatever the kernel says */

        usec_t told_at; /* the last batch */
        uint64_t lost_events, lost_records; /* not told yet */
        bool anew; /* something was counted since the last batch */
        uint32_t forgotten; /* a group that the client is to forget; 0: none */
        bool blocked; /* the client has not taken something: it is said again as soon as there is room */
        bool status_due;
        usec_t status_at;
        usec_t execs_at; /* executions are told then, and not before */
        Question questions[QUESTIONS_MAX];
        NlLinksAsk links_asks[LINKS_ASKS_MAX]; /* in their order */
        size_t n_links_asks;
        usec_t links_at; /* the next is answered then, and not before */
        NlOut out;
        KinRecord records[RECORDS_PER_TURN];
} Service;

/* ---- answers.c ---- */

/* False: the client has gone, or does not take it now (what was not said stays). */
bool answers_send(Service *s);
void answers_status(Service *s, usec_t now);
void answers_exits(Service *s);
void answers_execs(Service *s, usec_t now);
void answers_batches(Service *s, usec_t now);

/* ---- service.c ---- */

void service_drop_client(Service *s);
uint32_t service_hears(const Service *s); /* NL_HEARS_… bits */

/* ---- question.c ---- */

void question_init(Service *s); /* there is none */
void question_take(Service *s, const NlPacket *p, usec_t now);
usec_t question_next_time(const Service *s); /* USEC_INFINITY: none */
void question_beat(Service *s, usec_t now); /* answers those that are due */

/* ---- links.c ---- */

void links_init(Service *s); /* nothing is asked */
void links_take(Service *s, const NlPacket *p);
usec_t links_next_time(const Service *s); /* USEC_INFINITY: none */
void links_beat(Service *s, usec_t now); /* answers the next, if it is due */
