# shellcheck shell=bash disable=SC2154,SC2016
# A kernel without pressure information: said once, all else is measured; nobody asks for triggers.
#
#   tenant.slice
#   └── tenant-a.slice
#       └── spin.scope          tenant a, by slice; PressureTrigger= asks for what is not there
#
# shape: plain
# append: psi=0
# timeout: 120   kernels: 6.1 6.12

policy_set <<-EOP
	[Host]
	Mode=ceilings

	[Tenant a]
	Match=slice=tenant-a.slice
	PressureTrigger=cpu io memory
EOP
is "$([ -e /proc/pressure ] && echo there)" "" "the kernel has no /proc/pressure"
guard_start
scope spin tenant-a.slice busybox sh -c 'while :; do :; done'
wait_for 20 "ctl show spin.scope --json && [ \"\$(jq '.measured.rates.cpu_permyriad // 0' <<<\"\$CTL_OUT\")\" -gt 1000 ]" "its CPU is measured"
is "$(jq -c '[.measured.sample | keys[] | select(test("some|full"))]' <<<"$CTL_OUT")" "[]" "what the kernel does not tell is absent, not zero"
is "$(jq -c '.measured.rates | has("cpu_some_permyriad")' <<<"$CTL_OUT")" false "nor is there a rate of it"
is "$(jq -c '.measured.baselines | [.cpu, .memory, .io]' <<<"$CTL_OUT")" "[null,null,null]" "nor a baseline"
ctl status --json
is "$(jq -c '.sampling | [.psi, .triggers.host, .triggers.slices, .triggers.containers]' <<<"$CTL_OUT")" "[false,0,0,0]" "status: no PSI, no triggers"
is "$(jq '.missing | map(select(test("pressure"))) | length' <<<"$CTL_OUT")" 1 "what this host lacks is said"
nap 5
is "$(guard_log | grep -c -i pressure)" 1 "once"
for verb in top usage containers status; do
	# shellcheck disable=SC2046,SC2086
	ctl $verb $([ $verb != top ] || echo --batch)
	is $CTL_STATUS 0 "bailiffctl $verb goes on without it"
done
done_testing
