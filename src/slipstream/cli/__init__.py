"""The commands `slipstream` and `slipstream-server`.

main.py          `slipstream`: the server and its tools under one command
nats_server.py   `slipstream-server`: nats-server's flags, exit codes and signals
command_line.py, flags.py, signals.py   its flags and their notation; `--signal`
bench.py         `slipstream bench`
verify.py        `slipstream verify`: runs the whole recovery without touching the store
repair.py        `slipstream repair`: reads what is whole of a damaged journal; stream_repair.py
                 and segment_repair.py are its parts for streams and the files of segments
store_folder.py  what both look at in a store's folder
"""
