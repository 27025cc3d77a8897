"""All that is published while the tests run, held against schemas/ at the end."""

from __future__ import annotations

import base64
import collections
import json
import uuid

import captures
from captures import Capture
from lab.clients import Raw
from lab.lab import Lab
from lab.processes import until
from schemas import METHODS, check_line, result_problems


class Traffic(Capture):
    """A recording of everything on a lab's broker; it connects again when the broker comes back."""

    def __init__(self, lab: Lab):
        self.lab = lab
        super().__init__(lab.daemon("traffic"), lab.workspace.path("traffic.jsonl"), *captures.EVERYTHING)

    def checked(self) -> list[str]:
        """Ends the recording and checks each of its lines; returns what there was, for people to read.

        A request that breaks its schema must have been refused for it, if it asked for an answer; what others were answered must
        be what their method returns.  No secret of the tests, all of which have `s3cret` in them, is in the file.
        """
        self._read_to_the_end()
        assert self.stop() == 0, self.said()
        kinds, calls = collections.Counter(), {}
        for line in captures.read(self.path):
            kind = check_line(line)
            kinds[kind] += 1
            assert b"s3cret" not in json.dumps(line).encode() + base64.b64decode(line.get("body_base64", "")), line
            inner = captures.content(line)
            if kind.removeprefix("bad ") in METHODS:
                calls[inner.get("_msg_id")] = kind, inner
            elif kind in ("reply", "failure") and inner["_msg_id"] in calls:
                called, request = calls[inner["_msg_id"]]
                if called.startswith("bad "):
                    refusal = json.loads(inner["failure"] or "{}").get("class")
                    if called == "bad check_swap" and not refusal:
                        refusal = inner["result"]["failure"]["class"]
                    assert refusal in ("InvalidInput", "UnsupportedVersion"), f"breaks its schema and was {refusal}: {request}"
                elif kind == "reply":
                    assert result_problems(called, inner["result"]) == []
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        return [f"traffic held against schemas/: {kinds.total()} messages ({told})"]

    def _read_to_the_end(self) -> None:
        """Waits for a last message of its own: the recording is still at work, and has all that came before."""
        if not self.lab.rabbit.process.running():
            self.lab.rabbit.start()
        last = uuid.uuid4().hex
        probe = Raw(self.lab.rabbit.url, "traffic")

        def seen() -> bool:
            probe.publish(json.dumps(last), exchange="", routing_key=probe.reply_queue)
            return any(line.get("body") == last for line in self.lines()[-100:])

        until(seen, 30, lambda: f"the last message is not in the recording: {self.said()}", step=0.5)
        probe.close()
