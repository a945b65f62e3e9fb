#!/bin/bash
# What a scrape of many containers costs: bailiff-exporter beside Debian's prometheus-node-exporter (with the collectors systemd,
# cgroups and processes) and netdata's cgroups plugin, with 3,000 and 1,000 containers, one of 20 busy; each alone, one after the other.
# And what the guard and the exporter use beside that, while nobody scrapes and while somebody does every ten seconds.
#
#   many.slice/docker-<64 hex>.scope                the containers, see tests/vm/prep/many.sh
#   bailiff.slice/{bailiffd,bailiff-exporter}.service
#   system.slice/{prometheus-node-exporter,netdata}.service
#
# They do not tell the same. node_exporter tells states of systemd's units (of which the containers are none here), counts cgroups
# and processes, and of no container what it uses; it is what a host has anyhow. netdata tells CPU, memory, IO and pressure of each;
# it keeps a minute of history here, in memory. bailiff-exporter tells all that the kernel counts of each, and tenants.
#
# Of scrapes the cheapest of SCRAPES counts: what else the host does only adds. What who is scraped does besides in that time is in
# its CPU time: netdata reads everything each second, node_exporter nothing, for bailiff-exporter the guard does. ./dev bench
# vm-scrape prints Markdown rows, for the README's "Measured".
#
# netdata (1.37.1) takes this guest for one with cgroup v1 unless it is told otherwise, and then finds no container. Where it has not
# found all within ten minutes it is left out.
#
# shape: many
# memory: 4096
# timeout: 3600
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/bench/lib/many.sh

SIZES=(3000 1000)  # downwards: containers can only be removed
EVERY=20
SCRAPES=6
SECONDS_ALONE=20
declare -A GOT  # "what-N": a number
GUARD=bailiff.slice/bailiffd.service
EXPORTER=bailiff.slice/bailiff-exporter.service
NETDATA='http://127.0.0.1:19999/api/v1/allmetrics?format=prometheus&source=as-collected'

# The cheapest of some: its time and the CPU time of the cgroup, in µs; bytes; series. "" where it does not answer.
measure_scrapes() {  # WHAT N CGROUP URL
	local i cpu time bytes out
	for ((i = 0; i < SCRAPES; i++)); do
		cpu=$(cpu_usec "$3")
		out=$(curl -s --max-time 120 -o /run/page -w '%{time_total} %{size_download} %{http_code}' "$4") || continue
		[ "${out##* }" = 200 ] || continue
		cpu=$(($(cpu_usec "$3") - cpu))
		read -r time bytes _ <<<"$out"
		time=${time/./}
		((${GOT[$1-cpu-$2]:-cpu} < cpu)) || GOT[$1-cpu-$2]=$cpu
		((${GOT[$1-time-$2]:-10#$time} < 10#$time)) || GOT[$1-time-$2]=$((10#$time))
		GOT[$1-bytes-$2]=$bytes
		GOT[$1-series-$2]=$(grep -c '^[^#]' /run/page)
	done
	echo "# $2: $1: ${GOT[$1-time-$2]:--} µs, ${GOT[$1-cpu-$2]:--} µs CPU, ${GOT[$1-bytes-$2]:--} bytes" >&2
}

# CPU time a second of cgroups while at least SECONDS_ALONE pass, with a scrape and ten seconds in turns where there is a URL.
measure_alone() {  # URL NAME-OF-RESULT=CGROUP...
	local url=$1 pair i usec=${EPOCHREALTIME/[.,]/}
	local -A before
	shift
	for pair; do before[$pair]=$(cpu_usec "${pair#*=}"); done
	for ((i = 0; i < SECONDS_ALONE; i += 10)); do
		[ -z "$url" ] || curl -s --max-time 60 -o /run/page "$url" || :
		nap 10
	done
	usec=$((${EPOCHREALTIME/[.,]/} - usec))
	for pair; do
		GOT[${pair%%=*}]=$((($(cpu_usec "${pair#*=}") - ${before[$pair]}) * 1000000 / usec))
		echo "# ${pair%%=*}: ${GOT[${pair%%=*}]} µs a second" >&2
	done
}

rss() {  # CGROUP: of all its processes, bytes
	local pid key value sum=0
	while read -r pid; do
		while read -r key value _; do
			[ "$key" != VmRSS: ] || sum=$((sum + value * 1024))
		done < <(cat "/proc/$pid/status" 2>/dev/null || :)
	done <"$CGROOT/$1/cgroup.procs"
	echo $sum
}

exporter_has_all() {  # N
	[ "$(curl -s --max-time 60 http://127.0.0.1:9477/metrics | grep -c '^container_threads{')" -ge "$1" ]
}

measure_bailiff() {  # N
	local url=http://127.0.0.1:9477/metrics
	guard_start_settled
	measure_alone '' "guard-alone-$1=$GUARD"
	systemctl start bailiff-exporter.service
	until_true 300 "exporter_has_all $1" || { echo "vm-scrape: the exporter has not found all" >&2; exit 1; }
	nap 20
	measure_alone '' "guard-asked-$1=$GUARD" "exporter-$1=$EXPORTER"
	measure_alone $url "guard-scraped-$1=$GUARD" "exporter-scraped-$1=$EXPORTER"
	measure_scrapes bailiff "$1" $EXPORTER $url
	GOT[bailiff-rss-$1]=$(rss $EXPORTER)
	systemctl stop bailiff-exporter.service bailiff-exporter.socket bailiffd.service
}

measure_node_exporter() {  # N
	systemctl start prometheus-node-exporter.service
	nap 5
	measure_scrapes node "$1" system.slice/prometheus-node-exporter.service http://127.0.0.1:9100/metrics
	GOT[node-rss-$1]=$(rss system.slice/prometheus-node-exporter.service)
	systemctl stop prometheus-node-exporter.service
}

netdata_containers() { { grep -o 'chart="cgroup_[^."]*' || :; } | sort -u | wc -l; }

netdata_found_all() {  # N; it tells of slices, too
	local found
	nap 15
	found=$(curl -s --max-time 120 "$NETDATA" | netdata_containers)
	echo "# netdata has found $found" >&2
	((found >= $1))
}

measure_netdata() {  # N
	command -v netdata >/dev/null || return 0
	systemctl start netdata.service
	until_true 600 "netdata_found_all $1" || {
		echo "# netdata has not found all containers within 10 minutes: it is left out" >&2
		systemctl stop netdata.service
		return 0
	}
	measure_alone '' "netdata-$1=system.slice/netdata.service"
	measure_scrapes netdata "$1" system.slice/netdata.service "$NETDATA"
	GOT[netdata-found-$1]=$(netdata_containers </run/page)
	if ((${GOT[netdata-found-$1]} < $1)); then  # it had them all, so it began anew
		echo "# netdata has lost them: its scrapes are left out" >&2
		unset "GOT[netdata-time-$1]" "GOT[netdata-cpu-$1]" "GOT[netdata-bytes-$1]" "GOT[netdata-series-$1]"
	fi
	GOT[netdata-rss-$1]=$(rss system.slice/netdata.service)
	systemctl stop netdata.service
}

# ---- the table

row() {  # TEXT FUNCTION
	local i
	printf '| %s |' "$1"
	for ((i = ${#SIZES[@]} - 1; i >= 0; i--)); do printf ' %s |' "$($2 "${SIZES[i]}")"; done
	echo
}
milli() { if [ -n "${1:-}" ]; then ratio "$1" 1000 1; else echo -; fi; }
scrape() {  # WHAT N
	[ -n "${GOT[$1-time-$2]:-}" ] || { echo -; return; }
	echo "$(milli "${GOT[$1-time-$2]}"), $(milli "${GOT[$1-cpu-$2]}") ms; $(mib "${GOT[$1-bytes-$2]}") MiB, ${GOT[$1-series-$2]}"
}
bailiff_scrape() { scrape bailiff "$1"; }
node_scrape() { scrape node "$1"; }
netdata_scrape() { scrape netdata "$1"; }
each() {  # WHAT N: CPU time of a series, ns
	[ -n "${GOT[$1-cpu-$2]:-}" ] || { echo -; return; }
	ratio $((${GOT[$1-cpu-$2]} * 1000)) "${GOT[$1-series-$2]}" 0
}
series_each() { echo "$(each bailiff "$1"), $(each node "$1"), $(each netdata "$1") ns"; }
times_bailiff() {  # WHAT N: CPU of a scrape, of a series
	local own=${GOT[bailiff-cpu-$2]} other=${GOT[$1-cpu-$2]:-}
	[ -n "$other" ] || { echo -; return; }
	echo "$(ratio "$other" "$own" 2), $(ratio $((other * ${GOT[bailiff-series-$2]})) $((own * ${GOT[$1-series-$2]})) 2)"
}
node_times() { times_bailiff node "$1"; }
netdata_times() { times_bailiff netdata "$1"; }
memory_of() { if [ -n "${GOT[$1-rss-$2]:-}" ]; then mib "${GOT[$1-rss-$2]}"; else echo -; fi; }
memory_each() { echo "$(memory_of bailiff "$1"), $(memory_of node "$1"), $(memory_of netdata "$1") MiB"; }
guard_each() { echo "$(milli "${GOT[guard-alone-$1]}"), $(milli "${GOT[guard-asked-$1]}"), $(milli "${GOT[guard-scraped-$1]}") ms"; }
exporter_each() { echo "$(milli "${GOT[exporter-$1]}"), $(milli "${GOT[exporter-scraped-$1]}") ms"; }
netdata_each() { echo "$(milli "${GOT[netdata-$1]:-}") ms; ${GOT[netdata-found-$1]:--}"; }

table() {
	local i
	printf '\n| kernel %s, emulated |' "$(kernel_version)"
	for ((i = ${#SIZES[@]} - 1; i >= 0; i--)); do printf ' %s containers |' "${SIZES[i]}"; done
	printf '\n|---|---|---|\n'
	row "a scrape of bailiff-exporter: time, CPU; size, series" bailiff_scrape
	row "of node_exporter" node_scrape
	row "of netdata" netdata_scrape
	row "CPU of a series: bailiff-exporter, node_exporter, netdata" series_each
	row "node_exporter, times bailiff-exporter: CPU of a scrape, of a series" node_times
	row "netdata, likewise" netdata_times
	row "memory: bailiff-exporter, node_exporter, netdata" memory_each
	row "bailiffd, CPU a second: without exporter, with it, with a scrape every 10 s" guard_each
	row "bailiff-exporter, CPU a second: unscraped, with a scrape every 10 s" exporter_each
	row "netdata, CPU a second; containers that it found" netdata_each
}

# ---- the run

need_programs
mkdir -p /etc/bailiff
printf '[Exporter]\nListen=127.0.0.1:9477\n' >/etc/bailiff/exporter.conf
echo 'ARGS="--web.listen-address=127.0.0.1:9100 --collector.systemd --collector.cgroups --collector.processes"' >/etc/default/prometheus-node-exporter
if command -v netdata >/dev/null; then
	# names and interfaces of each it would ask a script for, which takes longer than all the rest; there are none here
	cat >/etc/netdata/netdata.conf <<-'C'
		[global]
			run as user = netdata
		[web]
			bind to = 127.0.0.1
		[db]
			# with "none" it tells of nothing
			mode = ram
			retention = 60
		[ml]
			enabled = no
		[plugins]
			cgroups = yes
			apps = no
			charts.d = no
			python.d = no
			go.d = no
			node.d = no
			ebpf = no
			tc = no
			proc = no
			diskspace = no
			idlejitter = no
			timex = no
			statsd = no
		[plugin:cgroups]
			use unified cgroups = yes
			max cgroups to allow = 5000
			enable by default cgroups matching = *
			run script to rename cgroups matching = !*
			script to get cgroup network interfaces = /bin/true
			check for new cgroups every = 10
	C
fi
systemctl start dbus.service
for n in "${SIZES[@]}"; do
	$BIN/many keep $MANY "$n"
	busy_start "$n" $EVERY
	measure_bailiff "$n"
	measure_node_exporter "$n"
	measure_netdata "$n"
	busy_stop
done
table
