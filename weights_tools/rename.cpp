// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/rename.h"

#include <charconv>
#include <unordered_map>
#include <vector>

#include "engine/core/error.h"

namespace fovea {
namespace {
bool is_digit(char c) { return c >= '0' && c <= '9'; }

using Captures = std::vector<std::string_view>;

// How much of `name` from `at` the pattern takes, trying longer captures first; npos: none. Patterns are short, so
// plain backtracking serves.
size_t match_here(std::string_view pattern, std::string_view name, size_t at, bool ends_in_dot, Captures& captures) {
  if (pattern.empty()) return ends_in_dot || at == name.size() || name[at] == '.' ? at : name.npos;
  const bool all = pattern.starts_with("**"), digits = pattern[0] == '#', part = pattern[0] == '*';
  if (!all && !digits && !part) {
    if (at == name.size() || name[at] != pattern[0]) return name.npos;
    return match_here(pattern.substr(1), name, at + 1, ends_in_dot, captures);
  }
  size_t longest = at;
  while (longest < name.size() && (all || (digits ? is_digit(name[longest]) : name[longest] != '.'))) ++longest;
  const size_t shortest = at + (all ? 0 : 1), mine = captures.size();
  for (size_t end = longest + 1; end-- > shortest;) {
    captures.push_back(name.substr(at, end - at));
    const size_t taken = match_here(pattern.substr(all ? 2 : 1), name, end, ends_in_dot, captures);
    if (taken != name.npos) return taken;
    captures.resize(mine);
  }
  return name.npos;
}

std::string fill_in(const Rename& row, const Captures& captures) {
  std::string out;
  for (const char* c = row.with; *c; ++c) {
    if (*c != '$') {
      out += *c;
      continue;
    }
    ++c;
    const size_t which = static_cast<size_t>(*c - '1');
    if (*c == '$') out += '$';
    else if (*c >= '1' && which < captures.size()) out += captures[which];
    else
      throw Error(Error::Kind::argument, str_cat("rename {\"", row.pattern, "\", \"", row.with, "\"}: its pattern has ",
                                                 captures.size(), " captures"));
  }
  return out;
}

// False: the row drops the name.
bool apply(const Rename& row, std::string& name) {
  std::string_view pattern = row.pattern;
  const bool at_start = pattern.starts_with('^');
  if (at_start) pattern.remove_prefix(1);
  for (size_t at = 0; at <= name.size(); ++at) {
    if (at > 0 && (at_start || name[at - 1] != '.')) continue;
    Captures captures;
    const size_t end = match_here(pattern, name, at, pattern.ends_with('.'), captures);
    if (end == std::string::npos) continue;
    if (!row.with) return false;
    name = str_cat(std::string_view(name).substr(0, at), fill_in(row, captures), std::string_view(name).substr(end));
    return true;
  }
  return true;
}

class Renamed {
 public:
  explicit Renamed(const StateDict& from) { out_.metadata = from.metadata; }
  void add(const std::string& old_name, const std::string& name, const Tensor& t) {
    const auto [it, added] = origin_.try_emplace(name, old_name);
    if (!added)
      throw Error(Error::Kind::weights,
                  str_cat("'", it->second, "' and '", old_name, "' would both be called '", name, "'"));
    out_.set(name, t);
  }
  StateDict take() { return std::move(out_); }

 private:
  StateDict out_;
  std::unordered_map<std::string, std::string> origin_;
};
}  // namespace

std::string rename(std::string_view name, std::span<const Rename> rows) {
  std::string out(name);
  constexpr size_t kLongest = 1024;  // matching takes time quadratic in it, and files are not trusted
  if (name.size() > kLongest) return out;
  for (const Rename& row : rows)
    if (!apply(row, out)) return "";
  return out;
}

StateDict rename(const StateDict& from, std::span<const Rename> rows) {
  Renamed out(from);
  for (const auto& [name, tensor] : from)
    if (const std::string renamed = rename(name, rows); !renamed.empty()) out.add(name, renamed, tensor);
  return out.take();
}

namespace {
std::string_view unwrapped(std::string_view name) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view wrapper : {"module.", "_orig_mod."})
      if (name.size() > wrapper.size() && name.starts_with(wrapper)) name.remove_prefix(wrapper.size()), again = true;
  }
  return name;
}
}  // namespace

StateDict unwrapped(StateDict weights) {
  bool any = false;
  for (const auto& [name, tensor] : weights) any = any || unwrapped(name).size() < name.size();
  if (!any) return weights;
  Renamed out(weights);
  for (const auto& [name, tensor] : weights) out.add(name, std::string(unwrapped(name)), tensor);
  return out.take();
}

StateDict below(const StateDict& from, std::string_view prefix) {
  StateDict out;
  out.metadata = from.metadata;
  for (const auto& [name, tensor] : from)
    if (name.size() > prefix.size() && name.starts_with(prefix))
      out.set(std::string_view(name).substr(prefix.size()), tensor);
  return out;
}

StateDict renumber_blocks(const StateDict& from, std::string_view from_prefix, std::string_view to_prefix,
                          std::span<const int> stage_depths) {
  Renamed out(from);
  for (const auto& [name, tensor] : from) {
    const std::string_view rest =
        name.starts_with(from_prefix) ? std::string_view(name).substr(from_prefix.size()) : std::string_view{};
    int block = 0;
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), block);
    if (rest.empty() || !is_digit(rest[0]) || problem != std::errc{} ||
        (end != rest.data() + rest.size() && *end != '.')) {
      out.add(name, name, tensor);
      continue;
    }
    size_t stage = 0;
    int within = block;
    while (stage < stage_depths.size() && within >= stage_depths[stage]) within -= stage_depths[stage++];
    if (stage == stage_depths.size())
      throw Error(Error::Kind::weights, str_cat("'", name, "' is of block ", block, ", but the stages have ",
                                                block - within, " blocks together"));
    out.add(name, str_cat(to_prefix, stage, ".", within, rest.substr(static_cast<size_t>(end - rest.data()))), tensor);
  }
  return out.take();
}

}  // namespace fovea
