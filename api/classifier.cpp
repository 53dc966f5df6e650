// SPDX-License-Identifier: Apache-2.0
#include "api/classifier.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea {

Classifier::Classifier(const zoo::ImageModel& model, LabelSources labels)
    : model_(model), sources_(std::move(labels)), config_(eval_config(model)) {
  if (model.num_classes() <= 0)
    throw Error(Error::Kind::argument, cat(model.full_name(), " has no classifier"),
                "fovea features gives its features");
}

const std::string& Classifier::name_classes(int64_t classes) {
  const Labels& labels = labels_.emplace(sources_, model_, classes);
  names_.clear();
  for (int64_t i = 0; i < classes; ++i) names_.push_back(labels[i]);
  return labels.note();
}

const std::string& Classifier::name_of(int64_t index) const {
  if (index < 0 || index >= classes())
    throw Error(Error::Kind::argument, cat("there is no class ", index, " of ", classes()),
                named() ? "" : "name_classes() comes first");
  return names_[static_cast<size_t>(index)];
}

std::vector<Guess> Classifier::best(const Tensor& logits, int64_t k) const {
  const NoGrad no_grad;
  const auto [values, indices] = topk(softmax(logits, 1), std::min(k, logits.dim(1)), 1);
  const std::span<const float> probs = values.data<float>();
  const std::span<const int64_t> which = indices.data<int64_t>();
  std::vector<Guess> out;
  for (size_t i = 0; i < probs.size(); ++i) out.push_back({which[i], probs[i], name_of(which[i])});
  return out;
}

}  // namespace fovea
