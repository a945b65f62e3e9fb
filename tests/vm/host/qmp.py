"""A client of QEMU's monitor protocol (QMP)."""
import json
import socket


class Qmp:
    def __init__(self, path, seconds):
        """seconds: that an answer is waited for; None: for ever"""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        connection.connect(path)
        self.stream = connection.makefile("rw")
        self.stream.readline()  # greeting
        self.call("qmp_capabilities")

    def call(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:  # events come in between
            answer = json.loads(self.stream.readline())
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def monitor(self, line):
        """A command of the monitor for people: what it prints."""
        return str(self.call("human-monitor-command", **{"command-line": line}))
