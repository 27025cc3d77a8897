"""A failure that is answered before its rollback is over: the answer stays, and the client says how it has ended."""

from __future__ import annotations

import uuid

import pytest
from expectations import assert_stayed, swap_arguments
from lab.clients import Later
from lab.daemon import HOST
from lab.hangs import hung
from lab.processes import until
from pivotd_client import Client, VolumeRebaseFailed, may_delete
from steering import SLOW


@pytest.mark.parametrize("modules", [None, []], ids=["nova", "plain"])
def test_an_answer_that_came_early(lab, second_worker, guest, modules):
    worker, _ = second_worker({"allow_monitor_commands": False})
    new, token = lab.volumes.nbd(), str(uuid.uuid4())
    request = swap_arguments(guest, new, options=SLOW, request_token=token)
    with Client(lab.rabbit.url, topic=worker.topic, remote_modules=modules, answer_s=90) as client:

        def swap() -> VolumeRebaseFailed:
            with pytest.raises(VolumeRebaseFailed) as raised:
                client.swap(HOST, **request)
            assert raised.value.reason_code == "aborted" and raised.value.in_use == "old"
            return raised.value

        first = Later(swap)
        until(lambda: client.list(HOST, states=["copying"]), 60, "it does not copy")
        with hung(new.server.pid):
            client.abort(HOST, token)
            for failure in (first.result(), swap()):
                assert failure.left_behind and may_delete(failure) is None
        until(lambda: client.get(HOST, token)["state"] == "aborted", 60, lambda: client.get(HOST, token))
        again = swap()
        assert again.left_behind == [] and may_delete(again) == new.id
        assert first.result().left_behind[0] not in str(again)
    assert_stayed(guest, new)
