"""The JetStream API: requests on `$JS.API.>` in, answers, proposals and advisories out.

Sans-IO: no socket, clock, thread or randomness inside. The server shell uses it so:

    options = Options(server_name=..., server_version=..., limits=ServerLimits(...))
    api = JetStreamApi(kernel, options, IdSource(random_bits), describe_client)
    api.add_account("$G", AccountLimits())  # also asks the kernel for the account's requests
    api.recover(kernel.open_store(...))     # once, after the accounts
    for event in kernel.wait_events(...):
        api.handle(event, now_ns)           # events of other parts are ignored
    while api.step(now_ns): ...             # slices of long answers; look at new events between
    api.deadline_ns()                       # when to call step even without an event, or None

`describe_client(cid)` tells who is behind a connection, for the audit advisories. `handle` and
`step` each stay near a millisecond. For monitoring: `statistics()`, `account_overview(...)` and
`stream_details(...)` (what /jsz shows) run in slices as well; `account_statistics(name)` are the
numbers that an account's own INFO request is answered with.

    router.py       subject -> handler, and the class above
    api_request.py  a request, and what it concerns
    core.py         what every request needs: answering, proposing, commits, slices
    proposals.py    what is proposed and not committed yet; an answer that rests on it waits for it
    requests.py, malformed_pulls.py, refused.py         bodies; what is wrong with them; no cluster
    account.py, streams.py, consumers.py, messages.py   the handlers
    consumer_reset.py, consumer_unpin.py, sourcing_consumers.py   more of consumers
    long_answers.py            answers that are too long for one step, by client
    transfers.py, snapshots.py, restores.py   backups: long conversations with one client each
    advisories.py   $JS.EVENT.>
    state.py        state of streams and consumers as JSON objects
    monitoring.py   numbers and details for /jsz
"""

from slipstream.jetstream.api.core import ClientDescription, Options
from slipstream.jetstream.api.router import JETSTREAM_SERVICE, JetStreamApi

__all__ = ["JETSTREAM_SERVICE", "ClientDescription", "JetStreamApi", "Options"]
