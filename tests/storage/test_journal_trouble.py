"""The journal on a disk that refuses: for a while, or for good; and records larger than a file.

Goal: trouble that passes loses nothing and is over when it has passed; everything else is final.
Method: as in test_journal.py, with errors of the simulated disk at every operation that can end
with them.
"""

from __future__ import annotations

import errno
import os

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from test_journal import ROOM, Model, fill, open_journal, recovered

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)


@pytest.mark.parametrize("error", PASSING)
def test_trouble_that_passes_at_every_operation(error: int) -> None:
    """What cannot be written, made, prepared or recycled now is done when it is tried again;
    nothing is lost, and nothing is final.
    """
    for after in range(0, 60):
        for burst in (1, 2, 1000):
            disk = SimDisk(5)
            model = Model(open_journal(disk))
            model.journal.recover()
            disk.inject(error, after, burst)
            for n in range(60):
                model.append(b"%d " % n + b"r" * 400)
                model.journal.flush()
                if n % 9 == 8:
                    model.release(model.journal.synced)
                if n % 10 == 9:
                    model.journal.retry()
            assert not model.journal.failed, (after, burst, model.journal.error)
            disk.inject(0)
            model.journal.retry()
            assert model.journal.wait_synced()
            assert model.journal.trouble == 0
            model.release(model.journal.synced)
            assert model.append(b"room again"), (after, burst)
            assert model.journal.wait_synced()
            model.check(recovered(disk.image(Loss.all)), model.journal.synced)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO])
def test_trouble_that_does_not_pass_is_final(error: int) -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    model.append(b"before")
    model.journal.flush()
    disk.inject(error, 0, 1)
    model.append(b"behind")
    model.journal.flush()
    assert model.journal.failed
    assert os.strerror(error) in model.journal.error
    model.journal.retry()
    assert model.append(b"later") == 0


def test_a_large_record_waits_for_a_release_and_no_longer() -> None:
    """Files that came back do not count as used: whatever a journal has seen, a large record fits
    once what is before it is released, and the others do not wait for it.
    """
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    for n in range(40):
        fill(model)
        large = b"L" * (3 * ROOM + n)
        assert model.append(large) == 0
        assert model.journal.full, "a checkpoint is wanted"
        model.release(model.journal.synced)
        assert model.append(b"another's")
        model.index += 1
        assert model.append(large)
        model.journal.flush()
        model.release(model.journal.synced)
    assert recovered(disk.image(Loss.all))[-1][4] == large
