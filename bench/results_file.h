// SPDX-License-Identifier: Apache-2.0
// bench/results_file.h — ResultsFile: a bulk run over many models, written row by row, that can be stopped and goes on.
#pragma once
#include <string>
#include <vector>

#include "bench/result.h"

namespace fovea::bench {

/// Lines of JSON, one a model, each written when the model was measured. A line that was cut off is measured again.
class ResultsFile {
 public:
  /// Reads what is there. Throws Error(io) when the file cannot be written, Error(format) when it holds anything else.
  explicit ResultsFile(std::string path);
  /// Whether this model, as `o` says, was measured already on as many threads with these instructions.
  bool has(const RunOptions& o, const std::string& model, const Machine& m) const;
  /// Written before it returns.
  void add(const Result& r, const RunOptions& o, const Machine& m, const std::string& version);
  /// All rows, without steps: in the order in which they were measured.
  const std::vector<Result>& results() const { return results_; }

 private:
  struct Key {
    std::string model, dtype, cpu, isa;
    bool train;
    int batch, threads, size;                      // batch and size: what was asked for
    friend bool operator==(const Key&, const Key&) = default;
  };
  static Key key_of(const RunOptions& o, const std::string& model, const Machine& m);
  std::string path_;
  std::vector<Key> keys_;
  std::vector<Result> results_;
};

}  // namespace fovea::bench
