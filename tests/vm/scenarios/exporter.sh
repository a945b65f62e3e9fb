# shellcheck shell=bash disable=SC2034,SC2016
# The exporter: history and metrics that agree with the kernel's files, whatever fails it goes on serving and recovers, and the
# guard does not notice any of that. Nothing but loopback is reachable without TLS.
#
#   tenant.slice
#   └── tenant-acme.slice          tenant acme, by slice
#       ├── web.scope              some CPU, until it is stopped
#       └── idle.scope             sleeps
#
# /var/lib/bailiff/history is a small disk, to be filled and to hang.
#
# timeout: 600

SOCKET=/run/bailiff-exporter/socket
STATE=/var/lib/bailiff/history
CONF=/etc/bailiff/exporter.conf

get() { curl -s --max-time 20 --unix-socket $SOCKET "http://localhost$1"; }
api() { get "/api/v1/$1" | jq -r "$2" 2>/dev/null || :; }  # WHAT FILTER
history_is() { [ "$(api status .exporter.history.state)" = "$1" ]; }
guard_up() { [ "$(api status .exporter.guard_up)" = true ]; }
code() { curl -s --max-time 20 -o /dev/null -w '%{http_code}' "$@" || :; }
# The value of the first series of a metric whose id ends so.
metric() {  # NAME ID-END
	local line
	while read -r line; do
		[[ $line == "$1{id=\""*"$2\","* ]] || continue
		echo "${line##* }"
		return
	done < <(get /metrics)
}
micro() {  # SECONDS: with six decimals, in µs
	local part=${1#*.}
	[ "$part" != "$1" ] || part=0
	part=${part}000000
	echo $((${1%.*} * 1000000 + 10#${part:0:6}))
}
# The guard's beats so far, and how late they came: the one in the middle, the latest of a hundred. What the host of this machine
# does to single beats is no business of the exporter's, so the one in the middle counts, and that none is missing.
beats() {  # VARIABLE-PREFIX: sets its _BEATS, _P50, _P99 and _UPTIME (s)
	local uptime
	ctl status --json
	read -r "$1_BEATS" "$1_P50" "$1_P99" < <(jq -r '.loop | "\(.beats) \(.late_usec.p50) \(.late_usec.p99)"' <<<"$CTL_OUT")
	read -r uptime _ </proc/uptime
	printf -v "$1_UPTIME" %s "${uptime%.*}"
}
unnoticed() {  # since BEFORE_
	is "$(guard_pid)" "$GUARD" 'the guard is the same all along'
	beats AFTER
	diag "lateness of its beats, p50 and p99: $BEFORE_P50 and $BEFORE_P99 µs before, $AFTER_P50 and $AFTER_P99 µs after"
	num "$AFTER_P50" '<' 100000 'its beats come in time'
	num $(((AFTER_BEATS - BEFORE_BEATS) * 100)) '>=' $(((AFTER_UPTIME - BEFORE_UPTIME) * 85)) 'and none is left out'
}
exporter_pid() { systemctl show --value --property=MainPID bailiff-exporter.service; }

policy_set <<'P'
[Host]
Mode=observe

[Tenant acme]
Match=slice=tenant-acme.slice
P
mkdir -p $STATE
mke2fs -q -t ext4 -O ^has_journal -m 0 /dev/vm/disk1 48M
mount -t ext4 /dev/vm/disk1 $STATE
chown bailiff-exporter:bailiff-exporter $STATE
chmod 0750 $STATE
scope web tenant-acme.slice "$VICTIM" -p 20 -s 900 -o $LOADS/web cpu
load_ready web
WEB=$CG
scope idle tenant-acme.slice sleep 900
IDLE=$CG
guard_start
GUARD=$(guard_pid)

# ---- it runs, as nobody in particular

systemctl start bailiff-exporter.socket
is "$(stat -c '%a %G' $SOCKET)" '660 bailiff' 'its socket is for group bailiff'
like "$(get /metrics)" bailiff_exporter_guard_up 'the first question starts it'
PID=$(exporter_pid)
like "$(ps -o user:32= -p "$PID")" '^bailiff-exporter' 'it is its own user'
like "$(<"/proc/$PID/status")" 'CapEff:.0000000000000000' 'without capabilities'
is "$(stat -c %U /var/lib/bailiff /var/lib/bailiff/history)" $'root\nbailiff-exporter' 'it owns its own directory, not that of the guard'
wait_for 60 guard_up 'the guard answers it'

# ---- metrics agree with the kernel's files

wait_for 60 '[ -n "$(metric container_memory_usage_bytes web.scope)" ]' 'the container has series'
kill -STOP "${LOAD_PID[web]}"
wait_for 120 '[ "$(micro "$(metric container_cpu_usage_seconds_total web.scope)")" = "$(cg_key $WEB cpu.stat usage_usec)" ]' 'CPU time is that of cpu.stat, to the microsecond'
wait_for 90 '[ "$(metric container_memory_usage_bytes web.scope)" = "$(cg $WEB memory.current)" ]' 'memory is memory.current'
is "$(metric container_threads idle.scope)" "$(cg "$IDLE" pids.current)" 'tasks are pids.current'
kill -CONT "${LOAD_PID[web]}"
PAGE=$(get /metrics)
like "$PAGE" 'bailiff_tenant_cpu_seconds_total\{tenant="acme"\} [0-9]' 'tenants have totals'
like "$PAGE" 'bailiff_tenant_usage_containers\{tenant="acme"\} 2' 'and what they have now'
like "$(curl -si --unix-socket $SOCKET -H 'Accept: application/openmetrics-text' http://localhost/metrics)" 'openmetrics-text; version=1.0.0.*# EOF' 'OpenMetrics for who asks for it'
is "$(code -X POST --unix-socket $SOCKET http://localhost/metrics)" 405 'nothing but reading'
is "$(api containers '.containers | length')" 2 'the API knows the containers'
is "$(api tenants '.tenants[] | select(.name == "acme").containers')" 2 'and the tenants'

# ---- history

wait_for 60 '[ "$(api status .exporter.history.oldest_raw)" -gt 0 ]' 'the history has rows'
wait_for 60 '[ "$(api "usage?since=1h&by=container" ".containers[] | select(.cgroup | endswith(\"web.scope\")).book.cpu_usec")" -gt 0 ]' 'with what a container used'
wait_for 60 '[ "$(api "usage?since=1h&by=tenant" ".tenants[] | select(.name == \"acme\").book.cpu_usec")" -gt 0 ]' 'and its tenant'
num "$(api 'events?since=1h' '.events | length')" '>' 0 'and events'

# What the guard does not keep bailiffctl asks the exporter for, also while no guard runs.
ctl usage --since 30d --json
num "$(jq '.tenants[] | select(.name == "acme").book.cpu_usec' <<<"$CTL_OUT")" '>' 0 'bailiffctl usage --since 30d' || diag "$CTL_ERR"
ctl usage --since 30d
like "$CTL_OUT" 'acme' 'as a table'
ctl incidents --since 30d
is "$CTL_STATUS" 0 'bailiffctl incidents --since 30d'

# ---- reports

ctl report --since 1h
like "$CTL_OUT" 'CPU-HOURS.*acme' 'bailiffctl report' || diag "$CTL_ERR"
ctl report --since 1h --json
num "$(jq '.tenants[] | select(.name == "acme").series.cpu_permyriad | map(select(. != null)) | length' <<<"$CTL_OUT")" '>' 0 'knows how it went' || diag "$CTL_ERR"
ctl report --since 1h --html /tmp/report.html
like "$(</tmp/report.html)" '<!DOCTYPE html>.*acme.*</html>' 'as a page in a file' || diag "$CTL_ERR"
like "$(</tmp/report.html)" 'what there is' 'that knows what the host has'
like "$(curl -si --max-time 60 --unix-socket $SOCKET 'http://localhost/report?since=1h')" "200 OK.*style-src.*text/html|200 OK.*text/html.*style-src" 'and from the socket, with its styles'

# ---- whatever happens to it, the guard does not notice

beats BEFORE
kill -KILL "$(exporter_pid)"
wait_for 60 guard_up 'killed, it comes back'
USED=$(api 'usage?since=1h&by=container' '[.containers[].book.cpu_usec] | add')
dd if=/dev/zero of=$STATE/ballast bs=64k 2>/dev/null || :
dd if=/dev/zero of=$STATE/ballast2 bs=4k 2>/dev/null || :
wait_for 120 '! history_is ok' 'with a full disk it says so'
diag "$(api status '.exporter.history | "\(.state): \(.error)"')"
wait_for 60 '[[ $(get /metrics) = *"bailiff_exporter_history_ok 0"* ]]' 'in its metrics, which go on'
rm $STATE/ballast $STATE/ballast2
wait_for 60 'history_is ok' 'with room again it goes on'
num "$(api 'usage?since=1h&by=container' '[.containers[].book.cpu_usec] | add')" '>=' "$USED" 'and nothing is lost'

# A frozen file system: whoever writes waits, as at a disk that others keep busy. What is pushed, and nobody takes, waits there, too.
printf '[Exporter]\nRemoteWrite=http://127.0.0.1:9/api/v1/write\n' >$CONF
systemctl restart bailiff-exporter.service
wait_for 60 '[ "$(api status ".exporter.push.backlog_samples")" -gt 0 ]' 'what is pushed waits on disk'
wait_for 60 'history_is ok' 'and the history is written'
USED=$(api 'usage?since=1h&by=container' '[.containers[].book.cpu_usec] | add')
fsfreeze --freeze $STATE
wait_for 120 'history_is slow' 'with a disk that hangs it says so'
diag "$(api status '.exporter.history | "\(.state): \(.error)"')"
kill -STOP "${LOAD_PID[web]}"
wait_for 60 '[ "$(micro "$(metric container_cpu_usage_seconds_total web.scope)")" = "$(cg_key $WEB cpu.stat usage_usec)" ]' \
	'and metrics are as fresh as ever'
kill -CONT "${LOAD_PID[web]}"
# Its file cannot be asked meanwhile, and what asks it is no business of who scrapes.
fsfreeze --unfreeze $STATE
wait_for 60 'history_is ok' 'when it moves again so does the history'
num "$(api 'usage?since=1h&by=container' '[.containers[].book.cpu_usec] | add')" '>=' "$USED" 'and nothing is lost'
is "$(api status .exporter.push.dropped)" 0 'nor of what is pushed'
rm -f $CONF

systemctl stop bailiff-exporter.service
rm -f $STATE/history.db-wal $STATE/history.db-shm
dd if=/dev/urandom of=$STATE/history.db bs=4096 seek=1 count=4 conv=notrunc 2>/dev/null
wait_for 60 '[ -e $STATE/history.db.damaged-1 ] || { get /metrics >/dev/null; false; }' 'a damaged history is set aside'
wait_for 60 'history_is ok' 'and a new one begun'
date -s '-1 hour' >/dev/null
wait_for 60 '[ "$(api status .exporter.clock_jumps)" -ge 1 ]' 'a clock that is set back is noticed'
wait_for 60 '[ "$(api status .exporter.history.oldest_raw)" -lt $(($(date +%s) + 60))000000 ]' 'and the history goes on at the new time'
unnoticed
guard_stop
wait_for 60 '! guard_up' 'without a guard it says so'
like "$(get /metrics)" 'bailiff_exporter_guard_up 0' 'and goes on'
ctl usage --since 30d
is "$CTL_STATUS" 0 'bailiffctl usage --since 30d needs no guard'
guard_start
GUARD=$(guard_pid)

# ---- who may reach it over a network

printf '[Exporter]\nListen=0.0.0.0:9477\n' >$CONF
check 'without TLS it does not start at an address of the host' eval '! systemctl restart bailiff-exporter.service'
journalctl --sync
like "$(journalctl -u bailiff-exporter.service -o cat --no-pager)" 'exporter.conf:2: .*needs TLS' 'and says why, with the line'
printf '[Exporter]\nListen=127.0.0.1:9477\n' >$CONF
systemctl stop bailiff-exporter.service bailiff-exporter.socket
systemctl reset-failed bailiff-exporter.service bailiff-exporter.socket 2>/dev/null || :
ctl report --html /tmp/report.html
is "$CTL_STATUS" 3 'without an exporter there is no report'
like "$CTL_ERR" 'systemctl enable --now bailiff-exporter' 'it says how to start one'
like "$(</tmp/report.html)" '<!DOCTYPE html>.*acme.*</html>' 'and the page of before stays'
systemctl start bailiff-exporter.service
is "$(code http://127.0.0.1:9477/metrics)" 200 'at loopback there are metrics'
is "$(code http://127.0.0.1:9477/api/v1/status)" 404 'and nothing else'
is "$(code -H 'Host: evil.example' http://127.0.0.1:9477/metrics)" 403 'nor for a page that calls us by another name'

# ---- a minute under fire

PID=$(exporter_pid)
beats BEFORE
# Whoever shoots takes little CPU from others: what is asked here is what the exporter takes.
check 'who behaves is served under fire, and it is as before afterwards' \
	systemd-run --quiet --scope -p CPUWeight=1 -E EXPORTER_FUZZ_SEC=60 /mnt/share/vm/exporter-fuzz --at "$PID" $SOCKET 9477
is "$(exporter_pid)" "$PID" 'it is the same exporter'
unnoticed
done_testing
