"""A kernel of a few hundred lines for tests of the API: streams and consumers in dictionaries.

Honest where the API looks: state, sequences, purges, subjects, positions of new consumers. It delivers nothing, enforces no
limits and keeps no log; `restart` gives the records that recovery of a real store would.
"""

from __future__ import annotations

from typing import Any

from slipstream.jetstream import subjects
from slipstream.kernel._kernel import (
    ConsumerRecord,
    ConsumerState,
    StoredMessage,
    StreamRecord,
    StreamState,
)
from slipstream.kernel.events import CommittedEvent, RequestEvent
from slipstream.kernel.specs import ConsumerSpec, StreamSpec
