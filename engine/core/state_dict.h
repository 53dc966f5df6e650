// SPDX-License-Identifier: Apache-2.0
// engine/core/state_dict.h — StateDict: an ordered name -> Tensor map, what nn and weights_tools exchange.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea {

class StateDict {
 public:
  using Entry = std::pair<std::string, Tensor>;
  void set(std::string_view name, Tensor t);       // keeps the place of a name that is there already
  bool erase(std::string_view name);
  const Tensor* find(std::string_view name) const; // null when absent
  const Tensor& at(std::string_view name) const;   // throws Error(not_found) with the nearest names
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  std::vector<std::string> names() const;

  /// What a file says besides its tensors (safetensors' __metadata__).
  std::vector<std::pair<std::string, std::string>> metadata;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace fovea
