// SPDX-License-Identifier: Apache-2.0
// data/png_chunks.h — the chunks of a PNG, with Pillow's opinion of which files can be read. Private to data/.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "data/codec.h"

namespace fovea::data {

using Rgb = std::array<uint8_t, 3>;

/// Walks through a file: up to the first pixels, then from one piece of them to the next, then to the end. Pillow looks
/// at checksums before the pixels alone, lets unknown chunks pass whatever their names say, and misses a palette as
/// little as an end; but chunks that it knows must be as long as they should, wherever they are.
class PngChunks {
 public:
  enum Colour : uint8_t { grey = 0, rgb = 2, indexed = 3, grey_alpha = 4, rgba = 6 };
  struct Rectangle {
    uint32_t x = 0, y = 0, width = 0, height = 0;
  };

  explicit PngChunks(const Source& source) : source_(source), all_(source.bytes) {}

  /// Up to the first chunk of pixels. Throws Error(format) for files that Pillow refuses here.
  void read_header();
  /// At most `most` bytes of what is left of the pixels; empty after the last ones. Throws Error(format) where the file
  /// ends before that can be told.
  std::span<const std::byte> next_pixels(size_t most);
  /// From the pixels to the end of the file. Throws Error(format) for chunks that Pillow refuses.
  void read_rest();

  uint32_t width = 0, height = 0;
  int depth = 0;
  Colour colour = grey;
  bool interlaced = false;
  std::array<Rgb, 256> palette{};  // black where the file has none
  std::optional<Rectangle> frame;  // what the pixels cover, in an animation

 private:
  struct Chunk {
    std::string_view name;
    uint32_t length = 0;
  };
  enum class Seen { handled, pixels, end };

  [[noreturn]] void broken(std::string_view why) const { source_.broken(Format::png, why); }
  size_t left() const { return all_.size() - at_; }
  std::span<const std::byte> take(const Chunk& chunk, size_t length);
  void skip(size_t n) { at_ += n < left() ? n : left(); }
  std::optional<Chunk> next_chunk();
  void check_sum(const Chunk& chunk, std::span<const std::byte> body);
  Seen handle(const Chunk& chunk);
  void read_size(std::span<const std::byte> body);
  void check_text(const Chunk& chunk, std::span<const std::byte> body) const;
  void read_frame(std::span<const std::byte> body);
  void check_number(uint32_t number);

  const Source& source_;
  std::span<const std::byte> all_;
  size_t at_ = 0;
  uint32_t pixels_left_ = 0;     // bytes of the current chunk of pixels
  std::optional<Chunk> pushed_;  // the chunk behind the pixels, already begun
  bool sized_ = false, animated_ = false;
  uint32_t frames_ = 0;
  std::optional<uint32_t> number_;  // of the last chunk of an animation
};

}  // namespace fovea::data
