// SPDX-License-Identifier: Apache-2.0
// nn/load.cpp — Module::load(): what fits, what does not, and what might have been meant.
#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/module.h"

namespace fovea {
namespace {

constexpr size_t kShown = 12;                      // lines of each kind; the rest is counted

std::string text(const Meta& m) { return cat(name_of(m.dtype), to_string(m.shape)); }

std::string padded(std::string s, size_t width) {
  if (s.size() < width) s.append(width - s.size(), ' ');
  return s;
}

size_t widest(const std::vector<std::pair<std::string, Meta>>& rows) {
  size_t w = 0;
  for (size_t i = 0; i < std::min(rows.size(), kShown); ++i) w = std::max(w, rows[i].first.size());
  return w;
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

// The names on the other side that could stand for this one: of the same shape, best with the same last part.
std::string hint(const std::pair<std::string, Meta>& row, const std::vector<std::pair<std::string, Meta>>& others) {
  std::vector<std::string> same;
  for (const auto& [name, meta] : others)
    if (meta.shape == row.second.shape && last_part(name) == last_part(row.first)) same.push_back(name);
  if (same.empty()) return {};
  const std::vector<std::string> near = closest(row.first, same, 1);
  return cat("  (same shape as ", near.empty() ? same[0] : near[0], ": rename?)");
}

void append_rows(std::string& out, const char* word, const std::vector<std::pair<std::string, Meta>>& rows,
                 const std::vector<std::pair<std::string, Meta>>& others) {
  const size_t width = widest(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!out.empty()) out += '\n';
    if (i == kShown) {
      out += cat(word, "and ", rows.size() - i, " more");
      return;
    }
    out += cat(word, padded(rows[i].first, width), "  ", text(rows[i].second), hint(rows[i], others));
  }
}

}  // namespace

std::string LoadReport::summary() const {
  std::string s;
  const auto say = [&](size_t n, const char* what) {
    if (n) s += cat(s.empty() ? "" : ", ", n, what);
  };
  say(missing.size(), " missing");
  say(unexpected.size(), " unexpected");
  say(wrong_shape.size(), " of another shape");
  return s.empty() ? cat("all ", loaded, " fit") : s;
}

std::string LoadReport::details() const {
  std::string s;
  append_rows(s, "missing     ", missing, unexpected);
  append_rows(s, "unexpected  ", unexpected, missing);
  for (size_t i = 0; i < wrong_shape.size(); ++i) {
    if (!s.empty()) s += '\n';
    if (i == kShown) return s + cat("shape       and ", wrong_shape.size() - i, " more");
    s += cat("shape       ", wrong_shape[i].name, "  file ", wrong_shape[i].file, ", model ", wrong_shape[i].model);
  }
  return s;
}

LoadReport Module::load(const StateDict& weights, Strict strict, std::string_view source, std::string_view model) {
  LoadReport report;
  const std::vector<NamedParameter> state = named_state();
  std::vector<std::pair<Parameter*, const Tensor*>> fitting;
  StateDict known;
  for (const NamedParameter& n : state) {
    known.set(n.name, n.tensor());
    const Tensor* t = weights.find(n.name);
    if (!t && n.parameter->optional) continue;
    if (!t) report.missing.emplace_back(n.name, n.tensor().meta());
    else if (t->shape() != n.tensor().shape()) report.wrong_shape.push_back({n.name, t->shape(), n.tensor().shape()});
    else fitting.emplace_back(n.parameter, t);
  }
  for (const auto& [name, t] : weights)
    if (!known.contains(name)) report.unexpected.emplace_back(name, t.meta());
  report.loaded = fitting.size();
  if (strict == Strict::yes && !report.clean())
    throw Error(Error::Kind::weights, cat(source, " does not fit ", model, ": ", report.summary()), report.details());
  const NoGrad no_grad;
  for (const auto& [parameter, t] : fitting) {
    const bool wants = parameter->value.requires_grad();
    parameter->value = cast(t->detach(), parameter->value.dtype());
    parameter->value.set_requires_grad(wants);
  }
  for (const NamedParameter& n : state)            // counters that older checkpoints lack start anew
    if (n.parameter->optional && !n.tensor().has_bytes()) n.tensor() = zeros(n.tensor().shape(), n.tensor().dtype());
  return report;
}

}  // namespace fovea
