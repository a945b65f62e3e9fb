#!/bin/bash
# Instructions of a look at one container, without the kernel's: bailiff's way, the floor and the usual way
# (bench/sampling.c), counted by valgrind on a captured tree. They are the same on every machine, run after run.
# Where perf can count, the same with the kernel's part: on plain files, so only the floor's share of it means much.
#
# ./dev bench sampling prints Markdown rows, for the README's "Measured".
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

PROGRAM=build/bench/sampling
COUNT=100
PASSES=10
MODES=(floor usual hot full)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# ---- the tree: a container that has run for a day, kernel 6.1

capture() {  # DIRECTORY
	local dir=$1
	mkdir -p "$dir"
	cat >"$dir/cpu.stat" <<-EOF
		usage_usec 8342914573
		user_usec 6120045812
		system_usec 2222868761
		nr_periods 863412
		nr_throttled 1289
		throttled_usec 48120774
		nr_bursts 0
		burst_usec 0
	EOF
	echo 412483584 >"$dir/memory.current"
	echo 0 >"$dir/memory.swap.current"
	echo 536870912 >"$dir/memory.peak"
	printf '%s\n' 'low 0' 'high 812' 'max 3' 'oom 0' 'oom_kill 0' 'oom_group_kill 0' >"$dir/memory.events"
	cat >"$dir/memory.stat" <<-EOF
		anon 201367552
		file 187822080
		kernel 17526784
		kernel_stack 786432
		pagetables 2527232
		sec_pagetables 0
		percpu 46080
		sock 122880
		vmalloc 8192
		shmem 1146880
		file_mapped 46137344
		file_dirty 196608
		file_writeback 0
		swapcached 0
		anon_thp 20971520
		file_thp 0
		shmem_thp 0
		inactive_anon 202375168
		active_anon 98304
		inactive_file 121634816
		active_file 65040384
		unevictable 0
		slab_reclaimable 11747472
		slab_unreclaimable 2190640
		slab 13938112
		workingset_refault_anon 0
		workingset_refault_file 48213
		workingset_activate_anon 0
		workingset_activate_file 20410
		workingset_restore_anon 0
		workingset_restore_file 8841
		workingset_nodereclaim 1024
		pgscan 291872
		pgsteal 243901
		pgscan_kswapd 251004
		pgscan_direct 40868
		pgsteal_kswapd 211532
		pgsteal_direct 32369
		pgfault 9812443
		pgmajfault 4120
		pgrefill 61208
		pgactivate 188423
		pgdeactivate 55120
		pglazyfree 0
		pglazyfreed 0
		thp_fault_alloc 210
		thp_collapse_alloc 12
	EOF
	cat >"$dir/io.stat" <<-EOF
		259:0 rbytes=812449792 wbytes=2948136960 rios=34120 wios=201883 dbytes=0 dios=0
		253:0 rbytes=812449792 wbytes=2948136960 rios=34120 wios=201883 dbytes=0 dios=0
	EOF
	echo 37 >"$dir/pids.current"
	echo 64 >"$dir/pids.peak"
	echo 'max 0' >"$dir/pids.events"
	pressure 48213377 41122803 >"$dir/cpu.pressure"
	pressure 1920441 1711030 >"$dir/memory.pressure"
	pressure 7412209 6904418 >"$dir/io.pressure"
	echo 'full avg10=0.00 avg60=0.00 avg300=0.00 total=121833' >"$dir/irq.pressure"
	printf '%s\n' 'populated 1' 'frozen 0' >"$dir/cgroup.events"
}

pressure() {  # SOME FULL
	printf '%s avg10=%s avg60=%s avg300=%s total=%d\n' some 0.42 0.31 0.18 "$1" full 0.11 0.09 0.05 "$2"
}

make_tree() {
	local i dir
	capture "$WORK/first"
	for ((i = 0; i < COUNT; i++)); do
		printf -v dir '%s/many.slice/docker-%064x.scope' "$WORK" $i
		mkdir -p "$dir"
		cp "$WORK"/first/* "$dir/"
	done
}

# ---- counting

# Only what the mode's pass function and its callees do; the first pass, which opens what is kept, counts, too,
# so the number is the difference of two runs.
callgrind() {  # MODE PASSES: prints instructions of all passes
	local log=$WORK/callgrind.log
	valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$1_pass" \
		$PROGRAM one "$1" "$WORK/many.slice" $COUNT "$2" >/dev/null 2>"$log" ||
		{ cat "$log" >&2; return 1; }
	sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log"
}

perf_works() { perf stat --event=instructions:u true 2>&1 | grep -Eq '^ *[0-9][0-9,.]* +instructions'; }

perf_count() {  # MODE PASSES: prints instructions, the kernel's too where it is allowed
	perf stat --field-separator=, --event=instructions $PROGRAM one "$1" "$WORK/many.slice" $COUNT "$2" \
		2>&1 >/dev/null | sed -n 's/^\([0-9]*\),.*instructions.*/\1/p'
}

declare -A PER
each() {  # COUNTER: fills PER with its instructions a container
	local mode few many
	for mode in "${MODES[@]}"; do
		few=$($1 "$mode" 1) many=$($1 "$mode" $((PASSES + 1)))
		PER[$mode]=$(((many - few) / PASSES / COUNT))
	done
}

row() {  # TEXT
	local mode
	printf '| %s |' "$1"
	for mode in "${MODES[@]}"; do printf ' %d |' "${PER[$mode]}"; done
	echo
}

# ---- the run

make_tree
each callgrind
cat <<EOF

| instructions a container | floor | nine files by path, sscanf | hot set, books, history | all files |
|---|---|---|---|---|
EOF
row "user side (callgrind)"
if command -v perf >/dev/null && perf_works; then
	each perf_count
	row "with the kernel's, on plain files (perf stat)"
else
	echo "# perf cannot count instructions here"
fi
