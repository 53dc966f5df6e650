// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/sha256.cpp — the published digests, by the processor's instructions and without them.
#include "weights_tools/sha256.h"

#include "engine/core/text.h"
#include "engine/core/threads.h"
#include "test/support/catch.h"

using namespace fovea;

TEST_CASE("SHA-256 gives the digests that FIPS 180-4 publishes", "[weights_tools]") {
  for (const bool plain : {false, true}) {
    INFO("plain " << plain);
    const auto of = [&](std::string_view s) { return hex(Sha256(plain).update(s).finish()); };
    CHECK(of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(of(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST_CASE("SHA-256 does not depend on how bytes are cut", "[weights_tools]") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 89 >> 2);
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::string_view part = std::string_view(text).substr(0, n);
    const std::string whole = sha256(part);
    CHECK(whole == hex(Sha256(true).update(part).finish()));
    for (const size_t step : {1u, 7u, 63u, 64u, 65u}) {
      Sha256 sum;
      for (size_t at = 0; at < n; at += step) sum.update(part.substr(at, step));
      CHECK(hex(sum.finish()) == whole);
      CHECK(hex(sum.update("abc").finish()) == sha256("abc"));         // it begins anew
    }
  }
}

TEST_CASE("a tree of digests sees every byte, the order and the length", "[weights_tools]") {
  std::string text(3 << 20, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i >> 13 ^ i);
  const std::string sum = sha256_tree(bytes_of(text));
  {
    const UseThreads one(1);
    CHECK(sha256_tree(bytes_of(text)) == sum);
  }
  const std::string_view all = text;
  const std::string swapped = str_cat(all.substr(1 << 20, 1 << 20), all.substr(0, 1 << 20), all.substr(2 << 20));
  CHECK(sha256_tree(bytes_of(swapped)) != sum);
  CHECK(sha256_tree(bytes_of(all.substr(0, all.size() - 1))) != sum);
  for (const size_t at : {size_t{0}, size_t{1} << 20, text.size() - 1}) {
    text[at] ^= 1;
    CHECK(sha256_tree(bytes_of(text)) != sum);
    text[at] ^= 1;
  }
  CHECK(sha256_tree({}) != sha256_tree(bytes_of(std::string_view("\0", 1))));
}
