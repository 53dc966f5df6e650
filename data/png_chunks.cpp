// SPDX-License-Identifier: Apache-2.0
#include "data/png_chunks.h"

#include <algorithm>

#include <zlib.h>

#include "engine/core/text.h"

namespace fovea::data {

namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kSignature = 8, kChecksum = 4;

uint32_t big16(Bytes b, size_t at) { return static_cast<uint32_t>(b[at]) << 8 | static_cast<uint32_t>(b[at + 1]); }
uint32_t big32(Bytes b, size_t at) { return big16(b, at) << 16 | big16(b, at + 2); }

std::string_view text(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

bool is_name(std::string_view s) {
  return s.size() == 4 && std::all_of(s.begin(), s.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

bool is_kind(int depth, int colour) {
  switch (colour) {
    case PngChunks::grey: return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case PngChunks::indexed: return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case PngChunks::rgb:
    case PngChunks::grey_alpha:
    case PngChunks::rgba: return depth == 8 || depth == 16;
    default: return false;
  }
}

}  // namespace

Bytes PngChunks::take(const Chunk& chunk, size_t length) {
  if (length > left()) broken(str_cat("the file ends inside its chunk ", chunk.name));
  const Bytes b = all_.subspan(at_, length);
  at_ += length;
  return b;
}

// Nothing where no name can be read any more.
std::optional<PngChunks::Chunk> PngChunks::next_chunk() {
  if (pushed_) return std::exchange(pushed_, std::nullopt);
  constexpr size_t kHead = 8;
  const Bytes head = all_.subspan(at_, std::min(kHead, left()));
  at_ += head.size();
  if (head.size() < kHead || !is_name(text(head).substr(4))) return std::nullopt;
  return Chunk{text(head).substr(4), big32(head, 0)};
}

void PngChunks::check_sum(const Chunk& chunk, Bytes body) {
  const auto bytes = [](auto s) { return reinterpret_cast<const Bytef*>(s.data()); };
  const uLong named = crc32(0, bytes(chunk.name), 4);
  const uLong sum = crc32_z(named, bytes(body), body.size());
  if (big32(take(chunk, kChecksum), 0) != sum) broken(str_cat("its chunk ", chunk.name, " has another checksum"));
}

void PngChunks::read_header() {
  at_ = kSignature;
  for (;;) {
    const size_t start = at_;
    const std::optional<Chunk> chunk = next_chunk();
    if (!chunk) {
      if (sized_) source_.check_size(width, height);
      if (left() == 0) source_.truncated(Format::png);
      broken(str_cat("there is no chunk at byte ", start));
    }
    const size_t body = at_;
    const Seen seen = handle(*chunk);
    if (seen == Seen::end) broken("it ends before any pixels");
    if (seen == Seen::pixels) break;
    check_sum(*chunk, all_.subspan(body, at_ - body));
  }
}

void PngChunks::read_size(Bytes body) {
  if (body.size() < 13) broken("its header is too short");
  width = big32(body, 0);
  height = big32(body, 4);
  const int bits = static_cast<int>(body[8]), kind = static_cast<int>(body[9]);
  if (body[12] != std::byte{0}) interlaced = true;
  if (body[11] != std::byte{0}) broken("it uses unknown filters");
  if (!is_kind(bits, kind)) return;
  depth = bits;
  colour = static_cast<Colour>(kind);
  sized_ = true;
}

void PngChunks::check_text(const Chunk& chunk, Bytes body) const {
  const size_t end = text(body).find('\0');
  if (chunk.name == "iCCP") {
    const size_t method = end == std::string_view::npos ? 0 : end + 1;  // as Pillow counts
    if (method >= body.size()) broken("its colour profile is cut off");
    if (body[method] != std::byte{0}) broken("its colour profile is packed in an unknown way");
  } else if (end != std::string_view::npos && end + 1 < body.size() && body[end + 1] != std::byte{0}) {
    broken("a text is packed in an unknown way");
  }
}

void PngChunks::check_number(uint32_t number) {
  if (number_ ? *number_ + 1 != number : number != 0) broken("the parts of its animation are out of order");
  number_ = number;
}

void PngChunks::read_frame(Bytes body) {
  if (body.size() < 26) broken("a frame of its animation is cut off");
  check_number(big32(body, 0));
  const Rectangle r{big32(body, 12), big32(body, 16), big32(body, 4), big32(body, 8)};
  if (uint64_t{r.x} + r.width > width || uint64_t{r.y} + r.height > height)
    broken("a frame of its animation is larger than the image");
  frame = r;
}

// What a chunk says, and whether it is as long as it should. Leaves the position behind its body.
PngChunks::Seen PngChunks::handle(const Chunk& chunk) {
  struct Least {
    std::string_view name;
    size_t length;
  };
  static constexpr Least kLeast[] = {{"gAMA", 4}, {"cHRM", 32}, {"sRGB", 1}, {"pHYs", 9}, {"acTL", 8}};
  if (chunk.name == "IEND") return Seen::end;
  // Before the header, pixels are a chunk like any unknown one.
  if (chunk.name == "IDAT" && sized_) return pixels_left_ = chunk.length, Seen::pixels;
  if (chunk.name == "fdAT") {
    if (chunk.length < 4) broken("a frame of its animation is cut off");
    const uint32_t number = big32(take(chunk, 4), 0);
    if (!number_) broken("the parts of its animation are out of order");
    check_number(number);
    return pixels_left_ = chunk.length - 4, Seen::pixels;
  }
  const Bytes body = take(chunk, chunk.length);
  const bool at_once = colour == grey || colour == rgb;  // of these tRNS names a colour, of others it is a list
  if (chunk.name == "IHDR") read_size(body);
  else if (chunk.name == "PLTE" && sized_ && colour == indexed) {
    if (body.size() / 3 > palette.size()) broken(str_cat("its palette has ", body.size() / 3, " colours"));
    palette = {};
    for (size_t i = 0; i < body.size() / 3; ++i)
      for (size_t c = 0; c < 3; ++c) palette[i][c] = static_cast<uint8_t>(body[3 * i + c]);
  } else if (chunk.name == "tRNS" && sized_ && at_once && body.size() < (colour == rgb ? 6u : 2u)) {
    broken("its transparent colour is cut off");
  } else if (chunk.name == "iCCP" || chunk.name == "zTXt") {
    check_text(chunk, body);
  } else if (chunk.name == "fcTL") {
    read_frame(body);
  }
  for (const Least& least : kLeast)
    if (chunk.name == least.name && body.size() < least.length)
      broken(str_cat("its chunk ", chunk.name, " is too short"));
  if (chunk.name == "acTL") {
    const uint32_t count = big32(body, 0);
    animated_ = !animated_ && count != 0 && count <= 0x80000000u;
    frames_ = animated_ ? count : 0;
  }
  return Seen::handled;
}

Bytes PngChunks::next_pixels(size_t most) {
  while (pixels_left_ == 0) {
    skip(kChecksum);
    const std::optional<Chunk> chunk = next_chunk();
    if (!chunk && left() == 0) source_.truncated(Format::png);
    if (!chunk) broken("there is no chunk behind one of its pixels");
    if (chunk->name == "fdAT") handle(*chunk);
    else if (chunk->name == "IDAT" || chunk->name == "DDAT") pixels_left_ = chunk->length;
    else return pushed_ = chunk, Bytes{};
  }
  const size_t n = std::min({most, size_t{pixels_left_}, left()});
  const Bytes b = all_.subspan(at_, n);
  at_ += n;
  pixels_left_ -= static_cast<uint32_t>(std::min(most, size_t{pixels_left_}));
  return b;
}

void PngChunks::read_rest() {
  skip(pixels_left_);
  for (;;) {
    if (!pushed_) skip(kChecksum);
    const std::optional<Chunk> chunk = next_chunk();
    if (!chunk || chunk->name == "IEND" || (chunk->name == "fcTL" && frames_ > 1)) return;
    if (handle(*chunk) == Seen::pixels) take(*chunk, pixels_left_);
  }
}

}  // namespace fovea::data
