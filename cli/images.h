// SPDX-License-Identifier: Apache-2.0
// cli/images.h — the images of a command: which there are, reading them, and going on where one cannot be read.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bench/progress.h"
#include "data/decode.h"
#include "data/sequence.h"
#include "data/transform.h"
#include "engine/core/error.h"

namespace fovea::cli {

class Command;

struct ImageArguments {
  std::vector<std::string> sources;  // files, folders, "-": standard input
  std::string list;                  // a file that names more of them; "-": standard input
  data::DecodeOptions decode;
  int batch = 1;
  bool strict = false, quiet = false;
};
/// images, --list, --batch, and those of add_reading_arguments()
void add_image_arguments(Command command, ImageArguments& a);
/// --allow-truncated, --max-pixels, --strict, --quiet: for commands that take their images otherwise
void add_reading_arguments(Command command, ImageArguments& a);

/// The paths of all images, and what a command does about those that cannot be read: it names them on stderr, goes on,
/// and fails in the end.
class ImageList {
 public:
  /// A folder stands for the images below it (walk.h); how many files were left out there is said on stderr. Throws
  /// Error(not_found) when there is no image at all. `command` is what lines about progress begin with.
  ImageList(std::string command, const ImageArguments& a);
  const std::vector<std::string>& paths() const { return paths_; }
  data::Image read(size_t i) const;  // throws Error

  /// One image is passed over, named on stderr; if `strict`, or if it is the only one, this throws instead.
  void pass_over(const Error& why);
  /// Progress on stderr over so many things.
  void expect(int64_t total, const std::string& unit) { counter_.emplace(command_, total, unit, quiet_); }
  void done(int64_t n = 1);
  void clear();  // before anything is printed
  /// When all is done that could be: throws Error(io) if something was passed over.
  void finish();

 private:
  void tell(const std::string& text);
  void give_up(const Error& why, bool nothing_else);
  void take(const std::string& source, bool only);

  std::string command_;
  std::vector<std::string> paths_;
  data::DecodeOptions decode_;
  bool strict_, quiet_;
  size_t images_failed_ = 0, folders_failed_ = 0;
  std::optional<bench::Counter> counter_;
};

/// An image, ready for a model, or why there is none.
struct Sample {
  std::string path;
  int width = 0, height = 0;
  double decode = 0, transform = 0;  // seconds
  Tensor input;                      // f32[1, C, H, W]
  data::Patches sequence;            // instead, where images become sequences
  std::optional<Error> error;        // then there is no input
};

/// Paths `first` to `first + n` of the list, less those behind its end. Several are read side by side on all threads.
/// Whatever could not be read has been passed over.
std::vector<Sample> read_samples(ImageList& list, size_t first, size_t n, const data::EvalConfig& config,
                                 const std::optional<data::SequenceLimits>& limits = {});

}  // namespace fovea::cli
