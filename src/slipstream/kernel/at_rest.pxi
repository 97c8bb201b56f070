# What makes bytes on the disk smaller and unreadable: cramjam's Snappy, whose blocks are S2's, and libsodium's ciphers in PyNaCl. The
# ciphers are called as C functions. The compressor takes the GIL, for a frame of 64 KiB at a time, on the I/O thread.
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

import cramjam as _cramjam

from slipstream.kernel.values import StoreCipher


cdef extern from "store/framed_file.hpp" namespace "slipstream" nogil:
    ctypedef size_t (*Compressor)(const char* source, size_t n, char* to, size_t room)
    void set_compressor(Compressor)

cdef extern from "disk/cipher.hpp" namespace "slipstream" nogil:
    cdef cppclass CStoreKey "slipstream::StoreKey":
        uint32_t number
        string bytes
    cdef cppclass CKeyRing "slipstream::KeyRing":
        void take(vector[CStoreKey], uint32_t current) except +

cdef extern from *:
    """
    #include "disk/cipher.hpp"
    namespace slipstream {
    static CipherFunctions found_ciphers;
    static void found_cipher(int kind, uintptr_t encrypt, uintptr_t decrypt) {
      found_ciphers.encrypt[kind] = (CipherFunctions::Encrypt)encrypt;
      found_ciphers.decrypt[kind] = (CipherFunctions::Decrypt)decrypt;
    }
    static void use_found_ciphers(uintptr_t hash) {
      found_ciphers.hash = (CipherFunctions::Hash)hash;
      set_cipher_functions(found_ciphers);
    }
    static void set_kind(StoreKey& key, int kind) { key.kind = (CipherKind)kind; }
    static void seed_ring(KeyRing& ring, uint64_t seed) {
      ring.random = [seed]() mutable { return fold(seed += 0x9E3779B97F4A7C15ull, seed ^ 0xD6E8FEB86659FD93ull); };
    }
    }
    """
    void found_cipher "slipstream::found_cipher"(int kind, uintptr_t encrypt, uintptr_t decrypt)
    void use_found_ciphers "slipstream::use_found_ciphers"(uintptr_t hash)
    void set_kind "slipstream::set_kind"(CStoreKey& key, int kind)
    void seed_ring "slipstream::seed_ring"(CKeyRing& ring, uint64_t seed)


cdef object _compress_raw_into = _cramjam.snappy.compress_raw_into

cdef size_t _compress(const char* source, size_t n, char* to, size_t room) noexcept with gil:
    try:
        return _compress_raw_into(PyMemoryView_FromMemory(<char*>source, n, PyBUF_READ),
                                  PyMemoryView_FromMemory(to, room, PyBUF_WRITE))
    except MemoryError:
        return 0  # the frame is stored as it is

set_compressor(_compress)

_ciphers_found = False

def _find_ciphers():
    """Only a store that is encrypted needs them."""
    global _ciphers_found
    if _ciphers_found:
        return
    import nacl.bindings  # initialises libsodium
    from nacl._sodium import ffi, lib

    def address(name):
        return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))

    for kind, name in ((StoreCipher.CHACHA20_POLY1305, "chacha20poly1305_ietf"), (StoreCipher.AES256_GCM, "aes256gcm")):
        if kind is StoreCipher.AES256_GCM and not lib.crypto_aead_aes256gcm_is_available():
            continue
        found_cipher(kind, address(f"crypto_aead_{name}_encrypt"), address(f"crypto_aead_{name}_decrypt"))
    use_found_ciphers(address("crypto_generichash_blake2b_salt_personal"))
    _ciphers_found = True


cdef _fill_ring(CKeyRing* ring, keys):
    cdef vector[CStoreKey] taken
    cdef CStoreKey key
    _find_ciphers()
    for number, cipher, secret in keys.keys:
        key.number, key.bytes = number, secret
        set_kind(key, StoreCipher(cipher))
        taken.push_back(key)
    ring.take(taken, keys.current)


cdef class KeyRing:
    """The keys of an encrypted store, for tests and tools; `seed` repeats what is random."""
    cdef CKeyRing ring

    def __cinit__(self, keys, uint64_t seed=1):
        seed_ring(self.ring, seed)
        _fill_ring(&self.ring, keys)
