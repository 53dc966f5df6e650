// SPDX-License-Identifier: Apache-2.0
// data/synsets.cpp — the embedded table of ImageNet's synsets, unpacked when it is first asked for.
#include <zlib.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>

#include "data/labels.h"
#include "engine/core/error.h"

namespace fovea::data {

extern const char imagenet_table[];  // labels/imagenet.tsv.gz by embed.py
extern const std::size_t imagenet_table_size;

namespace {

struct Subset {
  int classes, bit;
};
constexpr int k1k = 1, kMicrosoft = 32;
constexpr Subset kSubsets[] = {{1000, k1k}, {11821, 2}, {21843, 4}, {11221, 8}, {21841, 16}, {21842, kMicrosoft}};

std::string unpacked() {
  const auto* packed = reinterpret_cast<const unsigned char*>(imagenet_table);
  uint32_t size = 0;  // gzip ends with it
  for (size_t i = 1; i <= sizeof size; ++i) size = size << 8 | packed[imagenet_table_size - i];
  std::string text(size, '\0');
  z_stream z{};
  z.next_in = const_cast<unsigned char*>(packed);
  z.avail_in = static_cast<unsigned>(imagenet_table_size);
  z.next_out = reinterpret_cast<unsigned char*>(text.data());
  z.avail_out = size;
  constexpr int kGzip = 16 + MAX_WBITS;
  const bool whole = inflateInit2(&z, kGzip) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == size;
  inflateEnd(&z);
  if (!whole) throw Error(Error::Kind::internal, "the table of ImageNet's classes is damaged");
  return text;
}

std::string_view next_field(std::string_view& line) {
  const size_t tab = line.find('\t');
  const std::string_view field = line.substr(0, tab);
  line.remove_prefix(tab == line.npos ? line.size() : tab + 1);
  return field;
}

struct Table {
  std::string text = unpacked();
  std::array<std::vector<Synset>, std::size(kSubsets)> subsets;
  Table() {
    // Microsoft's has those of 1k before the others
    for (const bool of_1k : {true, false}) {
      std::string_view rest = text;
      for (size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
        std::string_view line = rest.substr(0, end);
        const std::string_view id = next_field(line), bits = next_field(line), lemmas = next_field(line);
        int in = 0;
        std::from_chars(bits.data(), bits.data() + bits.size(), in);
        for (size_t i = 0; i < subsets.size(); ++i) {
          const bool second_half = kSubsets[i].bit == kMicrosoft && (in & k1k) == 0;
          if ((in & kSubsets[i].bit) && of_1k != second_half) subsets[i].push_back({id, lemmas, line});
        }
      }
    }
  }
};

}  // namespace

const std::vector<Synset>& imagenet_synsets(int classes) {
  static const std::vector<Synset> none;
  for (size_t i = 0; i < std::size(kSubsets); ++i)
    if (kSubsets[i].classes == classes) {
      static const Table table;
      return table.subsets[i];
    }
  return none;
}

}  // namespace fovea::data
