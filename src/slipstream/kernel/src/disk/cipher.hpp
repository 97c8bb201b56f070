// Authenticated encryption of what lies on the disk: ChaCha20-Poly1305 or AES-256-GCM (RFC 8439, NIST SP 800-38D). The algorithms
// are libsodium's; its Python binding hands their addresses over once (set_cipher_functions), so that nothing here enters Python.
//
// A store has a ring of keys: all that its files may need, by number, and which one new files get. A file names the number, and
// begins with a random salt; what encrypts it is a key of its own, BLAKE2b-256 of the salt under the store's key. A nonce is a random
// number, drawn whenever a program begins to write to the file, and a counter: it never repeats under a key, also where a crash
// took the end of a file and other bytes are written there.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream {

enum class CipherKind : uint8_t { chacha20_poly1305 = 1, aes256_gcm = 2 };

// libsodium's: crypto_aead_*_encrypt and _decrypt, crypto_generichash_blake2b_salt_personal.
struct CipherFunctions {
  using Bytes = unsigned char*;
  using ConstBytes = const unsigned char*;
  using Length = unsigned long long;
  using Encrypt = int (*)(Bytes to, Length* length, ConstBytes plain, Length, ConstBytes context, Length, ConstBytes unused,
                          ConstBytes nonce, ConstBytes key);
  using Decrypt = int (*)(Bytes to, Length* length, Bytes unused, ConstBytes sealed, Length, ConstBytes context, Length, ConstBytes nonce,
                          ConstBytes key);
  using Hash = int (*)(Bytes to, size_t, ConstBytes in, Length, ConstBytes key, size_t, ConstBytes salt, ConstBytes personal);
  Encrypt encrypt[3] = {};  // by CipherKind; null where the machine does not have what it needs
  Decrypt decrypt[3] = {};
  Hash hash = nullptr;
};
void set_cipher_functions(const CipherFunctions& functions);  // before any key is used, and never changed

constexpr size_t kKeyBytes = 32, kSaltBytes = 16, kNonceBytes = 12, kTagBytes = 16;
constexpr size_t kSealBytes = kNonceBytes + kTagBytes;  // what sealing adds

struct StoreKey {
  uint32_t number = 0;  // from 1
  CipherKind kind{};
  std::string bytes;  // kKeyBytes
};

// Of one file, while this program has it open. One thread seals at a time; opening is free.
class FileCipher {
 public:
  FileCipher(const StoreKey& key, string_view salt, uint64_t drawn);
  FileCipher(const FileCipher&) = delete;
  ~FileCipher();
  uint32_t key_number() const { return key_number_; }
  // Writes plain.size() + kSealBytes at `to`: nonce, ciphertext, tag. `context` is not written, and must be the same to open it.
  void seal(string_view plain, string_view context, char* to);
  // Writes sealed.size() - kSealBytes at `to`. False: it is not what was sealed with this key in this context.
  bool open(string_view sealed, string_view context, char* to) const;

 private:
  const CipherKind kind_;
  const uint32_t key_number_;
  char key_[kKeyBytes];
  const uint64_t drawn_;
  uint32_t sealed_ = 0;
};

// The keys of a store. Belongs to the kernel's thread; files keep what they need.
class KeyRing {
 public:
  KeyRing() = default;  // a store that is not encrypted
  // Throws std::invalid_argument for keys that do not fit together, or that this machine cannot use.
  void take(std::vector<StoreKey> keys, uint32_t current);
  uint32_t current() const { return current_; }  // 0: new files are not encrypted
  std::string new_salt() const;
  // Of a file that names `number` (not 0) and `salt`; null when the ring does not have the key.
  std::shared_ptr<FileCipher> cipher(uint32_t number, string_view salt) const;

  std::function<uint64_t()> random;  // of the kernel

 private:
  std::vector<StoreKey> keys_;
  uint32_t current_ = 0;
};

}  // namespace slipstream
