// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/sha256.h"

namespace fovea::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSum = "fovea.sum", kRest = "fovea.rest", kRestSum = "fovea.rest_sum", kNote = "fovea.";
constexpr std::string_view kWeights = ".safetensors", kTrain = ".train.safetensors";
constexpr std::string_view kOther = ".other.train.safetensors";

const std::string* find(const StateDict& d, std::string_view key) {
  for (const auto& [name, value] : d.metadata)
    if (name == key) return &value;
  return nullptr;
}

void drop(StateDict& d, std::string_view key) {
  std::erase_if(d.metadata, [&](const auto& entry) { return entry.first == key; });
}

int64_t number(const Notes& notes, const std::string& key) {
  const auto found = notes.find(key);
  int64_t v = -1;
  if (found != notes.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), v);
  return v;
}

Notes notes_of(const StateDict& d) {
  Notes out;
  for (const auto& [key, value] : d.metadata)
    if (key.starts_with(kNote) && key != kSum && key != kRest && key != kRestSum)
      out.emplace(key.substr(kNote.size()), value);
  return out;
}

std::string beside(const std::string& path, const std::string& name) {
  return (fs::path(path).parent_path() / name).string();
}

// The file that these weights name beside them; "" where there is none.
std::string rest_of(const std::string& path) {
  try {
    const StateDict d = read_safetensors(path);
    const std::string* rest = find(d, kRest);
    return rest ? *rest : "";
  } catch (const Error&) {
    return "";
  }
}

bool is_weights(const std::string& file) {
  return !file.starts_with('.') && file.ends_with(kWeights) && !file.ends_with(kTrain);
}

// The weights, checked, and all else, which must be what was written with them.
std::pair<StateDict, StateDict> read_both(const std::string& path) {
  StateDict weights = read_summed(path);
  const std::string *rest = find(weights, kRest), *sum = find(weights, kRestSum);
  if (!rest || !sum)
    throw Error(Error::Kind::format, str_cat(path, " has weights alone: no training can go on from there"),
                "--initial-checkpoint begins a new one with them");
  if (rest->find('/') != std::string::npos)
    throw Error(Error::Kind::format, str_cat(path, ": '", *rest, "' is no file beside it"));
  StateDict others = read_summed(beside(path, *rest));
  if (*find(others, kSum) != *sum)
    throw Error(Error::Kind::format, str_cat(beside(path, *rest), " does not belong to ", path));
  return {std::move(weights), std::move(others)};
}

bool is_whole(const std::string& path) {
  try {
    read_both(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void put(Tensor& slot, const Tensor& value) {
  const bool trained = slot.requires_grad();
  // a copy: the file may be replaced while training goes on
  slot = call1(ops::copy, {value}, CopyAttrs{slot.meta().memory()}).to(slot.device());
  if (trained) slot.set_requires_grad();
}

void want_same(const std::string& path, const std::string& name, const Tensor& saved, const Tensor& slot) {
  if (saved.shape() != slot.shape() || saved.dtype() != slot.dtype())
    throw Error(Error::Kind::weights, str_cat(path, ": ", name, " is ", saved.meta(), ", not ", slot.meta()));
}

}  // namespace

std::string sum_of(const StateDict& d) {
  Sha256 hash;
  const auto text = [&](std::string_view s) {
    std::string length;
    append_le(length, static_cast<uint64_t>(s.size()));
    hash.update(length).update(s);
  };
  std::vector<std::pair<std::string, std::string>> metadata = d.metadata;
  std::ranges::sort(metadata);
  for (const auto& [key, value] : metadata) {
    if (key == kSum || key == "format") continue;  // the latter is the writer's own
    text(key);
    text(value);
  }
  std::vector<std::string> names = d.names();
  std::ranges::sort(names);
  for (const std::string& name : names) {
    const Tensor t = contiguous(on_host(d.at(name)));
    text(name);
    text(str_cat(t.meta()));
    hash.update(Bytes(t.bytes(), static_cast<size_t>(t.meta().bytes())));
  }
  return hex(hash.finish());
}

void write_summed(const std::string& path, StateDict d) {
  drop(d, kSum);
  d.metadata.emplace_back(kSum, sum_of(d));
  write_safetensors(path, d);
}

StateDict read_summed(const std::string& path) {
  StateDict d = read_safetensors(path);
  const std::string* sum = find(d, kSum);
  if (!sum) throw Error(Error::Kind::format, str_cat(path, " is no checkpoint of fovea's: it has no sum"));
  if (*sum != sum_of(d))
    throw Error(Error::Kind::format, str_cat(path, " is damaged: its sum is another one"),
                "an older checkpoint may be whole");
  return d;
}

Checkpoints::Checkpoints(std::string folder) : folder_(std::move(folder)) {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (!fs::is_directory(folder_, failed))
    throw Error(Error::Kind::io, str_cat("cannot make the folder ", folder_, failed ? ": " + failed.message() : ""));
}

std::string Checkpoints::path(const std::string& name) const { return str_cat(folder_, '/', name, kWeights); }

void Checkpoints::save(const std::string& name, const Module& model, const std::vector<Slot>& slots,
                       const Notes& notes) {
  const NoGrad no_grad;
  StateDict weights, rest;
  std::set<const Tensor*> saved;
  for (const NamedParameter& p : model.named_state()) {
    weights.set(p.name, on_host(p.tensor()));
    saved.insert(&p.tensor());
  }
  for (const Slot& s : slots)
    if (!saved.contains(s.tensor)) rest.set(s.name, on_host(*s.tensor));
  for (const auto& [key, value] : notes)
    for (StateDict* d : {&weights, &rest}) d->metadata.emplace_back(str_cat(kNote, key), value);
  std::error_code ignored;
  const std::string before = rest_of(path(name)), first = name + std::string(kTrain);
  const bool named_twice = fs::hard_link_count(path(name), ignored) > 1 && !ignored;
  const std::string file = before == first ? name + std::string(kOther) : first, rest_sum = sum_of(rest);
  write_summed(str_cat(folder_, '/', file), std::move(rest));
  weights.metadata.emplace_back(kRest, file);
  weights.metadata.emplace_back(kRestSum, rest_sum);
  write_summed(path(name), std::move(weights));
  if (!before.empty() && before != file && !named_twice) fs::remove(str_cat(folder_, '/', before), ignored);
}

void Checkpoints::link(const std::string& name, const std::string& as) {
  const std::string from = path(name), to = path(as), between = str_cat(folder_, "/.", as, '.', ::getpid(), kWeights);
  std::error_code failed;
  fs::remove(between, failed);
  fs::create_hard_link(from, between, failed);
  if (failed) {                                    // not every file system has them
    failed.clear();
    fs::copy_file(from, between, failed);
  }
  if (!failed) fs::rename(between, to, failed);
  if (!failed) return;
  std::error_code ignored;
  fs::remove(between, ignored);
  throw Error(Error::Kind::io, str_cat("cannot name ", from, " ", to, ", too: ", failed.message()));
}

void Checkpoints::remove(const std::string& name) {
  std::error_code ignored;
  const bool named_twice = fs::hard_link_count(path(name), ignored) > 1 && !ignored;
  fs::remove(path(name), ignored);
  if (named_twice) return;
  for (const std::string_view ending : {kTrain, kOther}) fs::remove(str_cat(folder_, '/', name, ending), ignored);
}

void Checkpoints::sweep() {
  std::set<std::string> named, found;
  std::error_code failed;
  for (fs::directory_iterator at(folder_, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string file = at->path().filename().string();
    const std::string rest = is_weights(file) ? rest_of(at->path().string()) : "";
    if (file.ends_with(kTrain)) found.insert(file);
    else if (!rest.empty()) named.insert(rest);
    else if (is_weights(file)) return;             // who knows what it names
  }
  if (failed) return;
  for (const std::string& file : found)
    if (!named.contains(file)) fs::remove(str_cat(folder_, '/', file), failed);
}

// All that look like one, the newest first.
std::vector<std::string> Checkpoints::by_age() const {
  std::vector<std::pair<int64_t, std::string>> found;
  std::error_code failed;
  for (fs::directory_iterator at(folder_, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string file = at->path().filename().string();
    if (!is_weights(file)) continue;
    try {
      found.emplace_back(number(read_notes(at->path().string()), "updates"),
                         file.substr(0, file.size() - kWeights.size()));
    } catch (const Error&) {
      continue;
    }
  }
  std::ranges::sort(found, std::ranges::greater());
  std::vector<std::string> out;
  for (auto& [updates, name] : found) out.push_back(std::move(name));
  return out;
}

std::vector<std::string> Checkpoints::whole() const {
  std::vector<std::string> out = by_age();
  std::erase_if(out, [&](const std::string& name) { return !is_whole(path(name)); });
  return out;
}

std::string Checkpoints::newest() const {
  for (const std::string& name : by_age())
    if (is_whole(path(name))) return name;
  return "";
}

Notes load_checkpoint(const std::string& path, Module& model, const std::vector<Slot>& slots) {
  const auto [weights, rest] = read_both(path);
  const LoadReport report = model.compare(weights);
  if (!report.clean())
    throw Error(Error::Kind::weights, str_cat(path, " is of another model: ", report.summary()), report.details());
  std::set<const Tensor*> held;
  for (const NamedParameter& p : model.named_state()) held.insert(&p.tensor());
  std::vector<std::pair<Tensor*, Tensor>> values;
  for (const Slot& s : slots) {
    if (held.contains(s.tensor)) continue;
    const Tensor* saved = rest.find(s.name);
    if (!saved)
      throw Error(Error::Kind::weights, str_cat(path, " has no ", s.name),
                  "it goes on with the optimizer and the average that it was made with");
    want_same(path, s.name, *saved, *s.tensor);
    values.emplace_back(s.tensor, *saved);
  }
  const NoGrad no_grad;
  for (const NamedParameter& p : model.named_state())
    put(p.tensor(), cast(weights.at(p.name), p.tensor().dtype()));
  for (auto& [slot, value] : values) put(*slot, value);
  return notes_of(weights);
}

void load_average(const std::string& path, Module& model) {
  const StateDict rest = read_both(path).second;
  std::map<Tensor*, Tensor> values;                // of a tensor with several names, one was saved
  for (const NamedParameter& p : model.named_state())
    if (const Tensor* saved = rest.find("ema." + p.name)) {
      want_same(path, "ema." + p.name, *saved, p.tensor());
      values.emplace(&p.tensor(), *saved);
    }
  for (const NamedParameter& p : model.named_state())
    if (!values.contains(&p.tensor()))
      throw Error(Error::Kind::weights, str_cat(path, " has no average of ", p.name),
                  "was it trained with --model-ema? its weights themselves are what is loaded otherwise");
  const NoGrad no_grad;
  for (auto& [slot, value] : values) put(*slot, value);
}

Notes read_notes(const std::string& path) { return notes_of(read_safetensors(path)); }

}  // namespace fovea::train
