// SPDX-License-Identifier: Apache-2.0
// data/codecs.h — which libraries decode images in this build, in which versions: security fixes come with these.
#pragma once
#include <string>
#include <vector>

namespace fovea::data {

struct Codec {
  std::string name, version;                       // "libwebp", "1.2.4"
};
/// The version that runs where the library tells it, else the one that fovea was built for, which it says.
std::vector<Codec> codecs();

}  // namespace fovea::data
