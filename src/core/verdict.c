/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The words of judging as text: names that JSON, journal fields and metrics
 * keep to for ever, and clauses that people read. The subject of a clause ("it")
 * is whom the verdict is about: of a HarmWhy the one that waits, of a BlameWhy
 * the candidate, of an ActWhy the one that is held back. Each stands behind
 * "because", "for" or a colon, so it has neither a capital nor a full stop.
 */

#include "verdict.h"

typedef struct Word {
        const char *name, *text;
} Word;

static const char *name_of(const Word *words, size_t n, unsigned i) {
        return i < n ? words[i].name : "unknown";
}

static const char *text_of(const Word *words, size_t n, unsigned i) {
        return i < n ? words[i].text : "nothing is known about it";
}

#define NAME(words, i) name_of(words, ARRAY_SIZE(words), (unsigned)(i))
#define TEXT(words, i) text_of(words, ARRAY_SIZE(words), (unsigned)(i))

static const Word resources[_RESOURCE_MAX] = {
        [RESOURCE_CPU] = { .name = "cpu" },
        [RESOURCE_MEMORY] = { .name = "memory" },
        [RESOURCE_IO] = { .name = "io" },
        [RESOURCE_PIDS] = { .name = "pids" },
};

const char *resource_to_string(Resource r) { return NAME(resources, r); }

Resource resource_from_string(const char *s) {
        for (int r = 0; r < _RESOURCE_MAX; r++)
                if (STR_EQ(resources[r].name, s))
                        return (Resource)r;
        return _RESOURCE_INVALID;
}

const char *party_kind_to_string(PartyKind k) {
        static const Word words[_PARTY_MAX] = {
                [PARTY_HOST] = { .name = "host" },
                [PARTY_GROUP] = { .name = "group" },
                [PARTY_CONTAINER] = { .name = "container" },
                [PARTY_SERVICE] = { .name = "service" },
        };

        return NAME(words, k);
}

const char *harm_class_to_string(HarmClass c) {
        static const Word words[_HARM_MAX] = {
                [HARM_NONE] = { .name = "none" },
                [HARM_OWN] = { .name = "own" },
                [HARM_MIXED] = { .name = "mixed" },
                [HARM_EXTERNAL] = { .name = "external" },
        };

        return NAME(words, c);
}

static const Word harm_whys[_HARM_WHY_MAX] = {
        [HARM_WHY_UNKNOWN] = { "unknown", "too little is known yet to tell whose doing it is" },
        [HARM_WHY_BELOW_TARGET] = { "below-target", "it waits no longer than its target allows" },
        [HARM_WHY_BASELINE] = { "baseline", "it waits no longer than it does in calm, too" },
        [HARM_WHY_START_UP] = { "start-up", "it has only just started" },
        [HARM_WHY_OWN_QUOTA] = { "own-quota", "it is held back by its own CPU quota" },
        [HARM_WHY_GROUP_QUOTA] = { "group-quota", "it is held back by the CPU quota of a group above it" },
        [HARM_WHY_OUR_LEASE] = { "our-lease", "the guard itself holds it back" },
        [HARM_WHY_ENTITLED] = { "entitled", "it gets the share it is entitled to, and wants more" },
        [HARM_WHY_CPU_IDLE] = { "cpu-idle", "CPUs are idle, so nobody keeps it from running" },
        [HARM_WHY_OWN_MEMORY] = { "own-memory", "it runs into its own memory limit" },
        [HARM_WHY_GROUP_MEMORY] = { "group-memory", "a group above it runs into its memory limit" },
        [HARM_WHY_NO_RECLAIM] = { "no-reclaim", "nobody else makes the host reclaim memory" },
        [HARM_WHY_OWN_IO] = { "own-io", "it runs into an IO limit of its own, or of a group above it" },
        [HARM_WHY_DEVICE_IDLE] = { "device-idle", "no disk that it uses is contended" },
        [HARM_WHY_OWN_DEVICE] = { "own-device", "it is itself the main user of the busy disk" },
        [HARM_WHY_FROZEN] = { "frozen", "it is frozen" },
        [HARM_WHY_CONTENDED] = { "contended", "others take what it is entitled to" },
        [HARM_WHY_HOST] = { "host", "the host as a whole runs out" },
};

const char *harm_why_to_string(HarmWhy w) { return NAME(harm_whys, w); }
const char *harm_why_text(HarmWhy w) { return TEXT(harm_whys, w); }

static const Word blame_whys[_BLAME_MAX] = {
        [BLAME_CULPRIT] = { "culprit", "it takes the most above what it is entitled to" },
        [BLAME_LESS] = { "less", "another one takes more above its entitlement" },
        [BLAME_SMALL] = { "small", "it takes too little to matter" },
        [BLAME_ENTITLED] = { "entitled", "it uses no more than it is entitled to" },
        [BLAME_PRIORITY] = { "priority", "its priority is above that of everybody it hurts" },
        [BLAME_PROTECTED] = { "protected", "it is protected by Protect=" },
        [BLAME_SERVICE] = { "service", "it is the host's own work and out of reach" },
        [BLAME_KERNEL] = { "kernel", "it is use that no cgroup explains, and out of reach" },
        [BLAME_MODE] = { "mode", "its Mode= allows telling only" },
        [BLAME_HELD] = { "held", "an operator's hold stands on it" },
        [BLAME_VICTIM] = { "victim", "it is itself the one that is hurt" },
};

const char *blame_why_to_string(BlameWhy w) { return NAME(blame_whys, w); }
const char *blame_why_text(BlameWhy w) { return TEXT(blame_whys, w); }

const char *lever_to_string(Lever l) {
        static const Word words[_LEVER_MAX] = {
                [LEVER_CPU] = { .name = "cpu" },       [LEVER_IO] = { .name = "io" },
                [LEVER_MEMORY] = { .name = "memory" }, [LEVER_PIDS] = { .name = "pids" },
                [LEVER_FREEZE] = { .name = "freeze" }, [LEVER_STOP] = { .name = "stop" },
                [LEVER_KILL] = { .name = "kill" },
        };

        return NAME(words, l);
}

const char *act_kind_to_string(ActKind k) {
        static const Word words[_ACT_MAX] = {
                [ACT_NOTIFY] = { .name = "notify" }, [ACT_THROTTLE] = { .name = "throttle" },
                [ACT_RELAX] = { .name = "relax" },   [ACT_RELEASE] = { .name = "release" },
                [ACT_FREEZE] = { .name = "freeze" }, [ACT_THAW] = { .name = "thaw" },
                [ACT_STOP] = { .name = "stop" },     [ACT_KILL] = { .name = "kill" },
                [ACT_ALARM] = { .name = "alarm" },
        };

        return NAME(words, k);
}

static const Word act_whys[_ACT_WHY_MAX] = {
        [ACT_WHY_HARM] = { "harm", "the harm goes on" },
        [ACT_WHY_CALM] = { "calm", "nobody is hurt any more" },
        [ACT_WHY_NO_HELP] = { "no-help", "it did not help" },
        [ACT_WHY_MODE] = { "mode", "Mode= does not allow more" },
        [ACT_WHY_LEVERS] = { "levers", "Throttle= and Kill= leave no lever that could be tried" },
        [ACT_WHY_FLOOR] = { "floor", "it is down to its guarantee, or to the least that it is left" },
        [ACT_WHY_MAX_THROTTLED] = { "max-throttled", "MaxThrottled= containers are held back already" },
        [ACT_WHY_BUDGET] = { "budget", "the kill budget is spent" },
        [ACT_WHY_SETTLING] = { "settling", "the kill before this one is not over yet" },
        [ACT_WHY_STORM] = { "storm", "too many containers died of late, of whatever cause" },
        [ACT_WHY_PRIORITY] = { "priority", "its priority is above that of everybody it hurts" },
        [ACT_WHY_OUT_OF_REACH] = { "out-of-reach", "the one to blame may not be touched" },
        [ACT_WHY_MIXED] = { "mixed", "it is not clear enough whose doing it is" },
        [ACT_WHY_THRASH] = { "thrash", "it thrashes at its own memory limit" },
        [ACT_WHY_POLICY] = { "policy", "policy, a pause or a hold forbids holding it back any longer" },
        [ACT_WHY_OPERATOR] = { "operator", "an operator asked for it" },
        [ACT_WHY_UNAVAILABLE] = { "unavailable", "the kernel refused, or has no such file here" },
};

const char *act_why_to_string(ActWhy w) { return NAME(act_whys, w); }
const char *act_why_text(ActWhy w) { return TEXT(act_whys, w); }
