// SPDX-License-Identifier: Apache-2.0
#include "test/golden/runner/entry.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/graph/session.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/golden/runner/state.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/levels.h"
#include "zoo/zoo.h"

namespace fovea::golden {
namespace {

using nlohmann::json;

template <class T>
std::string differs(const char* what, const T& ours, const T& recorded) {
  return ours == recorded ? "" : str_cat(what, " ", ours, ", recorded ", recorded);
}

// "" when everything that can be said without weights agrees.
std::string compare_structure(zoo::ImageModel& m, const json& e, const std::string& file) {
  const auto number = [&](const char* key) { return e.at(key).get<int64_t>(); };
  const std::string state = zoo::state_lines(m);
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(zoo::state_hash(m)));
  if (std::string(hash) != e.at("state_fnv1a"))
    return "state list differs" +
           (e.contains("kwargs") ? "" : first_differences(state, recorded_state(file, e.at("name"))));
  std::string text = differs("params", m.parameter_count(), number("params"));
  if (text.empty()) text = differs("num_classes", int64_t{m.num_classes()}, number("num_classes"));
  if (text.empty()) text = differs("num_features", int64_t{m.num_features()}, number("num_features"));
  if (text.empty()) text = differs("head_hidden_size", int64_t{m.head_hidden_size()}, number("head_hidden_size"));
  if (text.empty())
    text = differs("state_entries", int64_t{std::count(state.begin(), state.end(), '\n')}, number("state_entries"));
  if (!text.empty() || !e.contains("fo_info")) return text;
  json ours = json::array();
  const std::vector<zoo::FeatureInfo>& levels = m.feature_info();
  for (const int i : zoo::usual_levels(m.default_levels(), static_cast<int>(levels.size()))) {
    const zoo::FeatureInfo& level = levels[static_cast<size_t>(i)];
    ours.push_back({{"ch", level.channels}, {"red", level.reduction}, {"mod", level.module}});
  }
  return ours == e["fo_info"] ? "" : str_cat("fo_info ", ours.dump(), ", recorded ", e["fo_info"].dump());
}

// The recorded outputs in one flat list: features, logits, pre-logits, intermediates.
Tensors compute(zoo::ImageModel& m, const json& e, const Tensor& x) {
  const Tensor features = m.forward_features(x);
  Tensors out{features};
  if (e.contains("logits")) out.push_back(m.forward_head(features));
  if (e.contains("pre_logits")) out.push_back(m.forward_head(features, true));
  if (e.contains("intermediates"))
    for (const Tensor& t : m.forward_intermediates(x).features) out.push_back(t);
  return out;
}

// Features of several branches are one row of values an image, recorded as a list.
Tensors branches_of(const json& recorded, const Tensor& features) {
  if (!recorded.is_array()) return {features};
  Tensors branches;
  int64_t at = 0;
  for (const json& figure : recorded) {
    Shape shape;
    for (const json& side : figure.at("shape")) shape.push_back(side.get<int64_t>());
    const int64_t each = numel(shape) / shape[0];
    branches.push_back(reshape(slice(features, 1, at, at + each), shape));
    at += each;
  }
  return branches;
}

std::string compare_outputs(const json& e, const Tensors& out, double tol, double* most) {
  std::string text = compare_all("features", e.at("features"), branches_of(e["features"], out[0]), tol, most);
  size_t at = 1;
  for (const char* name : {"logits", "pre_logits"})
    if (e.contains(name)) {
      if (text.empty()) text = compare_all(name, e[name], {out[at]}, tol, most);
      ++at;
    }
  if (text.empty() && e.contains("intermediates"))
    text = compare_all("intermediates", e["intermediates"],
                       Tensors(out.begin() + static_cast<std::ptrdiff_t>(at), out.end()), tol, most);
  return text;
}

// A function of images, run op by op or as a session that is compiled once for each size of batch.
class Way {
 public:
  Way(std::function<Tensors(const Tensor&)> f, Device device, DType dtype, bool compiled)
      : f_(std::move(f)),
        device_(device),
        dtype_(dtype),
        compiled_(compiled) {}

  Tensors operator()(const Tensor& images) {
    const NoGrad no_grad;
    Tensors results = run(images.to(device_));
    for (Tensor& t : results) t = t.to(cpu());
    return results;
  }

 private:
  Tensors run(const Tensor& x) {
    if (!compiled_) return f_(cast(x, dtype_));
    const auto [at, fresh] = sessions_.try_emplace(x.dim(0));
    if (fresh) {
      Target target{.device = device_};
      if (dtype_ != DType::f32) target.dtype = dtype_;
      at->second = compile(trace(f_, {x.meta()}), target);
    }
    return at->second.run({x});
  }

  std::function<Tensors(const Tensor&)> f_;
  Device device_;
  DType dtype_;
  bool compiled_;
  std::map<int64_t, Session> sessions_;
};

// Two different images as one batch against each by itself, element by element. `recorded` is what the way gave for the
// recorded batch, whose first image is the first of the two.
std::string compare_pair(const json& e, Way& way, const Tensors& recorded, double tol) {
  const auto size = e.at("input").get<std::array<int64_t, 3>>();
  const Tensor images = golden_input({2, size[0], size[1], size[2]}, e.value("salt", ""));
  const auto single = [&](int64_t i) { return way(contiguous(slice(images, 0, i, i + 1))); };
  const Tensors alone[] = {e.at("batch") == 1 ? recorded : single(0), single(1)}, both = way(images);
  const size_t answer = e.contains("logits") ? 1 : 0;
  if (largest_difference(alone[0][answer], alone[1][answer]) == 0) return "two different images have the same answer";
  for (size_t k = 0; k < both.size(); ++k)
    for (int64_t i = 0; i < 2; ++i) {
      const Tensor part = slice(both[k], 0, i, i + 1), &own = alone[i][k];
      if (part.shape() != own.shape())
        return str_cat("output ", k, " of two images: ", part.shape(), " for each, alone ", own.shape());
      const double off = largest_difference(part, own);
      if (!(off <= tol))
        return str_cat("output ", k, " of image ", i, " of two is off by ", off, " of absmax, allowed ", tol);
    }
  return {};
}

std::string compare_figures(zoo::FeatureNet& net, const json& e, const Options& o, bool compiled,
                            double* most) {
  const auto size = e.at("input").get<std::array<int64_t, 3>>();
  const Tensor x = golden_input({e.at("batch").get<int64_t>(), size[0], size[1], size[2]}, e.value("salt", ""));
  const double tol = tolerance(e, o);
  const DType dtype = parse_dtype(o.dtype);
  if (e.contains("features")) {
    Way way([&](const Tensor& t) { return compute(net.model(), e, t); }, o.device, dtype, compiled);
    const Tensors out = way(x);
    std::string text = compare_outputs(e, out, tol, most);
    if (text.empty() && e.at("params").get<double>() <= o.pair_params) text = compare_pair(e, way, out, tol);
    if (!text.empty() || !e.contains("features_only")) return text;
  }                                                // the large models leave no room for two sessions
  Way way([&](const Tensor& t) { return net(t); }, o.device, dtype, compiled);
  return compare_all("features_only", e["features_only"], way(x), tol, most);
}

}  // namespace

json steady(const json& e) {
  if (!e.contains("reference") || e.contains("kwargs")) return e;
  const auto name = e.at("name").get<std::string>();
  const std::string file = str_cat(FOVEA_SOURCE_DIR "/test/golden/steady/", zoo::module_of(name), ".json");
  if (!std::filesystem::exists(file)) return e;
  for (const json& other : read_json(file))
    if (other.at("name") == name) return other;
  return e;
}

double tolerance(const json& e, const Options& o) {
  if (o.tol > 0) return o.tol;
  if (o.dtype == "f32") return e.at("tol");
  static const json recorded = read_json(FOVEA_SOURCE_DIR "/test/golden/bf16.json");
  if (!e.contains("kwargs"))
    for (const json& row : recorded)
      if (row.at("name") == e.at("name")) return row.at("tol");
  return 2e-2;
}

bool has_figures(const json& e) { return e.contains("features") || e.contains("features_only"); }

Outcome compare_entry(const json& recorded, const std::string& file, const Options& o) {
  try {
    auto m = zoo::create(recorded.at("name").get<std::string>(), recorded_options(recorded));
    m->eval();
    if (std::string text = compare_structure(*m, recorded, file); !text.empty()) return {text};
    if (!has_figures(recorded) || o.structure) return {};
    const json e = steady(recorded);
    fill_weights(*m, e.value("salt", ""), e.value("fill_gain", 1.0));
    m->to(o.device);
    zoo::FeatureNet net = zoo::features(std::move(m));
    // Sessions of another type round the weights themselves, so they come before the model does.
    const bool last = o.dtype == "f32";
    double off = 0;
    for (const bool compiled : {!last, last}) {
      if ((o.eager || o.compiled) && !(compiled ? o.compiled : o.eager)) continue;
      if (!compiled) net.model().to(parse_dtype(o.dtype));
      if (std::string text = compare_figures(net, e, o, compiled, &off); !text.empty())
        return {str_cat(compiled ? "compiled: " : "eager: ", text), off};
    }
    return {{}, off};
  } catch (const Error& error) {
    return {error.what()};
  }
}

}  // namespace fovea::golden
