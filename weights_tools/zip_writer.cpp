// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/zip_writer.h"

#include "engine/core/error.h"
#include "weights_tools/zip.h"

namespace fovea {
namespace {
constexpr uint64_t kIn64 = 0xFFFFFFFF;  // the real value is in the zip64 field

void append_central(std::string& directory, const std::string& common, const std::string& name, bool wide,
                    uint64_t size, uint64_t at) {
  append_le(directory, uint32_t{0x02014b50});
  append_le(directory, uint16_t{45});
  directory += common;
  append_le(directory, uint16_t(wide ? 28 : 0));
  directory.append(6, '\0');  // comment, disk, kind of contents
  append_le(directory, uint32_t{0});
  append_le(directory, static_cast<uint32_t>(wide ? kIn64 : at));
  directory += name;
  if (!wide) return;
  append_le(directory, uint16_t{1});
  append_le(directory, uint16_t{24});
  for (uint64_t v : {size, size, at}) append_le(directory, v);
}
}  // namespace

void ZipWriter::begin(const std::string& name, uint64_t size, uint32_t crc) {
  if (name.size() > 0xFFFF)
    throw Error(Error::Kind::argument,
                str_cat("a name of ", name.size(), " characters does not fit into a zip archive"));
  const uint64_t at = file_.written();
  const bool wide = size >= kIn64 || at >= kIn64;
  std::string common;  // what the local header and the directory have in common
  append_le(common, uint16_t(wide ? 45 : 20));
  append_le(common, uint16_t{1 << 11});  // names are UTF-8
  append_le(common, uint16_t{0});
  append_le(common, uint32_t{0x00210000});  // 1 January 1980: equal arrays make equal files
  append_le(common, crc);
  for (int i = 0; i < 2; ++i) append_le(common, static_cast<uint32_t>(wide ? kIn64 : size));
  append_le(common, static_cast<uint16_t>(name.size()));
  std::string local, extra;
  if (wide) {
    append_le(extra, uint16_t{1});
    append_le(extra, uint16_t{16});
    for (int i = 0; i < 2; ++i) append_le(extra, size);
  }
  append_le(local, uint32_t{0x04034b50});
  local += common;
  append_le(local, static_cast<uint16_t>(extra.size()));
  file_.write(str_cat(local, name, extra));
  append_central(directory_, common, name, wide, size, at);
  ++entries_;
}

void ZipWriter::add(const std::string& name, std::string_view head, Bytes body) {
  begin(name, head.size() + body.size(), zip_checksum(body, zip_checksum(bytes_of(head))));
  file_.write(head);
  file_.write(body);
}

void ZipWriter::add(const std::string& name, std::string_view head, const Spool& body) {
  uint32_t crc = zip_checksum(bytes_of(head));
  body.each([&](Bytes piece) { crc = zip_checksum(piece, crc); });
  begin(name, head.size() + body.size(), crc);
  file_.write(head);
  body.each([&](Bytes piece) { file_.write(piece); });
}

void ZipWriter::finish() {
  const uint64_t at = file_.written(), size = directory_.size(), end = at + size;
  file_.write(directory_);
  std::string s;
  const bool wide = entries_ >= 0xFFFF || end >= kIn64;
  if (wide) {
    append_le(s, uint32_t{0x06064b50});
    append_le(s, uint64_t{44});
    append_le(s, uint32_t{45 << 16 | 45});
    append_le(s, uint64_t{0});
    for (uint64_t v : {entries_, entries_, size, at}) append_le(s, v);
    append_le(s, uint32_t{0x07064b50});
    append_le(s, uint32_t{0});
    append_le(s, end);
    append_le(s, uint32_t{1});
  }
  append_le(s, uint32_t{0x06054b50});
  append_le(s, uint32_t{0});
  for (int i = 0; i < 2; ++i) append_le(s, static_cast<uint16_t>(wide ? 0xFFFF : entries_));
  append_le(s, static_cast<uint32_t>(wide ? kIn64 : size));
  append_le(s, static_cast<uint32_t>(wide ? kIn64 : at));
  append_le(s, uint16_t{0});
  file_.write(s);
  file_.commit();
}

}  // namespace fovea
