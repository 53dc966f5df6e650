// SPDX-License-Identifier: Apache-2.0
#include "data/tar_index.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>

#include "data/folder.h"
#include "engine/core/error.h"
#include "engine/core/temporary.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

// The first line names format and archive; then a line a member: level, place, size, name in quotes.
constexpr std::string_view kFormat = "fovea tar index 1";

std::string first_line(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return "";
  return str_cat(kFormat, ' ', static_cast<uint64_t>(s.st_size), ' ', static_cast<int64_t>(s.st_mtim.tv_sec), ' ',
                 static_cast<int64_t>(s.st_mtim.tv_nsec));
}

// Names with line ends are written so that a line stays one.
std::string quoted(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '\n') out += "\\n";
    else if (c == '\\') out += "\\\\";
    else out += c;
  }
  return out;
}

std::string unquoted(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) out += text[i];
    else out += text[++i] == 'n' ? '\n' : text[i];
  }
  return out;
}

std::string line_of(char level, const TarMember& m) {
  return str_cat(level, ' ', m.at, ' ', m.size, ' ', quoted(m.name), '\n');
}

// Nothing where the line is not one of ours, or names what the archive of so many bytes cannot hold.
std::optional<std::pair<char, TarMember>> parsed(std::string_view line, uint64_t bytes) {
  if (line.size() < 2 || line[1] != ' ') return {};
  const char level = line[0];
  TarMember m;
  const char* at = line.data() + 2;
  const char* const end = line.data() + line.size();
  for (uint64_t* number : {&m.at, &m.size}) {
    const auto [next, failed] = std::from_chars(at, end, *number);
    if (failed != std::errc() || next == end || *next != ' ') return {};
    at = next + 1;
  }
  if (m.at > bytes || m.size > bytes - m.at) return {};
  m.name = unquoted({at, end});
  return std::pair{level, m};
}

std::optional<TarListing> from_index(const std::string& index, const std::string& wanted, uint64_t bytes) {
  std::ifstream file(index, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || line != wanted) return {};
  TarListing out;
  while (std::getline(file, line)) {
    if (line == "end") return out;
    const auto entry = parsed(line, bytes);
    if (!entry) return {};
    const auto& [level, member] = *entry;
    if (level == '0') out.members.push_back(member);
    else if (level == 'a') out.inner.push_back({member.name, {}});
    else if (level == '1' && !out.inner.empty()) out.inner.back().members.push_back(member);
    else return {};
  }
  return {};                                       // it is cut off
}

void into_index(const std::string& index, const std::string& first, const TarListing& listing) {
  const std::string unfinished = str_cat(index, '.', static_cast<int64_t>(::getpid()));
  const Temporary temporary(unfinished);
  {
    std::ofstream file(unfinished, std::ios::binary);
    file << first << '\n';
    for (const TarListing::Inner& inner : listing.inner) {
      file << line_of('a', {inner.name, 0, 0});
      for (const TarMember& m : inner.members) file << line_of('1', m);
    }
    for (const TarMember& m : listing.members) file << line_of('0', m);
    file << "end\n";
    if (!file.flush()) {
      std::remove(unfinished.c_str());
      return;
    }
  }
  if (std::rename(unfinished.c_str(), index.c_str()) != 0) std::remove(unfinished.c_str());
}

TarListing from_archive(const RegularFile& file) {
  TarListing out;
  for (TarMember& m : tar_members(file)) {
    if (!is_image_name(m.name, {".tar"})) out.members.push_back(std::move(m));
    else out.inner.push_back({m.name, tar_members(file, {m.at, m.size})});
  }
  return out;
}

}  // namespace

TarListing list_tar(const std::string& path, bool keep) {
  const RegularFile file(path);
  if (!keep) return from_archive(file);
  const std::string index = path + ".fovea-index", first = first_line(path);
  if (auto known = from_index(index, first, file.size())) return std::move(*known);
  TarListing listing = from_archive(file);
  into_index(index, first, listing);
  return listing;
}

}  // namespace fovea::data
