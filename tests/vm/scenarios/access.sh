# shellcheck shell=bash
# Who may ask and who may change: root everything, group bailiff reads, others nothing. Hostile
# arguments get a clear error. Each change is logged with the caller's uid and pid.
#
#   tenant.slice/tenant-a.slice/s1.scope
#
# timeout: 120

policy_set <<'P'
[Host]
Mode=ceilings
[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=100M
P
guard_start
scope s1 tenant-a.slice sleep 1000
wait_for 20 "[ \"\$(cg tenant.slice/tenant-a.slice memory.max)\" = $((100 << 20)) ]" "held"
# What the guard itself may do: little.
exposure=$(systemd-analyze security --no-pager bailiffd.service | sed -n 's/.*Overall exposure level.*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
num "${exposure:-99}" '<=' 20 "hardening: exposure ${exposure:0:1}.${exposure:1} of at most 2.0"
is "$(systemd-analyze verify bailiffd.service bailiff-lapse.service bailiff-lapse.timer 2>&1 | grep bailiff | grep -v "Command .man" || :)" "" "systemd finds nothing wrong with the units"

useradd --groups bailiff reader
useradd nobodys
as() {  # USER VERB...: sets OUT and STATUS
	STATUS=0
	local user=$1
	shift
	OUT=$(runuser -u "$user" -- bailiffctl "$@" 2>&1 </dev/null) || STATUS=$?
}

as nobodys status
is "$STATUS" 4 "somebody else: refused, exit 4"
like "$OUT" "bailiff" "and told which group may read"
as nobodys containers
is "$STATUS" 4 "containers too"
as reader status
is "$STATUS" 0 "a member of bailiff reads"
as reader containers
like "$OUT" "s1.scope" "and sees containers"
for verb in reload "pause" "resume" "hold s1.scope --for 1h" "unhold s1.scope" "undo 1" "release --ceilings"; do
	# shellcheck disable=SC2086
	as reader $verb
	is "$STATUS" 4 "a member may not: $verb"
done
is "$(cg tenant.slice/tenant-a.slice memory.max)" $((100 << 20)) "nothing changed"
# Past bailiffctl, straight at the bus, and as the reader with a method that changes.
check "the bus itself refuses" bash -c '! runuser -u reader -- busctl call org.bailiff.Guard1 /org/bailiff/Guard1 org.bailiff.Guard1 Pause t 0'
like "$(busctl introspect org.bailiff.Guard1 /org/bailiff/Guard1)" "ReleaseCeilings" "the interface can be looked at"

call() { busctl call org.bailiff.Guard1 /org/bailiff/Guard1 org.bailiff.Guard1 "$@" 2>&1 || :; }
like "$(call Show s 'a/b')" "slash" "a name with a slash"
like "$(call Show s $'a\nb')" "control characters" "a name with a newline"
like "$(call Show s "")" "empty" "an empty name"
like "$(call Show s "nosuch")" "no such tenant or container" "an unknown name"
like "$(call Show s "/../../etc")" "no container|cgroup path" "a path that leads out"
like "$(call OpenPaged ss Nonsense "")" "no such reading method" "an unknown method"
like "$(call OpenPaged ss ListEvents "1 2 3")" "SINCE MAX" "a wrong argument"
like "$(call ReadPaged ttu 99 0 10)" "no such page handle" "a handle that is not ours"
like "$(call Hold sts s1.scope 0 x)" "end" "a hold without an end"
like "$(call Undo t 99999)" "no such event" "an unknown event"
python3 - <<'P' >/run/big 2>&1 || :
import subprocess
name = "x" * (100 * 1024)
print(subprocess.run(["busctl", "call", "org.bailiff.Guard1", "/org/bailiff/Guard1", "org.bailiff.Guard1", "Show", "s", name],
                     capture_output=True, text=True).stderr[:200])
P
like "$(</run/big)" "longer than 4096" "a name of 100 KiB"
# 1 MiB does not fit on a command line: through sd-bus' own marshalling of a file.
head -c 1M /dev/zero | tr '\0' y >/run/mib
python3 - <<'P' >/run/big 2>&1 || :
import socket, struct, os
# A minimal D-Bus client: SASL EXTERNAL, Hello, Show(s) with 1 MiB.
def al(b, n): return b + b"\0" * (-len(b) % n)
def s(v): v = v.encode(); return struct.pack("<I", len(v)) + v + b"\0"
def msg(serial, dest, path, iface, member, sig=None, body=b""):
    f = b""
    for code, t, v in ((1, "o", path), (2, "s", iface), (3, "s", member), (6, "s", dest)):
        f = al(f, 8) + bytes([code, 1]) + t.encode() + b"\0"
        f = al(f, 4) + s(v)
    if sig:
        f = al(f, 8) + bytes([8, 1]) + b"g\0" + bytes([len(sig)]) + sig.encode() + b"\0"
    return al(struct.pack("<BBBBIII", ord("l"), 1, 0, 1, len(body), serial, len(f)) + f, 8) + body
c = socket.socket(socket.AF_UNIX); c.connect("/run/dbus/system_bus_socket")
c.sendall(b"\0AUTH EXTERNAL " + "0".encode().hex().encode() + b"\r\n"); c.recv(4096)
c.sendall(b"BEGIN\r\n" + msg(1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"))
body = s(open("/run/mib").read())
c.sendall(msg(2, "org.bailiff.Guard1", "/org/bailiff/Guard1", "org.bailiff.Guard1", "Show", "s", body))
c.settimeout(10); got = b""
while b"4096" not in got: got += c.recv(65536)
print("refused:", got[got.index(b"the name"):][:45])
P
like "$(</run/big)" "longer than 4096" "a name of 1 MiB"

ctl hold s1.scope --for 10m --reason "looking at it"
is "$CTL_STATUS" 0 "root holds"
like "$(journalctl -u bailiffd -o json --no-pager | jq -r 'select(.BAILIFF_ACTION == "hold") | .BAILIFF_CALLER_UID + " " + .BAILIFF_CALLER_PID')" \
	'^0 [1-9]' "the change is logged with uid and pid"
is "$(systemctl show -P ActiveState bailiffd)" active "the guard lives"
guard_stop
ctl status
is "$CTL_STATUS" 3 "daemon not reachable: exit 3"
is "$(systemctl show -P ActiveState bailiffd)" inactive "and asking does not start it"
ctl nonsense
is "$CTL_STATUS" 2 "usage: exit 2"
done_testing
