// SPDX-License-Identifier: Apache-2.0
#include "data/tar_images.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "data/tar_index.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargeArchives = uint64_t{10} << 30;

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_hidden(std::string_view path) {
  const std::string_view name = base_name(path);
  return name.starts_with('.');
}

bool is_tar_name(std::string_view name) { return is_image_name(name, {".tar"}); }

std::string without_tar(std::string_view name) { return std::string(name.substr(0, name.size() - 4)); }

// The last part of PREFIX/FOLDERS of a member FOLDERS/NAME.
std::string class_of(const std::string& prefix, const std::string& member) {
  const size_t slash = member.rfind('/');
  std::string way = slash == member.npos ? prefix : str_cat(prefix, '/', member.substr(0, slash));
  while (way.ends_with('/')) way.pop_back();
  return std::string(base_name(way));
}

std::vector<std::string> tars_in(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    std::error_code unknown;
    if (is_tar_name(name) && !is_hidden(name) && !fs::is_directory(at->path(), unknown))
      out.push_back(at->path().string());
  }
  if (failed)
    throw Error(Error::Kind::not_found, str_cat("cannot read the folder ", folder, ": ", failed.message()));
  std::sort(out.begin(), out.end(), natural_before);
  return out;
}

}  // namespace

bool has_tars(const std::string& folder) { return !tars_in(folder).empty(); }

void TarImages::take(size_t archive, const std::string& prefix, const std::vector<TarMember>& members,
                     const Suffixes& suffixes, std::vector<std::string>& classes) {
  for (const TarMember& m : members) {
    if (is_hidden(m.name) || !is_image_name(m.name, suffixes)) continue;
    classes.push_back(class_of(prefix, m.name));
    places_.push_back({archive, m});
  }
}

TarImages::TarImages(const std::string& root, const TarOptions& options) {
  const bool single = !fs::is_directory(root);
  archives_ = single ? std::vector{root} : tars_in(root);
  uint64_t bytes = 0;
  for (const std::string& path : archives_) bytes += RegularFile(path).size();
  const bool index = options.index.value_or(bytes > kLargeArchives);
  std::vector<std::string> classes;
  for (size_t a = 0; a < archives_.size(); ++a) {
    const std::string prefix = single ? "" : without_tar(base_name(archives_[a]));
    const TarListing listing = list_tar(archives_[a], index);
    for (const TarListing::Inner& inner : listing.inner)
      take(a, str_cat(prefix, '/', without_tar(base_name(inner.name))), inner.members, options.suffixes, classes);
    take(a, prefix, listing.members, options.suffixes, classes);
  }
  const ClassMap map = options.class_map.empty() ? ClassMap::sorted(classes) : options.class_map;
  std::vector<size_t> order(places_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) {
    return natural_less(places_[x].member.name, places_[y].member.name);
  });
  std::vector<Place> sorted;
  for (const size_t i : order)
    if (const auto number = map.find(classes[i])) {
      add(*number);
      sorted.push_back(std::move(places_[i]));
    }
  places_ = std::move(sorted);
  set_classes(map.names());
  if (size() == 0)
    throw Error(Error::Kind::not_found, str_cat("no images in the tar archives of ", root),
                options.class_map.empty() ? "each class is a folder in the archive, or an archive"
                                          : "the class map names none of their classes");
}

std::string TarImages::name(size_t i) const {
  return str_cat(archives_[places_[i].archive], '/', places_[i].member.name);
}

Stored TarImages::read(size_t i) const {
  const Place& place = places_[i];
  return {.bytes = RegularFile(archives_[place.archive]).part(place.member.at, place.member.size)};
}

}  // namespace fovea::data
