// SPDX-License-Identifier: Apache-2.0
// test/data/replayed.h — Replayed: the random numbers that Python drew (test/golden/record/draws.py), drawn again.
#pragma once
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "data/chance.h"
#include "engine/core/error.h"
#include "engine/core/tensor.h"
#include "test/data/pattern.h"
#include "test/support/sha256.h"

namespace fovea::test {

inline std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, by);) out.push_back(part);
  return out;
}

/// Throws Error where something else is drawn than was recorded.
class Replayed final : public data::Chance {
 public:
  explicit Replayed(const std::string& draws)
      : Chance(0),
        draws_(draws == "-" ? std::vector<std::string>() : split(draws, ',')) {}
  double uniform() override { return std::stod(take("u")); }
  double normal() override { return std::stod(take("n")); }
  int upto(int most) override { return std::stoi(take(str_cat('i', most, ':'))); }
  double gamma(double shape) override { return shaped("g", shape); }
  double beta(double a, double b) override {
    if (a != b) throw Error(Error::Kind::internal, str_cat("beta of ", a, " and ", b));
    return shaped("b", a);
  }
  bool all() const { return at_ == draws_.size(); }

 private:
  std::string take(std::string_view start) {
    if (at_ == draws_.size() || !draws_[at_].starts_with(start))
      throw Error(Error::Kind::internal,
                  str_cat("draw ", at_, " is '", at_ < draws_.size() ? draws_[at_] : "", "', not '", start, "'"));
    return draws_[at_++].substr(start.size());
  }
  double shaped(std::string_view kind, double parameter) {
    const std::string text = take(kind);
    size_t end = 0;
    if (std::stod(text, &end) != parameter)
      throw Error(Error::Kind::internal, str_cat(kind, text, ", not of ", parameter));
    return std::stod(text.substr(end + 1));
  }
  std::vector<std::string> draws_;
  size_t at_ = 0;
};

inline std::string hash(const data::Image& image) { return hex(fnv1a(image.pixels)); }
inline std::string hash(const Tensor& t) {         // f32
  const std::span<const float> v = t.data<float>();
  return hex(fnv1a({reinterpret_cast<const uint8_t*>(v.data()), v.size_bytes()}));
}

/// augment.py's images: a pattern, as it is, of few values, or pale.
inline data::Image shaped_pattern(std::istream& in) {
  uint64_t seed;
  int channels, width, height;
  std::string look;
  in >> seed >> channels >> width >> height >> look;
  data::Image image = pattern(seed, width, height, channels);
  for (uint8_t& v : image.pixels)
    v = look == "few" ? static_cast<uint8_t>(v & 0xC0) : look == "pale" ? static_cast<uint8_t>(96 + v / 8) : v;
  return image;
}

/// Of the folder that FOVEA_AUGMENT_CASES names, if it does.
inline std::vector<std::string> augment_rows(const std::string& name) {
  const char* folder = std::getenv("FOVEA_AUGMENT_CASES");
  if (!folder) return golden_rows(name);
  std::ifstream file(str_cat(folder, '/', name));
  REQUIRE(file.is_open());
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);)
    if (!line.starts_with('#')) rows.push_back(line);
  return rows;
}

}  // namespace fovea::test
