// SPDX-License-Identifier: Apache-2.0
#include "hub/settings.h"

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <pwd.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "hub/names.h"

namespace fovea::hub {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_true(const char* name) {
  std::string value = variable(name);
  for (char& c : value) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string home() {
  if (std::string h = variable("HOME"); !h.empty()) return h;
  const passwd* user = ::getpwuid(::geteuid());
  return user && user->pw_dir ? user->pw_dir : "";
}

// "~" at the start and $NAME or ${NAME} anywhere; a variable that is not set stays as it is written, as in Python.
std::string expanded(std::string path) {
  if (path == "~" || path.starts_with("~/")) path = home() + path.substr(1);
  std::string out;
  for (size_t i = 0; i < path.size();) {
    const bool braces = path.compare(i, 2, "${") == 0;
    size_t end = i + (braces ? 2 : 1);
    while (path[i] == '$' && end < path.size() &&
           (std::isalnum(static_cast<unsigned char>(path[end])) || path[end] == '_'))
      ++end;
    const size_t from = i + (braces ? 2 : 1);
    const bool whole = path[i] == '$' && end > from && (!braces || (end < path.size() && path[end] == '}'));
    const char* value = whole ? std::getenv(path.substr(from, end - from).c_str()) : nullptr;
    if (!value) {
      out += path[i++];
      continue;
    }
    out += value;
    i = end + (braces ? 1 : 0);
  }
  return out;
}

std::string folder(const char* name, const std::string& otherwise) {
  const std::string set = variable(name);
  return set.empty() ? otherwise : expanded(set);
}

std::string below_home(const char* part) {
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cat(expanded(cache), "/", part);
  const std::string h = home();
  return h.empty() ? "" : cat(h, "/.cache/", part);
}

std::string below(const std::string& folder, const char* part) { return folder.empty() ? "" : cat(folder, "/", part); }

std::string trimmed(std::string s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.pop_back();
  size_t first = 0;
  while (first < s.size() && std::isspace(static_cast<unsigned char>(s[first]))) ++first;
  return s.substr(first);
}

// A token goes into a header of its own: anything but printable ASCII would be a mistake, or another header.
std::string checked_token(std::string token, const std::string& from) {
  token = trimmed(std::move(token));
  for (const char c : token)
    if (c <= ' ' || c > '~')
      throw Error(Error::Kind::argument, cat("the token of ", from, " holds characters that no token has"));
  return token;
}

std::string token_of(const std::string& hf_home) {
  if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (std::string t = checked_token(variable(name), name); !t.empty()) return t;
  const std::string path = folder("HF_TOKEN_PATH", below(hf_home, "token"));
  std::ifstream file(path, std::ios::binary);
  if (path.empty() || !file) return "";
  return checked_token({std::istreambuf_iterator<char>(file), {}}, path);
}

void read_seconds(const char* name, int& ms) {
  const std::string text = variable(name);
  if (text.empty()) return;
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  constexpr double kMost = 86'400;
  if (*end != '\0' || !(seconds > 0 && seconds <= kMost))
    throw Error(Error::Kind::argument, cat(name, " is '", text, "'"), "it is a number of seconds");
  ms = static_cast<int>(seconds * 1000) + 1;
}

}  // namespace

Settings settings_from_environment() {
  Settings s;
  const std::string hf_home = folder("HF_HOME", below_home("huggingface"));
  s.cache = folder("HF_HUB_CACHE", folder("HUGGINGFACE_HUB_CACHE", below(hf_home, "hub")));
  s.checkpoints = below(folder("TORCH_HOME", below_home("torch")), "hub/checkpoints");
  if (const std::string endpoint = trimmed(variable("HF_ENDPOINT")); !endpoint.empty()) s.endpoint = endpoint;
  while (s.endpoint.ends_with('/')) s.endpoint.pop_back();
  if (!is_url(s.endpoint))
    throw Error(Error::Kind::argument, cat("HF_ENDPOINT is '", s.endpoint, "'"), "it begins with https:// or http://");
  s.token = token_of(hf_home);
  s.offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
  s.links = !is_true("HF_HUB_DISABLE_SYMLINKS");
  if (const std::string origin = trimmed(variable("HF_HUB_USER_AGENT_ORIGIN")); !origin.empty())
    s.agent += cat("; origin/", origin);
  read_seconds("HF_HUB_ETAG_TIMEOUT", s.connect_ms);
  read_seconds("HF_HUB_DOWNLOAD_TIMEOUT", s.stall_ms);
  return s;
}

bool wants_progress() { return !is_true("HF_HUB_DISABLE_PROGRESS_BARS"); }

}  // namespace fovea::hub
