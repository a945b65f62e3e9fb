# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# A sum that is divided follows use: what an idle container leaves serves the two busy ones, and is back
# with it some seconds after it wakes. What the kernel holds adds up to the sum at every moment, growth waits for
# what another lets go of; a load that wobbles moves little. Memory that was lent never kills whoever wants it back.
#
#   batch.slice                 nobody's slice
#   ├── one.scope               tenant batch, by path. Sum: 90 % of a CPU, 96M, 300 tasks
#   ├── two.scope               one and two spin when told to, three too, and allocates
#   └── three.scope
#
# shape: plain
# timeout: 300   kernels: 6.1 6.12

MB=$((1 << 20))
ONE=batch.slice/one.scope TWO=batch.slice/two.scope THREE=batch.slice/three.scope

policy_set <<-EOP
	[Host]
	Mode=ceilings

	[Tenant batch]
	Match=path=/batch.slice/*.scope
	Sum=apportion
	CPUQuota=90%
	MemoryMax=96M
	TasksMax=300
EOP

# Reads lines: "spin", "rest", "wobble" (busy two seconds of three), "hold MB" (until the next line).
worker='
$SIG{CHLD} = "IGNORE";
open my $in, "<", "/run/told.$ARGV[0]" or die;
my ($how, $memory, $bits) = ("rest", "", "");
while () {
	vec($bits, fileno $in, 1) = 1;
	my $busy = $how eq "spin" || ($how eq "wobble" && time % 3);
	my $n = select(my $ready = $bits, undef, undef, $busy ? 0 : $how eq "wobble" ? 0.2 : undef);
	if ($n > 0 && sysread $in, my $line, 64) {
		my $mb;
		($how, $mb) = split " ", $line;
		undef $memory;
		$memory = "x" x ($mb << 20) if $how eq "hold";
	}
	if ($busy) { my $work = 20000; 1 while $work-- > 0 }
}'
start_worker() {  # NAME
	mkfifo "/run/told.$1"
	exec {fd}<>"/run/told.$1"
	declare -g "$1=$fd"
	# CPUWeight: or systemd would not enable the cpu controller here
	scope "$1" batch.slice -p CPUWeight=100 perl -e "$worker" "$1"
}
# What the three hold of the CPU, in one pass, sets Q1 Q2 Q3. Those that grow are read last: a share is taken before
# another is given, so a pass in the order of a move could see what was given twice; read against it, it sees less at most.
# As nobody knows the direction beforehand, a pass counts only if a second one right after sees the same.
quotas() {
	local first=''
	while :; do
		cg_read Q1 $ONE cpu.max
		cg_read Q2 $TWO cpu.max
		cg_read Q3 $THREE cpu.max
		[ "$first" != "$Q1/$Q2/$Q3" ] || break
		first=$Q1/$Q2/$Q3
	done
	Q1=${Q1%% *} Q2=${Q2%% *} Q3=${Q3%% *}
	# not held yet: more than any sum
	Q1=${Q1/max/100000000} Q2=${Q2/max/100000000} Q3=${Q3/max/100000000}
}
# Polls for SECONDS; the largest sum seen in MOST, how often anything changed in MOVES.
MOST=0
poll() {  # SECONDS
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000)) last='' sum
	MOVES=0
	while ((${EPOCHREALTIME/[.,]/} < end)); do
		quotas
		sum=$((Q1 + Q2 + Q3))
		((sum <= MOST)) || MOST=$sum
		[ "$last" = "$Q1/$Q2/$Q3" ] || MOVES=$((MOVES + 1))
		last=$Q1/$Q2/$Q3
		nap 0.1
	done
	MOVES=$((MOVES - 1))
}
equal() { quotas && ((Q1 == 30000 && Q2 == 30000 && Q3 == 30000)); }

guard_start
start_worker one
start_worker two
start_worker three
wait_rest equal "at rest all have a third" $ONE $TWO $THREE

# ---- two busy, one idle

echo spin >&$one
echo spin >&$two
since=$EPOCHREALTIME
wait_for 40 "quotas && ((Q1 > 38000 && Q2 > 38000))" "the idle one's share serves the two busy ones"
diag "after $(elapsed "$since") s: $Q1 $Q2 $Q3 µs of 100 ms"
num $Q1 == $Q2 "equally"
num $Q3 '>=' 1000 "the idle one keeps a reserve: $Q3"
used=$(($(cg_key $ONE cpu.stat usage_usec) + $(cg_key $TWO cpu.stat usage_usec)))
since=${EPOCHREALTIME/[.,]/}
poll 10
used=$((($(cg_key $ONE cpu.stat usage_usec) + $(cg_key $TWO cpu.stat usage_usec) - used) * 10000 / (${EPOCHREALTIME/[.,]/} - since)))
diag "both used $((used / 100)).$((used % 100)) % of a CPU together"
num $used '<=' 9400 "which is within the tenant's sum"
num $MOVES '<=' 2 "nothing moves while nothing changes: $MOVES moves in 10 s"

# ---- the idle one wakes

echo spin >&$three
since=$EPOCHREALTIME
wait_for 20 equal "it wakes, and all have a third again"
diag "after $(elapsed "$since") s"
echo rest >&$three

# ---- a load that wobbles

wait_for 60 "quotas && ((Q1 > 38000 && Q2 > 38000))" "it rests, and lends again"
echo wobble >&$two
poll 30
num $MOVES '<=' 8 "two works two seconds of three: $MOVES moves in 30 s"
num $MOST '<=' 90000 "in all this the kernel never held more than the sum: $MOST µs of 90000"

# ---- memory

# As fast as memory.max of an equal share allows: whoever asks for more than that at once is killed, lent or not.
echo "hold 27" >&$one
# Where it stops depends on the way there: hunger ends when a third of what it has is free. The others lend half of what
# they leave, at least so much that it comes to that.
wait_for 40 "[[ \$(cg $ONE memory.high) -ge $((40 * MB)) ]]" "one uses 27M of its 32M, and gets half as much again of what the others leave"
diag "in use $(cg $ONE memory.current) $(cg $TWO memory.current) $(cg $THREE memory.current), memory.high $(cg $ONE memory.high) $(cg $TWO memory.high) $(cg $THREE memory.high), memory.max $(cg $ONE memory.max) $(cg $TWO memory.max) $(cg $THREE memory.max)"
more=35 # perl itself has some
echo "hold $more" >&$one
wait_for 40 "[[ \$(cg $ONE memory.current) -ge $((more * MB)) ]]" "it uses ${more}M"
high=0
for path in $ONE $TWO $THREE; do high=$((high + $(cg $path memory.high))); done
num $high '<=' $((96 * MB)) "memory.high adds up to the sum"
num "$(cg $THREE memory.high)" '<' $((32 * MB)) "three has lent: memory.high $(($(cg $THREE memory.high) / MB))M"
num "$(cg $THREE memory.max)" '>=' $((32 * MB)) "but its memory.max is an equal share"
echo "hold 26" >&$three
wait_for 60 "[ \"\$(cg $THREE memory.current)\" -ge $((26 * MB)) ]" "it allocates 26M at once"
for path in $ONE $TWO $THREE; do is "$(cg_key $path memory.events oom_kill)" 0 "${path##*/} lost nobody"; done
ctl events --json
is "$(jq -c '.events[] | select(.kind == "drift" or .kind == "refused" or .kind == "fight")' <<<"$CTL_OUT")" "" "no move was taken for drift, none was refused"
done_testing
