// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/damage.cpp — recorded files cut off anywhere and with any bit flipped: an Error or a state dict,
// never anything else.
#include <vector>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/torch_checkpoint.h"

using namespace fovea;
using namespace fovea::test;

namespace {
// Opens the file and reads every element. False: refused.
bool survives(const std::string& path, bool check_crc) {
  try {
    const StateDict d = open_weights(path, {.access = FileAccess::read, .check_crc = check_crc});
    for (const auto& [name, t] : d) {
      if (t.numel() > 1'000'000) continue;
      is_ramp(t, t.dtype(), t.shape(), 0, 0);
    }
    return true;
  } catch (const Error& e) {
    CHECK(e.kind() != Error::Kind::internal);
    return false;
  }
}
constexpr const char* kFiles[] = {"plain.safetensors",
                                  "plain.zip.pth",
                                  "strided.zip.pth",
                                  "training.zip.pth.tar",
                                  "plain.stream.pth",
                                  "strided.stream.pth",
                                  "training.stream.pth.tar",
                                  "hostile_value.zip.pth",
                                  "plain.npz",
                                  "packed.npz",
                                  "texts.npz",
                                  "single.npy"};
}  // namespace

TEST_CASE("truncated weight files are refused", "[weights]") {
  const Scratch scratch;
  for (const char* name : kFiles) {
    INFO(name);
    const std::string whole = read_file(golden(name));
    int accepted = 0;
    for (size_t n = 0; n<whole.size(); n += whole.size()> 1500 ? 7 : 1)
      accepted += survives(scratch.file("f", whole.substr(0, n)), true);
    CHECK(accepted == 0);
  }
}

TEST_CASE("weight files with flipped bits are refused or read, nothing worse", "[weights]") {
  const Scratch scratch;
  uint64_t random = 1;
  std::vector<std::string> names(std::begin(kFiles), std::end(kFiles));
  names.emplace_back("old.pth.tar");  // not among the others: tar archives end in zeros that nobody misses
  for (const std::string& name : names) {
    INFO(name);
    const std::string whole = read_file(golden(name));
    for (int i = 0; i < 400; ++i) {
      std::string damaged = whole;
      for (int flips = 1 + i % 3; flips > 0; --flips) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        damaged[(random >> 20) % damaged.size()] ^= static_cast<char>(1 << (random >> 60) % 8);
      }
      const std::string path = scratch.file("f", damaged);
      survives(path, i % 2 == 0);
      if (i % 8 == 0) CHECK_NOTHROW(error_of([&] { inspect_pickle(path); }));
    }
  }
}
