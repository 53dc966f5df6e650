// SPDX-License-Identifier: Apache-2.0
// test/api/weights.h — files that the tests of the C and C++ API open: weights of small models. Knows nothing of the
// engine, as embedders do not.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace fovea_test {

/// A safetensors file with first values of this model. It stays until the process ends.
std::string weights_of(const std::string& model);
/// A folder that stays until the process ends.
std::string scratch_folder();
std::vector<std::byte> bytes_of_file(const std::string& path);
/// A photo of the repository: "coffee.png".
std::string photo(const std::string& name);

}  // namespace fovea_test
