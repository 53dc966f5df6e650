// SPDX-License-Identifier: Apache-2.0
// cli/weights.cpp — `fovea weights FILE`: what a weight file holds, and what its pickles would have Python run.
#include <cstdio>
#include <unordered_map>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "engine/core/error.h"
#include "weights_tools/bytes.h"
#include "weights_tools/foreign.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/sharded.h"
#include "weights_tools/torch_checkpoint.h"
#include "zoo/source.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::string name;
  OpenOptions open;
  bool json = false;
};

struct Row {
  std::string name, dtype, shape, shares;  // shares: the first tensor on the same storage
  int64_t bytes = 0;
  bool foreign = false;
  Shape dims;
};

std::vector<Row> rows_of(const StateDict& weights) {
  std::vector<Row> rows;
  std::unordered_map<const void*, std::string> owners;
  for (const auto& [name, tensor] : weights) {
    const std::string* foreign = foreign_kind(tensor);
    Row row{.name = printable(name),
            .dtype = foreign ? printable(*foreign) : std::string(name_of(tensor.dtype())),
            .shape = to_string(tensor.shape()),
            .bytes = foreign ? 0 : tensor.meta().bytes(),
            .foreign = foreign != nullptr,
            .dims = tensor.shape()};
    if (!foreign && tensor.impl()->storage) {
      const auto [owner, first] = owners.emplace(tensor.impl()->storage->data, row.name);
      if (!first) row.shares = owner->second;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

void print_json(const std::string& path, const std::vector<std::string>& globals, const StateDict& weights) {
  Json out{
      {"file", printable(path)}, {"globals", Json::array()}, {"metadata", Json::object()}, {"tensors", Json::array()}};
  for (const std::string& line : globals) out["globals"].push_back(printable(line));
  for (const auto& [key, value] : weights.metadata) out["metadata"][printable(key)] = printable(value);
  for (const Row& row : rows_of(weights)) {
    Json tensor{{"name", row.name}, {"dtype", row.dtype}, {"shape", Json::array()}};
    for (int i = 0; i < row.dims.size(); ++i) tensor["shape"].push_back(row.dims[i]);
    if (row.foreign) tensor["readable"] = false;
    else tensor["bytes"] = row.bytes;
    if (!row.shares.empty()) tensor["shares"] = row.shares;
    out["tensors"].push_back(std::move(tensor));
  }
  std::printf("%s\n", out.dump(2).c_str());
}

void print(const StateDict& weights) {
  int64_t bytes = 0;
  const std::vector<Row> rows = rows_of(weights);
  for (const Row& row : rows) bytes += row.shares.empty() ? row.bytes : 0;
  std::printf("%zu tensors, %.1f MB\n", rows.size(), static_cast<double>(bytes) / 1e6);
  for (const auto& [key, value] : weights.metadata)
    std::printf("  metadata %s = %s\n", printable(key).c_str(), printable(value).c_str());
  for (const Row& row : rows)
    std::printf("  %s  %s%s%s%s\n", row.name.c_str(), row.dtype.c_str(), row.shape.c_str(),
                row.foreign ? "  (fovea cannot read its values)" : "",
                row.shares.empty() ? "" : str_cat("  (shares its storage with ", row.shares, ")").c_str());
}

void run(const Arguments& a) {
  const std::string path = zoo::weights_path(a.name);
  const std::vector<std::string> named = is_shard_index_name(path) ? std::vector<std::string>() : inspect_pickle(path);
  if (!a.json && !named.empty()) {
    std::printf("its pickles name (fovea runs nothing of it):\n");
    for (const std::string& line : named) std::printf("  %s\n", printable(line).c_str());
    std::fflush(stdout);  // what follows may be an error
  }
  const StateDict weights = open_weights(path, a.open);
  if (a.json) print_json(path, named, weights);
  else print(weights);
}

}  // namespace

void add_weights(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command =
      app.add_subcommand("weights", "list what a weight file holds, without running anything in it").alias("inspect");
  command.add_option("file", a->name, "safetensors, torch checkpoint (.pth, .bin), .npz, or any name of weights")
      .required();
  command.add_option("--key", a->open.key, "of a torch checkpoint, the dict under this key: teacher, model/state_dict");
  command.add_flag("--strict", a->open.strict, "refuse pickles that name classes which tensors do not need");
  command.add_flag("--json", a->json, "as one JSON object");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
