// SPDX-License-Identifier: Apache-2.0
#include "cli/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace fovea::cli {
namespace {

using List = std::vector<Json>;
using Members = std::vector<JsonMember>;

void break_line(std::string& out, int indent, size_t depth) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * depth, ' ');
}

auto find(auto& members, std::string_view key) { return std::ranges::find(members, key, &JsonMember::key); }

}  // namespace

Json::Json() = default;
Json::Json(const Json& other) = default;
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

Json::Json(bool v) : it_(v) {}
Json::Json(Integer v) : it_(v.v) {}
Json::Json(Unsigned v) : it_(v.v) {}
Json::Json(Number v) : it_(v.v) {}
Json::Json(const char* text) : it_(std::string(text)) {}
Json::Json(std::string_view text) : it_(std::string(text)) {}
Json::Json(const std::string& text) : it_(text) {}
Json::Json(std::initializer_list<JsonMember> members) : it_(Members(members)) {}

Json Json::array() {
  Json j;
  j.it_ = List();
  return j;
}

Json Json::object() {
  Json j;
  j.it_ = Members();
  return j;
}

bool Json::is_string() const { return std::holds_alternative<std::string>(it_); }
bool Json::is_array() const { return std::holds_alternative<List>(it_); }
double Json::number() const {
  if (const auto* v = std::get_if<int64_t>(&it_)) return static_cast<double>(*v);
  if (const auto* v = std::get_if<uint64_t>(&it_)) return static_cast<double>(*v);
  return std::get<double>(it_);
}
const std::string& Json::string() const { return std::get<std::string>(it_); }
const List& Json::values() const { return std::get<List>(it_); }
const Members& Json::members() const { return std::get<Members>(it_); }

void Json::push_back(Json v) {
  if (std::holds_alternative<std::monostate>(it_)) it_ = List();
  std::get<List>(it_).push_back(std::move(v));
}

bool Json::contains(std::string_view key) const { return find(members(), key) != members().end(); }

Json& Json::operator[](std::string_view key) {
  if (std::holds_alternative<std::monostate>(it_)) it_ = Members();
  Members& all = std::get<Members>(it_);
  if (const auto at = find(all, key); at != all.end()) return at->value;
  return all.emplace_back(std::string(key), Json()).value;
}

const Json& Json::operator[](std::string_view key) const {
  const auto at = find(members(), key);
  if (at == members().end()) throw std::out_of_range(std::string(key));
  return at->value;
}

std::string Json::dump(int indent) const {
  std::string out;
  append_to(out, indent, 0);
  return out;
}

void Json::append_to(std::string& out, int indent, size_t depth) const {
  const auto append_all = [&](const auto& all, char first, char last, const auto& append) {
    out += first;
    for (const auto& v : all) {
      if (&v != &all.front()) out += ',';
      break_line(out, indent, depth + 1);
      append(v);
    }
    if (!all.empty()) break_line(out, indent, depth);
    out += last;
  };
  const auto text = [](const auto& v) { return nlohmann::ordered_json(v).dump(); };
  if (const auto* list = std::get_if<List>(&it_)) {
    append_all(*list, '[', ']', [&](const Json& v) { v.append_to(out, indent, depth + 1); });
  } else if (const auto* members = std::get_if<Members>(&it_)) {
    append_all(*members, '{', '}', [&](const JsonMember& m) {
      out += text(m.key) + (indent < 0 ? ":" : ": ");
      m.value.append_to(out, indent, depth + 1);
    });
  } else if (const auto* s = std::get_if<std::string>(&it_)) {
    out += text(*s);
  } else if (const auto* v = std::get_if<double>(&it_)) {
    out += text(*v);
  } else if (const auto* i = std::get_if<int64_t>(&it_)) {
    out += std::to_string(*i);
  } else if (const auto* u = std::get_if<uint64_t>(&it_)) {
    out += std::to_string(*u);
  } else if (const auto* b = std::get_if<bool>(&it_)) {
    out += *b ? "true" : "false";
  } else {
    out += "null";
  }
}

}  // namespace fovea::cli
