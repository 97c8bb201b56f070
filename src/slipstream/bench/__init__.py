"""`slipstream bench`: measures any NATS server with a load generator that costs less than the
server.

workload.py, *_workloads.py   what is created, played and verified
measurement.py                rates, latencies, the server's CPU and memory
_load.pyx, src/               the generator: roles of clients, each on a native thread
api_client.py                 the JetStream requests around a run
"""
