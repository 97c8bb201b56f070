#include "disk/cipher.hpp"

#include <algorithm>
#include <cassert>
#include <stdexcept>

namespace slipstream {
namespace {

CipherFunctions functions;

using Bytes = CipherFunctions::Bytes;
using ConstBytes = CipherFunctions::ConstBytes;

void forget(void* secret, size_t n) {
  for (volatile char* p = (volatile char*)secret; n; n--) *p++ = 0;
}

}  // namespace

void set_cipher_functions(const CipherFunctions& given) { functions = given; }

FileCipher::FileCipher(const StoreKey& key, string_view salt, uint64_t drawn)
    : kind_(key.kind), key_number_(key.number), drawn_(drawn) {
  assert(key.bytes.size() == kKeyBytes && salt.size() == kSaltBytes);
  int r = functions.hash((Bytes)key_, kKeyBytes, (ConstBytes)salt.data(), salt.size(), (ConstBytes)key.bytes.data(), kKeyBytes, nullptr,
                         nullptr);
  assert(r == 0);
}

FileCipher::~FileCipher() { forget(key_, kKeyBytes); }

void FileCipher::seal(string_view plain, string_view context, char* to) {
  assert(sealed_ != UINT32_MAX);
  store64(to, drawn_);
  store32(to + 8, sealed_++);
  CipherFunctions::Length written = 0;
  int r = functions.encrypt[(int)kind_]((Bytes)to + kNonceBytes, &written, (ConstBytes)plain.data(), plain.size(),
                                        (ConstBytes)context.data(), context.size(), nullptr, (ConstBytes)to, (ConstBytes)key_);
  assert(r == 0 && written == plain.size() + kTagBytes);
}

bool FileCipher::open(string_view sealed, string_view context, char* to) const {
  if (sealed.size() < kSealBytes) return false;
  CipherFunctions::Length written = 0;
  int r = functions.decrypt[(int)kind_]((Bytes)to, &written, nullptr, (ConstBytes)sealed.data() + kNonceBytes, sealed.size() - kNonceBytes,
                                        (ConstBytes)context.data(), context.size(), (ConstBytes)sealed.data(), (ConstBytes)key_);
  return r == 0 && written == sealed.size() - kSealBytes;
}

void KeyRing::take(std::vector<StoreKey> keys, uint32_t current) {
  for (const StoreKey& key : keys) {
    if (!key.number || key.bytes.size() != kKeyBytes) throw std::invalid_argument("a store key is malformed");
    if (!functions.encrypt[(int)key.kind])
      throw std::invalid_argument("this machine has no instructions for AES-GCM; the cipher chacha works everywhere");
  }
  bool known = std::any_of(keys.begin(), keys.end(), [&](const StoreKey& key) { return key.number == current; });
  if (current && !known) throw std::invalid_argument("the current store key is missing");
  keys_ = std::move(keys);
  current_ = current;
}

std::string KeyRing::new_salt() const {
  std::string salt(kSaltBytes, '\0');
  for (size_t i = 0; i < kSaltBytes; i += 8) store64(salt.data() + i, random());
  return salt;
}

std::shared_ptr<FileCipher> KeyRing::cipher(uint32_t number, string_view salt) const {
  for (const StoreKey& key : keys_)
    if (key.number == number) return std::make_shared<FileCipher>(key, salt, random());
  return nullptr;
}

}  // namespace slipstream
