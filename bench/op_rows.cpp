// SPDX-License-Identifier: Apache-2.0
// bench/op_rows.cpp — times of one op's kernels: as a table, as JSON and back, and from a process a class of
// instructions.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/detail.h"
#include "bench/lines.h"
#include "bench/op.h"
#include "bench/process.h"
#include "bench/result.h"
#include "engine/core/error.h"
#include "engine/core/isa.h"

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

Json kernel_json(const KernelTime& k) {
  return {{"kernel", k.kernel},           {"isa", k.isa},
          {"chosen", k.chosen},           {"us_at_hand", k.at_hand * 1e6},
          {"us", k.in_model * 1e6},       {"us_p10", k.low * 1e6},
          {"us_p90", k.high * 1e6}};
}

// The classes that this processor has and this process may use.
std::vector<std::string> classes() {
  std::vector<std::string> out;
  for (const Isa isa : known_isas())
    if (isa_allowed(isa) && machine_has(isa)) out.emplace_back(name_of(isa));
  return out;
}

}  // namespace

std::string op_json(const std::vector<OpTimes>& times) {
  Json list = Json::array();
  for (const OpTimes& t : times) {
    Json j{{"op", t.step.op},       {"operands", shapes(t.step)}, {"detail", detail(t.step)},
           {"flops", t.step.flops}, {"bytes", t.step.bytes},      {"noisy", t.noise.noisy}};
    j["kernels"] = Json::array();
    for (const KernelTime& k : t.kernels) j["kernels"].push_back(kernel_json(k));
    list.push_back(std::move(j));
  }
  return list.dump(2);
}

OpTimes read_op_json(const std::string& text) {
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_array() || list.size() != 1) throw Error(Error::Kind::io, "bench --op: a process gave no answer");
  const Json& j = list[0];
  OpTimes t;
  t.noise.noisy = j.at("noisy");
  for (const Json& k : j.at("kernels"))
    t.kernels.push_back({.kernel = k.at("kernel"),
                         .isa = k.at("isa"),
                         .chosen = k.at("chosen"),
                         .at_hand = k.at("us_at_hand").get<double>() * 1e-6,
                         .in_model = k.at("us").get<double>() * 1e-6,
                         .low = k.at("us_p10").get<double>() * 1e-6,
                         .high = k.at("us_p90").get<double>() * 1e-6});
  return t;
}

std::vector<OpTimes> time_op_on_all(const std::string& program, const OpOptions& o,
                                    const std::vector<std::string>& args) {
  std::vector<OpTimes> out;
  for (const std::string& isa : classes()) {
    std::vector<std::string> with = args;
    with.insert(with.end(), {"--isa", isa, "--json"});
    Process process(program, with);
    const std::string answer = process.rest();
    rusage used{};
    if (process.wait(used) != 0) throw Error(Error::Kind::io, str_cat("bench --op: the process for ", isa, " failed"));
    OpTimes t = read_op_json(answer);
    t.step = op_step(o);
    out.push_back(std::move(t));
  }
  return out;
}

std::string op_table(const std::vector<OpTimes>& times) {
  const StepInfo& s = times.at(0).step;
  const std::string more = detail(s);
  std::string out = str_cat(s.op, "  ", shapes(s), more.empty() ? "" : str_cat("  (", more, ")"), "\n");
  out += format("%.1f MFLOP, %.1f kB; * would run in a model\n\n", static_cast<double>(s.flops) * 1e-6,
                static_cast<double>(s.bytes) * 1e-3);
  out += format("%-8s %-36s %11s %11s %17s %9s %8s\n", "isa", "kernel", "us at hand", "us in model", "p10 to p90",
                "GFLOP/s", "GB/s");
  for (const OpTimes& t : times) {
    for (const KernelTime& k : t.kernels)
      out += format("%-8s %-36s %11.1f %11.1f %8.1f %8.1f %9.1f %8.1f\n", k.isa.c_str(),
                    (k.kernel + (k.chosen ? " *" : "")).c_str(), k.at_hand * 1e6, k.in_model * 1e6, k.low * 1e6,
                    k.high * 1e6, static_cast<double>(s.flops) / k.in_model * 1e-9,
                    static_cast<double>(s.bytes) / k.in_model * 1e-9);
    if (t.noise.noisy) out += str_cat("  ", t.kernels[0].isa, ": noisy, others used the machine\n");
  }
  return out;
}

}  // namespace fovea::bench
