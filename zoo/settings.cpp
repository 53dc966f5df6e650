// SPDX-License-Identifier: Apache-2.0
// zoo/settings.cpp — values of configurations as text.
#include "zoo/settings.h"

#include <charconv>
#include <mutex>
#include <set>

namespace fovea::zoo {
namespace {

template <class T>
bool read_number(std::string_view text, T& v) {
  T parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  v = parsed;
  return true;
}

}  // namespace

bool read_setting(std::string_view text, int& v) { return read_number(text, v); }
bool read_setting(std::string_view text, float& v) { return read_number(text, v); }
bool read_setting(std::string_view text, double& v) { return read_number(text, v); }
bool read_setting(std::string_view text, bool& v) {
  const bool yes = text == "true" || text == "1" || text == "yes", no = text == "false" || text == "0" || text == "no";
  if (yes || no) v = yes;
  return yes || no;
}
bool read_setting(std::string_view text, std::string_view& v) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>>& kept = *new std::set<std::string, std::less<>>;   // models refer to it
  const std::scoped_lock lock(mutex);
  v = *kept.emplace(text).first;
  return true;
}
bool read_setting(std::string_view text, Act& v) { return v = parse_act(text), true; }
bool read_setting(std::string_view text, Padding& v) {
  int amount = 0;
  if (read_number(text, amount)) v = amount;
  else v = parse_padding(text);
  return true;
}
bool read_setting(std::string_view text, NormSpec::Kind& v) { return parse_norm(text, v); }
bool read_setting(std::string_view text, TokenNorm::Kind& v) {
  NormSpec::Kind known{};
  const std::string_view name = parse_norm(text, known) ? name_of(known) : text;
  for (int i = 0; !name_of(static_cast<TokenNorm::Kind>(i)).empty(); ++i)
    if (name_of(static_cast<TokenNorm::Kind>(i)) == name) return v = static_cast<TokenNorm::Kind>(i), true;
  return false;
}
bool read_setting(std::string_view text, std::span<int> v) {
  std::vector<int> parsed;
  for (;;) {
    const size_t comma = text.find(',');
    if (!read_number(text.substr(0, comma), parsed.emplace_back())) return false;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (parsed.size() != v.size()) return false;
  for (size_t i = 0; i < v.size(); ++i) v[i] = parsed[i];
  return true;
}

std::string write_setting(int v) { return str_cat(v); }
std::string write_setting(bool v) { return str_cat(v); }
std::string write_setting(float v) { return str_cat(v); }
std::string write_setting(double v) { return str_cat(v); }
std::string write_setting(std::string_view v) { return std::string(v); }
std::string write_setting(const Act& v) { return std::string(name_of(v)); }
std::string write_setting(const Padding& v) {
  switch (v.kind) {
    case Padding::Kind::same: return "same";
    case Padding::Kind::valid: return "valid";
    case Padding::Kind::fixed: return str_cat(v.amount.h);
    case Padding::Kind::symmetric: break;
  }
  return "";
}
std::string write_setting(std::span<const int> v) {
  std::string s;
  for (const int n : v) s += str_cat(s.empty() ? "" : ",", n);
  return s;
}

void change_setting(const SettingsRef& settings, std::string_view model, std::string_view name, std::string_view text) {
  std::vector<std::string> names;
  for (const Setting& s : settings) {
    names.emplace_back(s.name);
    if (s.name != name) continue;
    if (s.read(text, s.field)) return;
    throw Error(Error::Kind::argument, str_cat(model, ": '", text, "' is no value for ", name),
                str_cat("it is ", s.write(s.field), " now"));
  }
  const std::vector<std::string> near = closest(name, names);
  throw Error(Error::Kind::argument, str_cat(model, " has no setting '", name, "'"),
              str_cat(near.empty() ? "there are: " : "closest: ", join(near.empty() ? names : near, ", ")));
}

std::vector<std::pair<std::string, std::string>> print_settings(const SettingsRef& settings) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Setting& s : settings) out.emplace_back(s.name, s.write(s.field));
  return out;
}

}  // namespace fovea::zoo
