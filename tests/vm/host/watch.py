#!/usr/bin/env python3
"""watch.py SECONDS QMP_SOCKET COMMAND...: run QEMU, at most so long; exit with its status, or 124.

A machine that is still there after SECONDS hangs: the guest keeps a limit of its own before that. Where
it hangs is told on stderr before QEMU is ended: what QEMU's threads do, the processors' registers
(addresses are those of vmlinux, nokaslr), and on the guest's console, by way of an NMI that is a panic
there (unknown_nmi_panic, panic_print), the stacks of all tasks. QMP_SOCKET is made by COMMAND."""
import glob
import signal
import subprocess
import sys
import time

from qmp import Qmp

ANSWER_SECONDS = 10  # a QEMU that hangs itself does not answer
PANIC_SECONDS = 20  # for the guest to print its tasks to an emulated serial line
END_SECONDS = 2


def say(text):
    for line in text.splitlines():
        print(f"vm: {line.rstrip()}", file=sys.stderr)
    sys.stderr.flush()


def thread_times(pid):
    """{thread: (name, state, CPU ticks)}"""
    threads = {}
    for path in glob.glob(f"/proc/{pid}/task/*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        fields = rest.split()
        threads[path.split("/")[4]] = (name, fields[0], int(fields[11]) + int(fields[12]))
    return threads


def tell_threads(pid):
    before = thread_times(pid)
    time.sleep(1)
    for thread, (name, state, ticks) in sorted(thread_times(pid).items()):
        used = ticks - before.get(thread, (name, state, ticks))[2]
        say(f"QEMU's thread {name}: {state}, {used} ticks of CPU in a second")


def tell_machine(qemu, path):
    qmp = Qmp(path, ANSWER_SECONDS)
    say(f"the machine: {qmp.call('query-status')}")
    registers = qmp.monitor("info registers -a").splitlines()
    say("\n".join(line for line in registers if line.startswith(("CPU#", "RSI=", "RIP="))))
    for apic in range(sum(line.startswith("CPU#") for line in registers)):
        say(qmp.monitor(f"info lapic {apic}"))  # is the timer armed, is an interrupt on its way?
    qmp.call("inject-nmi")
    try:
        qemu.wait(PANIC_SECONDS)  # panic=-1, -no-reboot: QEMU ends
        say("it took an NMI; the end of its console tells more")
    except subprocess.TimeoutExpired:
        say("it did not take an NMI")


def main(seconds, path, command):
    qemu = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: qemu.send_signal(number))
    try:
        status = qemu.wait(seconds)
        sys.exit(status if status >= 0 else 128 - status)
    except subprocess.TimeoutExpired:
        pass
    say(f"time limit of {seconds:g} s reached")
    tell_threads(qemu.pid)
    try:
        tell_machine(qemu, path)
    except (OSError, ValueError, RuntimeError) as error:
        say(f"QEMU does not answer: {error}")
    qemu.terminate()
    try:
        qemu.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        qemu.kill()
        qemu.wait()
    sys.exit(124)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
