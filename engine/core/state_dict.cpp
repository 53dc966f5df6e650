// SPDX-License-Identifier: Apache-2.0
#include "engine/core/state_dict.h"

#include "engine/core/error.h"

namespace fovea {

void StateDict::set(std::string_view name, Tensor t) {
  const auto [it, added] = index_.try_emplace(std::string(name), entries_.size());
  if (added) entries_.emplace_back(std::string(name), std::move(t));
  else entries_[it->second].second = std::move(t);
}

bool StateDict::erase(std::string_view name) {
  const auto it = index_.find(std::string(name));
  if (it == index_.end()) return false;
  const size_t at = it->second;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
  index_.erase(it);
  for (auto& [key, place] : index_)
    if (place > at) --place;
  return true;
}

const Tensor* StateDict::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

const Tensor& StateDict::at(std::string_view name) const {
  if (const Tensor* t = find(name)) return *t;
  const std::vector<std::string> near = closest(name, names());
  throw Error(Error::Kind::not_found, str_cat("no tensor '", name, "' among ", size()),
              near.empty() ? "" : "closest: " + join(near, ", "));
}

std::vector<std::string> StateDict::names() const {
  std::vector<std::string> out;
  out.reserve(entries_.size());
  for (const Entry& e : entries_) out.push_back(e.first);
  return out;
}

}  // namespace fovea
