// SPDX-License-Identifier: Apache-2.0
// engine/core/node.h — Node: one op on the tape. Reference-counted from the tensors it made, so dropping the loss frees
// the tape.
#pragma once
#include <memory>
#include <vector>

#include "engine/core/op.h"

namespace fovea {

/// Where a gradient goes on: to an output of another node, or to a leaf. Both null: nobody wants it.
struct Edge {
  std::shared_ptr<Node> node;
  int output = 0;
  std::shared_ptr<TensorImpl> leaf;
  explicit operator bool() const { return node || leaf; }
};

struct Node {
  const OpDef* op = nullptr;                       // null for a checkpoint() node
  Attrs attrs;
  std::vector<Edge> edges;                         // one per operand
  Metas in, out;
  Tensors saved_in;                                // one per operand, absent where Saves does not name it
  Tensors saved_out;                               // one per result, without history (a Node does not own itself)
  std::string scope;                               // module path, for errors in the backward pass
  uint64_t order = 0;                              // counts up; backward visits higher ones first
  /// Instead of op->vjp: gradient checkpointing runs the segment again, and its fresh tape is walked from these
  /// results.
  struct Recompute {
    virtual ~Recompute() = default;
    virtual Tensors results() = 0;
  };
  std::shared_ptr<Recompute> recompute;

  Node() = default;
  ~Node();                                         // frees long chains without recursion
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

bool grad_enabled();
void set_grad_enabled(bool on);                    // this thread; use NoGrad (autograd.h) instead
/// Links results to a new node when gradients are enabled and an operand wants one.
void link(const OpDef& op, AttrsRef attrs, std::span<const Tensor> in, Tensors& out);
uint64_t next_node_order();

}  // namespace fovea
