// SPDX-License-Identifier: Apache-2.0
#include "cli/images.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>

#include "cli/common.h"
#include "cli/options.h"
#include "cli/walk.h"
#include "data/decode.h"
#include "engine/core/backend.h"

namespace fovea::cli {
namespace {

constexpr const char* kStandardInput = "-";

// All bytes of a file or of standard input.
std::string read_all(const std::string& path) {
  constexpr size_t kMost = size_t{1} << 30;  // no list and no image is larger; stops at endless devices
  const bool standard = path == kStandardInput;
  const std::string name = standard ? "standard input" : path;
  const auto close = [](std::FILE* f) { return f == stdin ? 0 : std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(standard ? stdin : std::fopen(path.c_str(), "rb"), close);
  if (!file) throw Error(Error::Kind::io, str_cat("cannot read ", name, ": ", std::strerror(errno)));
  std::string all;
  char piece[1 << 16];
  while (const size_t n = std::fread(piece, 1, sizeof piece, file.get())) {
    all.append(piece, n);
    if (all.size() > kMost) throw Error(Error::Kind::io, str_cat(name, " gives more than ", kMost, " bytes"));
  }
  if (std::ferror(file.get())) throw Error(Error::Kind::io, str_cat("cannot read ", name, ": ", std::strerror(errno)));
  return all;
}

// Names end with zero bytes if there are any (find -print0), else with lines.
std::vector<std::string> names_in(const std::string& text) {
  const char end = text.find('\0') == text.npos ? '\n' : '\0';
  std::vector<std::string> names;
  for (size_t at = 0; at < text.size();) {
    const size_t to = std::min(text.find(end, at), text.size());
    std::string name = text.substr(at, to - at);
    if (end == '\n' && name.ends_with('\r')) name.pop_back();
    if (!name.empty()) names.push_back(std::move(name));
    at = to + 1;
  }
  return names;
}

Sample read_sample(const ImageList& list, size_t i, const data::EvalConfig& config,
                   const std::optional<data::SequenceLimits>& limits) {
  Sample s;
  s.path = list.paths()[i];
  try {
    const double began = bench::now();
    const data::Image image = list.read(i);
    const double decoded = bench::now();
    if (limits) s.sequence = data::sequence_transform(image, config, *limits);
    else s.input = data::eval_transform(image, config);
    s.width = image.width, s.height = image.height;
    s.decode = decoded - began, s.transform = bench::now() - decoded;
  } catch (const Error& e) { s.error = e; } catch (const std::bad_alloc&) {
    s.error = Error(Error::Kind::unsupported, str_cat(s.path, ": there is not enough memory for it"));
  } catch (const std::exception& e) {  // nothing may leave a thread of the pool
    s.error = Error(Error::Kind::internal, str_cat(s.path, ": ", e.what()));
  }
  return s;
}

}  // namespace

void add_reading_arguments(Command command, ImageArguments& a) {
  add_decode_arguments(command, a.decode);
  command.add_flag("--strict", a.strict, "end at the first image that cannot be read, instead of passing it over");
  command.add_flag("--quiet", a.quiet, "no progress, and not a word of files that folders hold beside images");
}

void add_image_arguments(Command command, ImageArguments& a) {
  command.add_option("images", a.sources, "images, or folders of images; -: an image on standard input");
  command.add_option("--list", a.list, "a file that names more of them, a line each or ended by zero bytes; -: stdin");
  command.add_option("--batch", a.batch, "images at a time, side by side on the threads").check(in_range(1, 1 << 20));
  add_reading_arguments(command, a);
}

ImageList::ImageList(std::string command, const ImageArguments& a)
    : command_(std::move(command)),
      decode_(a.decode),
      strict_(a.strict),
      quiet_(a.quiet) {
  std::vector<std::string> sources = a.sources;
  if (!a.list.empty()) {
    if (a.list == kStandardInput && std::find(sources.begin(), sources.end(), kStandardInput) != sources.end())
      throw Error(Error::Kind::argument, "standard input cannot be an image and a list of images");
    const std::vector<std::string> more = names_in(read_all(a.list));
    sources.insert(sources.end(), more.begin(), more.end());
  }
  if (sources.empty())
    throw Error(Error::Kind::argument,
                a.list.empty() ? std::string("no images were given") : str_cat(a.list, " names no images"),
                str_cat("name images or folders of them: fovea ", command_, " --help"));
  for (const std::string& s : sources) take(s, sources.size() == 1);
  if (paths_.empty()) throw Error(Error::Kind::not_found, str_cat("no images in ", sources.size(), " folders"));
}

void ImageList::tell(const std::string& text) {
  clear();
  std::fprintf(stderr, "fovea: %s\n", text.c_str());
}

void ImageList::give_up(const Error& why, bool nothing_else) {
  if (strict_ || nothing_else) throw why;
  tell(why.what());
}

void ImageList::take(const std::string& source, bool only) {
  std::error_code unknown;  // then reading it will say more
  if (source == kStandardInput || !std::filesystem::is_directory(source, unknown)) {
    paths_.push_back(source);
    return;
  }
  const Found found = find_images(source);
  for (const std::string& why : found.problems) {
    give_up(Error(Error::Kind::io, why), only && found.images.empty());
    ++folders_failed_;
  }
  const std::string left_out = found.left_out_text();
  if (found.images.empty()) {
    std::string suffixes;
    for (const std::string_view s : data::image_suffixes()) suffixes += str_cat(" ", s);
    give_up(Error(Error::Kind::not_found, str_cat("no images under ", source),
                  str_cat("looked for", suffixes, left_out.empty() ? "" : "; ", left_out)),
            only);
    ++folders_failed_;
  } else if (!left_out.empty() && !quiet_) {
    tell(str_cat(source, ": ", left_out));
  }
  paths_.insert(paths_.end(), found.images.begin(), found.images.end());
}

void ImageList::pass_over(const Error& why) {
  give_up(why, paths_.size() == 1);
  ++images_failed_;
}

void ImageList::done(int64_t n) {
  if (counter_) counter_->add(n);
}

void ImageList::clear() {
  if (counter_) counter_->clear();
}

void ImageList::finish() {
  clear();
  std::string failed;
  if (images_failed_) failed = str_cat(images_failed_, " of ", paths_.size(), " images could not be read");
  if (folders_failed_)
    failed += str_cat(failed.empty() ? "" : ", and ", folders_failed_, folders_failed_ == 1 ? " folder" : " folders",
                      " could not be read or had no images");
  if (!failed.empty()) throw Error(Error::Kind::io, failed);
}

data::Image ImageList::read(size_t i) const {
  if (paths_[i] != kStandardInput) return data::read_image(paths_[i], decode_);
  const std::string bytes = read_all(paths_[i]);
  if (bytes.empty()) throw Error(Error::Kind::format, "no image on standard input: it is empty");
  return data::decode(std::as_bytes(std::span(bytes)), decode_, "standard input");
}

std::vector<Sample> read_samples(ImageList& list, size_t first, size_t n, const data::EvalConfig& config,
                                 const std::optional<data::SequenceLimits>& limits) {
  std::vector<Sample> samples(std::min(n, list.paths().size() - first));
  const auto read = [&](int64_t from, int64_t to) {
    for (auto i = static_cast<size_t>(from); i < static_cast<size_t>(to); ++i)
      samples[i] = read_sample(list, first + i, config, limits);
  };
  if (samples.size() == 1) read(0, 1);
  else on_host_threads(static_cast<int64_t>(samples.size()), 1, read);
  for (const Sample& s : samples)
    if (s.error) list.pass_over(*s.error);
  return samples;
}

}  // namespace fovea::cli
