"""Life of a server: start, admission, the loop, reload, lame duck, monitoring, `$SYS`.

    process.py, terminal.py, banner.py, errors.py   a server as a process: signals, exit code, words
    server.py           the whole: which parts there are, in which order they start and stop;
                        running_options.py: the options in force; health.py: how it is doing
    loop.py, timers.py  the thread that owns all Python state, and the ways in for other threads
    jetstream.py        opens the store and drives the API; storage_sizes.py: how large it may get,
                        and its journal, where nothing is configured; store_keys.py: its keys
    admission.py        CONNECT answered; authentication.py, passwords.py: who a client is
    clients.py          what is remembered of clients, also of the last ones that left
    client_port.py, listeners.py, info.py, identity.py, kernel_limits.py   the clients' port and
                        INFO; sockets, names, kernel options; published_ports.py: the ports file
    reload.py           prepares what can fail beside what is in use, and then switches over
    lame_duck.py        lets clients leave without a rush
    services.py         the system services of every account
    monitoring/         the monitoring port
    log.py, log_targets.py, line_limit.py, protocol_trace.py   the log: it never raises into its
                        caller, and clients cannot flood it
    error_guard.py      exceptions that no code expected
    process_usage.py    memory and processor time, for /varz

Unexpected exceptions end the step that raised them, not the server. loop.py runs each event, timer,
posted call and slice of work by itself; jetstream/api/core.py, the links of mirrors and sources,
and backups and restores undo what the step had begun and answer its request with a 500 error. Its
id is the one under which error_guard.py logs the traceback (once a minute for each place in the
code); /varz counts them as `slipstream.unexpected_errors`.
"""
