// SPDX-License-Identifier: Apache-2.0
// test/fuzz/replay.cpp — what the fuzzers begin with, and what they kept: recorded, crafted and damaged files.
#include "test/fuzz/targets.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/zip.h"

using namespace fovea;
using namespace fovea::test;

namespace {

// A zip archive of one file: u32 number, each u32 length and content (tools/fuzz.py).
std::vector<std::string> corpus_of(const std::string& target) {
  const Zip packed = Zip::open(MappedFile::open(str_cat(FOVEA_SOURCE_DIR, "/test/fuzz/corpus/", target, ".zip")));
  const KeptBytes all = packed.read(*packed.find("files"));
  ByteReader r(all.bytes, target);
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
