// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/chained.h — Chained: models whose parts run one after the other, some of which end a feature level.
#pragma once
#include <string>
#include <vector>

#include "zoo/image_model.h"

namespace fovea::zoo {

/// `Base` is ImageModel or one with another head. The constructor says in which order parts run, once they are there.
template <class Base>
class Chained : public Base {
 public:
  Tensor forward_features(const Tensor& image) override {
    Tensor x = image;
    for (const Part& p : parts_) {
      {
        const Scope scope(p.parent);
        x = p.kept ? p.module(x) : this->run(*p.module, x);
      }
      if (p.level && this->tap(p.path, x, TapKind::block, channel_axis_)) break;
    }
    return x;
  }

 protected:
  explicit Chained(const ModelOptions& o) : Base(o) {}
  enum class Level : bool { no, yes };
  int channel_axis_ = 1;  // of what levels give
  void part(const std::string& path) { append(path, Level::no); }    // "stages.0"
  void level(const std::string& path) { append(path, Level::yes); }  // what it gives ends a feature level
  /// A part whose values are kept for the backward pass in any case.
  void stem(const std::string& path, Level level = Level::no) {
    append(path, level);
    parts_.back().kept = true;
  }
  /// All children of the child of that name; those whose numbers are listed, in rising order, end levels.
  void parts(const std::string& parent, const std::vector<int>& levels) {
    auto next = levels.begin();
    int number = 0;
    for (const auto& child : this->find(parent)->children()) {
      const bool ends = next != levels.end() && *next == number++;
      append(cat(parent, '.', child->name()), Level{ends});
      if (ends) ++next;
    }
  }

 private:
  struct Part {
    std::string path, parent;
    Ref<Module> module;
    bool level, kept = false;
  };
  void append(const std::string& path, Level level) {
    const size_t dot = path.rfind('.');
    parts_.push_back({path, dot == std::string::npos ? "" : path.substr(0, dot), Ref<Module>(this->find(path)),
                      level == Level::yes});
  }
  std::vector<Part> parts_;
};

}  // namespace fovea::zoo
