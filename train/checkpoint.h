// SPDX-License-Identifier: Apache-2.0
// train/checkpoint.h — where a training stands, on disk: what is found there is whole, whatever ended the writing.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/core/state_dict.h"
#include "engine/graph/trace.h"
#include "nn/module.h"

namespace fovea::train {

/// What is no tensor: numbers and texts by name ("epoch", "updates").
using Notes = std::map<std::string, std::string>;

/// A checkpoint NAME is two files, both plain safetensors. NAME.safetensors has the weights as everybody reads them;
/// its metadata names the other one, which has all else: NAME.train.safetensors, or NAME.other.train.safetensors where
/// that one is in use. That one is written first, so that the weights' file, which appears at once, is what makes a
/// checkpoint: of one that is replaced, either the old or the new is whole. Each has a SHA-256 of all that it says.
class Checkpoints {
 public:
  /// Makes the folder where it is missing.
  explicit Checkpoints(std::string folder);
  const std::string& folder() const { return folder_; }

  /// Writes NAME: the model's state, and all slots that are none of it.
  void save(const std::string& name, const Module& model, const std::vector<Slot>& slots, const Notes& notes);
  /// A second name for the weights of NAME, by a hard link where the folder can have one; replaces what it names now.
  void link(const std::string& name, const std::string& as);
  /// Both files of NAME, if they are there, unless a link still names its weights.
  void remove(const std::string& name);
  /// Removes what no checkpoint names any more: what runs left that were killed, or links that were replaced.
  void sweep();
  /// Names of whole checkpoints, the newest first by their "updates"; damaged ones are passed over.
  std::vector<std::string> whole() const;
  /// The first of them, "" where there is none; others are not read.
  std::string newest() const;
  std::string path(const std::string& name) const;        // of its weights

 private:
  std::vector<std::string> by_age() const;
  std::string folder_;
};

/// Puts a checkpoint into the model and the slots, which must be those that were saved; `path`: its weights' file,
/// under whatever name. Throws Error(format) where bytes were changed or the two files do not belong together, and
/// changes nothing then.
Notes load_checkpoint(const std::string& path, Module& model, const std::vector<Slot>& slots);
/// Puts the average of a checkpoint's weights and statistics into the model. Throws Error(weights) where it was saved
/// without one, or of another model, and changes nothing then.
void load_average(const std::string& path, Module& model);
/// What the checkpoint says, without its tensors' values.
Notes read_notes(const std::string& path);

/// A SHA-256 of names, shapes, types, values and all metadata but the sum itself.
std::string sum_of(const StateDict& d);
/// Writes with the sum; reads and compares: Error(format) where they differ.
void write_summed(const std::string& path, StateDict d);
StateDict read_summed(const std::string& path);

}  // namespace fovea::train
