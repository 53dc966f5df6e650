// SPDX-License-Identifier: Apache-2.0
// hub/names.h — repositories, files and URLs by name, checked before anything is made of them.
#pragma once
#include <string>
#include <string_view>

namespace fovea::hub {

struct Repo {
  std::string id;                 // "timm/resnet18.a1_in1k"
  std::string revision = "main";  // a branch, a tag, or the 40 digits of a commit
  std::string text() const;       // "timm/resnet18.a1_in1k", with "@revision" where that is not main
};

/// Of "org/name" or "org/name@revision". Throws Error(argument) for what cannot be one.
Repo parse_repo(std::string_view text);
void want_file_name(std::string_view name);  // throws Error(argument) unless it is a safe_name()
bool is_commit(std::string_view revision);   // 40 lower-case hexadecimal digits
bool is_hex(std::string_view text);

/// With everything but letters, digits, "_.-~" (and "/" where it is kept) as %XX.
std::string quoted(std::string_view text, bool keep_slashes);
std::string file_url(const std::string& endpoint, const Repo& repo, std::string_view file);

/// "https://host:port", in lower case; "" unless it is http or https.
std::string origin_of(std::string_view url);
bool is_url(std::string_view text);  // begins with http:// or https://
/// Where a Location leads from a URL.
std::string resolved(std::string_view url, std::string_view location);
/// For messages: without what may be secret behind "?" or before "@".
std::string shown(std::string_view url);

}  // namespace fovea::hub
