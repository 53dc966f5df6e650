// SPDX-License-Identifier: Apache-2.0
// test/support/image_folder.h — folders of small pictures whose classes can be learnt.
#pragma once
#include <cstdint>
#include <string>

namespace fovea::test {

/// The bytes of a BMP of so many pixels a side: stripes whose direction and colour are the class's, and some noise.
std::string striped_bmp(int side, int label, uint64_t seed);
/// folder/CLASS/NUMBER.bmp for so many classes and pictures of each.
void write_image_folder(const std::string& folder, int classes, int each, int side, uint64_t seed);

}  // namespace fovea::test
