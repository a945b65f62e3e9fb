#!/bin/bash
# shape "many": 3,000 cgroups as Docker's systemd driver names them, a sleeping process in each, and
# Docker's state of them
#
#   many.slice/many-keep.service            keeps the controllers on, whatever systemd reloads
#   many.slice/docker-<64 hex>.scope        3,000 of them
#
# systemd knows the slice only: 3,000 units would be minutes of PID 1, and it is the cgroups that cost.
# Whoever wants fewer takes the first ones by name, or removes the others.
set -euo pipefail

COUNT=3000
MANY=/sys/fs/cgroup/many.slice

systemd-run --quiet --unit=many-keep --slice=many.slice -p CPUWeight=100 -p MemoryAccounting=yes \
	-p IOAccounting=yes -p TasksAccounting=yes sleep infinity
if [[ $(<$MANY/cgroup.subtree_control) != *cpu*io*memory*pids* ]]; then
	echo "many.slice passes on only: $(<$MANY/cgroup.subtree_control)"
	exit 1
fi

mkdir -p /var/lib/docker/containers
# bash has no mkdir of its own, and a fork for each would be minutes
perl - $MANY $COUNT <<'PERL'
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);

my ($many, $count) = @ARGV;

sub write_file {
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!\n";
	print $file $text;
	close $file or die "$path: $!\n";
}

# What a guard reads in it, and no more.
sub write_state {
	my ($id, $i) = @_;
	my $dir = "/var/lib/docker/containers/$id";
	mkdir $dir, 0710 or die "$dir: $!\n";
	write_file("$dir/config.v2.json", <<"JSON");
{"State":{"Running":true,"Paused":false},"ID":"$id","Created":"2024-05-01T10:00:00Z","Path":"sleep",
"Config":{"Hostname":"many","User":"","Image":"many:latest","Labels":{"com.docker.compose.project":"shop",
"com.docker.compose.service":"web"}},"Name":"/many-$i","Driver":"overlay2","OS":"linux"}
JSON
	write_file("$dir/hostconfig.json", <<"JSON");
{"NetworkMode":"none","Privileged":false,"CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"many.slice",
"BlkioWeight":0,"CpuPeriod":0,"CpuQuota":0,"MemoryReservation":0,"MemorySwap":0,"PidsLimit":null}
JSON
}

for my $i (0 .. $count - 1) {
	my $id = sha256_hex("many $i");
	my $dir = "$many/docker-$id.scope";
	write_state($id, $i);
	mkdir $dir or die "$dir: $!\n";
	my $pid = fork // die "fork: $!\n";
	next if $pid;
	open my $procs, '>', "$dir/cgroup.procs" or die "$dir: $!\n";
	syswrite $procs, "$$\n" or die "$dir: $!\n";
	close $procs;
	open STDIN, '<', '/dev/null';
	open STDOUT, '>', '/dev/null';
	open STDERR, '>', '/dev/null';
	exec '/bin/busybox', 'sleep', '1000000000' or exit 1;
}
PERL

# all of them have moved and become what they will be
for _ in {1..600}; do
	[ "$(grep -lx 'populated 1' $MANY/docker-*.scope/cgroup.events | wc -l)" != $COUNT ] || exit 0
	sleep 0.5
done
echo "not all of $COUNT cgroups have their process"
exit 1
