// SPDX-License-Identifier: Apache-2.0
#include "bench/results_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

Result result_of(const Json& j) {
  Result r;
  r.model = j.at("model");
  if (j.contains("error")) {
    r.error = j.at("error");
    return r;
  }
  r.train = j.contains("train_batch_size");
  const std::string prefix = r.train ? "train_" : "infer_";
  r.batch = j.at(prefix + "batch_size");
  r.height = r.width = j.at(prefix + "img_size");
  r.dtype = j.at("dtype");
  r.threads = j.at("threads");
  r.ms = {j.at("median_ms").get<double>()};
  r.macs = j.value("infer_gmacs", 0.0) * 1e9;
  r.activations = j.value("infer_macts", 0.0) * 1e6;
  r.parameters = static_cast<int64_t>(j.value("param_count", 0.0) * 1e6);
  r.arena_bytes = j.value("arena_bytes", int64_t{0});
  r.constant_bytes = j.value("constant_bytes", int64_t{0});
  r.noise.noisy = j.contains("noise") && j["noise"].value("noisy", false);
  return r;
}

}  // namespace

ResultsFile::ResultsFile(std::string path) : path_(std::move(path)) {
  std::string all, kept;
  {
    std::ifstream in(path_);
    all.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (size_t at = 0, number = 1; at < all.size(); ++number) {
    const size_t end = all.find('\n', at);
    if (end == all.npos) break;                    // the process ended while it wrote
    const Json j = Json::parse(all.begin() + static_cast<std::ptrdiff_t>(at),
                               all.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    try {
      results_.push_back(result_of(j));
      const Json& asked = j.at("asked");
      keys_.push_back({asked.at("model"), asked.at("dtype"), asked.at("cpu"), asked.at("isa"), asked.at("train"),
                       asked.at("batch"), asked.at("threads"), asked.at("size")});
    } catch (const nlohmann::json::exception&) {
      throw Error(Error::Kind::format, str_cat(path_, ": line ", number, " is no result of a bulk run"),
                  "name a file that --results wrote, or a new one");
    }
    kept += all.substr(at, end + 1 - at);
    at = end + 1;
  }
  std::ofstream out(path_, std::ios::binary);
  out << kept;
  if (!out.flush()) throw Error(Error::Kind::io, str_cat("cannot write ", path_, ": ", std::strerror(errno)));
}

ResultsFile::Key ResultsFile::key_of(const RunOptions& o, const std::string& model, const Machine& m) {
  return {model, o.work.dtype, m.cpu, m.isa, o.work.train, o.work.batch, m.threads, o.work.img_size};
}

bool ResultsFile::has(const RunOptions& o, const std::string& model, const Machine& m) const {
  return std::find(keys_.begin(), keys_.end(), key_of(o, model, m)) != keys_.end();
}

void ResultsFile::add(const Result& r, const RunOptions& o, const Machine& m, const std::string& version) {
  const Key k = key_of(o, o.work.model, m);
  Json row = Json::parse(json_list({r}, m, version))[0];
  row.erase("steps");
  row["asked"] = {{"model", k.model}, {"dtype", k.dtype}, {"cpu", k.cpu},         {"isa", k.isa},
                  {"train", k.train}, {"batch", k.batch}, {"threads", k.threads}, {"size", k.size}};
  std::ofstream out(path_, std::ios::binary | std::ios::app);
  out << row.dump() + "\n";
  if (!out.flush()) throw Error(Error::Kind::io, str_cat("cannot write ", path_, ": ", std::strerror(errno)));
  keys_.push_back(k);
  results_.push_back(r);
}

}  // namespace fovea::bench
