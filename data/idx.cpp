// SPDX-License-Identifier: Apache-2.0
#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>

#include "data/regular_file.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

struct IdxArray {
  std::vector<int64_t> sizes;
  std::vector<uint8_t> values;
};

// Whole, or out of gzip: zlib takes both.
class ByteStream {
 public:
  explicit ByteStream(const std::string& path) : path_(path) {
    const RegularFile regular(path);               // or a pipe would be waited for
    file_.reset(::gzopen(path.c_str(), "rb"));
    if (!file_) throw Error(Error::Kind::io, str_cat("cannot read ", path));
  }
  void read(std::span<uint8_t> out) {
    constexpr size_t kPiece = size_t{1} << 20;
    for (size_t done = 0; done < out.size();) {
      const int got = ::gzread(file_.get(), out.data() + done,
                               static_cast<unsigned>(std::min(kPiece, out.size() - done)));
      if (got <= 0)
        throw Error(Error::Kind::format, str_cat(path_, " ends ", out.size() - done, " bytes too early"),
                    "the file is cut off or damaged: fetch it again");
      done += static_cast<size_t>(got);
    }
  }

 private:
  struct Close {
    void operator()(gzFile_s* f) const { ::gzclose(f); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

// Bytes alone: 0, 0, 8, the number of sizes, each in four bytes, the values.
IdxArray read_idx(const std::string& path, size_t dims) {
  constexpr int64_t kMost = int64_t{1} << 32;
  ByteStream in(path);
  std::array<uint8_t, 4> head{};
  in.read(head);
  if (head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] != dims)
    throw Error(Error::Kind::format, str_cat(path, " begins with ", static_cast<int>(head[0]), ' ',
                                             static_cast<int>(head[1]), ' ', static_cast<int>(head[2]), ' ',
                                             static_cast<int>(head[3]), ", and not with 0 0 8 ", dims),
                "it is no IDX file of bytes, or one of something else");
  IdxArray out;
  int64_t all = 1;
  for (size_t d = 0; d < dims; ++d) {
    in.read(head);
    const int64_t n = int64_t{head[0]} << 24 | int64_t{head[1]} << 16 | int64_t{head[2]} << 8 | int64_t{head[3]};
    out.sizes.push_back(n);
    if (n < 1 || n > kMost / all) throw Error(Error::Kind::format, str_cat(path, " says that it has a size of ", n));
    all *= n;
  }
  // what the header says is believed as far as bytes come
  constexpr int64_t kPiece = int64_t{1} << 20;
  for (int64_t done = 0; done < all; done = static_cast<int64_t>(out.values.size())) {
    out.values.resize(static_cast<size_t>(std::min(all, done + kPiece)));
    in.read(std::span(out.values).subspan(static_cast<size_t>(done)));
  }
  return out;
}

}  // namespace

IdxImages::IdxImages(const IdxFiles& files, std::vector<std::string> classes) : file_(files.images) {
  IdxArray images = read_idx(files.images, 3);
  const IdxArray labels = read_idx(files.labels, 1);
  if (images.sizes[0] != labels.sizes[0])
    throw Error(Error::Kind::format, str_cat(files.images, " has ", images.sizes[0], " images, ", files.labels, " ",
                                             labels.sizes[0], " labels"));
  check_size(static_cast<int>(images.sizes[2]), static_cast<int>(images.sizes[1]), 1);
  height_ = static_cast<int>(images.sizes[1]);
  width_ = static_cast<int>(images.sizes[2]);
  pixels_ = std::move(images.values);
  size_t most = 0;
  for (const uint8_t label : labels.values) {
    add(int64_t{label});
    most = std::max<size_t>(most, label);
  }
  if (classes.size() <= most) classes.resize(most + 1);
  set_classes(std::move(classes));
}

std::string IdxImages::name(size_t i) const { return str_cat(file_, ':', i); }

Stored IdxImages::read(size_t i) const {
  Stored out;
  out.pixels = make_image(width_, height_, 1);
  const auto each = static_cast<ptrdiff_t>(out.pixels.pixels.size());
  std::copy_n(pixels_.begin() + each * static_cast<ptrdiff_t>(i), each, out.pixels.pixels.begin());
  return out;
}

IdxFiles find_idx(const std::vector<std::string>& folders, bool train) {
  namespace fs = std::filesystem;
  const std::string which = train ? "train" : "t10k";
  const auto there = [](const fs::path& folder, const std::string& name) {
    for (const char* ending : {"", ".gz"}) {
      std::error_code unknown;
      const fs::path path = folder / (name + ending);
      if (fs::is_regular_file(path, unknown)) return path.string();
    }
    return std::string();
  };
  for (const std::string& folder : folders) {
    IdxFiles out{there(folder, which + "-images-idx3-ubyte"), there(folder, which + "-labels-idx1-ubyte")};
    if (!out.images.empty() && !out.labels.empty()) return out;
  }
  throw Error(Error::Kind::not_found, str_cat("no ", which, "-images-idx3-ubyte and ", which, "-labels-idx1-ubyte in ",
                                              join(folders, ", ")),
              "with or without .gz, as they are published");
}

}  // namespace fovea::data
