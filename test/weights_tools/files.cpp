// SPDX-License-Identifier: Apache-2.0
#include "test/weights_tools/files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/core/error.h"

namespace fovea::test {

std::string golden(std::string_view name) { return str_cat(FOVEA_SOURCE_DIR, "/test/golden/weights/", name); }

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(Error::Kind::not_found, str_cat("no file ", path));
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

Scratch::Scratch() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fovea-test-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) throw Error(Error::Kind::io, "no temporary folder");
  path_ = pattern;
}
Scratch::~Scratch() { std::filesystem::remove_all(path_); }
std::string Scratch::file(std::string_view name, std::string_view content) const {
  write_file(*this / name, content);
  return *this / name;
}
std::vector<std::string> Scratch::names() const {
  std::vector<std::string> out;
  for (const auto& e : std::filesystem::directory_iterator(path_)) out.push_back(e.path().filename().string());
  return out;
}

bool is_ramp(const Tensor& t, DType dtype, const Shape& shape, double base, double step) {
  if (t.dtype() != dtype || t.shape() != shape || !t.has_bytes()) return false;
  Dims at = Dims::filled(t.rank(), 0);
  for (int64_t k = 0; k < t.numel(); ++k) {
    int64_t offset = t.impl()->offset;
    for (int i = 0; i < t.rank(); ++i) offset += at[i] * t.meta().strides[i];
    if (view_of(t, {}, {}, offset).item() != base + step * static_cast<double>(k)) return false;
    for (int i = t.rank() - 1; i >= 0 && ++at[i] == shape[i]; --i) at[i] = 0;
  }
  return true;
}

bool mentions(const Error& e, std::string_view text) {
  return std::string_view(e.what()).find(text) != std::string_view::npos;
}

uint32_t crc_of(std::string_view s) {
  uint32_t crc = ~0u;
  for (char c : s) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

void ask(const StateDict& d) {
  for (const auto& [name, tensor] : d)
    if (tensor.has_bytes()) tensor.bytes();
}

std::string le(uint64_t v, int bytes) {
  std::string s;
  for (int i = 0; i < bytes; ++i) s += i < 8 ? static_cast<char>(v >> (8 * i) & 0xFF) : '\0';
  return s;
}

std::string make_zip(const std::vector<ZipPart>& parts) {
  std::string file, directory;
  for (const ZipPart& p : parts) {
    const std::string common = le(20, 2) + le(p.flags, 2) + le(p.method, 2) + le(0, 4) +
                               le(crc_of(p.content) ^ p.crc_error, 4) + le(p.content.size(), 4);
    const std::string size = le(p.content.size() + p.size_error, 4);
    directory += "PK\1\2" + le(20, 2) + common + size + le(p.name.size(), 2) + le(0, 12) + le(file.size(), 4) + p.name;
    file += "PK\3\4" + common + size + le(p.local_name.size(), 2) + le(0, 2) + p.local_name + p.content;
  }
  return file + directory + "PK\5\6" + le(0, 4) + le(parts.size(), 2) + le(parts.size(), 2) + le(directory.size(), 4) +
         le(file.size(), 4) + le(0, 2);
}

std::string make_checkpoint(const std::string& pickle,
                            const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<ZipPart> parts = {{"x/data.pkl", pickle}};
  for (const auto& [key, bytes] : storages) parts.push_back({"x/data/" + key, bytes});
  return make_zip(parts);
}

std::string unicode(std::string_view s) { return "X" + le(s.size(), 4) + std::string(s); }
std::string integer(int64_t v) { return "\x8a\x08" + le(static_cast<uint64_t>(v), 8); }
std::string global(std::string_view module, std::string_view name) { return str_cat("c", module, "\n", name, "\n"); }
std::string tuple(const std::vector<std::string>& items) {
  std::string s = "(";
  for (const std::string& i : items) s += i;
  return s + "t";
}
std::string storage(std::string_view type, std::string_view key, int64_t numel) {
  return tuple({unicode("storage"), global("torch", type), unicode(key), unicode("cpu"), integer(numel)}) + "Q";
}
std::string tensor_pickle(const std::string& from, int64_t offset, const std::vector<int64_t>& size,
                          const std::vector<int64_t>& stride) {
  std::vector<std::string> sizes, strides;
  for (int64_t d : size) sizes.push_back(integer(d));
  for (int64_t d : stride) strides.push_back(integer(d));
  const std::string hooks = global("collections", "OrderedDict") + ")R";
  const std::string args = tuple({from, integer(offset), tuple(sizes), tuple(strides), "\x89", hooks});
  return "\x80\x02}" + unicode("t") + global("torch._utils", "_rebuild_tensor_v2") + args + "Rs.";
}

}  // namespace fovea::test
