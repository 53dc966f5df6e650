// SPDX-License-Identifier: Apache-2.0
// data/target_fields.h — which of a sample's fields say its classes, as timm's --target-key and --target-format do.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/class_map.h"

namespace fovea::data {

struct TargetOptions {
  /// The field that has the label; several, "cat,dog,bird", are one a class, and those above 0 hold. "a/b": within
  /// another one. "": the format's own place.
  std::string key{};
  bool multihot = false;                           // a list has a 0 or 1 a class, and not numbers of classes
};

/// {"cat", "dog"}; of a single key, or none, {}. Throws Error(argument) for names that are empty or there twice.
std::vector<std::string> target_keys(const TargetOptions& options);
/// "indices" or "multihot"; "" is the former.
bool is_multihot(std::string_view format);
/// The numbers of classes whose values are 1; throws Error(format) for values other than 0 and 1.
std::vector<int64_t> from_multihot(const std::vector<double>& values, std::string_view whose);
/// A number as a class map has it. Throws Error(format) for one that it lacks.
int64_t mapped(const ClassMap& map, int64_t label, std::string_view whose);

}  // namespace fovea::data
