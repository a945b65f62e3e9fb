# shellcheck shell=bash disable=SC2016
# A real Prometheus scrapes the exporter over TLS, a real VictoriaMetrics receives what it pushes, a real node_exporter reads its
# file, while containers come and go for minutes: no scrape fails, series of the dead end, all agree on counters; while the receiver
# is away and the exporter is killed nothing is lost; the guard does not notice. A guard that starts anew counts on. Every rule and
# every query of the dashboard is asked of what Prometheus then has, and has series, but for what has no reason to be here.
#
#   tenant.slice
#   ├── tenant-acme.slice          tenant acme, by slice, with a sum on it
#   │   ├── web.scope              would like more CPU than its ceiling, all the time
#   │   └── apart.scope            sleeps in a network of its own
#   └── tenant-b.slice             tenant b, by slice
#       └── docker-<64 hex>.scope  some hundred, 2 to 20 s each, 30 at once
#
# memory: 3072
# timeout: 900

STORM=/usr/lib/bailiff/test/storm
SOCKET=/run/bailiff-exporter/socket
TEXTFILES=/var/lib/prometheus/node-exporter
TLS=/etc/prometheus/bailiff
PROMETHEUS=http://127.0.0.1:9090
VICTORIA=http://127.0.0.1:8428

get() { curl -s --max-time 30 --unix-socket $SOCKET "http://localhost$1" || :; }
push() { get /api/v1/status | jq -r ".exporter.push | $1" 2>/dev/null || :; }  # FILTER
ask() {  # URL QUERY [FILTER]: values, one a line
	curl -s --max-time 30 --data-urlencode "query=$2" "$1/api/v1/query" | jq -r "${3:-.data.result[].value[1]}" 2>/dev/null || :
}
own_metric() {  # NAME URL: of Prometheus' or VictoriaMetrics' own, all series summed; 0: none
	curl -s --max-time 30 "$2/metrics" | awk -v name="$1" 'index($1, name) == 1 {sum += $2} END {printf "%d\n", sum}'
}

# ---- certificates: an authority, the exporter's, Prometheus'

mkdir -p $TLS /etc/bailiff/tls /var/lib/docker/containers
certificate() {  # NAME SUBJECT-ALT-NAME DIRECTORY
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$3/key.pem" -out /run/csr 2>/dev/null
	openssl x509 -req -in /run/csr -CA /run/ca.pem -CAkey /run/ca.key -CAcreateserial -days 30 -out "$3/cert.pem" \
		-extfile <(echo "subjectAltName=$2") 2>/dev/null
	cp /run/ca.pem "$3/ca.pem"
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=ca -keyout /run/ca.key -out /run/ca.pem 2>/dev/null
certificate exporter IP:127.0.0.1 /etc/bailiff/tls
certificate prometheus DNS:prometheus $TLS
chown -R bailiff-exporter /etc/bailiff/tls
chown -R prometheus $TLS

# ---- everybody starts

cat >/etc/bailiff/exporter.conf <<'C'
[Exporter]
Listen=127.0.0.1:9477
Certificate=/etc/bailiff/tls/cert.pem
Key=/etc/bailiff/tls/key.pem
ClientCA=/etc/bailiff/tls/ca.pem
RemoteWrite=http://127.0.0.1:8428/api/v1/write
RemoteWriteInterval=10s
RemoteWriteLabels=instance=guest
TextfileDirectory=/var/lib/prometheus/node-exporter
C
cat >/etc/prometheus/prometheus.yml <<'C'
global: {scrape_interval: 10s, scrape_timeout: 10s, evaluation_interval: 10s}
rule_files: [/usr/share/bailiff/prometheus/bailiff.rules.yml]
scrape_configs:
  - job_name: bailiff
    scheme: https
    tls_config: {ca_file: /etc/prometheus/bailiff/ca.pem, cert_file: /etc/prometheus/bailiff/cert.pem, key_file: /etc/prometheus/bailiff/key.pem}
    static_configs: [{targets: ["127.0.0.1:9477"], labels: {instance: guest}}]
C
echo 'ARGS="--web.listen-address=127.0.0.1:9090"' >/etc/default/prometheus
echo 'ARGS="-storageDataPath=/var/lib/victoria-metrics -httpListenAddr=127.0.0.1:8428 -search.latencyOffset=0s -dedup.minScrapeInterval=1ms"' >/etc/default/victoria-metrics
echo 'ARGS="--web.listen-address=127.0.0.1:9100 --collector.disable-defaults --collector.textfile"' >/etc/default/prometheus-node-exporter
chown bailiff-exporter $TEXTFILES

policy_set <<'P'
[Host]
Mode=ceilings

[Tenant acme]
Match=slice=tenant-acme.slice
Sum=slice
CPUQuota=100%
MemoryMax=512M
ContainerCPUQuota=10%

[Tenant b]
Match=slice=tenant-b.slice
P
systemctl start tenant.slice
scope keep tenant-b.slice -p CPUWeight=100 -p IOWeight=100 sleep 2000
scope web tenant-acme.slice -p CPUWeight=100 -p IOWeight=100 "$VICTIM" -p 20 -s 1800 -o $LOADS/web cpu
load_ready web
scope apart tenant-acme.slice unshare --net sleep 2000
guard_start
systemctl start bailiff-exporter.socket bailiff-exporter.service
systemctl start victoria-metrics.service prometheus.service prometheus-node-exporter.service
wait_for 120 '[ "$(ask $PROMETHEUS "up{job=\"bailiff\"}")" = 1 ]' 'Prometheus scrapes the exporter, over TLS with a certificate'
diag "$(curl -s $PROMETHEUS/api/v1/targets | jq -r '.data.activeTargets[] | "\(.health) \(.lastError)"')"
wait_for 120 '[ "$(push .requests)" -ge 1 ]' 'VictoriaMetrics takes what is pushed'
wait_for 60 '[ -n "$(ask $VICTORIA "bailiff_exporter_guard_up{instance=\"guest\",job=\"bailiff\"}")" ]' 'and has it, with our labels'
isnt "$(curl -s -o /dev/null -w '%{http_code}' --cacert /run/ca.pem https://127.0.0.1:9477/metrics || :)" 200 'without a certificate nobody scrapes'

# ---- a storm of containers, and in it the receiver goes away, and the exporter is killed

ctl status --json
read -r BEATS < <(jq .loop.beats <<<"$CTL_OUT")
read -r UPTIME _ </proc/uptime
BEGIN=$EPOCHSECONDS
$STORM -n 400 -k 30 -l 2000:20000 -b 1 -d tenant.slice/tenant-b.slice >/run/storm.out &
storm=$!
nap 15
AWAY=$EPOCHSECONDS
systemctl stop victoria-metrics.service
wait_for 90 '[ "$(push .state)" = failing ] && [ "$(push .backlog_samples)" -gt 0 ]' 'without a receiver what is pushed waits'
diag "$(push .error)"
nap 10
WAITING=$(push .backlog_samples)
num "${WAITING:-0}" '>' 0 "$WAITING samples wait"
systemctl kill --signal=KILL bailiff-exporter.service
wait_for 60 '[ "$(push .backlog_samples)" -ge "$WAITING" ]' 'they outlive the exporter, which is killed'
nap 20
BACK=$EPOCHSECONDS
systemctl start victoria-metrics.service
wait_for 180 '[ "$(push .state)" = ok ] && [ "$(push .backlog_samples)" = 0 ]' 'with a receiver again all is delivered'
is "$(push .dropped)" 0 'and nothing was given up'
# a round waits there for its moment, too, so a look may meet one
wait_for 60 '[ -z "$(find /var/lib/bailiff/history/push -name "*.push")" ]' 'nothing is left on disk'
wait "$storm"
diag "$(</run/storm.out)"
nap 15
END=$EPOCHSECONDS
ctl status --json
read -r BEATS_END < <(jq .loop.beats <<<"$CTL_OUT")
read -r UPTIME_END _ </proc/uptime
num $(((BEATS_END - BEATS) * 100)) '>=' $(((${UPTIME_END%.*} - ${UPTIME%.*}) * 85)) 'the guard left out none of its beats'

# ---- what Prometheus saw

# When the exporter was killed one scrape may have met nobody.
SPAN=$((END - BEGIN))s
UPS=$(ask $PROMETHEUS "count_over_time(up{job=\"bailiff\"}[$SPAN])")
FAILED=$((UPS - $(ask $PROMETHEUS "sum_over_time(up{job=\"bailiff\"}[$SPAN])")))
diag "$UPS scrapes, $FAILED failed; the longest $(ask $PROMETHEUS "max_over_time(scrape_duration_seconds{job=\"bailiff\"}[$SPAN])") s," \
	"$(ask $PROMETHEUS "max_over_time(scrape_samples_scraped{job=\"bailiff\"}[$SPAN])") samples"
num "$UPS" '>=' $(((END - BEGIN) / 15)) 'it scraped all the time'
num $FAILED '<=' 2 'no scrape failed but those of a killed exporter'
is "$(ask $PROMETHEUS "min_over_time(up{job=\"bailiff\"}[$((AWAY - BEGIN))s] offset $((EPOCHSECONDS - AWAY))s)")" 1 'none at all before that'
for what in out_of_order out_of_bounds duplicate_timestamp; do
	is "$(own_metric "prometheus_target_scrapes_sample_$what" $PROMETHEUS)" 0 "no sample was $what"
done
journalctl --sync
is "$(journalctl -u prometheus.service -o cat --no-pager | { grep -Ei 'level=error|out.of.order|duplicate' || :; })" '' 'and it had nothing to complain of'
SEEN=$(ask $PROMETHEUS "count(count_over_time(container_start_time_seconds{tenant=\"b\"}[$SPAN]))")
num "${SEEN:-0}" '>=' 100 'it saw the storm'
diag "$SEEN containers of it"

# ---- series of the dead end; both have the same of the living

wait_for 90 '[ "$(ask $PROMETHEUS "count(container_start_time_seconds{tenant=\"b\"})")" = 1 ]' 'in Prometheus series of the dead end'
# Of those that ended while there was no exporter nobody told it the end: it forgets them by itself, minutes later.
LATER="container_start_time_seconds{tenant=\"b\"} > $((BACK + 20))"
num "$(ask $VICTORIA "count(last_over_time(container_start_time_seconds{tenant=\"b\"}[$SPAN]) > $((BACK + 20)))")" '>=' 10 'VictoriaMetrics was told of it'
wait_for 90 '[ -z "$(ask $VICTORIA "$LATER")" ]' 'where they end, too, by their stale markers'
# Nobody of tenant b works any more: its totals stand still.
same() {  # QUERY
	local a b
	a=$(ask $PROMETHEUS "$1") b=$(ask $VICTORIA "$1")
	[ -n "$a" ] && [ "$(jq -n "$a == $b" 2>/dev/null)" = true ]
}
for query in 'bailiff_tenant_cpu_seconds_total{tenant="b"}' 'bailiff_tenant_container_starts_total{tenant="b"}' \
	'bailiff_tenant_io_write_bytes_total{tenant="b"}' 'bailiff_tenants_info{tenant="b"}'; do
	wait_for 60 'same "$query"' "they agree on $query"
	diag "$(ask $PROMETHEUS "$query")"
done
isnt "$(ask $PROMETHEUS 'bailiff_tenant_cpu_seconds_total{tenant="b"}')" 0 'which is not nothing'

# Each round that was collected is there, those of the time without a receiver too.
curl -s --max-time 60 "$VICTORIA/api/v1/export" -d 'match[]=bailiff_exporter_rounds_total' -d "start=$BEGIN" >/run/export
GAP=$(jq -s '[.[].timestamps[]] | sort | [.[:-1], .[1:]] | transpose | map(.[1] - .[0]) | max | . / 1000 | floor' /run/export)
POINTS=$(jq -s --argjson from $AWAY --argjson to $BACK '[.[].timestamps[] | select(. > $from * 1000 and . < $to * 1000)] | length' /run/export)
diag "$POINTS rounds of the $((BACK - AWAY)) s without a receiver, the longest gap $GAP s"
num "$GAP" '<' $(((BACK - AWAY) * 2 / 3)) 'there is no gap where it was away'
num "$POINTS" '>=' 3 'its rounds are there'

# ---- what the exporter says of itself, by each way

wait_for 60 '[ "$(ask $PROMETHEUS bailiff_exporter_push_up)" = 1 ] && [ "$(ask $PROMETHEUS bailiff_exporter_push_backlog_bytes)" = 0 ]' 'pushing is well, says a scrape'
TEXT=$(curl -s --max-time 30 http://127.0.0.1:9100/metrics)
like "$TEXT" 'node_textfile_scrape_error 0' 'node_exporter reads the file'
like "$TEXT" 'bailiff_tenant_cpu_seconds_total\{tenant="b"\} [0-9]' 'and tells what is in it'
is "$(stat -c '%U %a' $TEXTFILES/bailiff.prom)" 'bailiff-exporter 644' 'which is for all to read'

# ---- a guard that starts anew counts on

systemctl restart bailiffd.service
wait_for 90 '[ -n "$(ask $PROMETHEUS "resets(bailiff_guard_beats_total[2m]) > 0")" ]' 'Prometheus sees that the guard has started anew'
for total in cpu_seconds io_read_bytes container_starts memory_byte_seconds; do
	is "$(ask $PROMETHEUS "max(resets(bailiff_tenant_${total}_total[$((EPOCHSECONDS - BEGIN))s]))")" 0 "no tenant's $total went back"
done

# ---- the rules and the dashboard, on these data

wait_for 90 '[ "$(ask $PROMETHEUS "count(bailiff_tenant_ceiling_info)")" -ge 2 ]' 'the new guard has told its ceilings'
is "$(curl -s "$PROMETHEUS/api/v1/rules" | jq -r '.data.groups[].rules[] | select(.health != "ok") | "\(.name): \(.lastError)"')" '' 'every rule works'
for record in $(sed -n 's/.*record: //p' /usr/share/bailiff/prometheus/bailiff.rules.yml); do
	num "$(ask $PROMETHEUS "count($record)")" '>' 0 "$record has series"
done
is "$(ask $PROMETHEUS 'ALERTS{alertstate="firing",severity="critical"}' '.data.result[].metric.alertname')" '' 'no critical alert'

# What has no series here, and why.
may_be_empty() {  # WHERE
	case $1 in
	'annotation Incidents') ;; # one may begin, or none: nobody hurts another on purpose
	'annotation Kills' | 'annotation Throttled, frozen') ;; # with Mode=ceilings nobody is
	'annotation Guard restarted') ;; # seen above; it may be longer ago by now than what an instant query looks at
	*) return 1 ;;
	esac
}
QUERIES=0 FULL=0 EMPTY=''
while IFS=$'\t' read -r count where query; do
	QUERIES=$((QUERIES + 1))
	case $count in
	0) if may_be_empty "$where"; then diag "no series: $where"; else EMPTY+="$where: $query"$'\n'; fi ;;
	[1-9]*) FULL=$((FULL + 1)) ;;
	*) EMPTY+="$count: $where: $query"$'\n' ;;
	esac
done < <(/mnt/share/vm/grafana-queries /usr/share/bailiff/grafana/bailiff.json $PROMETHEUS)
num $QUERIES '>' 50 "the dashboard has $QUERIES queries"
is "$EMPTY" '' "and $FULL of them have series: each that has something to tell here"

# ---- without a guard

guard_stop
wait_for 90 '[ "$(ask $PROMETHEUS bailiff_exporter_guard_up)" = 0 ]' 'without a guard the exporter says so'
wait_for 90 '[ "$(ask $PROMETHEUS "ALERTS{alertname=\"BailiffGuardDown\"}" ".data.result | length")" = 1 ]' 'and the alert for that begins to count'
wait_for 90 '[ "$(ask $VICTORIA bailiff_exporter_guard_up)" = 0 ]' 'VictoriaMetrics is told, too'
systemctl stop bailiff-exporter.service
is "$(ls $TEXTFILES)" '' 'an exporter that ends leaves no file behind'
done_testing
