// SPDX-License-Identifier: Apache-2.0
#include "data/dataset.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <vector>

#include "data/cifar.h"
#include "data/csv_images.h"
#include "data/folder.h"
#include "data/idx.h"
#include "data/tar_images.h"
#include "data/web_dataset.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

namespace fs = std::filesystem;
using Opened = std::unique_ptr<Reader>;
using Names = std::vector<std::string>;

// What is stored as MNIST is: torchvision's folder and its names of classes.
struct Idx {
  std::string_view name, folder;
  std::array<const char*, 10> classes;
};
constexpr Idx kIdx[] = {
    {"mnist", "MNIST",
     {"0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight",
      "9 - nine"}},
    {"fashion_mnist", "FashionMNIST",
     {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}},
    {"kmnist", "KMNIST", {"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"}},
};

struct Unread {
  std::string_view prefix, name, why;              // name "": all of the prefix
};
constexpr Unread kUnread[] = {
    {"hfds", "", "Hugging Face's datasets are Arrow tables that Python's library makes and reads"},
    {"hfids", "", "Hugging Face's streams are read by Python's library"},
    {"tfds", "", "TensorFlow's datasets are read by Python's library"},
    {"torch", "image_folder", "torchvision sorts classes otherwise than timm's own folder reader"},
    {"torch", "folder", "torchvision sorts classes otherwise than timm's own folder reader"},
    {"torch", "qmnist", "its labels are records of numbers, not MNIST's"},
    {"torch", "inaturalist", "its classes are made from parts of its folders' names"},
    {"torch", "inat", "its classes are made from parts of its folders' names"},
    {"torch", "places365", "its labels lie in lists of its own"},
};
constexpr std::string_view kInstead =
    "write it as folders of images, as tar, as a WebDataset (wds), or list it in a CSV";

bool ends_so(const std::string& path, std::string_view suffix) {
  std::error_code unknown;
  return is_image_name(path, {std::string(suffix)}) && !fs::is_directory(path, unknown);
}

Opened open_tar(const std::string& root, const DatasetOptions& o) {
  return std::make_unique<TarImages>(
      root, TarOptions{.class_map = o.class_map, .suffixes = parse_suffixes(o.input_key), .index = o.tar_index});
}

Opened open_csv(const std::string& root, const DatasetOptions& o) {
  std::string path = root;
  for (const std::string& name : split_names(o.split)) {
    const fs::path file = fs::path(root) / (name + ".csv");
    std::error_code unknown;
    if (path == root && fs::is_regular_file(file, unknown)) path = file.string();
  }
  return std::make_unique<CsvImages>(path, CsvOptions{.class_map = o.class_map, .target = o.target});
}

Opened open_folder(const std::string& root, const DatasetOptions& o) {
  if (ends_so(root, ".csv")) return open_csv(root, o);
  const std::string folder = ends_so(root, ".tar") ? root : split_folder(root, o.split);
  if (ends_so(folder, ".tar")) return open_tar(folder, o);
  try {
    return std::make_unique<ImageFolder>(folder, o.class_map, parse_suffixes(o.input_key));
  } catch (const Error& e) {
    std::error_code unknown;
    if (e.kind() != Error::Kind::not_found || !fs::is_directory(folder, unknown) || !has_tars(folder)) throw;
  }
  return open_tar(folder, o);
}

Opened open_torch(const std::string& name, const std::string& root, const DatasetOptions& o) {
  const bool train = is_training_split(o.split);
  if (name == "imagenet") return open_folder(root, o);
  if (name == "image_tar") return open_tar(split_folder(root, o.split), o);
  if (name == "cifar10") return std::make_unique<CifarImages>(root, 10, train);
  if (name == "cifar100") return std::make_unique<CifarImages>(root, 100, train);
  for (const Idx& idx : kIdx)
    if (name == idx.name)
      return std::make_unique<IdxImages>(
          find_idx({(fs::path(root) / idx.folder / "raw").string(), (fs::path(root) / "raw").string(), root}, train),
          Names(idx.classes.begin(), idx.classes.end()));
  return nullptr;
}

}  // namespace

Opened open_dataset(std::string_view name, const std::string& root, const DatasetOptions& o) {
  const size_t slash = name.find('/');
  std::string prefix(name.substr(0, slash)), rest(slash == name.npos ? "" : name.substr(slash + 1));
  std::ranges::transform(prefix, prefix.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (prefix == "torch")
    std::ranges::transform(rest, rest.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const Unread& u : kUnread)
    if (prefix == u.prefix && (u.name.empty() || rest == u.name))
      throw Error(Error::Kind::unsupported, str_cat("the dataset ", name, " is not read: ", u.why),
                  std::string(kInstead));
  if (prefix.empty() || prefix == "folder") return open_folder(root, o);
  if (prefix == "tar" || prefix == "image_tar") return open_tar(split_folder(root, o.split), o);
  if (prefix == "csv") return open_csv(root, o);
  if (prefix == "wds")
    return std::make_unique<WebDataset>(
        root, o.split,
        WebOptions{.class_map = o.class_map, .images = parse_suffixes(o.input_key), .target = o.target});
  if (prefix == "torch")
    if (Opened opened = open_torch(rest, root, o)) return opened;
  throw Error(Error::Kind::argument, str_cat("no dataset is called '", name, "'"),
              "there are: folder, tar, csv, wds, torch/mnist, torch/fashion_mnist, torch/kmnist, torch/cifar10, "
              "torch/cifar100, torch/imagenet, torch/image_tar");
}

}  // namespace fovea::data
