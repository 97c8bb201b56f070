"""The kernel's decoder of S2 by itself: bytes in, bytes out."""

from slipstream.kernel._kernel import S2Decoder

__all__ = ["S2Decoder"]
