// SPDX-License-Identifier: Apache-2.0
#include "data/target_fields.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {

std::vector<std::string> target_keys(const TargetOptions& options) {
  std::vector<std::string> out;
  if (options.key.find(',') == options.key.npos) return out;
  for (std::string_view rest = options.key;;) {
    std::string_view one = rest.substr(0, rest.find(','));
    const bool last = one.size() == rest.size();
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.empty() || std::find(out.begin(), out.end(), one) != out.end())
      throw Error(Error::Kind::argument, str_cat("target keys '", options.key, "' have '", one, "' twice, or no name"),
                  "each names one class");
    out.emplace_back(one);
    if (last) break;
  }
  if (options.multihot)
    throw Error(Error::Kind::argument, "several target keys beside the format multihot", "one of them");
  return out;
}

bool is_multihot(std::string_view format) {
  if (format.empty() || format == "indices") return false;
  if (format == "multihot") return true;
  throw Error(Error::Kind::argument, str_cat("no target format '", format, "'"), "there are: indices, multihot");
}

std::vector<int64_t> from_multihot(const std::vector<double>& values, std::string_view whose) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != 0 && values[i] != 1)
      throw Error(Error::Kind::format, str_cat(whose, " is of class ", i, " by ", values[i]), "0 and 1 are known");
    if (values[i] == 1) out.push_back(static_cast<int64_t>(i));
  }
  return out;
}

int64_t mapped(const ClassMap& map, int64_t label, std::string_view whose) {
  if (map.empty()) return label;
  if (const auto number = map.find(str_cat(label))) return *number;
  throw Error(Error::Kind::format, str_cat(whose, " is of class ", label, ", which the class map lacks"));
}

}  // namespace fovea::data
