// SPDX-License-Identifier: Apache-2.0
// cli/text.h — any bytes, such as names of files, as text of JSON and CSV; sizes as people read them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace fovea::cli {

/// A JSON string, with its quotes. A byte that is no UTF-8 becomes the half of a surrogate pair "\udc80" to "\udcff":
/// Python's json.loads() and os.fsencode() give the bytes back.
std::string json_text(std::string_view bytes);
/// A JSON number with a point or an exponent; null where it is not finite.
std::string json_number(float v);
/// A CSV field in quotes; the bytes stay as they are.
std::string csv_text(std::string_view bytes);
std::string megabytes(uint64_t bytes);             // "12.3 MB"

}  // namespace fovea::cli
