# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# What the exporter says of a guard that judges: every answer is as /api/v1/openapi.json describes it, ceilings are those of the
# kernel's files with their origin, what would have been done is counted; and bailiffctl asks it for what no guard knows any more.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads; TasksMax=500 as its unit has it, 200 by policy
#
# timeout: 500

SOCKET=/run/bailiff-exporter/socket
get() { curl -s --max-time 60 --unix-socket $SOCKET "http://localhost$1"; }
api() { get "/api/v1/$1" | jq -r "$2" 2>/dev/null || :; }  # WHAT FILTER
get_code() { curl -s -o /dev/null --max-time 60 -w '%{http_code}' --unix-socket $SOCKET "http://localhost$1" || :; }
# A sample with all of its labels but the path of the cgroup.
metric() {  # NAME{...LABELS: a regular expression; prints the values
	get /metrics | sed -nE "s/^$1[^ ]* (.*)/\\1/p"
}
conforms() {  # PATH: a point
	local said
	said=$(get "$1" | /usr/lib/bailiff/test/conforms /usr/share/bailiff/openapi.json "${1%%\?*}") || :
	is "$said" '' "$1 is as described"
}

noise_policy Mode=observe <<'P'
ContainerTasksMax=200
MemoryMax=300M
P
noise_pair
systemctl set-property --runtime spin.scope TasksMax=500 CPUQuota=150%
guard_start
systemctl start bailiff-exporter.socket
wait_for 60 '[ "$(api status .exporter.guard_up)" = true ]' 'the exporter has a guard'

# ---- an incident, which is only watched

go spin
wait_for_act 120 ' would:throttle spin' 'spin would be throttled'
wait_for 120 '[[ $(api "incidents?since=1h" ".incidents | length") -gt 0 ]]' 'the exporter knows the incident'
wait_for 120 '[[ $(api "events?since=1h&container=spin.scope" "[.events[] | select(.judged)] | length") -gt 0 ]]' 'and its events'
wait_for 180 '[[ $(metric "bailiff_tenant_would_acts_total\\{tenant=\"spin\",act=\"throttle\"") -gt 0 ]]' 'what would have been done is counted'
rest spin

# ---- ceilings

PAGE=$(get /metrics)
like "$PAGE" 'bailiff_guard_mode_info\{mode="observe"\} 1' 'the mode'
is "$(metric 'container_threads_max\{[^ ]*name="spin.scope"')" 500 'what the kernel holds it to is the unit'\''s own'
is "$(metric 'container_spec_cpu_quota\{[^ ]*name="spin.scope"')" 150000 'its quota, as cAdvisor has it'
is "$(metric 'container_spec_cpu_period\{[^ ]*name="spin.scope"')" 100000 'and period'
is "$(metric 'bailiff_container_ceiling_cpus\{[^ ]*name="spin.scope"')" 1.5 'in CPUs'
like "$PAGE" 'bailiff_container_ceiling_info\{[^}]*name="spin.scope"[^}]*limit="TasksMax",device="",origin="engine"\} 1' 'while it only observes policy holds nothing'
is "$(metric 'bailiff_tenant_ceiling_memory_max_bytes\{tenant="spin"')" $((300 << 20)) 'a tenant'\''s sum'
like "$PAGE" 'bailiff_tenant_ceiling_info\{tenant="spin",limit="MemoryMax",device="",origin="tenant",advisory="0"\} 1' 'is its own section'\''s'
noise_policy Mode=ceilings <<'P'
ContainerTasksMax=200
P
ctl reload
is "$CTL_STATUS" 0 'another policy' || diag "$CTL_ERR"
wait_for 180 '[ "$(metric "container_threads_max\\{[^ ]*name=\"spin.scope\"")" = 200 ]' 'policy holds it now'
like "$(get /metrics)" 'bailiff_container_ceiling_info\{[^}]*name="spin.scope"[^}]*limit="TasksMax",device="",origin="tenant"\} 1' 'and is where its ceiling comes from'
is "$(cg "$SPIN" pids.max)" 200 'as the kernel has it'

# ---- every answer is as described

is "$(get /api/v1/openapi.json | jq -r .openapi)" 3.1.0 'the description is served'
for path in status tenants containers 'usage?since=1h' 'usage?since=1h&by=container' 'events?since=1h' 'incidents?since=1h' 'report?since=1h'; do
	conforms "/api/v1/$path"
done
is "$(get_code '/api/v1/events?sinse=1h')" 400 'a parameter that is not in it is refused'

# ---- what nobody but the exporter knows

ID=$(api 'incidents?since=1h&container=spin.scope' '.incidents[0].id')
guard_stop
ctl why "incident:$ID"
is "$CTL_STATUS" 0 "why incident:$ID without a guard"
like "$CTL_OUT" "Incident #$ID of .*spin" 'tells its story' || diag "$CTL_OUT$CTL_ERR"
like "$CTL_OUT" 'Step by step' 'with its steps'
for name in spin.scope tenant:spin; do
	ctl why $name
	is "$CTL_STATUS" 0 "why $name"
	like "$CTL_OUT" "Incident #$ID of .*spin" 'tells its incidents' || diag "$CTL_OUT$CTL_ERR"
	unlike "$CTL_OUT" 'Nobody is hurt now' 'and nothing about now'
done
ctl why nobody
isnt "$CTL_STATUS" 0 'of nobody nothing is known'
ctl events --since 7d --json
is "$CTL_STATUS" 0 'events --since 7d without a guard'
num "$(jq '[.events[] | select(.container == "spin.scope" and .judged)] | length' <<<"$CTL_OUT")" '>' 0 'has those of the incident'
ctl events
is "$CTL_STATUS" 3 'events alone is a question to the guard'
OLD=$(jq '.events | length' <<<"$(get '/api/v1/events?since=7d&max=10000')")
guard_start
ctl events --since 7d --json
num "$(jq '.events | length' <<<"$CTL_OUT")" '>=' "$OLD" 'with a guard that has just begun they are all there'
is "$(jq '[.events[].time] | . == sort' <<<"$CTL_OUT")" true 'in their order'
done_testing
