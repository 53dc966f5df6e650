// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/torch_choice.h"

#include <algorithm>
#include <unordered_set>

#include "engine/core/error.h"
#include "weights_tools/torch_tensors.h"

namespace fovea {
namespace {
using Kind = PickleValue::Kind;

std::string suspects_of(const Pickle& pickle) {
  std::string s;
  for (const std::string& g : pickle.globals)
    if (is_suspicious_global(g)) s += str_cat(s.empty() ? "" : ", ", g);
  return s.empty() ? s : str_cat("the file names ", s, ", which checkpoints have no use for; fovea ran nothing");
}

// A dict inside a checkpoint that has tensors of its own.
struct NestedDict {
  std::string path, told;  // "model/state_dict", "'state_dict' in 'model'"
  size_t tensors;
};

size_t tensors_in(const PickleValue& dict) {
  size_t n = 0;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2)
    n += dict.items[i]->is(Kind::text) && is_torch_tensor(*dict.items[i + 1]);
  return n;
}

class NestedDicts {
 public:
  explicit NestedDicts(const PickleValue& root) {
    walk(root, {}, {}, 0);
    std::ranges::stable_sort(found_, std::ranges::greater{}, &NestedDict::tensors);
  }
  // "there are 88 under 'teacher': ..."; "" when there are none
  std::string told() const {
    constexpr size_t kShown = 4;
    std::string s;
    for (size_t i = 0; i < std::min(found_.size(), kShown); ++i)
      s += str_cat(i ? ", " : "there are ", found_[i].tensors, " under ", found_[i].told);
    if (found_.empty()) return s;
    return str_cat(s, "; OpenOptions::key takes them, and so does: fovea convert FILE NEW_FILE --key ", found_[0].path);
  }

 private:
  void walk(const PickleValue& dict, const std::string& path, const std::string& told, int depth) {
    constexpr int kDepth = 4;
    constexpr size_t kMost = 1000;  // dicts may hold one another
    if (!dict.is(Kind::dict) || depth > kDepth || seen_.size() > kMost || !seen_.insert(&dict).second) return;
    if (const size_t n = depth ? tensors_in(dict) : 0) found_.push_back({path, told, n});
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      if (!dict.items[i]->is(Kind::text)) continue;
      const std::string_view key = dict.items[i]->text;
      walk(*dict.items[i + 1], path.empty() ? std::string(key) : str_cat(path, "/", key),
           told.empty() ? str_cat("'", key, "'") : str_cat("'", key, "' in ", told), depth + 1);
    }
  }
  std::unordered_set<const PickleValue*> seen_;
  std::vector<NestedDict> found_;
};

std::string advice(const Pickle& pickle) {
  const std::string suspects = suspects_of(pickle), places = NestedDicts(*pickle.root).told();
  return suspects.empty() || places.empty() ? suspects + places : str_cat(suspects, "; ", places);
}

// Keys may have slashes themselves: the longest one that there is counts.
const PickleValue* follow(const PickleValue& dict, std::string_view path) {
  if (!dict.is(Kind::dict)) return nullptr;
  if (const PickleValue* v = dict.find(path)) return v;
  for (size_t slash = path.rfind('/'); slash != path.npos && slash > 0; slash = path.rfind('/', slash - 1))
    if (const PickleValue* v = dict.find(path.substr(0, slash))) return follow(*v, path.substr(slash + 1));
  return nullptr;
}

}  // namespace

const PickleValue& choose_weights(const Pickle& pickle, const std::string& path, const TorchChoice& choice) {
  const PickleValue& root = *pickle.root;
  if (is_torch_tensor(root))
    throw Error(Error::Kind::format, str_cat(path, " holds a single tensor, not tensors by name"));
  if (!root.is(Kind::dict))
    throw Error(Error::Kind::format, str_cat(path, " holds ", describe(root), ", not a dict of tensors"),
                suspects_of(pickle));
  const PickleValue* chosen = &root;
  std::string_view from = choice.key;
  if (!choice.key.empty()) {
    chosen = follow(root, choice.key);
    if (!chosen) throw Error(Error::Kind::not_found, str_cat(path, " has no '", choice.key, "'"), advice(pickle));
  } else {
    for (std::string_view key : {"state_dict_ema", "model_ema", "state_dict", "model"}) {
      const bool averaged = key.ends_with("_ema");
      const PickleValue* v = root.find(key);
      if (!v || (averaged && (!choice.ema || v->is(Kind::none)))) continue;
      chosen = v;
      from = key;
      break;
    }
  }
  if (!chosen->is(Kind::dict))
    throw Error(Error::Kind::format,
                str_cat("'", from, "' in ", path, " is ", describe(*chosen), ", not a dict of tensors"),
                advice(pickle));
  return *chosen;
}

void no_tensors(const Pickle& pickle, const std::string& path) {
  throw Error(Error::Kind::format, str_cat(path, " has no tensors by name"), advice(pickle));
}

}  // namespace fovea
