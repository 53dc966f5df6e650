// SPDX-License-Identifier: Apache-2.0
// test/fuzz/replay.cpp — what the fuzzers begin with, and what they kept: recorded, crafted and damaged files.
#include <zlib.h>

#include "test/fuzz/targets.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

namespace {

// u32 bytes of all, then compressed by zlib: u32 number, each u32 length and content (tools/fuzz.py).
std::vector<std::string> corpus_of(const std::string& target) {
  const std::string packed = read_file(str_cat(FOVEA_SOURCE_DIR, "/test/fuzz/corpus/", target, ".bin.z"));
  std::string all(load_le<uint32_t>(bytes_of(packed)), '\0');
  uLongf size = all.size();
  REQUIRE(::uncompress(reinterpret_cast<Bytef*>(all.data()), &size, reinterpret_cast<const Bytef*>(packed.data()) + 4,
                       packed.size() - 4) == Z_OK);
  ByteReader r(bytes_of(all), target);
  std::vector<std::string> files(r.read<uint32_t>());
  for (std::string& f : files) f = text_of(r.take(r.read<uint32_t>()));
  REQUIRE(r.left() == 0);
  return files;
}

}  // namespace

TEST_CASE("corpora of the fuzzers run without a finding", "[fuzz][weights][hub][data]") {
  for (const FuzzTarget& target : fuzz_targets()) {
    const std::vector<std::string> files = corpus_of(target.name);
    CHECK(files.size() >= 10);
    for (size_t i = 0; i < files.size(); ++i) {
      INFO(target.name << " " << i);
      CHECK_NOTHROW(target.run(bytes_of(files[i])));
    }
  }
}
