// SPDX-License-Identifier: Apache-2.0
#include "zoo/licenses.h"

#include <algorithm>
#include <cctype>

#include "engine/core/error.h"

namespace fovea::zoo {
namespace {

std::string lower(std::string_view s) {
  std::string out;
  for (const char c : s) out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string said(const PretrainedCfg& row) { return row.license.empty() ? "unknown" : lower(row.license); }

}  // namespace

bool forbids_commercial_use(std::string_view license) {
  const std::string name = lower(license);
  // the last two: for research alone
  return name.find("-nc-") != name.npos || name.find("noncommercial") != name.npos || name == "seer-license" ||
         name == "apple-amlr";
}

bool is_licensed(const PretrainedCfg& row, std::span<const std::string> allowed) {
  if (allowed.empty()) return true;
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& a) { return lower(a) == said(row); });
}

void want_licensed(const PretrainedCfg& row, std::span<const std::string> allowed) {
  if (is_licensed(row, allowed)) return;
  throw Error(Error::Kind::argument,
              cat("the license of ", row.name(), " is ", said(row), ", not ", join(allowed, " or ")),
              "fovea models --pretrained --license lists the weights of a license");
}

}  // namespace fovea::zoo
