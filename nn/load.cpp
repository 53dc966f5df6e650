// SPDX-License-Identifier: Apache-2.0
// nn/load.cpp — Module::load(): what fits, what does not, and what might have been meant.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/module.h"

namespace fovea {
namespace {

using Rows = std::vector<std::pair<std::string, Meta>>;

constexpr size_t kShown = 12;                      // lines of each kind; the rest is counted

std::string text(const Meta& m) { return str_cat(name_of(m.dtype), to_string(m.shape)); }

std::string padded(std::string s, size_t width) {
  if (s.size() < width) s.append(width - s.size(), ' ');
  return s;
}

size_t widest(const Rows& rows) {
  size_t w = 0;
  for (size_t i = 0; i < std::min(rows.size(), kShown); ++i) w = std::max(w, rows[i].first.size());
  return w;
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

// The names on the other side that could stand for this one: of the same shape, best with the same last part.
std::string hint(const std::pair<std::string, Meta>& row, const Rows& others) {
  std::vector<std::string> same;
  for (const auto& [name, meta] : others)
    if (meta.shape == row.second.shape && last_part(name) == last_part(row.first)) same.push_back(name);
  if (same.empty()) return {};
  const std::vector<std::string> near = closest(row.first, same, 1);
  return str_cat("  (same shape as ", near.empty() ? same[0] : near[0], ": rename?)");
}

void append_rows(std::string& out, const char* word, const Rows& rows, const Rows& others) {
  const size_t width = widest(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!out.empty()) out += '\n';
    if (i == kShown) {
      out += str_cat(word, "and ", rows.size() - i, " more");
      return;
    }
    out += str_cat(word, padded(rows[i].first, width), "  ", text(rows[i].second), hint(rows[i], others));
  }
}

// What the weights lack, by name without the prefix that it may have there.
class Lacking {
 public:
  explicit Lacking(const LoadReport& r) {
    for (const Rows* rows : {&r.missing, &r.not_needed})
      for (const auto& [name, meta] : *rows) shapes_.emplace(name, meta.shape);
  }
  // The missing name that this one stands for; empty: none.
  std::string_view found(const std::pair<std::string, Meta>& unexpected, std::string_view prefix) const {
    if (prefix.empty() || !unexpected.first.starts_with(prefix)) return {};
    const std::string_view name = std::string_view(unexpected.first).substr(prefix.size());
    const auto it = shapes_.find(name);
    return it != shapes_.end() && it->second == unexpected.second.shape ? name : std::string_view();
  }

 private:
  std::unordered_map<std::string_view, Shape> shapes_;
};

// Leaves out of the missing and the unexpected what fits without the prefix.
std::pair<Rows, Rows> unexplained(const LoadReport& r) {
  if (r.prefix.empty()) return {r.missing, r.unexpected};
  const Lacking lacking(r);
  std::unordered_set<std::string_view> found;
  std::pair<Rows, Rows> rest;
  for (const auto& row : r.unexpected)
    if (const std::string_view name = lacking.found(row, r.prefix); !name.empty()) found.insert(name);
    else rest.second.push_back(row);
  for (const auto& row : r.missing)
    if (!found.contains(row.first)) rest.first.push_back(row);
  return rest;
}

void find_prefix(LoadReport& r) {
  constexpr int kParts = 6;  // more than anybody wraps models
  if (r.missing.empty()) return;
  const Lacking lacking(r);
  std::map<std::string_view, size_t> counts;
  for (const auto& row : r.unexpected) {
    const std::string_view name = row.first;
    size_t dot = name.find('.');
    for (int part = 0; part < kParts && dot != name.npos; ++part, dot = name.find('.', dot + 1))
      if (const std::string_view prefix = name.substr(0, dot + 1); !lacking.found(row, prefix).empty())
        ++counts[prefix];
  }
  for (const auto& [prefix, count] : counts)
    if (count > r.fit_without_prefix) r.fit_without_prefix = count, r.prefix = prefix;
  if (2 * unexplained(r).first.size() <= r.missing.size()) return;
  r.prefix.clear();
  r.fit_without_prefix = 0;
}

}  // namespace

std::string LoadReport::summary() const {
  std::string s;
  const auto say = [&](size_t n, const char* what) {
    if (n) s += str_cat(s.empty() ? "" : ", ", n, what);
  };
  const auto [lost, strange] = unexplained(*this);
  if (fit_without_prefix) s = str_cat(lost.empty() ? "all " : "", fit_without_prefix, " fit without '", prefix, "'");
  say(lost.size(), " missing");
  say(strange.size(), " unexpected");
  say(wrong_shape.size(), " of another shape");
  if (s.empty()) s = str_cat("all ", loaded, " fit");
  return adapted.empty() ? s : str_cat(s, "; ", join(adapted, "; "));
}

std::string LoadReport::details() const {
  std::string s;
  if (fit_without_prefix)
    s = str_cat("OpenOptions::prefix takes it off, and so does: fovea convert FILE NEW_FILE --prefix ", prefix);
  const auto [lost, strange] = unexplained(*this);
  append_rows(s, "missing     ", lost, strange);
  append_rows(s, "unexpected  ", strange, lost);
  for (size_t i = 0; i < wrong_shape.size(); ++i) {
    if (!s.empty()) s += '\n';
    if (i == kShown) return s + str_cat("shape       and ", wrong_shape.size() - i, " more");
    s += str_cat("shape       ", wrong_shape[i].name, "  file ", wrong_shape[i].file, ", model ", wrong_shape[i].model);
  }
  return s;
}

LoadReport Module::compare(const StateDict& weights) const {
  LoadReport report;
  StateDict known;
  for (const NamedParameter& n : named_state()) {
    known.set(n.name, n.tensor());
    const Tensor* t = weights.find(n.name);
    if (!t && n.parameter->optional) report.not_needed.emplace_back(n.name, n.tensor().meta());
    else if (!t) report.missing.emplace_back(n.name, n.tensor().meta());
    else if (t->shape() != n.tensor().shape()) report.wrong_shape.push_back({n.name, t->shape(), n.tensor().shape()});
    else ++report.loaded;
  }
  for (const auto& [name, t] : weights)
    if (!known.contains(name)) report.unexpected.emplace_back(name, t.meta());
  find_prefix(report);
  return report;
}

LoadReport Module::load(const StateDict& weights, Strict strict, std::string_view source, std::string_view model) {
  LoadReport report = compare(weights);
  if (strict == Strict::yes && !report.clean())
    throw Error(Error::Kind::weights, str_cat(source, " does not fit ", model, ": ", report.summary()),
                report.details());
  const NoGrad no_grad;
  for (const NamedParameter& n : named_state()) {
    const Tensor* t = weights.find(n.name);
    if (t && t->shape() == n.tensor().shape()) {
      const bool wants = n.tensor().requires_grad();
      n.tensor() = cast(t->detach(), n.tensor().dtype()).to(n.tensor().device());
      n.tensor().set_requires_grad(wants);
    } else if (n.parameter->optional && !n.tensor().has_bytes()) {  // counters that older checkpoints lack
      n.tensor() = zeros_of(n.tensor().meta());
    }
  }
  return report;
}

}  // namespace fovea
