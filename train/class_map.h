// SPDX-License-Identifier: Apache-2.0
// train/class_map.h — class maps of both of timm's kinds: a list of names, or a pickled dict of numbers.
#pragma once
#include <string>

#include "data/class_map.h"

namespace fovea::train {

/// A file *.pkl as a dict of classes, names or numbers, to numbers; whatever else as data::read_class_map() reads it.
/// Nothing in a pickle is run, and one that names a class or function is refused (timm: data/readers/class_map.py).
/// Throws Error(not_found or format).
data::ClassMap read_class_map(const std::string& path);

}  // namespace fovea::train
