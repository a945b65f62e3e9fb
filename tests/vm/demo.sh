#!/bin/bash
# bailiff at work: ./dev demo runs this in a virtual machine with containers. One tenant's batch job takes every CPU;
# another tenant's shop suffers. First bailiff only watches, then it may throttle; then the noise ends. A line a
# second: how long the shop's requests take, how much of the time it is kept waiting, what holds the batch job.
# All numbers are from this run: the shop's own clock, and the kernel's counters.
#
#   tenant.slice
#   ├── tenant-acme.slice         tenant acme
#   │   └── docker-<id>.scope     crunch: eight threads that spin, when told
#   └── tenant-zeta.slice         tenant zeta
#       └── docker-<id>.scope     shop: two workers, a request each 20 ms, which takes 55 % of a CPU; guaranteed are 1.5
#
# shape: docker
# timeout: 300
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/vm/lib.sh
trap - EXIT  # this is for people: no points, no plan

RUN=/run/demo
TEST=/usr/lib/bailiff/test

step() { printf '\n%3d s  %s\n' $SECONDS "$*"; }

policy() {  # MODE
	mkdir -p /etc/bailiff/policy.d
	cat >/etc/bailiff/policy.d/10-demo.ini <<-EOF
		[Host]
		Mode=$1
		StartupGraceSec=5

		[Defaults]
		PressureWindowSec=3s
		PressureTrigger=cpu

		[Tenant acme]
		Match=slice=tenant-acme.slice

		[Tenant zeta]
		Match=slice=tenant-zeta.slice
		CPUGuarantee=150%
	EOF
}

# ---- a line a second

bar() {  # VALUE FULL: twenty columns
	local n=$(($1 * 20 / $2)) full='####################' empty='....................'
	((n <= 20)) || n=20
	printf '%s%s' "${full:0:n}" "${empty:n}"
}
stalled() { read -r REPLY <"$CGROOT/$SHOP/cpu.pressure" && REPLY=${REPLY##*total=}; }
served() { REPLY=$(tail -n 3 $RUN/shop/out.1 | grep '^second' | tail -n 1); }  # second N asked N done N p50 N p99 N max N usec N

watch() {  # SECONDS, or less when CONDITION
	local end=$((SECONDS + $1)) asked served p99 waited quota now
	while ((SECONDS < end)) && ! { [ $# -gt 1 ] && eval "$2"; }; do
		nap 1
		served
		read -r _ _ _ asked _ served _ _ _ p99 _ <<<"$REPLY"
		stalled
		now=${EPOCHREALTIME/./}
		waited=$(((REPLY - before) * 100 / (now - looked))) before=$REPLY looked=$now
		((waited <= 100)) || waited=100
		quota=$(cg "$CRUNCH" cpu.max)
		printf '%3d s  p99 %5d ms %s  waits %3d %% %s  %2d of %2d served   crunch: %s\n' $SECONDS $((${p99:-0} / 1000)) \
			"$(bar $((${p99:-0} / 1000)) 400)" $waited "$(bar $waited 100)" "${served:-0}" "${asked:-0}" \
			"$([ "${quota%% *}" = max ] && echo "no limit" || echo "$((${quota%% *} * 100 / ${quota##* })) % of a CPU")"
	done
}

# ---- the cast

echo "two tenants, two containers: zeta's shop and acme's crunch"
mkdir -p $RUN/shop
docker_run crunch tenant-acme.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" $TEST/hog -i -n 8 -s 280 cpu
CRUNCH=$CG
docker_run shop tenant-zeta.slice "${WITH_TOOLS[@]}" -v $RUN/shop:/demo -- \
	sh -c "busybox chroot /host $TEST/victim -p 55 -s 280 cpu >/demo/out.1 & exec busybox chroot /host $TEST/victim -p 55 -s 280 cpu >/demo/out.2"
SHOP=$CG
policy observe
systemctl start bailiffd.service
until_true 30 "grep -qs '^second 3' $RUN/shop/out.1"
stalled
before=$REPLY looked=${EPOCHREALTIME/./}
crunch=$(head -n 1 "$CGROOT/$CRUNCH/cgroup.procs")

step "the shop alone"
watch 6
step "crunch begins; bailiff may only watch (Mode=observe)"
kill -USR1 "$crunch"
watch 10
step "bailiff may act (Mode=enforce)"
policy enforce
bailiffctl reload >/dev/null
watch 15
step "crunch has done its work; what held it is given back"
kill -USR2 "$crunch"
watch 60 '[ "$(cg "$CRUNCH" cpu.max)" = "max 100000" ]'
nap 1

say() { printf '\n$ bailiffctl %s\n' "$*"; bailiffctl "$@"; }
say incidents
say why crunch
say why shop --for zeta
say observe-report
