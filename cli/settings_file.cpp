// SPDX-License-Identifier: Apache-2.0
#include "cli/settings_file.h"

#include <algorithm>
#include <fstream>

#include "cli/options.h"
#include "engine/core/error.h"

namespace fovea::cli {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// A comment begins at a # that follows a space and is in no text.
std::string_view without_comment(std::string_view s) {
  char quote = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    if (quote) quote = s[i] == quote ? '\0' : quote;
    else if (s[i] == '\'' || s[i] == '"') quote = s[i];
    else if (s[i] == '#' && (i == 0 || s[i - 1] == ' ')) return s.substr(0, i);
  }
  return s;
}

std::string scalar(std::string_view s) {
  s = trimmed(s);
  if (s.size() >= 2 && (s.front() == '\'' || s.front() == '"') && s.back() == s.front())
    return std::string(s.substr(1, s.size() - 2));
  return std::string(s);
}

bool is_null(std::string_view s) { return s.empty() || s == "null" || s == "~" || s == "None"; }

std::vector<std::string> values_of(std::string_view s) {
  if (s.size() < 2 || s.front() != '[' || s.back() != ']') return {scalar(s)};
  std::vector<std::string> out;
  s = s.substr(1, s.size() - 2);
  while (!trimmed(s).empty()) {
    const size_t comma = std::min(s.find(','), s.size());
    out.push_back(scalar(s.substr(0, comma)));
    s.remove_prefix(std::min(s.size(), comma + 1));
  }
  return out;
}

std::string long_name(std::string key) {
  std::ranges::replace(key, '_', '-');
  return "--" + key;
}

}  // namespace

std::map<std::string, std::vector<std::string>> read_settings(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::not_found, str_cat("cannot read ", path));
  std::map<std::string, std::vector<std::string>> out;
  std::string line, key;
  size_t nested = 0;                               // how many lines of a mapping there were
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string_view text = without_comment(line), bare = trimmed(text);
    if (bare.empty() || bare == "---") continue;
    if (bare.starts_with("- ") && !key.empty()) {
      out[key].push_back(scalar(bare.substr(2)));
      continue;
    }
    const size_t colon = bare.find(':');
    if (text.front() == ' ' && !key.empty() && colon != bare.npos && out[key].size() == nested) {
      out[key].push_back(str_cat(scalar(bare.substr(0, colon)), '=', scalar(bare.substr(colon + 1))));
      ++nested;
      continue;
    }
    if (text.front() == ' ' || colon == bare.npos || (colon + 1 < bare.size() && bare[colon + 1] != ' '))
      throw Error(Error::Kind::format, str_cat(path, ", line ", number, ": '", bare, "' is no setting"),
                  "each is a line, 'key: value'");
    key = scalar(bare.substr(0, colon));
    const std::string_view value = trimmed(bare.substr(colon + 1));
    nested = 0;
    if (value == "{}" || value == "[]") continue;
    if (!is_null(value)) out[key] = values_of(value);
  }
  std::erase_if(out, [](const auto& entry) { return entry.second.empty(); });
  return out;
}

bool give_setting(Command command, const std::string& key, const std::vector<std::string>& values) {
  std::optional<Option> option = command.find_option(long_name(key));
  if (!option) option = command.find_option(key);
  if (!option) return false;
  if (option->count() > 0) return true;            // the command line decides
  if (values.size() == 1 && values[0].empty()) return true;
  if (option->is_flag()) {
    const std::string& v = values.at(0);
    if (v != "true" && v != "True") return true;
    option->give({"true"});
  } else {
    option->give(values);
  }
  return true;
}

std::vector<std::string> apply_settings(Command command, const std::string& path) {
  std::vector<std::string> unknown;
  for (const auto& [key, values] : read_settings(path))
    if (!give_setting(command, key, values)) unknown.push_back(key);
  return unknown;
}

std::string settings_text(Command command) {
  std::string out;
  for (const Option& o : command.options()) {
    const std::vector<std::string>& names = o.long_names();
    if (names.empty()) continue;
    std::string key = names[0];
    if (key == "help" || key == "config") continue;
    std::ranges::replace(key, '-', '_');
    if (o.is_flag()) {
      out += str_cat(key, ": ", o.count() > 0 ? "true" : "false", "\n");
      continue;
    }
    const std::vector<std::string>& given = o.values();
    if (given.empty()) out += str_cat(key, ": null\n");
    else if (given.size() == 1) out += str_cat(key, ": ", given[0], "\n");
    else {
      out += key + ":\n";
      for (const std::string& v : given) out += str_cat("- ", v, "\n");
    }
  }
  return out;
}

}  // namespace fovea::cli
