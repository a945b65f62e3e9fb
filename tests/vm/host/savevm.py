#!/usr/bin/env python3
"""savevm.py DIR QEMU_PID BOOT_SECONDS PREP_SECONDS: save a machine that waits for its job.

The machine was started with its memory in DIR/ram (shared), a QMP socket DIR/qmp, its job port at
DIR/in, its status lines in DIR/rc. If DIR/job exists it is the prep job: run first, its output on
stderr. Then the device state goes to DIR/state; memory is not copied (x-ignore-shared): it is in
the file already. Later runs map that file privately and load the state."""
import os
import socket
import sys
import time

from qmp import Qmp

SETTLE_SECONDS = 1.0  # let what the boot or the prep left behind come to rest


class Machine:
    def __init__(self, directory, pid):
        self.directory = directory
        self.pid = pid

    def path(self, name):
        return os.path.join(self.directory, name)

    def status(self):
        try:
            with open(self.path("rc"), encoding="ascii", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait(self, condition, what, seconds):
        end = time.monotonic() + seconds
        while not condition(self.status()):
            if time.monotonic() > end:
                sys.exit(f"{what} took more than {seconds:.0f} s")
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                sys.exit(f"the machine died during {what}")
            time.sleep(0.05)

    def prepare(self, seconds):
        job = socket.socket(socket.AF_UNIX)
        job.connect(self.path("in"))
        with open(self.path("job"), "rb") as f:
            job.sendall(f.read())
        try:
            self.wait(lambda s: "prep" in s, "the prep script", seconds)
        finally:
            with open(self.path("prep.log"), encoding="utf-8", errors="replace") as f:
                sys.stderr.write(f.read())
        if "prep 0\n" not in self.status():
            sys.exit("the prep script failed")
        job.close()
        self.wait(lambda s: s.count("ready") > 1, "the end of the prep script", 20)


def save_state(qmp, path):
    # No 'stop' first: the saved run state must be 'running', or the resumed machine stands still.
    qmp.call("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
    qmp.call("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
    qmp.call("migrate", uri=f"exec:cat > '{path}'")
    while True:
        status = qmp.call("query-migrate")["status"]
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            sys.exit(f"migration {status}")
        time.sleep(0.05)


def main(directory, pid, boot_seconds, prep_seconds):
    machine = Machine(directory, int(pid))
    machine.wait(lambda s: "ready" in s, "the boot", float(boot_seconds))
    if os.path.exists(machine.path("job")):
        machine.prepare(float(prep_seconds))
    time.sleep(SETTLE_SECONDS)
    qmp = Qmp(machine.path("qmp"), None)
    save_state(qmp, machine.path("state"))
    qmp.call("quit")


if __name__ == "__main__":
    main(*sys.argv[1:])
