# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# A tenant that spins with many threads and a large weight, beside one that serves requests and is guaranteed the CPU
# that it needs for that: how it is served alone, without the guard and with it. The culprit is held back by cpu.max, and the
# victim is served again; nobody is killed. `why` tells the story, and to the victim without a name.
#
#   tenant.slice
#   ├── tenant-web.slice
#   │   └── docker-<id>.scope     web, tenant web: 40 % of a CPU in requests of 8 ms; CPUGuarantee=60%
#   └── tenant-spin.slice         weight 2000
#       └── docker-<id>.scope     spin, tenant spin: 16 threads
#
# shape: docker
# kernels: 6.1 6.12
# timeout: 240

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0

	[Defaults]
	PressureWindowSec=2s
	Kill=last

	[Tenant web]
	Match=slice=tenant-web.slice
	CPUGuarantee=60%

	[Tenant spin]
	Match=slice=tenant-spin.slice
EOP
systemctl set-property --runtime tenant-spin.slice CPUWeight=2000
docker_run web tenant-web.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" "$VICTIM" -p 40 -o $LOADS/web cpu
load_ready web
docker_run spin tenant-spin.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" "$HOG" -i -n 16 -s 200 -o $LOADS/spin cpu
load_ready spin
SPIN=$CG

measure web 5 "alone"
num $SERVED '>=' 900 "alone it serves its requests: $SERVED per mille"
alone=$P50
go spin
nap 2
measure web 8 "without guard"
without=$SERVED
num $without '<' 800 "beside the other it does not: $without per mille"
rest spin

guard_start
wait_for 30 '[ "$(ctl containers --json; jq "[.containers[] | select(.name == \"web\" or .name == \"spin\")] | length" <<<"$CTL_OUT")" = 2 ]' \
	"the guard knows both"
nap 3
start=$EPOCHREALTIME
go spin
wait_for_act 40 ' throttle spin ' "spin is throttled" "$start"
unlike "$(cg "$SPIN" cpu.max)" '^max' "by cpu.max: $(cg "$SPIN" cpu.max)"
nap 3
measure web 8 "with guard"
num $SERVED '>=' 800 "it serves its requests again: $SERVED per mille"
num $P50 '<=' $((alone * 8 + 40000)) "and the usual one takes $((P50 / 1000)) ms, alone $((alone / 1000)) ms"
is "$(acts ' (stop|kill) ')" "" "nobody is killed where a throttle does"
is "$(acts ' (throttle|freeze) web ')" "" "nor is the victim held back"
diag "$(acts)"
why_says container:spin 'web' "why: who was hurt"
why_says container:web 'spin' "why: who was to blame"
ctl why container:web --for web
like "$CTL_OUT" 'another tenant' "told to the victim it was another tenant"
unlike "$CTL_OUT" 'spin' "which is not named"
diag "$CTL_OUT$CTL_ERR"
ctl incidents
like "$CTL_OUT" 'spin' "it is an incident"
diag "$CTL_OUT"
ctl status --json
diag "reaction from the look to the write: $(jq -c '.judge.reaction_usec' <<<"$CTL_OUT")"
done_testing
