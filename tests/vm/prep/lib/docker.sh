# shellcheck shell=bash
# The engine as Debian ships it, without a bridge: nothing here needs a network.

start_docker() {  # $1 cgroup driver: systemd or cgroupfs
	mkdir -p /etc/docker
	cat >/etc/docker/daemon.json <<-EOF
		{
			"exec-opts": ["native.cgroupdriver=$1"],
			"bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false
		}
	EOF
	modprobe overlay
	systemctl start docker.service
}

import_bb() {
	make_bb_tar /run/bb.tar
	docker import /run/bb.tar bb >/dev/null
	rm /run/bb.tar
}

# A container that is older than any guard: it must be found and held at the guard's start.
start_warm_container() {  # $1 cgroup parent
	docker run --detach --name warm --network=none --cgroup-parent="$1" \
		--memory 64m --pids-limit 50 --cpus 0.5 --label com.example.tenant=warm bb sleep 100000
}
