// SPDX-License-Identifier: Apache-2.0
// engine/ops/matmul.cpp — matrix products, the linear layer, and einsum in terms of them.
#include <algorithm>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

struct Matrix {
  int64_t rows, columns;
};
Matrix matrix_of(const Meta& m, bool transposed) {
  const int64_t rows = m.dim(-2), columns = m.dim(-1);
  return transposed ? Matrix{columns, rows} : Matrix{rows, columns};
}
Shape leading(const Shape& s) { return Shape(s.begin(), s.end() - 2); }

Metas infer_matmul(const Site& s) {
  const auto& t = s.attrs<MatmulAttrs>();
  s.want_floating(0);
  s.want_same_dtype();
  for (int i = 0; i < 2; ++i)
    if (s.operand(i).rank() < 2) s.fail(str_cat(i ? "b" : "a", " must be a matrix, not shape ", s.operand(i).shape));
  const Matrix a = matrix_of(s.operand(0), t.transpose_a), b = matrix_of(s.operand(1), t.transpose_b);
  if (a.columns != b.rows)
    s.fail(str_cat("a", t.transpose_a ? " transposed" : "", " has ", a.columns, " columns, but b",
                   t.transpose_b ? " transposed" : "", " has ", b.rows, " rows"));
  Shape y = broadcast(s, leading(s.operand(0).shape), leading(s.operand(1).shape));
  y.push_back(a.rows);
  y.push_back(b.columns);
  return {make_meta(s.operand(0).dtype, y, Memory::contiguous, s.operand(0).device)};
}

Tensors vjp_matmul(const Backward& back) {
  const auto& t = back.attrs<MatmulAttrs>();
  const Tensor g = back.grad(), a = back.in(0), b = back.in(1);
  Tensor ga, gb;
  if (back.needs(0)) {
    ga = t.transpose_a ? matmul(b, g, {t.transpose_b, true, t.scale}) : matmul(g, b, {false, !t.transpose_b, t.scale});
    ga = sum_to(ga, a.shape());
  }
  if (back.needs(1)) {
    gb = t.transpose_b ? matmul(g, a, {true, t.transpose_a, t.scale}) : matmul(a, g, {!t.transpose_a, false, t.scale});
    gb = sum_to(gb, b.shape());
  }
  return {ga, gb};
}

Metas infer_linear(const Site& s) {
  const Epilogue& e = s.attrs<LinearAttrs>().epilogue;
  s.want_floating(0);
  s.want_same_dtype();
  s.want_rank(1, 2);
  const Meta &x = s.operand(0), &w = s.operand(1);
  if (x.rank() < 1 || x.dim(-1) != w.shape[1])
    s.fail(str_cat("x has ", x.rank() ? x.dim(-1) : 0, " features, but w ", w.shape, " takes ", w.shape[1]));
  if (s.has(2) && s.operand(2).shape != Shape{w.shape[0]})
    s.fail(str_cat("b has shape ", s.operand(2).shape, ", w ", w.shape, " gives ", w.shape[0], " features"));
  const Shape y = with_dim(x.shape, x.rank() - 1, w.shape[0]);
  if (e.residual != s.has(3) || (e.residual && s.operand(3).shape != y))
    s.fail(str_cat("the residual must be given with epilogue.residual and have shape ", y));
  return {make_meta(x.dtype, y, Memory::contiguous, x.device)};
}

Tensors vjp_linear(const Backward& b) {
  if (!b.attrs<LinearAttrs>().epilogue.empty())
    throw Error(Error::Kind::internal, "linear: an epilogue has no gradient");
  const Tensor g = b.grad(), w = b.in(1);
  Tensor gx, gw, gb;
  const Tensor rows = reshape(g, {g.numel() / std::max<int64_t>(w.dim(0), 1), w.dim(0)});
  if (b.needs(0)) gx = reshape(matmul(rows, w), b.in_meta(0).shape);
  if (b.needs(1)) gw = matmul(rows, reshape(b.in(0), {rows.dim(0), w.dim(1)}), {.transpose_a = true});
  if (b.needs(2)) gb = sum(rows, {0});
  return {gx, gw, gb};
}

// ---- einsum -----------------------------------------------------------------------------------------------------

struct Letters {
  std::string a, b, out;
};
bool has(const std::string& s, char c) { return s.find(c) != std::string::npos; }

[[noreturn]] void bad_equation(std::string_view equation, const std::string& why) {
  throw Error(Error::Kind::argument, str_cat("einsum: '", equation, "': ", why),
              "written like \"bhwc,hkc->bhwk\": one or two operands and the result");
}

Letters parse(std::string_view equation) {
  Letters l;
  std::string* part = &l.a;
  for (size_t i = 0; i < equation.size(); ++i) {
    const char c = equation[i];
    if (c == ' ') continue;
    if (c == ',' && part == &l.a) part = &l.b;
    else if (c == '-' && part != &l.out && equation.substr(i, 2) == "->") part = &l.out, ++i;
    else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      if (has(*part, c)) bad_equation(equation, str_cat("'", c, "' occurs twice in '", *part, c, "'"));
      *part += c;
    } else bad_equation(equation, str_cat("'", c, "' has no meaning here"));
  }
  if (part != &l.out) bad_equation(equation, "the result is missing");
  for (char c : l.out)
    if (!has(l.a, c) && !has(l.b, c)) bad_equation(equation, str_cat("'", c, "' of the result is in no operand"));
  return l;
}

// x with its letters in the order of `wanted`; letters that are not wanted are summed up.
Tensor arranged(const Tensor& x, const std::string& letters, const std::string& wanted) {
  Dims summed, order;
  std::string left;
  for (size_t i = 0; i < letters.size(); ++i) {
    if (has(wanted, letters[i])) left += letters[i];
    else summed.push_back(static_cast<int64_t>(i));
  }
  for (char c : wanted) order.push_back(static_cast<int64_t>(left.find(c)));
  return permute(summed.empty() ? x : sum(x, summed), order);
}

struct Grouped {  // letters of one operand: shared and kept, its own, shared and summed
  std::string batch, own, contracted;
  Shape batch_sizes, own_sizes;
  int64_t contracted_size = 1;
};
Grouped grouped(const Tensor& x, const std::string& mine, const std::string& other, const std::string& out) {
  Grouped g;
  for (size_t i = 0; i < mine.size(); ++i) {
    const char c = mine[i];
    const int64_t size = x.shape()[static_cast<int>(i)];
    if (has(out, c) && has(other, c)) g.batch += c;
    else if (has(out, c)) g.own += c, g.own_sizes.push_back(size);
    else if (has(other, c)) g.contracted += c, g.contracted_size *= size;
  }
  return g;
}

// [batch, rows, columns] from groups of letters; `transposed` says that rows and columns are swapped, which saves a
// copy.
Tensor as_matrix(const Tensor& x, const std::string& letters, const Grouped& g, int64_t batch, bool& transposed) {
  const int64_t own = numel(g.own_sizes);
  const Tensor swapped = arranged(x, letters, g.batch + g.contracted + g.own);
  const Shape swapped_shape{batch, g.contracted_size, own};
  const Tensor plain = arranged(x, letters, g.batch + g.own + g.contracted);
  const Shape plain_shape{batch, own, g.contracted_size};
  transposed = !reshape_strides(plain.meta(), plain_shape) && reshape_strides(swapped.meta(), swapped_shape);
  return transposed ? reshape(swapped, swapped_shape) : reshape(plain, plain_shape);
}

void check_sizes(std::string_view equation, const Tensor& x, const std::string& letters, const Tensor& other,
                 const std::string& others) {
  if (static_cast<size_t>(x.rank()) != letters.size())
    bad_equation(equation, str_cat("'", letters, "' for shape ", x.shape()));
  for (size_t i = 0; i < letters.size(); ++i)
    if (const size_t at = others.find(letters[i]);
        at != std::string::npos && other.shape()[static_cast<int>(at)] != x.shape()[static_cast<int>(i)])
      bad_equation(equation, str_cat("'", letters[i], "' is ", x.shape()[static_cast<int>(i)], " in ", x.shape(),
                                     " and ", other.shape()[static_cast<int>(at)], " in ", other.shape()));
}

int64_t work_matmul(const Site& s) {
  return s.result().numel() * s.operand(0).dim(s.attrs<MatmulAttrs>().transpose_a ? -2 : -1);
}

}  // namespace

namespace ops {
constinit const OpDef matmul{.signature = "matmul(a, b) -> y",
                             .infer = infer_matmul,
                             .vjp = vjp_matmul,
                             .saves = {.inputs = 0b11},
                             .role = Role::product,
                             .work = work_matmul};
constinit const OpDef linear{.signature = "linear(x, w, b?, residual?) -> y",
                             .infer = infer_linear,
                             .vjp = vjp_linear,
                             .saves = {.inputs = 0b11},
                             .role = Role::product,
                             .work = weights_work,
                             .epilogue = {offsetof(LinearAttrs, epilogue), 3}};
}  // namespace ops

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulAttrs& attrs) { return call1(ops::matmul, {a, b}, attrs); }
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
  return call1(ops::linear, {x, w, b}, LinearAttrs{});
}

Tensor einsum(std::string_view equation, const Tensor& a, const Tensor& b) {
  const Letters l = parse(equation);
  if (!b) {
    if (!l.b.empty()) bad_equation(equation, "two operands, one given");
    check_sizes(equation, a, l.a, a, "");
    return arranged(a, l.a, l.out);
  }
  check_sizes(equation, b, l.b, a, "");
  check_sizes(equation, a, l.a, b, l.b);
  const Grouped ga = grouped(a, l.a, l.b, l.out);
  Grouped gb = grouped(b, l.b, l.a, l.out);
  gb.batch = ga.batch;
  gb.contracted = ga.contracted;
  Shape result;
  for (char c : ga.batch) result.push_back(a.shape()[static_cast<int>(l.a.find(c))]);
  const int64_t batch = numel(result);
  for (int64_t d : ga.own_sizes) result.push_back(d);
  for (int64_t d : gb.own_sizes) result.push_back(d);
  bool a_swapped = false, b_swapped = false;
  const Tensor left = as_matrix(a, l.a, ga, batch, a_swapped), right = as_matrix(b, l.b, gb, batch, b_swapped);
  const Tensor y = matmul(left, right, {.transpose_a = a_swapped, .transpose_b = !b_swapped});
  return arranged(reshape(y, result), ga.batch + ga.own + gb.own, l.out);
}

}  // namespace fovea
