// SPDX-License-Identifier: Apache-2.0
// examples/fine_tune.cpp — a new head for a published model: its body stays as it is, a classifier of other classes learns.
// c++ -std=c++20 fine_tune.cpp $(pkg-config --cflags --libs fovea-engine)
#include <cstdio>
#include <filesystem>
#include <fovea/api/preprocess.h>
#include <fovea/data/decode.h>
#include <fovea/engine/autograd/autograd.h>
#include <fovea/engine/core/error.h>
#include <fovea/engine/ops/ops.h>
#include <fovea/train/step.h>
#include <fovea/weights_tools/safetensors.h>
#include <fovea/zoo/zoo.h>
#include <map>

using namespace fovea;
namespace fs = std::filesystem;

int main(int argc, char** argv) try {
  if (argc != 5) throw Error(Error::Kind::argument, "usage: fine_tune MODEL WEIGHTS FOLDER-OF-CLASSES OUT.safetensors");
  std::map<std::string, std::vector<std::string>> classes;            // FOLDER/class/photo
  for (const auto& folder : fs::directory_iterator(argv[3]))
    for (const auto& photo : fs::directory_iterator(folder))
      classes[folder.path().filename().string()].push_back(photo.path().string());

  const auto model = zoo::create(argv[1], {.num_classes = static_cast<int>(classes.size())});
  zoo::load_weights(*model, argv[2], {.fine_tune = true});             // the classifier starts anew
  model->eval();

  // What the body makes of the photos is computed once.
  Tensors features;
  std::vector<int64_t> targets;
  {
    const NoGrad no_grad;
    for (const auto& [name, photos] : classes)
      for (const std::string& photo : photos) {
        const Tensor image = preprocess(*model, data::read_image(photo));
        features.push_back(model->forward_head(model->forward_features(image), true));
        targets.push_back(static_cast<int64_t>(std::distance(classes.begin(), classes.find(name))));
      }
  }
  const Tensor x = contiguous(cat(features, 0)), y = from(std::span<const int64_t>(targets), {x.dim(0)});

  std::vector<Tensor*> learning;
  for (const NamedParameter& p : model->named_parameters())
    if (p.name.starts_with(model->classifier_name())) learning.push_back(&p.tensor());
  Tensor &weight = *learning.at(0), &bias = *learning.at(1);
  for (Tensor* t : learning) *t = t->detach().set_requires_grad();
  train::SGD sgd(learning, {.lr = 0.1, .momentum = 0.9});
  double first = 0, loss = 0;
  for (int step = 0; step < 50; ++step) {
    sgd.zero_grad();
    const Tensor value = cross_entropy(linear(x, weight, bias), y);
    backward(value);
    sgd.step();
    loss = value.item();
    if (step == 0) first = loss;
  }
  std::printf("%lld photos of %zu classes: loss %.3f, then %.3f\n", static_cast<long long>(x.dim(0)), classes.size(), first, loss);
  write_safetensors(argv[4], model->state_dict());
  return loss < first ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
