// SPDX-License-Identifier: Apache-2.0
#include "data/cifar.h"

#include <filesystem>
#include <fstream>

#include "data/regular_file.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 32;
constexpr size_t kPlane = kSide * kSide, kPixels = 3 * kPlane;

// A label, before it a coarse one where there are a hundred, and three planes.
size_t record(int classes) { return (classes == 10 ? 1 : 2) + kPixels; }

std::string folder_of(const std::string& root, int classes, const std::string& file) {
  const std::string own = classes == 10 ? "cifar-10-batches-bin" : "cifar-100-binary";
  for (const fs::path& folder : {fs::path(root) / own, fs::path(root)}) {
    std::error_code unknown;
    if (fs::exists(folder / file, unknown)) return folder.string();
  }
  throw Error(Error::Kind::not_found, str_cat("no ", file, " in ", root, " or its folder ", own),
              str_cat("the binary version of CIFAR-", classes, " is read; the others are pickles and MATLAB's"));
}

std::vector<std::string> names_in(const fs::path& path, int classes) {
  std::vector<std::string> out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) out.push_back(line);
  }
  out.resize(static_cast<size_t>(classes));
  return out;
}

}  // namespace

CifarImages::CifarImages(const std::string& root, int classes, bool train) : known_(classes) {
  if (classes != 10 && classes != 100)
    throw Error(Error::Kind::argument, str_cat("there is no CIFAR-", classes), "there are: CIFAR-10, CIFAR-100");
  std::vector<std::string> files{classes == 10 ? "test_batch.bin" : train ? "train.bin" : "test.bin"};
  if (classes == 10 && train) {
    files.clear();
    for (int i = 1; i <= 5; ++i) files.push_back(str_cat("data_batch_", i, ".bin"));
  }
  folder_ = folder_of(root, classes, files[0]);
  for (const std::string& file : files) take((fs::path(folder_) / file).string());
  set_classes(names_in(fs::path(folder_) / (classes == 10 ? "batches.meta.txt" : "fine_label_names.txt"), classes));
}

void CifarImages::take(const std::string& path) {
  const std::vector<std::byte> bytes = RegularFile(path).all();
  const size_t each = record(known_);
  if (bytes.empty() || bytes.size() % each != 0)
    throw Error(Error::Kind::format, str_cat(path, " has ", bytes.size(), " bytes, which are no records of ", each),
                "the file is cut off, or of another version");
  for (size_t at = 0; at < bytes.size(); at += each) {
    const auto label = static_cast<int64_t>(bytes[at + each - kPixels - 1]);
    if (label >= known_)
      throw Error(Error::Kind::format, str_cat(path, ": record ", at / each, " is of class ", label, " of ", known_));
    add(label);
  }
  records_.insert(records_.end(), bytes.begin(), bytes.end());
}

std::string CifarImages::name(size_t i) const { return str_cat(folder_, ':', i); }

Stored CifarImages::read(size_t i) const {
  Stored out;
  out.pixels = make_image(kSide, kSide, 3);
  const size_t each = record(known_), at = (i + 1) * each - kPixels;
  for (size_t p = 0; p < kPlane; ++p)
    for (size_t c = 0; c < 3; ++c)
      out.pixels.pixels[3 * p + c] = static_cast<uint8_t>(records_[at + c * kPlane + p]);
  return out;
}

}  // namespace fovea::data
