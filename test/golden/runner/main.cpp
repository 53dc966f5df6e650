// SPDX-License-Identifier: Apache-2.0
// test/golden/runner/main.cpp — compares models with the figures recorded from timm: `golden FILE… [--only GLOB]
// [--max-params N]`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/graph/session.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/golden/runner/state.h"
#include "test/support/fill.h"
#include "zoo/zoo.h"

namespace fovea::golden {
namespace {

using nlohmann::json;

struct Options {
  std::vector<std::string> files;
  std::string only, dtype = "f32", device = "cpu";
  double max_params = 0, tol = 0;
  bool eager = false, compiled = false, structure = false;
};

// Values of a setting as create() reads them: "7,7,14,7", and "7x14" for a pair inside of a list.
std::string setting_text(const json& v, char between = ',') {
  if (!v.is_array()) return v.is_string() ? v.get<std::string>() : v.dump();
  std::string text;
  for (const json& item : v) text += (text.empty() ? "" : std::string(1, between)) + setting_text(item, 'x');
  return text;
}

zoo::ModelOptions model_options(const json& entry) {
  zoo::ModelOptions o;
  if (!entry.contains("kwargs")) return o;
  for (const auto& [key, v] : entry["kwargs"].items()) {
    if (key == "num_classes") o.num_classes = v.get<int>();
    else if (key == "in_chans") o.in_chans = v.get<int>();
    else if (key == "global_pool") o.global_pool = v.get<std::string>();
    else if (key == "output_stride") o.output_stride = v.get<int>();
    else if (key == "img_size")
      o.img_size = v.is_array() ? v.get<std::array<int, 2>>() : std::array{v.get<int>(), v.get<int>()};
    else o.set.emplace_back(key, setting_text(v));
  }
  return o;
}

template <class T>
std::string differs(const char* what, const T& ours, const T& recorded) {
  return ours == recorded ? "" : cat(what, " ", ours, ", recorded ", recorded);
}

// "" when everything that can be said without weights agrees.
std::string compare_structure(zoo::ImageModel& m, const json& e, const std::string& file) {
  const auto number = [&](const char* key) { return e.at(key).get<int64_t>(); };
  const std::string state = zoo::state_lines(m);
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(zoo::state_hash(m)));
  if (std::string(hash) != e.at("state_fnv1a"))
    return "state list differs" + first_differences(state, recorded_state(file, e.at("name")));
  std::string text = differs("params", m.parameter_count(), number("params"));
  if (text.empty()) text = differs("num_classes", int64_t{m.num_classes()}, number("num_classes"));
  if (text.empty()) text = differs("num_features", int64_t{m.num_features()}, number("num_features"));
  if (text.empty()) text = differs("head_hidden_size", int64_t{m.head_hidden_size()}, number("head_hidden_size"));
  if (text.empty())
    text = differs("state_entries", int64_t{std::count(state.begin(), state.end(), '\n')}, number("state_entries"));
  if (!text.empty() || !e.contains("fo_info")) return text;
  json ours = json::array();
  const std::vector<zoo::FeatureInfo>& levels = m.feature_info();
  const size_t wanted = m.default_levels() > 0 ? static_cast<size_t>(m.default_levels()) : levels.size();
  for (size_t i = levels.size() - std::min(levels.size(), wanted); i < levels.size(); ++i)
    ours.push_back({{"ch", levels[i].channels}, {"red", levels[i].reduction}, {"mod", levels[i].module}});
  return ours == e["fo_info"] ? "" : cat("fo_info ", ours.dump(), ", recorded ", e["fo_info"].dump());
}

// The recorded outputs in one flat list: features, logits, pre-logits, intermediates.
Tensors compute(zoo::ImageModel& m, const json& e, const Tensor& x) {
  const Tensor features = m.forward_features(x);
  Tensors out{features, m.forward_head(features)};
  if (e.contains("pre_logits")) out.push_back(m.forward_head(features, true));
  if (e.contains("intermediates"))
    for (const Tensor& t : m.forward_intermediates(x).features) out.push_back(t);
  return out;
}

std::string compare_outputs(const json& e, const Tensors& out, double tol) {
  std::string text = compare_all("features", e.at("features"), {out[0]}, tol);
  if (text.empty()) text = compare_all("logits", e.at("logits"), {out[1]}, tol);
  size_t at = 2;
  if (e.contains("pre_logits")) {
    if (text.empty()) text = compare_all("pre_logits", e["pre_logits"], {out[at]}, tol);
    ++at;
  }
  if (text.empty() && e.contains("intermediates"))
    text = compare_all("intermediates", e["intermediates"],
                       Tensors(out.begin() + static_cast<std::ptrdiff_t>(at), out.end()), tol);
  return text;
}

template <class F>
Tensors run(const F& f, const Tensor& x, const Options& o, bool compiled) {
  const NoGrad no_grad;
  const DType dtype = parse_dtype(o.dtype);
  if (!compiled) {
    Tensors out = f(dtype == DType::f32 ? x : cast(x, dtype));
    return out;
  }
  Target target;
  if (dtype != DType::f32) target.dtype = dtype;
  Session session = compile(trace(f, {x.meta()}), target);
  return session.run({x});
}

std::string compare_figures(const json& e, const Options& o, bool compiled) {
  const std::string salt = e.value("salt", "");
  std::unique_ptr<zoo::ImageModel> m = zoo::create(e.at("name").get<std::string>(), model_options(e));
  m->eval();
  fill_weights(*m, salt, e.value("fill_gain", 1.0));
  if (!compiled && o.dtype != "f32") m->to(parse_dtype(o.dtype));
  const auto size = e.at("input").get<std::array<int64_t, 3>>();
  const Tensor x = golden_input({e.at("batch").get<int64_t>(), size[0], size[1], size[2]}, salt);
  const double tol = o.tol > 0 ? o.tol : e.at("tol").get<double>();
  std::string text;
  if (e.contains("logits"))
    text = compare_outputs(e, run([&](const Tensor& t) { return compute(*m, e, t); }, x, o, compiled), tol);
  if (!text.empty() || !e.contains("features_only")) return text;
  zoo::FeatureNet net = zoo::features(std::move(m));
  return compare_all("features_only", e["features_only"], run([&](const Tensor& t) { return net(t); }, x, o, compiled),
                     tol);
}

bool has_figures(const json& e) { return e.contains("logits") || e.contains("features_only"); }

std::string compare_entry(const json& e, const std::string& file, const Options& o) {
  try {
    const std::unique_ptr<zoo::ImageModel> m = zoo::create(e.at("name").get<std::string>(), model_options(e));
    m->eval();
    if (std::string text = compare_structure(*m, e, file); !text.empty()) return text;
    if (!has_figures(e) || o.structure) return {};
    for (const bool compiled : {false, true}) {
      if ((o.eager || o.compiled) && !(compiled ? o.compiled : o.eager)) continue;
      if (std::string text = compare_figures(e, o, compiled); !text.empty())
        return cat(compiled ? "compiled: " : "eager: ", text);
    }
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

json read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::io, cat("cannot read ", path));
  return json::parse(file);
}

int compare_files(const Options& o) {
  int passed = 0, failed = 0;
  std::vector<std::string> skipped;
  for (const std::string& path : o.files)
    for (const json& e : read(path)) {
      const std::string name = e.at("name");
      if (!o.only.empty() && !glob_match(o.only, name)) continue;
      if (o.max_params > 0 && e.at("params").get<double>() > o.max_params) {
        skipped.push_back(name);
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      const std::string text = compare_entry(e, path, o);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::printf("%s %s (%.1f s)%s%s%s\n", text.empty() ? "ok  " : "FAIL", name.c_str(), seconds,
                  text.empty() ? "" : ": ", text.c_str(), has_figures(e) ? "" : "  structure only");
      std::fflush(stdout);
      ++(text.empty() ? passed : failed);
    }
  if (!skipped.empty()) std::printf("skipped %zu: %s\n", skipped.size(), join(skipped, " ").c_str());
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0;
}

}  // namespace
}  // namespace fovea::golden

int main(int argc, char** argv) {
  fovea::golden::Options o;
  CLI::App app{"compares models with the figures recorded from timm", "golden"};
  app.add_option("files", o.files, "models/<module>.json")->required();
  app.add_option("--only", o.only, "names that match this wildcard");
  app.add_option("--max-params", o.max_params, "skip models with more parameters");
  app.add_option("--dtype", o.dtype, "compute in f32 or bf16")->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--device", o.device, "where to compute")->check(CLI::IsMember({"cpu"}));
  app.add_option("--tol", o.tol, "instead of each entry's own tolerance");
  app.add_flag("--structure", o.structure, "only what can be said without weights");
  app.add_flag("--eager", o.eager, "only op by op");
  app.add_flag("--compiled", o.compiled, "only as compiled sessions");
  CLI11_PARSE(app, argc, argv);
  try {
    return fovea::golden::compare_files(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "golden: %s\n", e.what());
    return 1;
  }
}
