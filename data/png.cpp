// SPDX-License-Identifier: Apache-2.0
// data/png.cpp — PNG through libpng: every colour type and depth to 8-bit RGB, ancillary chunks ignored.
#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <utility>
#include <vector>

#include <png.h>

#include "data/codec.h"

namespace fovea::data {

namespace {

/// As in jpeg.cpp: errors jump out of run(), and what needs destroying lives here.
struct PngReader {
  png_structp lib = nullptr;
  png_infop info = nullptr;
  const Source& source;
  size_t at = 0;  // next byte of the source
  bool ran_out = false;
  std::jmp_buf escape;
  char message[160] = "";
  Image image;
  std::vector<png_byte> raw;      // one row, or all of them when interlaced
  png_byte palette[256][3] = {};  // entries the file lacks are black
  size_t step = 0;                // from one row of `raw` to the next
  int type = 0, depth = 0;

  explicit PngReader(const Source& s) : source(s) {}
  ~PngReader() { png_destroy_read_struct(&lib, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool run();
  void connect();
  void read_header();
  void read_rows();
  void store(const png_byte* in, int y);
};

[[noreturn]] void on_error(png_structp lib, png_const_charp message) {
  PngReader& reader = *static_cast<PngReader*>(png_get_error_ptr(lib));
  std::strncpy(reader.message, message, sizeof reader.message - 1);
  std::longjmp(reader.escape, 1);
}

void on_read(png_structp lib, png_bytep to, size_t count) {
  PngReader& reader = *static_cast<PngReader*>(png_get_io_ptr(lib));
  if (count > reader.source.bytes.size() - reader.at) {
    reader.ran_out = true;
    png_error(lib, "the file ends early");
  }
  std::memcpy(to, reader.source.data() + reader.at, count);
  reader.at += count;
}

void PngReader::connect() {
  lib = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
  info = lib ? png_create_info_struct(lib) : nullptr;
  if (!info) source.broken(Format::png, "libpng does not start");
  png_set_read_fn(lib, this, on_read);
  png_set_user_limits(lib, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // max_pixels decides instead
  png_set_keep_unknown_chunks(lib, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
}

void PngReader::read_header() {
  png_read_info(lib, info);
  type = png_get_color_type(lib, info);
  depth = png_get_bit_depth(lib, info);
  image = source.canvas(png_get_image_width(lib, info), png_get_image_height(lib, info));
  png_colorp colours = nullptr;
  int count = 0;
  if (type == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(lib, info, &colours, &count))
    for (int i = 0; i < std::min(count, 256); ++i) {
      palette[i][0] = colours[i].red;
      palette[i][1] = colours[i].green;
      palette[i][2] = colours[i].blue;
    }
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_packing(lib);
  else if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(lib);
  if (type != PNG_COLOR_TYPE_GRAY) png_set_strip_16(lib);
}

void PngReader::store(const png_byte* in, int y) {
  uint8_t* out = image.row(y);
  const size_t width = static_cast<size_t>(image.width);
  switch (type) {
    case PNG_COLOR_TYPE_RGB: std::memcpy(out, in, image.pitch()); break;
    case PNG_COLOR_TYPE_RGB_ALPHA:
      for (size_t x = 0; x < width; ++x) std::memcpy(out + 3 * x, in + 4 * x, 3);
      break;
    case PNG_COLOR_TYPE_PALETTE:
      for (size_t x = 0; x < width; ++x) std::memcpy(out + 3 * x, palette[in[x]], 3);
      break;
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      for (size_t x = 0; x < width; ++x) std::memset(out + 3 * x, in[2 * x], 3);
      break;
    default:  // Pillow clips 16-bit grey at 255 instead of scaling it
      for (size_t x = 0; x < width; ++x)
        std::memset(out + 3 * x, depth < 16 ? in[x] : in[2 * x] ? 255 : in[2 * x + 1], 3);
  }
}

void PngReader::read_rows() {
  const int passes = png_set_interlace_handling(lib);
  png_read_update_info(lib, info);
  const size_t pitch = png_get_rowbytes(lib, info);
  step = passes > 1 ? pitch : 0;
  raw.resize(pitch + step * static_cast<size_t>(image.height - 1));
  for (int pass = 1; pass <= passes; ++pass)
    for (int y = 0; y < image.height; ++y) {
      png_bytep row = raw.data() + step * static_cast<size_t>(y);
      png_read_row(lib, row, nullptr);
      if (pass == passes) store(row, y);
    }
}

bool PngReader::run() {
  if (setjmp(escape)) return false;
  connect();
  read_header();
  read_rows();
  return true;
}

}  // namespace

Image decode_png(const Source& source) {
  PngReader reader(source);
  if (reader.run()) return std::move(reader.image);
  if (!reader.ran_out) source.broken(Format::png, reader.message);
  if (!source.options.allow_truncated || reader.raw.empty()) source.truncated(Format::png);
  for (int y = 0; reader.step && y < reader.image.height; ++y)  // an interlaced image is whole, only coarser
    reader.store(reader.raw.data() + reader.step * static_cast<size_t>(y), y);
  return std::move(reader.image);
}

}  // namespace fovea::data
