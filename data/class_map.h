// SPDX-License-Identifier: Apache-2.0
// data/class_map.h — ClassMap: which number each class has, and the files that say so.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fovea::data {

/// Numbers of classes are from 0 to this.
constexpr int64_t kMostClasses = 10'000'000;

/// Several classes may have one number, and numbers may be of no class.
class ClassMap {
 public:
  ClassMap() = default;
  /// By their order; "" is a number of no class.
  ClassMap(const std::vector<std::string>& names);
  ClassMap(std::initializer_list<std::string> names) : ClassMap(std::vector<std::string>(names)) {}
  /// In natural order, each once.
  static ClassMap sorted(std::vector<std::string> names);

  void add(const std::string& name, int64_t number);         // the last one of a name counts
  bool empty() const { return numbers_.empty(); }
  std::optional<int64_t> find(std::string_view name) const;
  /// By number, the first of each in the order of names; "" where there is none.
  std::vector<std::string> names() const;

 private:
  std::map<std::string, int64_t, std::less<>> numbers_;
};

/// One class a line, numbered from 0, as timm reads it (timm: data/readers/class_map.py). Where every line ends with a
/// number, "n01440764 0", and these count from 0 in some order, they are the classes' numbers. Throws Error(not_found),
/// or Error(format) where there is no class.
ClassMap read_class_map(const std::string& path);

/// natural_less(), and of what that holds for equal (01 and 1) the order of bytes.
bool natural_before(std::string_view a, std::string_view b);

}  // namespace fovea::data
