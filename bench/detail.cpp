// SPDX-License-Identifier: Apache-2.0
#include "bench/detail.h"

#include <algorithm>
#include <array>
#include <utility>

namespace fovea::bench {
namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

// "stride=[2, 2], act=relu" as names and values; commas inside brackets do not count.
Fields fields_of(std::string_view attrs) {
  Fields out;
  while (!attrs.empty()) {
    const size_t equals = attrs.find('=');
    if (equals == attrs.npos) break;
    const size_t close = attrs.substr(equals).starts_with("=[") ? attrs.find(']', equals) : equals;
    const size_t comma = close == attrs.npos ? attrs.npos : attrs.find(", ", close);
    out.emplace_back(attrs.substr(0, equals),
                     attrs.substr(equals + 1, comma == attrs.npos ? comma : comma - equals - 1));
    attrs = comma == attrs.npos ? std::string_view() : attrs.substr(comma + 2);
  }
  return out;
}

std::string_view value_of(const Fields& fields, std::string_view name) {
  for (const auto& [key, value] : fields)
    if (key == name) return value;
  return {};
}

// "[3, 3]" is "3", "[1, 7]" is "1x7"; with `all`, "[3, 3]" is "3x3".
std::string short_dims(std::string_view dims, bool all = false) {
  std::vector<std::string> parts;
  std::string digits;
  for (const char c : dims)
    if (c >= '0' && c <= '9') digits += c;
    else if (!digits.empty()) parts.push_back(std::exchange(digits, {}));
  if (!digits.empty()) parts.push_back(digits);
  if (parts.empty()) return {};
  const bool same = std::all_of(parts.begin(), parts.end(), [&](const auto& p) { return p == parts[0]; });
  return same && !all ? parts[0] : join(parts, "x");
}

void add(std::string& text, std::string_view part) {
  if (!part.empty()) text += str_cat(text.empty() ? "" : ", ", part);
}

void add_window(std::string& text, const StepInfo& s, const Fields& fields) {
  if (s.role == Role::conv && s.in.size() > 1 && s.in[1].present() && s.in[1].rank() > 2) {
    const Shape& w = s.in[1].shape;
    std::string kernel;
    for (int i = 2; i < w.size(); ++i) kernel += str_cat(i == 2 ? "" : "x", w[i]);
    add(text, kernel);
  }
  add(text, short_dims(value_of(fields, "kernel"), true));
  for (const char* name : {"stride", "dilation"})
    if (const std::string d = short_dims(value_of(fields, name)); !d.empty() && d != "1")
      add(text, str_cat(name, " ", d));
  const std::string lo = short_dims(value_of(fields, "pad_lo")), hi = short_dims(value_of(fields, "pad_hi"));
  if (lo != hi) add(text, str_cat("pad ", lo.empty() ? "0" : lo, " and ", hi.empty() ? "0" : hi));
  else if (!lo.empty() && lo != "0") add(text, str_cat("pad ", lo));
}

int64_t groups_of(const Fields& fields) {
  const std::string_view text = value_of(fields, "groups");
  int64_t n = 0;
  for (const char c : text) n = 10 * n + (c - '0');
  return text.empty() ? 1 : n;
}

bool is_depthwise(const StepInfo& s, const Fields& fields) {
  const int64_t groups = groups_of(fields);
  return groups > 1 && !s.in.empty() && s.in[0].rank() > 1 && s.in[0].shape[1] == groups;
}

// The functions of a chain, one after the other. What is zero was not printed: an add.
std::string links_of(const Fields& fields) {
  std::vector<std::string> links;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].first != "kind") continue;
    std::string_view fn, op;
    for (size_t j = i + 1; j < fields.size() && fields[j].first != "kind"; ++j) {
      if (fields[j].first == "fn") fn = fields[j].second;
      if (fields[j].first == "op") op = fields[j].second;
    }
    const std::string_view kind = fields[i].second;
    if (kind == "binary") links.emplace_back(op.empty() ? "add" : op);
    else if (kind == "where") links.emplace_back("where");
    else links.push_back(str_cat(fn.empty() ? "identity" : fn, kind == "unary_dx" ? "'" : ""));
  }
  return join(links, " → ");
}

constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
    {"conv", "other convolutions"},
    {"conv1", "1 × 1 convolutions"},
    {"depthwise", "depthwise convolutions"},
    {"winograd", "Winograd's convolutions"},
    {"product", "matrix products"},
    {"attention", "attention"},
    {"norm", "norms"},
    {"pool", "pooling, sums, resizing"},
    {"pointwise", "pointwise"},
    {"move", "moving bytes"},
    {"other", "other"},
};

struct Explanation {
  std::string_view word, text;
};
// The first word that a kernel's name holds says how it computes.
constexpr Explanation kExplanations[] = {
    {"by f32", "Computes in f32: operands are converted before, results after, for no kernel takes the type itself."},
    {"on dense copies", "Operands whose strides no kernel takes are copied first."},
    {"on contiguous copies", "Operands are brought into contiguous order first, for no kernel takes theirs."},
    {"quant product", "A product of 8-bit integers summed in 32 bits: rows are places of the result, columns outputs."},
    {"product",
     "A matrix product in register tiles over packed weights; a convolution's rows are places of its result, "
     "its columns the outputs, and windows are read where they lie."},
    {"winograd",
     "Winograd's F(4x4, 3x3): 36 small products instead of 144 multiply-adds a tile, between two transforms."},
    {"depthwise", "One filter a channel: rows of the image pass through registers, many channels at once."},
    {"few", "A convolution of few input channels, as of an image: rows of it are laid out so that vectors are full."},
    {"attention", "Scores, softmax and weighted sum of a block of queries at a time; the scores never reach memory."},
    {"half", "Weights are kept as 16-bit floats and widened on the way: with few rows reading them is all the work."},
    {"cubic", "Cubic interpolation, rows first, then columns."},
    {"lstm", "All steps of a recurrent layer in one kernel."},
    {"copy", "Moves bytes; nothing is computed."},
    {"dnn:", "A primitive of oneDNN, which names its own implementation."},
    {"ref", "The reference: plain loops that are written to be right, not fast."},
};

}  // namespace

std::string detail(const StepInfo& s) {
  const Fields fields = fields_of(s.attrs);
  if (s.op == "chain") return links_of(fields);
  std::string text;
  add_window(text, s, fields);
  if (is_depthwise(s, fields)) add(text, "depthwise");
  else if (const int64_t groups = groups_of(fields); groups > 1) add(text, str_cat("groups ", groups));
  if (const std::string_view fn = value_of(fields, "fn"); !fn.empty()) add(text, fn);
  else if (s.op == "binary") add(text, "add");
  else if (s.op == "reduce") add(text, "sum");
  if (const std::string axes = short_dims(value_of(fields, "axes"), true); !axes.empty()) add(text, "over " + axes);
  if (s.op == "interpolate" || s.op == "pad") add(text, value_of(fields, "mode"));
  if (!value_of(fields, "residual").empty()) add(text, "+ residual");
  add(text, value_of(fields, "act"));
  return text;
}

std::string_view kind_of(const StepInfo& s) {
  if (s.role != Role::conv) return name_of(s.role);
  if (s.plan.find("winograd") != s.plan.npos) return "winograd";
  if (is_depthwise(s, fields_of(s.attrs))) return "depthwise";
  if (s.in.size() > 1 && s.in[1].present()) {
    const Shape& w = s.in[1].shape;
    bool one = s.op != "conv_dw" && w.size() > 2;
    for (int i = 2; i < w.size(); ++i) one = one && w[i] == 1;
    if (one) return "conv1";
  }
  return name_of(Role::conv);
}

std::string_view name_of_kind(std::string_view kind) {
  for (const auto& [name, text] : kKinds)
    if (name == kind) return text;
  return "other";
}

std::vector<std::string_view> kinds() {
  std::vector<std::string_view> out;
  for (const auto& [name, text] : kKinds) out.push_back(name);
  return out;
}

std::string_view explanation_of(std::string_view kernel) {
  for (const Explanation& e : kExplanations)
    if (kernel.find(e.word) != kernel.npos) return e.text;
  return {};
}

}  // namespace fovea::bench
