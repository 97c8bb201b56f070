"""Slipstream, a NATS server with JetStream. ARCHITECTURE.md says what each package is for.

version.py   which server this is
"""
