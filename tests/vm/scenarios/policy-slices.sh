# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# A reload decides anew which slice carries a tenant's sum: the outermost of its own, and no other. What a slice used before it
# was anybody's is in nobody's books; what it used as a tenant's stays with that tenant.
#
#   tenant.slice
#   └── tenant-acme.slice               tenant acme, at times
#       └── tenant-acme-web.slice       tenant acme, at times
#           └── web.scope               uses a second of CPU when told
#
# timeout: 120

OUTER=tenant.slice/tenant-acme.slice
INNER=$OUTER/tenant-acme-web.slice

policy() {  # MATCH...
	local match
	{
		printf '[Host]\nMode=ceilings\n'
		[ $# = 0 ] || printf '[Tenant acme]\nTasksMax=100\n'
		for match; do echo "Match=slice=$match"; done
	} | policy_set
	ctl reload
	is "$CTL_STATUS" 0 "a policy with ${*:-no tenant} is loaded"
}
mkfifo /run/told
exec {told}<>/run/told
USED=0
work() {  # about a second of CPU time; USED: what the slice used in all since it was 0
	local before now
	before=$(cg_key $INNER cpu.stat usage_usec)
	echo >&$told
	until_true 60 'now=$(cg_key $INNER cpu.stat usage_usec); ((now - before >= 1000000))' || not_ok "it works"
	nap 3
	USED=$((USED + ($(cg_key $INNER cpu.stat usage_usec) - before) / 1000))
}
cpu_of() {  # TENANT: of its total, in ms
	local all
	all=$(totals "$1")
	echo $(($(jq '.book.cpu_usec // 0' <<<"${all:-{\}}") / 1000))
}
held() { [ "$(cg $OUTER pids.max)/$(cg $INNER pids.max)" = "$1" ]; }

policy_set <<<$'[Host]\nMode=ceilings'
scope web tenant-acme-web.slice -p CPUWeight=100 -p IOWeight=100 -p TasksAccounting=yes \
	perl -e 'open my $in, "<", "/run/told"; while (<$in>) { my $end = (times)[0] + 1; 1 while (times)[0] < $end }'
guard_start
none=$(cg $OUTER pids.max)/$(cg $INNER pids.max)
work
work

# ---- a slice becomes somebody's

policy tenant-acme-web.slice
wait_for 30 "held ${none%/*}/100" "the inner slice carries the sum"
nap 3
num "$(cpu_of acme)" '<' 500 "two seconds of its past are not acme's: $(cpu_of acme) ms"
USED=0
work
wait_for 20 '[ "$(cpu_of acme)" -ge $((USED * 9 / 10)) ]' "what it uses now is"
num "$(cpu_of acme)" '<' $((USED + 500)) "and no more: $(cpu_of acme) of $USED ms"
booked=$(cpu_of acme)

# ---- the one above it, too

policy tenant-acme-web.slice tenant-acme.slice
wait_for 30 "held 100/${none#*/}" "the outer slice carries the sum, the inner one has back what it had"
nap 3
num "$(cpu_of acme)" '>=' $booked "the tenant's total did not go back"
num "$(cpu_of acme)" '<' $((booked + 500)) "nor is the outer slice's past in it: $(cpu_of acme) ms"
work
wait_for 20 '[ "$(cpu_of acme)" -ge $((USED * 9 / 10)) ]' "it goes on"
num "$(cpu_of acme)" '<' $((USED + 500)) "and counts nothing twice: $(cpu_of acme) of $USED ms"

# ---- the inner one only

policy tenant-acme-web.slice
wait_for 30 "held ${none%/*}/100" "without the outer one the inner slice carries the sum again"
booked=$(cpu_of acme)

# ---- and nobody's

unassigned=$(cpu_of unassigned)
policy
wait_for 30 "held $none" "both have back what they had"
nap 3
num "$(cpu_of unassigned)" '<' $((unassigned + 500)) "what acme used is not put down to nobody: $(cpu_of unassigned) ms"
num "$(cpu_of acme)" '>=' $booked "it stays acme's: $(cpu_of acme) ms"
done_testing
