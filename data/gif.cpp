// SPDX-License-Identifier: Apache-2.0
// data/gif.cpp — GIF through giflib: the first frame, on the canvas that Pillow gives it.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include <gif_lib.h>

#include "data/codec.h"
#include "engine/core/text.h"

namespace fovea::data {

namespace {

using Rgb = std::array<uint8_t, 3>;

struct Input {
  const Source& source;
  size_t at = 0;
};

// Behind the end lies one empty block, so that a file without the end mark of its last frame is read.
int on_read(GifFileType* gif, GifByteType* to, int count) {
  Input& input = *static_cast<Input*>(gif->UserData);
  const size_t size = input.source.bytes.size();
  if (input.at == size && count == 1) {
    ++input.at;
    *to = 0;
    return 1;
  }
  const size_t n = std::min(static_cast<size_t>(count), size - std::min(input.at, size));
  if (n) std::memcpy(to, input.source.data() + input.at, n);
  input.at += n;
  return static_cast<int>(n);
}

class GifReader {
 public:
  explicit GifReader(const Source& source) : source_(source), input_{source} {}
  Image read();

 private:
  [[noreturn]] void fail() const {
    if (input_.at >= source_.bytes.size()) source_.truncated(Format::gif);
    source_.broken(Format::gif, GifErrorString(gif_->Error) ? GifErrorString(gif_->Error) : "a part is damaged");
  }
  void find_frame();
  void read_extension();
  void choose_palette();
  void read_rows();

  struct Close {
    void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
  };
  const Source& source_;
  Input input_;
  std::unique_ptr<GifFileType, Close> gif_;
  Image image_;
  int transparent_ = -1;
  std::array<Rgb, 256> palette_{};
};

void GifReader::read_extension() {
  int code = 0;
  GifByteType* block = nullptr;
  if (DGifGetExtension(gif_.get(), &code, &block) == GIF_ERROR) fail();
  if (code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4 && (block[1] & 1)) transparent_ = block[4];
  while (block)
    if (DGifGetExtensionNext(gif_.get(), &block) == GIF_ERROR) fail();
}

void GifReader::find_frame() {
  for (;;) {
    GifRecordType record;
    if (DGifGetRecordType(gif_.get(), &record) == GIF_ERROR) fail();
    if (record == IMAGE_DESC_RECORD_TYPE) break;
    if (record == EXTENSION_RECORD_TYPE) read_extension();
    else source_.broken(Format::gif, "it has no frame");
  }
  if (DGifGetImageDesc(gif_.get()) == GIF_ERROR) fail();
}

// A palette whose colours are greys in order is none. The frame's own comes first, then that of all frames; without
// one, pixels are greys.
void GifReader::choose_palette() {
  for (size_t i = 0; i < palette_.size(); ++i) palette_[i].fill(static_cast<uint8_t>(i));
  for (const ColorMapObject* map : {gif_->Image.ColorMap, gif_->SColorMap}) {
    std::array<Rgb, 256> colours{};
    bool grey = true;
    for (int i = 0; map && i < map->ColorCount; ++i) {
      const GifColorType& c = map->Colors[i];
      grey = grey && c.Red == i && c.Green == i && c.Blue == i;
      colours[static_cast<size_t>(i)] = {c.Red, c.Green, c.Blue};
    }
    if (!grey) {
      palette_ = colours;
      return;
    }
  }
}

void GifReader::read_rows() {
  const GifImageDesc& frame = gif_->Image;
  const int width = std::max(gif_->SWidth, frame.Left + frame.Width);
  const int height = std::max(gif_->SHeight, frame.Top + frame.Height);
  image_ = source_.canvas(width, height);
  Image& image = image_;
  const Rgb& around = palette_[static_cast<size_t>(std::max(transparent_, 0))];
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = around[i % 3];
  std::vector<GifPixelType> row(static_cast<size_t>(frame.Width));
  struct Pass {
    int from, step;
  };
  constexpr Pass kWhole[] = {{0, 1}}, kInterlaced[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  const std::span<const Pass> passes = frame.Interlace ? std::span<const Pass>(kInterlaced) : kWhole;
  for (const Pass& pass : passes)
    for (int y = pass.from; y < frame.Height; y += pass.step) {
      if (DGifGetLine(gif_.get(), row.data(), frame.Width) == GIF_ERROR) {
        if (!source_.options.allow_truncated) fail();
        return;
      }
      uint8_t* out = image.row(frame.Top + y) + size_t{3} * static_cast<size_t>(frame.Left);
      for (size_t x = 0; x < row.size(); ++x) std::memcpy(out + 3 * x, palette_[row[x]].data(), 3);
    }
}

Image GifReader::read() {
  int error = 0;
  gif_.reset(DGifOpen(&input_, on_read, &error));
  if (error == D_GIF_ERR_NOT_ENOUGH_MEM) throw std::bad_alloc();
  if (!gif_) source_.broken(Format::gif, GifErrorString(error) ? GifErrorString(error) : "the header is damaged");
  find_frame();
  if (gif_->Image.Width < 1 || gif_->Image.Height < 1) source_.broken(Format::gif, "its first frame is empty");
  choose_palette();
  read_rows();
  return std::move(image_);
}

}  // namespace

Image decode_gif(const Source& source) { return GifReader(source).read(); }

std::string gif_version() { return cat("built for ", GIFLIB_MAJOR, ".", GIFLIB_MINOR, ".", GIFLIB_RELEASE); }

}  // namespace fovea::data
