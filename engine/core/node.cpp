// SPDX-License-Identifier: Apache-2.0
#include "engine/core/node.h"

#include <atomic>

#include "engine/core/scope.h"

namespace fovea {
namespace {
thread_local bool gradients = true;
}

bool grad_enabled() { return gradients; }
void set_grad_enabled(bool on) { gradients = on; }

uint64_t next_node_order() {
  static std::atomic<uint64_t> counter{1};
  return counter.fetch_add(1, std::memory_order_relaxed);
}

// A tape may be 100,000 ops long, and each node is held by the next: whatever a dying node lets go of is put on the
// outermost one's list.
Node::~Node() {
  using Held = std::vector<std::shared_ptr<void>>;
  thread_local Held* pending = nullptr;
  Held mine;
  const bool outermost = !pending;
  if (outermost) pending = &mine;
  for (Edge& e : edges)
    if (e.node) pending->push_back(std::move(e.node));
  for (Tensors* held : {&saved_in, &saved_out})
    for (Tensor& t : *held) {
      if (t) pending->push_back(t.shared_impl());
      t = {};
    }
  if (recompute) pending->push_back(std::move(recompute));
  if (!outermost) return;
  while (!mine.empty()) {
    const std::shared_ptr<void> last = std::move(mine.back());
    mine.pop_back();
  }
  pending = nullptr;
}

void link(const OpDef& op, AttrsRef attrs, std::span<const Tensor> in, Tensors& out) {
  bool wanted = false;
  for (const Tensor& t : in) wanted |= t.requires_grad();
  if (!wanted) return;
  auto node = std::make_shared<Node>();
  node->op = &op;
  const Saves saves = op.saves_for ? op.saves_for(attrs) : op.saves;
  node->attrs = attrs;
  node->scope = current_scope();
  node->order = next_node_order();
  node->edges.resize(in.size());
  node->saved_in.resize(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    node->in.push_back(in[i] ? in[i].meta() : Meta{});
    if (saves.inputs >> std::min<size_t>(i, 31) & 1u) node->saved_in[i] = in[i];
    if (!in[i].requires_grad()) continue;
    const std::shared_ptr<Node>& from = in[i].impl()->node;
    if (from) node->edges[i] = {from, in[i].impl()->output, nullptr};
    else node->edges[i].leaf = in[i].shared_impl();
  }
  node->saved_out.resize(out.size());
  for (size_t i = 0; i < out.size(); ++i) {
    node->out.push_back(out[i].meta());
    if (saves.outputs >> i & 1u) node->saved_out[i] = out[i].detach();
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (!is_floating(out[i].dtype())) continue;
    out[i].impl()->node = node;
    out[i].impl()->output = static_cast<int>(i);
  }
}

Tensor Backward::grad(int output) const {
  const Tensor& g = grads_[static_cast<size_t>(output)];
  return g ? g : zeros_of(node_->out[static_cast<size_t>(output)]);
}

Tensor Backward::in(int i) const {
  if (i >= inputs() || !in_meta(i).present()) return {};
  const Tensor& t = node_->saved_in[static_cast<size_t>(i)];
  if (!t)
    throw Error(Error::Kind::internal,
                str_cat("the vjp of ", node_->op->name(), " reads operand ", i, ", which its Saves do not name"));
  return t;
}

Tensor Backward::out(int i) const {
  const Tensor& t = node_->saved_out[static_cast<size_t>(i)];
  if (!t)
    throw Error(Error::Kind::internal,
                str_cat("the vjp of ", node_->op->name(), " reads result ", i, ", which its Saves do not name"));
  Tensor linked = t.detach();
  linked.impl()->node = node_;
  linked.impl()->output = i;
  return linked;
}

const Meta& Backward::in_meta(int i) const { return node_->in[static_cast<size_t>(i)]; }
const Meta& Backward::out_meta(int i) const { return node_->out[static_cast<size_t>(i)]; }
int Backward::inputs() const { return static_cast<int>(node_->in.size()); }
bool Backward::needs(int i) const { return i < inputs() && static_cast<bool>(node_->edges[static_cast<size_t>(i)]); }
AttrsRef Backward::attrs_ref() const { return node_->attrs.ref(); }

}  // namespace fovea
