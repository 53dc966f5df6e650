// SPDX-License-Identifier: Apache-2.0
// data/tiff.cpp — TIFF through libtiff: the first image, turned as its tag says, as Pillow does for this format alone.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <tiffio.h>

#include "data/codec.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {

namespace {

struct Input {
  const Source& source;
  uint64_t at = 0;
  char message[160] = "";
};

Input& input_of(thandle_t handle) { return *static_cast<Input*>(handle); }

tmsize_t on_read(thandle_t handle, void* to, tmsize_t count) {
  Input& input = input_of(handle);
  const uint64_t size = input.source.bytes.size(), left = size - std::min(input.at, size);
  const uint64_t n = std::min(static_cast<uint64_t>(std::max<tmsize_t>(count, 0)), left);
  if (n) std::memcpy(to, input.source.data() + input.at, n);
  input.at += n;
  return static_cast<tmsize_t>(n);
}
tmsize_t on_write(thandle_t, void*, tmsize_t) { return 0; }
toff_t on_seek(thandle_t handle, toff_t to, int whence) {
  Input& input = input_of(handle);
  input.at = to + (whence == SEEK_CUR ? input.at : whence == SEEK_END ? input.source.bytes.size() : 0);
  return input.at;
}
int on_close(thandle_t) { return 0; }
toff_t on_size(thandle_t handle) { return input_of(handle).source.bytes.size(); }
int on_error(TIFF*, void* user, const char*, const char* format, va_list values) {
  Input& input = *static_cast<Input*>(user);
  if (!input.message[0]) std::vsnprintf(input.message, sizeof input.message, format, values);
  return 1;
}
int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

class TiffReader {
 public:
  explicit TiffReader(const Source& source) : source_(source), input_{source} {}
  Image read();

 private:
  [[noreturn]] void broken(std::string_view why) const { source_.broken(Format::tiff, why); }
  [[noreturn]] void fail() const { broken(input_.message[0] ? input_.message : "a part is damaged"); }
  [[noreturn]] void unusual() const;
  template <class T>
  T tag(uint32_t which) const {
    T value{};
    TIFFGetFieldDefaulted(file_.get(), which, &value);
    return value;
  }
  void open();
  void read_tags();
  void read_palette();
  bool is_known() const;
  void read_pixels();
  void store(uint32_t x, uint32_t y, uint32_t columns, const uint8_t* row, int plane);
  uint8_t grey(const uint8_t* in, size_t i) const;
  Image turned() const;

  struct Close {
    void operator()(TIFF* file) const { TIFFClose(file); }
  };
  const Source& source_;
  Input input_;
  std::unique_ptr<TIFF, Close> file_;
  Image image_;
  uint32_t width_ = 0, height_ = 0;
  uint16_t bits_ = 1, samples_ = 1, format_ = SAMPLEFORMAT_UINT, photometric_ = 0, orientation_ = 1;
  std::vector<uint16_t> extra_;
  bool separate_ = false;
  bool swapped_ = false;  // Pillow takes the numbers that libtiff unpacked for those of the file
  std::array<std::array<uint8_t, 3>, 256> palette_{};
};

void TiffReader::unusual() const {
  throw Error(
      Error::Kind::unsupported,
      cat(source_.name, " is a TIFF image of an unusual kind: ", samples_, " samples of ", bits_,
          " bits, photometric interpretation ", photometric_, ", compression ", tag<uint16_t>(TIFFTAG_COMPRESSION)),
      "save it as PNG");
}

void TiffReader::open() {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  constexpr tmsize_t kMostAtOnce = tmsize_t{1} << 30;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostAtOnce);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &input_);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &input_);
  file_.reset(TIFFClientOpenExt("image", "rm", &input_, on_read, on_write, on_seek, on_close, on_size, nullptr, nullptr,
                                options.get()));
  if (!file_) fail();
}

void TiffReader::read_tags() {
  if (!TIFFGetField(file_.get(), TIFFTAG_IMAGEWIDTH, &width_) ||
      !TIFFGetField(file_.get(), TIFFTAG_IMAGELENGTH, &height_))
    broken("it does not say how large it is");
  bits_ = tag<uint16_t>(TIFFTAG_BITSPERSAMPLE);
  samples_ = tag<uint16_t>(TIFFTAG_SAMPLESPERPIXEL);
  format_ = tag<uint16_t>(TIFFTAG_SAMPLEFORMAT);
  separate_ = tag<uint16_t>(TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
  orientation_ = tag<uint16_t>(TIFFTAG_ORIENTATION);
  if (!TIFFGetField(file_.get(), TIFFTAG_PHOTOMETRIC, &photometric_)) photometric_ = PHOTOMETRIC_MINISWHITE;
  uint16_t count = 0;
  const uint16_t* kinds = nullptr;
  if (TIFFGetField(file_.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds)) extra_.assign(kinds, kinds + count);
  if (photometric_ == PHOTOMETRIC_YCBCR && tag<uint16_t>(TIFFTAG_COMPRESSION) == COMPRESSION_JPEG && samples_ == 3) {
    TIFFSetField(file_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    photometric_ = PHOTOMETRIC_RGB;
  }
  swapped_ = TIFFIsBigEndian(file_.get()) && tag<uint16_t>(TIFFTAG_COMPRESSION) != COMPRESSION_NONE;
  if (!is_known()) unusual();
}

// What Pillow knows, less what hardly anybody has.
bool TiffReader::is_known() const {
  const bool unsigned_ = format_ == SAMPLEFORMAT_UINT, big = TIFFIsBigEndian(file_.get());
  const bool zeros = std::all_of(extra_.begin(), extra_.end(), [](uint16_t e) { return e == 0; });
  const size_t colours = samples_ - std::min<size_t>(extra_.size(), samples_);
  switch (photometric_) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK: {
      const bool white = photometric_ == PHOTOMETRIC_MINISWHITE;
      if (samples_ == 2) return !white && bits_ == 8 && unsigned_ && extra_.size() == 1 && extra_[0] != 1;
      if (samples_ != 1 || !extra_.empty()) return false;
      if (bits_ <= 8) return (bits_ == 1 || bits_ == 2 || bits_ == 4 || bits_ == 8) && unsigned_;
      if (bits_ == 16) return white ? unsigned_ && !big : format_ <= SAMPLEFORMAT_INT;
      if (bits_ != 32) return false;
      return format_ == SAMPLEFORMAT_IEEEFP || (!white && (format_ == SAMPLEFORMAT_INT || (unsigned_ && !big)));
    }
    case PHOTOMETRIC_PALETTE:
      return unsigned_ && (samples_ == 1 ? bits_ == 1 || bits_ == 2 || bits_ == 4 || bits_ == 8
                                         : samples_ == 2 && bits_ == 8 && extra_.size() == 1 && extra_[0] != 1);
    case PHOTOMETRIC_RGB:
      if (!unsigned_ || (bits_ != 8 && bits_ != 16)) return false;
      if (extra_.empty()) return samples_ == 3 || samples_ == 4;
      return colours == 3 && (bits_ == 8 ? samples_ <= 6 : samples_ == 4) &&
             std::all_of(extra_.begin() + 1, extra_.end(), [](uint16_t e) { return e == 0; });
    case PHOTOMETRIC_SEPARATED:
      return unsigned_ && zeros && colours == 4 && (bits_ == 8 || (bits_ == 16 && extra_.empty()));
    default: return false;
  }
}

void TiffReader::read_palette() {
  uint16_t* channels[3] = {};
  if (!TIFFGetField(file_.get(), TIFFTAG_COLORMAP, &channels[0], &channels[1], &channels[2]))
    broken("it has no palette");
  for (size_t i = 0; i < size_t{1} << bits_; ++i)
    for (size_t c = 0; c < 3; ++c) palette_[i][c] = static_cast<uint8_t>(channels[c][i] >> 8);
}

template <class T>
T load(const uint8_t* in, size_t i, bool swapped = false) {
  std::array<uint8_t, sizeof(T)> bytes;
  std::memcpy(bytes.data(), in + sizeof(T) * i, sizeof(T));
  if (swapped) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

uint8_t clip(double v) { return static_cast<uint8_t>(v > 0 ? std::min(v, 255.0) : 0.0); }

// Greys of more than 8 bits are clipped at 255, not scaled.
uint8_t TiffReader::grey(const uint8_t* in, size_t i) const {
  const bool is_signed = format_ == SAMPLEFORMAT_INT;
  if (bits_ == 32 && format_ == SAMPLEFORMAT_IEEEFP) return clip(static_cast<double>(load<float>(in, i, swapped_)));
  if (bits_ == 32) return clip(load<int32_t>(in, i, swapped_));
  if (bits_ == 16) return is_signed ? clip(load<int16_t>(in, i, swapped_)) : clip(load<uint16_t>(in, i));
  const size_t bit = i * bits_;
  const int most = (1 << bits_) - 1, v = in[bit / 8] >> (8 - bits_ - bit % 8) & most;
  return static_cast<uint8_t>((photometric_ == PHOTOMETRIC_MINISWHITE ? most - v : v) * (255 / most));
}

// A row of a strip or tile; `plane` is the sample that it has, or -1 for all of them.
void TiffReader::store(uint32_t x, uint32_t y, uint32_t columns, const uint8_t* row, int plane) {
  uint8_t* out = image_.row(static_cast<int>(y)) + size_t{3} * x;
  const size_t step = plane < 0 ? samples_ : 1;
  const auto sample = [&](size_t i) {
    return bits_ == 16 ? static_cast<uint8_t>(load<uint16_t>(row, i) >> 8) : row[i];
  };
  if (photometric_ == PHOTOMETRIC_RGB && plane >= 0) {
    for (size_t i = 0; i < columns && plane < 3; ++i) out[3 * i + static_cast<size_t>(plane)] = sample(i);
    return;
  }
  const bool premultiplied = !extra_.empty() && extra_[0] == EXTRASAMPLE_ASSOCALPHA;
  for (size_t i = 0; i < columns; ++i, out += 3) {
    if (photometric_ == PHOTOMETRIC_RGB) {
      const int alpha = premultiplied ? sample(step * i + 3) : 255;
      for (size_t c = 0; c < 3; ++c)
        out[c] = alpha == 0 ? 0 : static_cast<uint8_t>(std::min(sample(step * i + c) * 255 / alpha, 255));
    } else if (photometric_ == PHOTOMETRIC_SEPARATED) {
      const int paper = 255 - sample(step * i + 3);
      for (size_t c = 0; c < 3; ++c) {
        const int product = sample(step * i + c) * paper + 128;
        out[c] = static_cast<uint8_t>(std::max(paper - (((product >> 8) + product) >> 8), 0));
      }
    } else if (photometric_ == PHOTOMETRIC_PALETTE) {
      const size_t bit = step * i * bits_;
      std::memcpy(out, palette_[row[bit / 8] >> (8 - bits_ - bit % 8) & ((1u << bits_) - 1)].data(), 3);
    } else {
      std::memset(out, grey(row, step * i), 3);
    }
  }
}

void TiffReader::read_pixels() {
  TIFF* file = file_.get();
  const bool tiled = TIFFIsTiled(file);
  const uint32_t across = tiled ? tag<uint32_t>(TIFFTAG_TILEWIDTH) : width_;
  const uint32_t down =
      tiled ? tag<uint32_t>(TIFFTAG_TILELENGTH) : std::min(tag<uint32_t>(TIFFTAG_ROWSPERSTRIP), height_);
  const tmsize_t pitch = tiled ? TIFFTileRowSize(file) : TIFFScanlineSize(file);
  const tmsize_t size = tiled ? TIFFTileSize(file) : TIFFStripSize(file);
  if (across == 0 || down == 0 || pitch <= 0 || size <= 0 || pitch > size) fail();
  source_.check_size(across, 1);
  std::vector<uint8_t> piece(static_cast<size_t>(size));
  const int planes = separate_ && samples_ > 1 ? samples_ : 1;
  const bool bare = tag<uint16_t>(TIFFTAG_COMPRESSION) == COMPRESSION_NONE;
  if (planes > 1 && (photometric_ != PHOTOMETRIC_RGB || (bits_ == 16 && bare))) unusual();
  if (planes > 3 && !extra_.empty() && extra_[0] == EXTRASAMPLE_ASSOCALPHA) unusual();
  for (int plane = 0; plane < std::min(planes, 3); ++plane)
    for (uint32_t y = 0; y < height_; y += down)
      for (uint32_t x = 0; x < width_; x += across) {
        const uint32_t rows = std::min(down, height_ - y);
        const auto sample = static_cast<uint16_t>(plane);
        const tmsize_t wanted = tiled ? size : pitch * static_cast<tmsize_t>(rows);
        const tmsize_t got =
            tiled ? TIFFReadEncodedTile(file, TIFFComputeTile(file, x, y, 0, sample), piece.data(), wanted)
                  : TIFFReadEncodedStrip(file, TIFFComputeStrip(file, y, sample), piece.data(), wanted);
        if (got < wanted) {
          if (!source_.options.allow_truncated) fail();
          return;
        }
        for (uint32_t row = 0; row < rows; ++row)
          store(x, y + row, std::min(across, width_ - x), piece.data() + static_cast<size_t>(pitch) * row,
                planes > 1 ? plane : -1);
      }
}

Image TiffReader::turned() const {
  if (orientation_ < 2 || orientation_ > 8) return image_;
  const bool swapped = orientation_ >= 5;
  Image out = swapped ? make_image(image_.height, image_.width, 3) : make_image(image_.width, image_.height, 3);
  const bool from_right = orientation_ == 2 || orientation_ == 3 || orientation_ == 7 || orientation_ == 8;
  const bool from_below = orientation_ == 3 || orientation_ == 4 || orientation_ == 6 || orientation_ == 7;
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      const int column = swapped ? y : x, line = swapped ? x : y;
      const int from_x = from_right ? image_.width - 1 - column : column;
      const int from_y = from_below ? image_.height - 1 - line : line;
      std::memcpy(out.row(y) + 3 * x, image_.row(from_y) + 3 * from_x, 3);
    }
  return out;
}

Image TiffReader::read() {
  open();
  read_tags();
  image_ = source_.canvas(width_, height_);
  if (photometric_ == PHOTOMETRIC_PALETTE) read_palette();
  read_pixels();
  return orientation_ == 1 ? std::move(image_) : turned();
}

}  // namespace

Image decode_tiff(const Source& source) { return TiffReader(source).read(); }

std::string tiff_version() {
  const std::string text = TIFFGetVersion();       // "LIBTIFF, Version 4.5.0", and lines of copyright
  const size_t at = text.rfind(' ', text.find('\n'));
  return text.substr(at + 1, text.find('\n') - at - 1);
}

}  // namespace fovea::data
