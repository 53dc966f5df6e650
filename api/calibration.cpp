// SPDX-License-Identifier: Apache-2.0
#include "api/calibration.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace fovea {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void broken(const std::string& path, const std::string& why) {
  throw Error(Error::Kind::argument, cat(path, ": ", why), "`fovea quantize` writes calibrations");
}

Observed observed(const Json& j) {
  Observed o;
  o.lo = j.at("range").at(0).get<float>();
  o.hi = j.at("range").at(1).get<float>();
  o.mean = j.at("mean").get<std::vector<float>>();
  return o;
}

bool sane(const Observed& o) {
  if (!std::isfinite(o.lo) || !std::isfinite(o.hi) || o.lo > o.hi) return false;
  for (const float m : o.mean)
    if (!std::isfinite(m)) return false;
  return true;
}

}  // namespace

void write_calibration(const std::string& path, const Calibration& c, const std::string& model) {
  Json values = Json::object();
  for (const auto& [name, o] : c.values) values[name] = {{"range", {o.lo, o.hi}}, {"mean", o.mean}};
  std::ofstream file(path);
  file << Json{{"model", model}, {"values", std::move(values)}}.dump() << '\n';
  if (!file.flush()) throw Error(Error::Kind::io, cat("cannot write ", path));
}

std::shared_ptr<const Calibration> read_calibration(const std::string& path, const std::string& model) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::io, cat("cannot read ", path));
  auto out = std::make_shared<Calibration>();
  std::string made_for;
  try {
    const Json j = Json::parse(file);
    made_for = j.at("model").get<std::string>();
    for (const auto& [name, value] : j.at("values").items()) out->values[name] = observed(value);
  } catch (const nlohmann::json::exception& e) {
    broken(path, cat("no calibration: ", e.what()));
  }
  if (made_for != model) broken(path, cat("made for ", made_for, ", not for ", model));
  for (const auto& [name, o] : out->values)
    if (!sane(o)) broken(path, cat("the range of ", name, " is ", o.lo, " to ", o.hi));
  return out;
}

}  // namespace fovea
