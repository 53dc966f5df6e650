// SPDX-License-Identifier: Apache-2.0
// cli/json.h — Json: values that commands write and read back; json.cpp and json_parse.cpp have nlohmann's library.
#pragma once
#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fovea::cli {

struct JsonMember;

/// Null, a truth value, a number, a text, a list, or an object, whose members keep their order.
class Json {
 public:
  Json();                                          // null
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();

  Json(bool v);
  template <std::signed_integral T>
  Json(T v) : Json(Integer{v}) {}
  template <std::unsigned_integral T>
  Json(T v) : Json(Unsigned{v}) {}
  template <std::floating_point T>
  Json(T v) : Json(Number{v}) {}
  Json(const char* text);
  Json(std::string_view text);
  Json(const std::string& text);
  template <class T>
  Json(const std::vector<T>& values) : Json(array()) {
    for (const auto& v : values) push_back(v);
  }
  template <class T, size_t N>
  Json(const std::array<T, N>& values) : Json(array()) {
    for (const T& v : values) push_back(v);
  }
  Json(std::initializer_list<JsonMember> members);                     // an object

  static Json array();
  static Json object();
  /// Throws std::exception where it is not JSON.
  static Json parse(const std::string& text);

  bool is_string() const;
  bool is_array() const;
  double number() const;
  const std::string& string() const;
  const std::vector<Json>& values() const;         // of a list
  const std::vector<JsonMember>& members() const;  // of an object

  void push_back(Json v);                          // of null, too: it becomes a list
  bool contains(std::string_view key) const;
  Json& operator[](std::string_view key);          // makes a member; of null, too: it becomes an object
  const Json& operator[](std::string_view key) const;                  // of an object that has it

  /// In one line, or indented by so many spaces. Throws std::exception where a text is not UTF-8.
  std::string dump(int indent = -1) const;

 private:
  struct Integer { int64_t v; };
  struct Unsigned { uint64_t v; };
  struct Number { double v; };
  explicit Json(Integer v);
  explicit Json(Unsigned v);
  explicit Json(Number v);
  void append_to(std::string& out, int indent, size_t depth) const;

  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, std::vector<Json>, std::vector<JsonMember>>
      it_;
};

struct JsonMember {
  std::string key;
  Json value;
};

/// A text of JSON, [[1, 2], [], [3]]. Throws std::invalid_argument for anything else.
std::vector<std::vector<int64_t>> parse_number_lists(const std::string& text);

}  // namespace fovea::cli
