/** An Ansible callback that tells where a playbook is, for people and for the runner. Pure text (Python). */

/**
 * Ansible's own output goes to the log whole; beside it this notification callback appends lines to DYNAMOS_PROGRESS, failures (tab separated:
 * host, kind, play, task, message) to DYNAMOS_FAILURES, and at the end each host's outcome to DYNAMOS_HOSTS. An own callback and no parsing: the
 * classes and methods are Ansible's documented interface for it (docs.ansible.com, "Developing plugins: callback plugins").
 */
export const progressCallback = `# Written by dynamos-fabric.
from __future__ import annotations

import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: dynamos_fabric_progress
type: notification
short_description: tells where a playbook is
description: writes plays, tasks, counts and failures to files that the runner follows
requirements: []
"""


def clock(seconds):
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "dynamos_fabric_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.started = time.monotonic()
        self.told = 0.0
        self.playbook = self.play = self.task = ""
        self.plays = self.number = self.tasks = self.hosts = 0
        self.failed_before_last = set()
        self.failed_in_last = set()

    def write(self, name, line):
        with open(os.environ[name], "a", encoding="utf-8") as file:
            file.write(line.replace("\\r", " ") + "\\n")

    def tell(self, text):
        self.told = time.monotonic()
        bad = len(self.failed_before_last | self.failed_in_last)
        counts = f"{self.hosts} hosts" + (f", {bad} failed" if bad else "")
        where = f"{self.playbook}  play {self.number}/{self.plays}"
        self.write("DYNAMOS_PROGRESS", f"{where}  {counts}  {clock(time.monotonic() - self.started)}  {text}")

    def v2_playbook_on_start(self, playbook):
        self.playbook = os.path.basename(playbook._file_name)
        self.plays = len(playbook.get_plays())

    def v2_playbook_on_play_start(self, play):
        self.play = play.get_name().strip()
        self.number += 1
        self.hosts = len(play.get_variable_manager()._inventory.get_hosts(play.hosts)) if play.hosts else 0
        self.task = ""
        self.tell(self.play)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.task = task.get_name().strip()
        self.tasks += 1
        # Kubespray has some thousand tasks: one line in ten seconds is enough to see that it goes on.
        if time.monotonic() - self.told >= 10:
            self.tell(f"{self.play}: task {self.tasks}, {self.task}")

    v2_playbook_on_handler_task_start = lambda self, task: self.v2_playbook_on_task_start(task, False)

    def fail(self, result, kind):
        host = result._host.get_name()
        said = result._result
        message = said.get("msg") or said.get("exception") or "no message"
        # Of a command Ansible's own words say no more than that it failed.
        if str(said.get("stderr") or "").strip():
            message = f"{message}: {said['stderr']}"
        if said.get("_ansible_no_log") or said.get("censored"):
            message = "(hidden by no_log; see the task)"
        if said.get("results"):
            parts = [r.get("msg") or r.get("stderr") for r in said["results"] if isinstance(r, dict) and r.get("failed")]
            message = next((str(p) for p in parts if p), message)
        (self.failed_in_last if self.number == self.plays else self.failed_before_last).add(host)
        one_line = " ".join(str(message).split())[:400]
        play = " ".join(self.play.split())
        self.write("DYNAMOS_FAILURES", "\\t".join((host, kind, play, " ".join(self.task.split()), one_line)))
        self.tell(f"{kind} on {host}: {self.task}: {one_line}")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            self.fail(result, "failed")

    def v2_runner_on_unreachable(self, result):
        self.fail(result, "unreachable")

    def v2_playbook_on_stats(self, stats):
        # The playbook went to its end for a host when the last play was begun, nothing failed in it (a failure there may stop the
        # others), and the host itself did not fail before.
        reached = self.number == self.plays and not self.failed_in_last
        for host in sorted(stats.processed):
            bad = "unreachable" if stats.dark.get(host) else "failed" if stats.failures.get(host) else "ok"
            done = "complete" if reached and bad == "ok" else "partial"
            self.write("DYNAMOS_HOSTS", f"{host}\\t{bad}\\t{done}\\t{stats.changed.get(host, 0)}")
        good = sum(1 for h in stats.processed if not stats.dark.get(h) and not stats.failures.get(h))
        self.tell(f"ended: {good} of {len(stats.processed)} hosts well, {self.tasks} tasks")
`;
