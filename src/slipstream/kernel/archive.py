"""What the kernel does for archives, bytes in, bytes out: S2, HighwayHash, message blocks of
nats-server before 2.15.
"""

from slipstream.kernel._kernel import S2Decoder, highwayhash, read_block

__all__ = ["S2Decoder", "highwayhash", "read_block"]
