// SPDX-License-Identifier: Apache-2.0
#include "test/support/archives.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "engine/core/text.h"
#include "test/weights_tools/files.h"

namespace fovea::test {
namespace {

constexpr size_t kBlock = 512;

std::string padded(std::string s) {
  s.resize((s.size() + kBlock - 1) / kBlock * kBlock);
  return s;
}

std::string header(const std::string& name, size_t size, char type) {
  std::string h(kBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) { h.replace(at, text.size(), text); };
  char number[16];
  put(0, name.substr(0, 100));
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  std::snprintf(number, sizeof number, "%011zo", size);
  put(124, number);
  put(136, "00000000000");
  put(148, "        ");
  h[156] = type;
  if (type == '1' || type == '2') put(157, "elsewhere");
  put(257, std::string("ustar\0" "00", 8));
  unsigned sum = 0;
  for (const char c : h) sum += static_cast<unsigned char>(c);
  std::snprintf(number, sizeof number, "%06o", sum);
  put(148, number);
  h[154] = '\0';
  return h;
}

}  // namespace

std::string make_tar(const std::vector<TarFile>& files) {
  std::string out;
  for (const TarFile& f : files) {
    if (f.name.size() > 100) {                     // "LENGTH path=NAME\n", whose length counts itself
      std::string record = str_cat(" path=", f.name, '\n');
      size_t length = record.size() + 2;
      while (str_cat(length).size() + record.size() != length) ++length;
      record = str_cat(length, record);
      out += header("PaxHeader", record.size(), 'x') + padded(record);
    }
    out += header(f.name, f.type == '0' ? f.content.size() : 0, f.type);
    if (f.type == '0') out += padded(f.content);
  }
  return out + std::string(2 * kBlock, '\0');
}

std::vector<TarFile> files_below(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<TarFile> out;
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(folder))
    if (e.is_regular_file())
      out.push_back({.name = fs::relative(e.path(), folder).string(), .content = read_file(e.path().string())});
  std::sort(out.begin(), out.end(), [](const TarFile& a, const TarFile& b) { return natural_less(a.name, b.name); });
  return out;
}

std::string make_idx(const std::vector<uint32_t>& sizes, std::string_view values) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(sizes.size())};
  for (const uint32_t n : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift & 0xFF);
  return out + std::string(values);
}

std::string gzipped(std::string_view content) {
  const auto n = static_cast<uint16_t>(content.size());
  return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11) + le(n, 2) + le(static_cast<uint16_t>(~n), 2) +
         std::string(content) + le(crc_of(content), 4) + le(n, 4);
}

}  // namespace fovea::test
