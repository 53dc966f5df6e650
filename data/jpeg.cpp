// SPDX-License-Identifier: Apache-2.0
// data/jpeg.cpp — JPEG through libjpeg-turbo with its default settings: accurate integer DCT, smooth chroma upsampling.
//
// Of a part of an image only the blocks around it are transformed. Entropy coding has no places to begin at, so rows
// above the part are read, but not computed; rows below it are not even read where they cannot be an error.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include <jpeglib.h>

#include <jerror.h>

#include "data/codec.h"
#include "engine/core/text.h"

namespace fovea::data {

namespace {

/// libjpeg reports errors by calling back into us and must not be returned to; so run() jumps out. Everything with a
/// destructor lives in this object, outside the function that is jumped out of.
struct JpegReader {
  jpeg_decompress_struct lib{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr input{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  const Source& source;
  Image& image;
  std::vector<JSAMPLE> row;
  JDIMENSION left = 0;    // where rows begin in the image
  bool ran_out = false;   // libjpeg asked for bytes past the end
  bool complete = false;  // every row is stored
  bool no_memory = false;
  Part part{};            // that is wanted; no width: all

  JpegReader(const Source& s, Image& out) : source(s), image(out) {}
  ~JpegReader() { jpeg_destroy_decompress(&lib); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  static JpegReader& of(j_common_ptr lib) { return *static_cast<JpegReader*>(lib->client_data); }
  bool run();
  void connect();
  void read_header();
  void read_rows();
  JDIMENSION choose_rows();
  bool rest_is_harmless() const;
  void store(int y);
};

[[noreturn]] void on_error(j_common_ptr lib) {
  JpegReader& reader = JpegReader::of(lib);
  lib->err->format_message(lib, reader.message);
  reader.no_memory = lib->err->msg_code == JERR_OUT_OF_MEMORY;
  std::longjmp(reader.escape, 1);
}

boolean on_empty(j_decompress_ptr lib) {
  static const JOCTET end_of_image[2] = {0xFF, JPEG_EOI};
  JpegReader& reader = JpegReader::of(reinterpret_cast<j_common_ptr>(lib));
  reader.ran_out = true;
  if (!reader.source.options.allow_truncated) std::longjmp(reader.escape, 1);
  reader.input.next_input_byte = end_of_image;
  reader.input.bytes_in_buffer = sizeof end_of_image;
  return TRUE;
}

void on_skip(j_decompress_ptr lib, long count) {
  jpeg_source_mgr& input = *lib->src;
  if (count <= 0) return;
  if (static_cast<size_t>(count) > input.bytes_in_buffer) {
    on_empty(lib);
    return;
  }
  input.next_input_byte += count;
  input.bytes_in_buffer -= static_cast<size_t>(count);
}

void JpegReader::connect() {
  lib.err = jpeg_std_error(&errors);
  errors.error_exit = on_error;
  errors.output_message = [](j_common_ptr) {};
  lib.client_data = this;
  jpeg_create_decompress(&lib);
  lib.src = &input;
  input.next_input_byte = source.data();
  input.bytes_in_buffer = source.bytes.size();
  input.init_source = input.term_source = [](j_decompress_ptr) {};
  input.fill_input_buffer = on_empty;
  input.skip_input_data = on_skip;
  input.resync_to_restart = jpeg_resync_to_restart;
}

// Four channels are taken for Adobe's inverted CMYK whatever the markers say, and mixed as if inks were ideal.
void cmyk_to_rgb(const JSAMPLE* in, uint8_t* out, int width) {
  for (int x = 0; x < width; ++x, in += 4, out += 3)
    for (int c = 0; c < 3; ++c) {
      const int paper = in[3], product = (255 - in[c]) * paper + 128;
      const int v = paper - (((product >> 8) + product) >> 8);
      out[c] = static_cast<uint8_t>(v < 0 ? 0 : v);
    }
}

void JpegReader::store(int y) {
  uint8_t* out = image.row(y) + 3 * static_cast<size_t>(left);
  const int width = static_cast<int>(lib.output_width);
  if (lib.out_color_space == JCS_CMYK) return cmyk_to_rgb(row.data(), out, width);
  for (int x = 0; x < width; ++x, out += 3) out[0] = out[1] = out[2] = row[static_cast<size_t>(x)];
}

void JpegReader::read_header() {
  jpeg_read_header(&lib, TRUE);
  switch (lib.num_components) {
    case 1: lib.out_color_space = JCS_GRAYSCALE; break;
    case 3: lib.out_color_space = JCS_RGB; break;
    case 4: lib.out_color_space = JCS_CMYK; break;
    default: source.broken(Format::jpeg, "it has 2 colour channels, or more than 4");
  }
  const bool known = source.look && source.look->width == static_cast<int>(lib.image_width) &&
                     source.look->height == static_cast<int>(lib.image_height);
  if (known) lib.scale_denom = static_cast<unsigned>(source.look->reduce);
  part = known ? source.look->part : Part{};
}

// Leaves out what lies left, right and above of the part. The row to end before.
JDIMENSION JpegReader::choose_rows() {
  const auto width = static_cast<int>(lib.output_width), height = static_cast<int>(lib.output_height);
  const bool inside = part.left >= 0 && part.top >= 0 && part.width > 0 && part.height > 0 &&
                      part.left <= width - part.width && part.top <= height - part.height;
  if (!inside) return lib.output_height;
  // chroma that is upsampled reads its neighbours, of which the edges of a crop have none
  constexpr int kMargin = 2 * DCTSIZE;
  left = static_cast<JDIMENSION>(std::max(0, part.left - kMargin));
  JDIMENSION columns = static_cast<JDIMENSION>(std::min(width, part.left + part.width + kMargin)) - left;
  if (columns < lib.output_width) jpeg_crop_scanline(&lib, &left, &columns);
  const int above = std::max(0, part.top - kMargin);
  if (above > 0) jpeg_skip_scanlines(&lib, static_cast<JDIMENSION>(above));
  return static_cast<JDIMENSION>(std::min(height, part.top + part.height));
}

// Of one scan by Huffman's code, that ends with the image: whatever its bytes are, they are pixels.
bool JpegReader::rest_is_harmless() const {
  if (jpeg_has_multiple_scans(const_cast<j_decompress_ptr>(&lib))) return true;        // all was read before
  if (lib.arith_code || lib.unread_marker != 0) return false;
  const JOCTET* at = input.next_input_byte;
  const JOCTET* const end = at + input.bytes_in_buffer;
  while ((at = static_cast<const JOCTET*>(std::memchr(at, 0xFF, static_cast<size_t>(end - at)))) && at + 1 < end) {
    const int next = at[1];
    if (next == JPEG_EOI) return true;
    const bool coded = next == 0 || next == 0xFF || (next >= JPEG_RST0 && next <= JPEG_RST0 + 7);
    if (!coded) return false;
    at += next == 0xFF ? 1 : 2;
  }
  return false;
}

void JpegReader::read_rows() {
  read_header();
  source.check_size(lib.image_width, lib.image_height);
  check_size(static_cast<int>(lib.image_width), static_cast<int>(lib.image_height), 3);
  jpeg_start_decompress(&lib);
  image.width = static_cast<int>(lib.output_width);
  image.height = static_cast<int>(lib.output_height);
  image.channels = 3;
  image.pixels.resize(3 * static_cast<size_t>(lib.output_width) * lib.output_height);
  row.resize(static_cast<size_t>(lib.output_width) * static_cast<size_t>(lib.num_components));
  const JDIMENSION end = choose_rows();
  while (lib.output_scanline < lib.output_height) {
    if (lib.output_scanline >= end && rest_is_harmless()) return;
    const int y = static_cast<int>(lib.output_scanline);
    const bool straight = lib.out_color_space == JCS_RGB;
    JSAMPROW rows[1] = {straight ? image.row(y) + 3 * static_cast<size_t>(left) : row.data()};
    if (jpeg_read_scanlines(&lib, rows, 1) == 1 && !straight) store(y);
  }
  complete = true;
  jpeg_finish_decompress(&lib);  // what is wrong behind the last row is an error, too
}

bool JpegReader::run() {
  if (setjmp(escape)) return false;
  connect();
  read_rows();
  return true;
}

// Up to the first scan Pillow takes no marker that it does not know, where libjpeg lets some pass.
void check_markers(const Source& source) {
  const auto at = [&](size_t i) { return i < source.bytes.size() ? static_cast<unsigned>(source.bytes[i]) : 0u; };
  for (size_t i = 2; i + 1 < source.bytes.size();) {
    const unsigned marker = at(i + 1);
    if (at(i) != 0xFF || marker == 0xFF || marker == 0) {
      i += at(i) == 0xFF && marker == 0 ? 2 : 1;
      continue;
    }
    if (marker < 0xC0) source.broken(Format::jpeg, str_cat("unknown marker ", marker, " at byte ", i));
    if (marker == 0xDA) return;
    const bool bare = (marker >= 0xD0 && marker <= 0xD9) || marker == 0xC8 || (marker >= 0xF0 && marker <= 0xFD);
    i += bare ? 2 : 2 + std::max(at(i + 2) << 8 | at(i + 3), 2u);
  }
}

}  // namespace

void decode_jpeg(const Source& source, Image& out) {
  check_markers(source);
  JpegReader reader(source, out);
  if (reader.run()) return;
  if (reader.no_memory) throw std::bad_alloc();
  if (reader.ran_out && reader.complete) return;   // only the end marker is missing
  if (reader.ran_out) source.truncated(Format::jpeg);
  source.broken(Format::jpeg, reader.message);
}

#define FOVEA_TEXT_OF(x) #x
#define FOVEA_TEXT(x) FOVEA_TEXT_OF(x)
std::string jpeg_version() {
#ifdef LIBJPEG_TURBO_VERSION
  return "built for libjpeg-turbo " FOVEA_TEXT(LIBJPEG_TURBO_VERSION);
#else
  return "built for libjpeg " FOVEA_TEXT(JPEG_LIB_VERSION);
#endif
}

}  // namespace fovea::data
