// SPDX-License-Identifier: Apache-2.0
#include "hub/names.h"

#include <algorithm>
#include <cctype>

#include "engine/core/error.h"
#include "weights_tools/safe_name.h"

namespace fovea::hub {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool is_id(std::string_view id) {
  constexpr size_t kMost = 96;
  if (std::count(id.begin(), id.end(), '/') > 1 || id.find("--") != id.npos || id.find("..") != id.npos) return false;
  if (id.ends_with(".git") || id.ends_with(".ipynb")) return false;
  for (size_t at = 0; at <= id.size();) {
    const size_t end = std::min(id.find('/', at), id.size());
    const std::string_view part = id.substr(at, end - at);
    const auto allowed = [](char c) { return is_word(c) || c == '-' || c == '.'; };
    if (part.empty() || part.size() > kMost || !std::all_of(part.begin(), part.end(), allowed)) return false;
    const auto edge = [](char c) { return c == '-' || c == '.'; };
    if (edge(part.front()) || edge(part.back())) return false;
    at = end + 1;
  }
  return !id.empty();
}

}  // namespace

std::string Repo::text() const { return revision == "main" ? id : cat(id, "@", revision); }

Repo parse_repo(std::string_view text) {
  const size_t at = text.find('@');
  Repo repo{.id = std::string(text.substr(0, at))};
  if (!is_id(repo.id))
    throw Error(Error::Kind::argument, cat("'", text, "' is no repository of the hub"),
                "it is organisation/name, or organisation/name@revision");
  if (at != text.npos) repo.revision = text.substr(at + 1);
  // it becomes the name of a file
  if (!is_safe_name(repo.revision) || repo.revision.find('@') != repo.revision.npos)
    throw Error(Error::Kind::argument, cat("'", repo.revision, "' is no revision of ", repo.id),
                "it is a branch, a tag, or a commit of 40 digits");
  return repo;
}

void want_file_name(std::string_view name) {
  if (is_safe_name(name)) return;
  throw Error(Error::Kind::argument, cat("'", name, "' cannot be the name of a file of a repository"));
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_commit(std::string_view revision) { return revision.size() == 40 && is_hex(revision); }

std::string quoted(std::string_view text, bool keep_slashes) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<unsigned char>(c);
    if ((b < 0x80 && is_word(c)) || c == '.' || c == '-' || c == '~' || (keep_slashes && c == '/')) out += c;
    else out += {'%', kDigits[b >> 4], kDigits[b & 15]};
  }
  return out;
}

std::string file_url(const std::string& endpoint, const Repo& repo, std::string_view file) {
  return cat(endpoint, "/", repo.id, "/resolve/", quoted(repo.revision, false), "/", quoted(file, true));
}

bool is_url(std::string_view text) { return !origin_of(text).empty(); }

std::string origin_of(std::string_view url) {
  std::string start;
  for (const char c : url.substr(0, url.find_first_of("/?#\\", std::min(url.size(), url.find("://") + 3))))
    start += lower(c);
  const bool tls = start.starts_with("https://");
  if (!tls && !start.starts_with("http://")) return "";
  const size_t host = tls ? 8 : 7;
  if (const size_t user = start.rfind('@'); user != start.npos) start.erase(host, user + 1 - host);
  if (start.size() == host) return "";
  const std::string_view usual = tls ? ":443" : ":80";
  if (start.ends_with(usual)) start.resize(start.size() - usual.size());
  return start;
}

std::string resolved(std::string_view url, std::string_view location) {
  if (location.find("://") != location.npos && location.find("://") < location.find_first_of("/?#"))
    return std::string(location);
  const size_t scheme = url.find("://") + 3;
  if (location.starts_with("//")) return cat(url.substr(0, scheme - 2), location);
  const std::string_view base = url.substr(0, url.find_first_of("?#", scheme));
  const std::string_view root = base.substr(0, base.find('/', scheme));
  if (location.starts_with('/')) return cat(root, location);
  if (location.starts_with('?')) return cat(base, location);
  const size_t folder = base.rfind('/');
  return cat(folder < scheme ? cat(base, "/") : std::string(base.substr(0, folder + 1)), location);
}

std::string shown(std::string_view url) {
  const size_t scheme = url.find("://");
  std::string out(url.substr(0, url.find('?')));
  if (scheme == url.npos) return out;
  const size_t end = std::min(out.find('/', scheme + 3), out.size()), user = out.rfind('@', end);
  if (user != out.npos && user > scheme && user < end) out.erase(scheme + 3, user + 1 - (scheme + 3));
  return out;
}

}  // namespace fovea::hub
