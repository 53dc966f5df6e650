// SPDX-License-Identifier: Apache-2.0
#include "bench/compare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/detail.h"
#include "bench/lines.h"
#include "engine/core/error.h"
#include "weights_tools/mapped_file.h"

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

// Ops that stand for one another in other types, so that their steps are compared.
std::string_view plain_name(std::string_view op) {
  constexpr std::pair<std::string_view, std::string_view> kPlain[] = {
      {"quant_conv", "conv"},       {"quant_depthwise", "conv"}, {"half_linear", "linear"},
      {"quant_gate", "binary"},     {"quant_mean", "reduce"},    {"quant_max_pool", "max_pool"},
      {"scale_shift", "batch_norm_eval"}};
  for (const auto& [name, plain] : kPlain)
    if (op == name) return plain;
  return op;
}

std::string key_of(const SnapshotStep& s) { return str_cat(s.module, "\n", plain_name(s.op)); }

Snapshot read_snapshot(const Json& j) {
  Snapshot s;
  s.model = j.at("model");
  s.dtype = j.at("dtype");
  s.train = j.contains("train_batch_size");
  s.batch = j.at(s.train ? "train_batch_size" : "infer_batch_size");
  s.threads = j.at("threads");
  s.version = j.value("fovea", "");
  s.median_ms = j.at("median_ms");
  if (j.contains("machine")) {
    s.cpu = j["machine"].value("cpu", "");
    s.isa = j["machine"].value("isa", "");
  }
  if (j.contains("noise")) {
    s.noisy = j["noise"].value("noisy", false);
    s.canary_us = j["noise"].value("canary_median_us", 0.0);
  }
  for (const Json& one : j.at("steps")) {
    SnapshotStep step{.module = one.at("module"),
                      .op = one.at("op"),
                      .kernel = one.at("kernel"),
                      .kind = one.value("kind", "other"),
                      .detail = one.value("detail", ""),
                      .operands = one.value("operands", ""),
                      .us = one.at("us")};
    step.us_low = one.value("us_p10", step.us);
    step.us_high = one.value("us_p90", step.us);
    s.steps.push_back(std::move(step));
  }
  return s;
}

std::string kernel_text(const StepPair& p) {
  if (!p.before) return p.now->kernel + "  (new)";
  if (!p.now) return p.before->kernel + "  (gone)";
  return p.changed_kernel() ? str_cat(p.before->kernel, " → ", p.now->kernel) : p.now->kernel;
}

std::string ratio_text(const StepPair& p) { return p.ratio() > 0 ? format("%.2f", p.ratio()) : "-"; }

std::vector<const StepPair*> by_difference(const Comparison& c) {
  std::vector<const StepPair*> order;
  for (const StepPair& p : c.pairs) order.push_back(&p);
  std::stable_sort(order.begin(), order.end(), [](const StepPair* a, const StepPair* b) {
    return std::fabs(a->difference()) > std::fabs(b->difference());
  });
  return order;
}

}  // namespace

double Snapshot::steps_us() const {
  double sum = 0;
  for (const SnapshotStep& s : steps) sum += s.us;
  return sum;
}

std::string Snapshot::title() const {
  return str_cat(model, train ? ", training" : "", ", ", dtype, ", batch ", batch, ", ", threads,
                 threads == 1 ? " thread" : " threads", isa.empty() ? "" : ", " + isa, ", fovea ", version,
                 cpu.empty() ? "" : " on " + cpu);
}

Snapshot snapshot_of(const Result& r, const Machine& m, const std::string& version) {
  Snapshot s{.model = r.model,
             .dtype = r.dtype,
             .cpu = m.cpu,
             .isa = m.isa,
             .version = version,
             .train = r.train,
             .batch = r.batch,
             .threads = r.threads,
             .median_ms = r.median_ms(),
             .canary_us = r.noise.canary_median * 1e6,
             .noisy = r.noise.noisy,
             .steps = {}};
  for (const StepTime& t : r.steps)
    s.steps.push_back({t.step.scope, std::string(t.step.op), t.step.plan, std::string(kind_of(t.step)), detail(t.step),
                       shapes(t.step), t.seconds * 1e6, t.low * 1e6, t.high * 1e6});
  return s;
}

std::vector<Snapshot> read_snapshots(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const auto* text = reinterpret_cast<const char*>(file->bytes().data());
  const Json list = Json::parse(text, text + file->bytes().size(), nullptr, false);
  if (!list.is_array())
    throw Error(Error::Kind::format, str_cat(path, " is not a list of results"),
                "write one: fovea bench MODEL --json --per-op > FILE");
  std::vector<Snapshot> out;
  for (const Json& j : list) {
    if (j.is_object() && j.contains("error")) continue;
    try {
      out.push_back(read_snapshot(j));
    } catch (const nlohmann::json::exception& e) {
      throw Error(Error::Kind::format, str_cat(path, ": result ", out.size(), " cannot be compared: ", e.what()),
                  "write it with every step: fovea bench MODEL --json --per-op > FILE");
    }
  }
  return out;
}

// Steps of one module and op belong together in their order. What is left stands where its own run had it.
Comparison::Comparison(Snapshot old_run, Snapshot new_run) : before(std::move(old_run)), now(std::move(new_run)) {
  std::map<std::string, std::vector<size_t>> waiting;      // of `now`, the last first
  for (size_t i = now.steps.size(); i-- > 0;) waiting[key_of(now.steps[i])].push_back(i);
  std::vector<const SnapshotStep*> partner(now.steps.size(), nullptr);
  std::vector<std::vector<const SnapshotStep*>> gone(now.steps.size() + 1);      // in front of which step
  size_t next = 0;
  for (const SnapshotStep& s : before.steps) {
    std::vector<size_t>& rest = waiting[key_of(s)];
    if (rest.empty()) {
      gone[next].push_back(&s);
      continue;
    }
    partner[rest.back()] = &s;
    next = rest.back() + 1;
    rest.pop_back();
  }
  for (size_t i = 0; i <= now.steps.size(); ++i) {
    for (const SnapshotStep* s : gone[i]) pairs.push_back({s, nullptr});
    if (i < now.steps.size()) pairs.push_back({partner[i], &now.steps[i]});
  }
}

double Comparison::machine_ratio() const {
  return before.canary_us > 0 && now.canary_us > 0 ? before.canary_us / now.canary_us : 0;
}

size_t Comparison::changed_kernels() const {
  return static_cast<size_t>(
      std::count_if(pairs.begin(), pairs.end(), [](const StepPair& p) { return p.changed_kernel(); }));
}

size_t Comparison::alone() const {
  return static_cast<size_t>(
      std::count_if(pairs.begin(), pairs.end(), [](const StepPair& p) { return !p.before || !p.now; }));
}

std::string comparison_table(const Comparison& c, size_t top) {
  std::string out = str_cat("before: ", c.before.title(), c.before.noisy ? "  (noisy)" : "", "\nnow:    ",
                            c.now.title(), c.now.noisy ? "  (noisy)" : "", "\n");
  out += format("whole runs %.3f ms -> %.3f ms, %.2f times as quick; steps add up to %.3f ms -> %.3f ms\n",
                c.before.median_ms, c.now.median_ms, c.ratio(), c.before.steps_us() * 1e-3, c.now.steps_us() * 1e-3);
  out += format("%zu steps have another kernel, %zu are in one run alone", c.changed_kernels(), c.alone());
  if (c.machine_ratio() > 0) out += format("; the canary alone: %.2f times as quick now", c.machine_ratio());
  out += format("\n\n%9s %9s %9s %6s  %-32s %-12s %s\n", "us before", "us now", "change", "ratio", "module", "op",
                "kernel before -> now, operands -> result");
  std::vector<const StepPair*> order = by_difference(c);
  if (top > 0) order.resize(std::min(top, order.size()));
  for (const StepPair* p : order)
    out += format("%9.1f %9.1f %+9.1f %6s  %-32s %-12s ", p->before_us(), p->now_us(), p->difference(),
                  ratio_text(*p).c_str(), p->any().module.c_str(), p->any().op.c_str()) +
           str_cat(kernel_text(*p), "  ", p->any().operands, p->any().detail.empty() ? "" : "  (",
                   p->any().detail, p->any().detail.empty() ? "" : ")", "\n");
  return out;
}

std::string comparison_json(const Comparison& c) {
  Json steps = Json::array();
  for (const StepPair* p : by_difference(c)) {
    const auto kernel = [](const SnapshotStep* s) { return s ? Json(s->kernel) : Json(); };
    Json j{{"module", p->any().module}, {"op", p->any().op},        {"kernel_before", kernel(p->before)},
           {"kernel_now", kernel(p->now)}, {"us_before", p->before_us()}, {"us_now", p->now_us()}};
    j["ratio"] = p->ratio() > 0 ? Json(p->ratio()) : Json();
    j["operands"] = p->any().operands;
    j["detail"] = p->any().detail;
    steps.push_back(std::move(j));
  }
  return Json{{"before", c.before.title()},
              {"now", c.now.title()},
              {"ms_before", c.before.median_ms},
              {"ms_now", c.now.median_ms},
              {"ratio", c.ratio()},
              {"canary_ratio", c.machine_ratio() > 0 ? Json(c.machine_ratio()) : Json()},
              {"changed_kernels", c.changed_kernels()},
              {"noisy", c.before.noisy || c.now.noisy},
              {"steps", std::move(steps)}}
      .dump(2);
}

}  // namespace fovea::bench
