// SPDX-License-Identifier: Apache-2.0
// engine/autograd/autograd.cpp — the walk over the tape: latest node first, gradients summed where paths meet.
#include "engine/autograd/autograd.h"

#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/autograd/gradient_listener.h"
#include "engine/core/node.h"
#include "engine/core/scope.h"
#include "engine/ops/ops.h"
#include "engine/ops/random.h"

namespace fovea {
namespace {

class EnableGrad {
 public:
  explicit EnableGrad(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~EnableGrad() { set_grad_enabled(before_); }
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool before_;
};

std::string name_of(const Node& n) {
  return str_cat(n.op ? n.op->name() : std::string_view("checkpoint"), n.scope.empty() ? "" : " at ", n.scope);
}

void check_gradient(const Node& n, size_t operand, const Tensor& g) {
  const Meta& want = n.in[operand];
  if (g.shape() == want.shape && g.dtype() == want.dtype) return;
  throw Error(Error::Kind::internal, str_cat("the gradient of ", n.op->name(), " for operand ", operand, " is ",
                                             g.meta(), ", the operand is ", want));
}

Tensors run_vjp(const std::shared_ptr<Node>& n, std::span<const Tensor> grads) {
  const Scope scope(n->scope);
  try {
    Tensors out = n->op->vjp(Backward(n, grads));
    if (out.size() > n->edges.size())
      throw Error(Error::Kind::internal, str_cat("the vjp of ", n->op->name(), " gives ", out.size(), " gradients for ",
                                                 n->edges.size(), " operands"));
    out.resize(n->edges.size());
    for (size_t i = 0; i < out.size(); ++i)
      if (out[i] && n->edges[i]) check_gradient(*n, i, out[i]);
    return out;
  } catch (const Error& e) {
    const std::string text = e.what();
    const std::string help = text.size() > e.summary().size() ? text.substr(e.summary().size() + 1) : "";
    throw Error(e.kind(), e.summary(), str_cat(help, help.empty() ? "" : "\n", "in the gradient of ", name_of(*n)));
  }
}

// A gradient lies as its leaf does, so that update rules can walk both side by side.
Tensor lying_as(const Tensor& leaf, const Tensor& g) {
  return contiguous(g, leaf.meta().memory());
}

// One pass from the outputs to whatever wants their gradients.
class BackwardPass {
 public:
  /// Inputs given: only the nodes between them and the outputs are visited. None: all, and leaves gather into `leaves`.
  explicit BackwardPass(std::span<const Tensor> inputs) : inputs_(inputs) {
    for (const Tensor& t : inputs) {
      const TensorImpl* p = t.impl();
      if (p->node) targets_[p->node.get()];
      else leaf_targets_[p];
    }
  }

  void seed(const Tensor& output, const Tensor& g) {
    const std::shared_ptr<TensorImpl>& p = output.shared_impl();
    if (p->node) give({p->node, p->output, nullptr}, g);
    else if (p->requires_grad) give({nullptr, 0, p}, g);
  }

  /// Tells of inputs that are leaves as soon as no node on the way from this output uses them any more.
  void tell(GradientListener& listener, const Tensor& output) {
    std::unordered_set<const Node*> seen;
    std::vector<const Node*> stack{output.impl()->node.get()};
    std::unordered_map<const TensorImpl*, size_t> uses;
    while (!stack.empty()) {
      const Node* n = stack.back();
      stack.pop_back();
      if (!n || !seen.insert(n).second) continue;
      if (n->recompute) return;                    // what it reads is not known before it is run again
      for (const Edge& e : n->edges) {
        if (e.leaf && leaf_targets_.contains(e.leaf.get())) ++uses[e.leaf.get()];
        if (e.node) stack.push_back(e.node.get());
      }
    }
    uses_ = std::move(uses);
    listener_ = &listener;
  }

  void run() {
    while (!heap_.empty()) {
      const Node* key = heap_.top().second;
      heap_.pop();
      const auto it = pending_.find(key);
      const std::shared_ptr<Node> node = std::move(it->second.node);
      const Tensors grads = std::move(it->second.grads);
      pending_.erase(it);
      if (const auto t = targets_.find(key); t != targets_.end()) t->second = grads;
      visit(node, grads);
    }
  }

  Tensor of(const Tensor& input) const {
    const TensorImpl* p = input.impl();
    if (p->node) {
      const Tensors& all = targets_.at(p->node.get());
      return all.empty() ? Tensor() : all[static_cast<size_t>(p->output)];
    }
    return leaf_targets_.at(p);
  }

  bool told(size_t input) const { return told_.contains(input); }

  struct Leaf {
    std::shared_ptr<TensorImpl> tensor;
    Tensor grad;
  };
  std::vector<Leaf> leaves;                        // in the order in which they were met

 private:
  struct Pending {
    std::shared_ptr<Node> node;
    Tensors grads;
  };

  void visit(const std::shared_ptr<Node>& node, std::span<const Tensor> grads) {
    if (node->recompute) return revisit(*node, grads);
    if (!wanted(node.get())) return;
    Tensors in = run_vjp(node, grads);
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i] && node->edges[i]) give(node->edges[i], in[i]);
    if (!listener_) return;
    for (const Edge& e : node->edges)
      if (e.leaf) used(e.leaf.get());
  }

  // Which leaf of the inputs it is, they were given in their order.
  void used(const TensorImpl* leaf) {
    const auto left = uses_.find(leaf);
    if (left == uses_.end() || --left->second > 0) return;
    const Tensor& g = leaf_targets_.at(leaf);
    for (size_t i = 0; g && i < inputs_.size(); ++i)
      if (inputs_[i].impl() == leaf) told_.insert(i), listener_->complete(i, lying_as(inputs_[i], g));
  }

  // The segment's ops join the tape again as its latest nodes, so they are visited next and lead on to where the
  // segment began.
  void revisit(Node& node, std::span<const Tensor> grads) {
    Tensors out;
    {
      const Scope scope(node.scope);
      const EnableGrad enable(true);
      out = node.recompute->results();
    }
    if (out.size() != grads.size())
      throw Error(Error::Kind::argument, str_cat(name_of(node), ": the segment gave another number of results"));
    wanted_.clear();                               // nodes may have been freed and their addresses used again
    for (size_t i = 0; i < out.size(); ++i)
      if (out[i] && grads[i]) seed(out[i], grads[i]);
  }

  void give(const Edge& to, const Tensor& g) {
    if (to.leaf) return give_leaf(to.leaf, g);
    auto [it, first] = pending_.try_emplace(to.node.get());
    Pending& p = it->second;
    if (first) {
      p.node = to.node;
      p.grads.resize(to.node->out.size());
      heap_.emplace(to.node->order, to.node.get());
    }
    add(p.grads[static_cast<size_t>(to.output)], g);
  }

  void give_leaf(const std::shared_ptr<TensorImpl>& leaf, const Tensor& g) {
    if (!inputs_.empty()) {
      if (const auto t = leaf_targets_.find(leaf.get()); t != leaf_targets_.end()) add(t->second, g);
      return;
    }
    const auto [it, first] = leaf_at_.try_emplace(leaf.get(), leaves.size());
    if (first) leaves.push_back({leaf, {}});
    add(leaves[it->second].grad, g);
  }

  static void add(Tensor& sum, const Tensor& g) { sum = sum ? sum + g : g; }

  // Does the way on from this node lead to an input? Looked up once a node, without recursion: tapes are deep.
  bool wanted(const Node* from) {
    if (inputs_.empty()) return true;
    std::vector<const Node*> stack{from};
    while (!stack.empty()) {
      const Node* n = stack.back();
      if (wanted_.contains(n)) {
        stack.pop_back();
        continue;
      }
      bool yes = static_cast<bool>(n->recompute), ready = true;
      for (const Edge& e : n->edges) {
        if (e.leaf) yes |= leaf_targets_.contains(e.leaf.get());
        if (!e.node) continue;
        yes |= targets_.contains(e.node.get());
        const auto known = wanted_.find(e.node.get());
        if (known != wanted_.end()) yes |= known->second;
        else if (!yes) ready = false, stack.push_back(e.node.get());
      }
      if (!yes && !ready) continue;
      wanted_[n] = yes;
    }
    return wanted_.at(from);
  }

  std::span<const Tensor> inputs_;
  std::priority_queue<std::pair<uint64_t, const Node*>> heap_;       // latest first: all that use a node come before it
  std::unordered_map<const Node*, Pending> pending_;
  std::unordered_map<const Node*, Tensors> targets_;                 // inputs that ops made
  std::unordered_map<const TensorImpl*, Tensor> leaf_targets_;
  std::unordered_map<const TensorImpl*, size_t> leaf_at_;
  std::unordered_map<const Node*, bool> wanted_;
  GradientListener* listener_ = nullptr;
  std::unordered_map<const TensorImpl*, size_t> uses_;               // of leaves that are inputs, by nodes to come
  std::unordered_set<size_t> told_;                                  // inputs of which the listener has heard
};

Tensor first_gradient(const Tensor& output, const Tensor& seed, bool create_graph) {
  if (!output.requires_grad())
    throw Error(
        Error::Kind::argument,
        str_cat("the gradient of ", output.meta(), " was asked for, but nothing it depends on requires gradients"),
        "set_requires_grad() on a leaf before the forward pass, and no NoGrad around it");
  if (!seed) {
    if (output.numel() != 1)
      throw Error(Error::Kind::argument,
                  str_cat("backward from ", output.meta(), ", which has ", output.numel(), " elements"),
                  "reduce it to a scalar loss, or give the gradient to start from");
    return full(output.shape(), 1, output.dtype(), output.device());
  }
  if (seed.shape() != output.shape() || seed.dtype() != output.dtype())
    throw Error(Error::Kind::shape,
                str_cat("the gradient to start from is ", seed.meta(), ", the output is ", output.meta()));
  return create_graph ? seed : seed.detach();
}

}  // namespace

void backward(const Tensor& loss, const Tensor& seed, bool create_graph) {
  const EnableGrad mode(create_graph);
  BackwardPass walk({});
  walk.seed(loss, first_gradient(loss, seed, create_graph));
  walk.run();
  for (const BackwardPass::Leaf& l : walk.leaves) {
    const Tensor leaf(l.tensor);
    const Tensor before = leaf.grad(), g = lying_as(leaf, l.grad);
    leaf.set_grad(before ? before + g : g);
  }
}

namespace {

Gradients backward(const Tensor& loss, std::span<const Tensor> leaves, GradientListener* listener) {
  if (leaves.empty()) return {};
  for (const Tensor& t : leaves)
    if (!t.requires_grad() || t.impl()->node)
      throw Error(Error::Kind::argument,
                  str_cat("backward: ", t.meta(), t.requires_grad() ? " is no leaf" : " does not require gradients"),
                  "set_requires_grad() on leaves before the forward pass");
  const EnableGrad mode(false);
  BackwardPass walk(leaves);
  if (listener) walk.tell(*listener, loss);
  walk.seed(loss, first_gradient(loss, {}, false));
  walk.run();
  Gradients out;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor g = walk.of(leaves[i]);
    out.push_back(g ? lying_as(leaves[i], g) : g);
    if (listener && g && !walk.told(i)) listener->complete(i, out.back());
  }
  return out;
}

}  // namespace

Gradients backward(const Tensor& loss, std::span<const Tensor> leaves) { return backward(loss, leaves, nullptr); }
Gradients backward(const Tensor& loss, std::span<const Tensor> leaves, GradientListener& listener) {
  return backward(loss, leaves, &listener);
}

Tensors grad(std::span<const Tensor> outputs, std::span<const Tensor> inputs, std::span<const Tensor> seeds,
             bool create_graph) {
  if (!seeds.empty() && seeds.size() != outputs.size())
    throw Error(Error::Kind::argument,
                str_cat(seeds.size(), " gradients to start from for ", outputs.size(), " outputs"));
  if (inputs.empty()) return {};
  for (const Tensor& t : inputs)
    if (!t.requires_grad())
      throw Error(Error::Kind::argument,
                  str_cat("the gradient for ", t.meta(), " was asked for, which does not require gradients"),
                  "set_requires_grad() before the forward pass");
  const EnableGrad mode(create_graph);
  BackwardPass walk(inputs);
  for (size_t i = 0; i < outputs.size(); ++i)
    walk.seed(outputs[i], first_gradient(outputs[i], seeds.empty() ? Tensor() : seeds[i], create_graph));
  walk.run();
  Tensors out;
  for (const Tensor& t : inputs) {
    const Tensor g = walk.of(t);
    out.push_back(g ? g : zeros_of(t.meta()));
  }
  return out;
}

NoGrad::NoGrad() : before_(grad_enabled()) { set_grad_enabled(false); }
NoGrad::~NoGrad() { set_grad_enabled(before_); }

namespace {

struct Again final : Node::Recompute {
  std::shared_ptr<const Segment> segment;
  Tensors in;                                      // with their history
  Tensor step;                                     // at which it drew random numbers
  Tensors results() override {
    const UseRandomStep use(step);
    return (*segment)(in);
  }
};

}  // namespace

Tensors checkpoint(std::shared_ptr<const Segment> segment, std::span<const Tensor> in) {
  if (!grad_enabled()) return (*segment)(in);
  Tensors out;
  {
    const NoGrad off;
    Tensors bare;
    for (const Tensor& t : in) bare.push_back(t ? t.detach() : t);
    out = (*segment)(bare);
  }
  auto again = std::make_shared<Again>();
  again->segment = std::move(segment);
  again->in.assign(in.begin(), in.end());
  again->step = random_step();
  auto node = std::make_shared<Node>();
  node->recompute = std::move(again);
  node->scope = current_scope();
  node->order = next_node_order();
  for (size_t i = 0; i < out.size(); ++i) {
    node->out.push_back(out[i] ? out[i].meta() : Meta{});
    if (!out[i] || !is_floating(out[i].dtype())) continue;
    // the segment may have handed back one of its operands or a parameter
    out[i] = out[i].detach();
    out[i].impl()->node = node;
    out[i].impl()->output = static_cast<int>(i);
  }
  return out;
}

}  // namespace fovea
