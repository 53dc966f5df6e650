// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/zip.h"

#include <algorithm>
#include <new>
#include <utility>

#include <zlib.h>

#include "engine/core/error.h"

namespace fovea {
namespace {
constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr uint16_t kEncrypted = 1, kSizesFollow = 8, kMaskedHeader = 1 << 13;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the real value is in the zip64 field

[[noreturn]] void bad(const MappedFile& file, const std::string& what) {
  throw Error(Error::Kind::format, cat(file.path(), " is not a sound zip archive: ", what));
}

struct Directory {
  uint64_t at, size, entries;
};

Directory find_directory64(const MappedFile& file, size_t locator) {
  const Bytes all = file.bytes();
  const auto end = load_le<uint64_t>(all.subspan(locator + 8));
  if (load_le<uint32_t>(all.subspan(locator + 16)) > 1) bad(file, "it spans several disks");
  if (end > locator || locator - end < kEnd64Size) bad(file, cat("its zip64 end record cannot be at ", end));
  const Bytes record = all.subspan(static_cast<size_t>(end));
  if (load_le<uint32_t>(record) != kEnd64) bad(file, cat("no zip64 end record at ", end));
  const auto entries = load_le<uint64_t>(record.subspan(32));
  if (load_le<uint64_t>(record.subspan(24)) != entries) bad(file, "it spans several disks");
  const Directory d{load_le<uint64_t>(record.subspan(48)), load_le<uint64_t>(record.subspan(40)), entries};
  if (d.at > end || d.size != end - d.at) bad(file, "its directory does not end where its zip64 end record starts");
  return d;
}

// The end record is the last thing in the file, before a comment of up to 65535 bytes whose length it tells.
Directory find_directory(const MappedFile& file) {
  const Bytes all = file.bytes();
  if (all.size() < kEndSize) bad(file, cat("it has only ", all.size(), " bytes"));
  const size_t first = all.size() - std::min<size_t>(all.size(), kEndSize + 0xFFFF);
  for (size_t at = all.size() - kEndSize + 1; at-- > first;) {
    const Bytes record = all.subspan(at);
    if (load_le<uint32_t>(record) != kEnd || load_le<uint16_t>(record.subspan(20)) != record.size() - kEndSize)
      continue;
    if (at >= kLocatorSize && load_le<uint32_t>(all.subspan(at - kLocatorSize)) == kLocator64)
      return find_directory64(file, at - kLocatorSize);
    const auto entries = load_le<uint16_t>(record.subspan(10));
    if (load_le<uint16_t>(record.subspan(8)) != entries || load_le<uint16_t>(record.subspan(4)) != 0)
      bad(file, "it spans several disks");
    const Directory d{load_le<uint32_t>(record.subspan(16)), load_le<uint32_t>(record.subspan(12)), entries};
    if (d.at > at || d.size != at - d.at) bad(file, "its directory does not end where its end record starts");
    return d;
  }
  bad(file, "no end record: it is truncated");
}

// Replaces the values that say "see zip64" by those of the extra field with id 1, in the order the format prescribes.
void read_zip64(const MappedFile& file, const std::string& name, Bytes extra, std::initializer_list<uint64_t*> values) {
  Bytes field;
  bool found = false;
  for (ByteReader r(extra, cat("the extra field of '", name, "' in ", file.path())); r.left() >= 4;) {
    const auto id = r.read<uint16_t>(), length = r.read<uint16_t>();
    const Bytes body = r.take(length);
    if (id == 1 && !std::exchange(found, true)) field = body;
  }
  for (uint64_t* v : values) {
    if (*v != kIn64) continue;
    if (field.size() < 8) bad(file, cat("'", name, "' lacks a zip64 size"));
    *v = load_le<uint64_t>(field);
    field = field.subspan(8);
  }
}

// Compares an entry of the directory with the header before its bytes, and finds out where these start.
void locate(const MappedFile& file, ZipEntry& e, uint64_t header_at, uint16_t flags, uint16_t method) {
  const Bytes all = file.bytes();
  if (header_at > all.size() || all.size() - header_at < kLocalSize)
    bad(file, cat("'", e.name, "' starts after the end of the file"));
  const Bytes h = all.subspan(static_cast<size_t>(header_at));
  if (load_le<uint32_t>(h) != kLocal) bad(file, cat("'", e.name, "' has no local header at ", header_at));
  const size_t name_length = load_le<uint16_t>(h.subspan(26)), extra_length = load_le<uint16_t>(h.subspan(28));
  if (h.size() - kLocalSize < name_length + extra_length)
    bad(file, cat("the local header of '", e.name, "' is cut off"));
  if (text_of(h.subspan(kLocalSize, name_length)) != e.name)
    bad(file,
        cat("the directory says '", e.name, "', the local header '", text_of(h.subspan(kLocalSize, name_length)), "'"));
  const auto local_flags = load_le<uint16_t>(h.subspan(6));
  if (load_le<uint16_t>(h.subspan(8)) != method || ((local_flags ^ flags) & (kEncrypted | kSizesFollow)) != 0)
    bad(file, cat("directory and local header of '", e.name, "' disagree on how it is packed"));
  uint64_t size = load_le<uint32_t>(h.subspan(22)), packed = load_le<uint32_t>(h.subspan(18));
  const auto crc = load_le<uint32_t>(h.subspan(14));
  const bool sizes_follow = local_flags & kSizesFollow;
  if (!(sizes_follow && size == 0 && packed == 0)) {
    read_zip64(file, e.name, h.subspan(kLocalSize + name_length, extra_length), {&size, &packed});
    const bool unknown = sizes_follow && size == 0 && packed == 0;
    if (!unknown && (size != e.size || packed != e.packed))
      bad(file, cat("directory and local header of '", e.name, "' disagree on its size"));
  }
  if (crc != e.crc && !(sizes_follow && crc == 0))
    bad(file, cat("directory and local header of '", e.name, "' disagree on its checksum"));
  e.at = header_at + kLocalSize + name_length + extra_length;
  if (e.packed > all.size() - e.at)
    bad(file, cat("'", e.name, "' of ", e.packed, " bytes ends after the end of the file"));
}

struct Span {
  uint64_t from, to;
  size_t entry;
};
}  // namespace

Zip Zip::open(std::shared_ptr<const MappedFile> shared, const ZipOptions& options) {
  const MappedFile& file = *shared;
  const Directory d = find_directory(file);
  if (d.entries > options.max_entries)
    bad(file, cat(d.entries, " entries; at most ", options.max_entries, " are read"));
  if (d.size > options.max_directory)
    bad(file, cat("a directory of ", d.size, " bytes; at most ", options.max_directory, " are read"));
  if (d.size / kCentralSize < d.entries)
    bad(file, cat("a directory of ", d.size, " bytes cannot hold ", d.entries, " entries"));
  Zip out;
  ByteReader r(file.bytes().subspan(static_cast<size_t>(d.at), static_cast<size_t>(d.size)),
               cat("the directory of ", file.path()));
  std::vector<Span> spans;
  uint64_t total = 0;
  out.entries_.reserve(static_cast<size_t>(d.entries));
  for (uint64_t i = 0; i < d.entries; ++i) {
    const Bytes h = r.take(kCentralSize);
    if (load_le<uint32_t>(h) != kCentral) bad(file, cat("entry ", i, " of its directory has no signature"));
    const auto flags = load_le<uint16_t>(h.subspan(8)), method = load_le<uint16_t>(h.subspan(10));
    ZipEntry& e = out.entries_.emplace_back();
    e.name = text_of(r.take(load_le<uint16_t>(h.subspan(28))));
    const Bytes extra = r.take(load_le<uint16_t>(h.subspan(30)));
    r.take(load_le<uint16_t>(h.subspan(32)));  // a comment
    e.deflated = method == 8;
    e.crc = load_le<uint32_t>(h.subspan(16));
    e.packed = load_le<uint32_t>(h.subspan(20));
    e.size = load_le<uint32_t>(h.subspan(24));
    uint64_t header_at = load_le<uint32_t>(h.subspan(42));
    if (e.name.empty() || e.name.find('\0') != std::string::npos) bad(file, "an entry without a proper name");
    if (flags & (kEncrypted | kMaskedHeader)) bad(file, cat("'", e.name, "' is encrypted"));
    if (method != 0 && method != 8)
      bad(file, cat("'", e.name, "' is packed by method ", method, "; only stored and deflated are read"));
    read_zip64(file, e.name, extra, {&e.size, &e.packed, &header_at});
    if (!e.deflated && e.packed != e.size) bad(file, cat("'", e.name, "' is stored, yet its two sizes differ"));
    locate(file, e, header_at, flags, method);
    if (!out.index_.emplace(e.name, out.entries_.size() - 1).second)
      bad(file, cat("two entries are called '", e.name, "'"));
    if (!checked_add(total, e.size, total) ||
        total > std::max(options.free_bytes, file.bytes().size() * options.max_ratio))
      bad(file, cat("its ", file.bytes().size(), " bytes would unpack to ", total, " or more"));
    spans.push_back({header_at, e.at + e.packed, static_cast<size_t>(i)});
  }
  if (r.left() != 0) bad(file, "its directory is longer than its entries");
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.from < b.from; });
  for (size_t i = 0; i < spans.size(); ++i) {
    const uint64_t end = i + 1 < spans.size() ? spans[i + 1].from : d.at;
    if (spans[i].to > end) bad(file, cat("'", out.entries_[spans[i].entry].name, "' overlaps what follows it"));
  }
  out.file_ = std::move(shared);
  out.options_ = options;
  return out;
}

const ZipEntry* Zip::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &entries_[it->second];
}

namespace {
// Unpacks exactly `size` bytes; the stream must end there and nowhere else.
bool inflate_all(Bytes packed, std::byte* out, uint64_t size) {
  z_stream z{};
  const int started = inflateInit2(&z, -MAX_WBITS);
  if (started == Z_MEM_ERROR) throw std::bad_alloc();
  if (started != Z_OK) throw Error(Error::Kind::internal, "zlib does not start");
  const auto step = [](uint64_t n) { return static_cast<uInt>(std::min<uint64_t>(n, 1u << 30)); };
  uint64_t in_left = packed.size(), out_left = size;
  Bytef nothing = 0;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  z.next_out = size ? reinterpret_cast<Bytef*>(out) : &nothing;
  int state = Z_OK;
  while (state == Z_OK) {
    z.avail_in = step(in_left);
    z.avail_out = step(out_left);
    const uInt in = z.avail_in, room = z.avail_out;
    state = inflate(&z, Z_NO_FLUSH);
    in_left -= in - z.avail_in;
    out_left -= room - z.avail_out;
    if (state == Z_OK && in == z.avail_in && room == z.avail_out) break;
  }
  inflateEnd(&z);
  if (state == Z_MEM_ERROR) throw std::bad_alloc();
  return state == Z_STREAM_END && in_left == 0 && out_left == 0;
}
}  // namespace

uint32_t zip_checksum(Bytes b, uint32_t before) {
  uLong crc = before;
  while (!b.empty()) {
    const size_t n = std::min<size_t>(b.size(), 1u << 30);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(b.data()), static_cast<uInt>(n));
    b = b.subspan(n);
  }
  return static_cast<uint32_t>(crc);
}

KeptBytes Zip::read(const ZipEntry& e) const {
  KeptBytes out{file_->bytes().subspan(static_cast<size_t>(e.at), static_cast<size_t>(e.packed)), file_};
  if (e.deflated) {
    if (e.size > INT64_MAX) bad(*file_, cat("'", e.name, "' would unpack to ", e.size, " bytes"));
    const Tensor room = empty({static_cast<int64_t>(e.size)}, DType::u8);
    if (!inflate_all(out.bytes, room.bytes(), e.size))
      bad(*file_, cat("'", e.name, "' does not unpack to its ", e.size, " bytes"));
    out = {Bytes(room.bytes(), static_cast<size_t>(e.size)), room.impl()->storage};
  }
  // Who writes no checksums writes 0.
  if (options_.check_crc && e.crc != 0 && zip_checksum(out.bytes) != e.crc)
    throw Error(Error::Kind::format,
                cat("'", e.name, "' in ", file_->path(), " does not have the checksum that the archive gives"),
                "the file is damaged: get it again, or write it again");
  return out;
}

}  // namespace fovea
