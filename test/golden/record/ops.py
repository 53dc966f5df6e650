# SPDX-License-Identifier: Apache-2.0
"""ops.py — records what PyTorch computes where finite differences cannot tell: semantics of resizing, pooling, masks, ties.

Writes test/golden/ops.tsv: name, shape, values (f64, nine digits). The operands are x(seed, shape)[i] = 2 sin(1 + 0.7 i + 0.37 seed),
which test/engine/ops_golden.cpp makes again. Needs torch and timm.
"""
import pathlib

import torch
import torch.nn.functional as F
from timm.layers.activations_me import hard_mish_me

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
CASES = {}


def x(seed, *shape):
    n = int(torch.tensor(shape).prod()) if shape else 1
    return (2 * torch.sin(1 + 0.7 * torch.arange(n, dtype=torch.float64) + 0.37 * seed)).reshape(shape)


def case(name, *results):
    for i, r in enumerate(results):
        CASES[name if len(results) == 1 else f"{name}.{i}"] = r.detach()


def slopes(f, *operands):
    """The gradients of sum(f * (1, 2, 3, ...))."""
    leaves = [o.clone().requires_grad_() for o in operands]
    y = f(*leaves)
    return torch.autograd.grad((y.flatten() * torch.arange(1, y.numel() + 1)).sum(), leaves)


def resizing():
    image, row, cube = x(1, 1, 2, 4, 5), x(2, 1, 1, 6), x(3, 1, 1, 2, 3, 3)
    for mode in ("bilinear", "bicubic"):
        for align in (False, True):
            for size in ((7, 3), (2, 8)):
                case(f"resize {mode} align={int(align)} {size[0]}x{size[1]}", F.interpolate(image, size, mode=mode, align_corners=align))
                case(f"resize {mode} antialias align={int(align)} {size[0]}x{size[1]}",
                     F.interpolate(image, size, mode=mode, align_corners=align, antialias=True))
        case(f"resize {mode} by 1.3 and 0.7", F.interpolate(image, scale_factor=(1.3, 0.7), mode=mode))
        case(f"resize {mode} antialias by 0.6", F.interpolate(image, scale_factor=(0.6, 0.6), mode=mode, antialias=True))
    case("resize nearest 7x3", F.interpolate(image, (7, 3)))
    case("resize nearest 2x8", F.interpolate(image, (2, 8)))
    case("resize nearest by 1.3 and 0.7", F.interpolate(image, scale_factor=(1.3, 0.7)))
    case("resize linear", F.interpolate(row, 4, mode="linear"), F.interpolate(row, 9, mode="linear", align_corners=True))
    case("resize trilinear", F.interpolate(cube, (3, 2, 4), mode="trilinear"))


def pooling():
    image = x(4, 1, 2, 6, 5)
    case("max_pool ceil", *F.max_pool2d(image, 3, 2, 1, ceil_mode=True, return_indices=True))
    case("max_pool dilated", *F.max_pool2d(image, 3, 1, 1, dilation=2, return_indices=True))
    case("avg_pool ceil", F.avg_pool2d(image, 3, 2, 1, ceil_mode=True), F.avg_pool2d(image, 3, 2, 1, ceil_mode=True, count_include_pad=False),
         F.avg_pool2d(image, (3, 2), (2, 3), (1, 1), ceil_mode=True, divisor_override=4))
    case("avg_pool ceil beyond the end", F.avg_pool2d(image, 2, 2, 0, ceil_mode=True), F.avg_pool2d(image, 2, 3, 1, ceil_mode=True))
    low = x(4, 1, 2, 2, 5)
    case("max_pool ceil of less than a window", *F.max_pool2d(low, 3, 2, 0, ceil_mode=True, return_indices=True))
    case("avg_pool ceil of less than a window", F.avg_pool2d(low, 3, 2, 0, ceil_mode=True))
    case("adaptive_avg_pool", F.adaptive_avg_pool2d(image, (4, 3)), F.adaptive_avg_pool2d(image, (7, 2)))
    case("adaptive_max_pool", *F.adaptive_max_pool2d(image, (4, 3), return_indices=True))
    case("max_pool tie", *F.max_pool2d(torch.ones(1, 1, 4, 4), 2, return_indices=True))


def pointwise():
    line = torch.linspace(-5, 5, 21)
    functions = {
        "relu6": F.relu6, "leaky_relu": lambda t: F.leaky_relu(t, 0.2), "elu": lambda t: F.elu(t, 1.5), "celu": lambda t: F.celu(t, 2.0),
        "selu": F.selu, "silu": F.silu, "mish": F.mish, "softplus": F.softplus, "gelu": F.gelu, "gelu_tanh": lambda t: F.gelu(t, approximate="tanh"),
        "quick_gelu": lambda t: t * torch.sigmoid(1.702 * t), "hard_sigmoid": F.hardsigmoid, "hard_swish": F.hardswish,
        "hard_mish": hard_mish_me, "log_sigmoid": F.logsigmoid, "expm1": torch.expm1, "round": torch.round,
        "sign": torch.sign, "clamp": lambda t: t.clamp(-1, 2.5), "erf": torch.erf, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    }
    for name, f in functions.items():
        leaf = line.clone().requires_grad_()
        y = f(leaf)
        case(name, y, *torch.autograd.grad(y.sum(), leaf))
    a, b = torch.tensor([7.0, -7, 7, -7, 6, -0.5]), torch.tensor([3.0, 3, -3, -3, 3, 2])
    case("remainder", torch.remainder(a, b), torch.floor_divide(a, b), torch.remainder(a.long(), b.long()), torch.floor_divide(a.long(), b.long()))
    tied, other = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 3, 2])
    case("ties", *slopes(torch.maximum, tied, other), *slopes(torch.minimum, tied, other), *slopes(lambda t: t.amax(0, True), torch.tensor([2.0, 2, 1])))
    case("slopes at zero", *slopes(torch.abs, torch.zeros(2)), *slopes(lambda t: F.prelu(t, torch.full((1,), 0.25)), torch.zeros(1, 2)))
    case("pow slopes", *slopes(torch.pow, torch.tensor([2.0, 3, 0.5]), torch.tensor([0.0, 1, 2])))


def reductions():
    block = x(5, 3, 4)
    case("var", block.var(1, unbiased=True), block.var(0, unbiased=False), block.var(unbiased=True))
    case("normalize", F.normalize(block, dim=1), torch.logsumexp(block, 1), torch.cumsum(block, 0))
    ties = torch.tensor([2.0, 1, 2, 0, 1])
    case("sort", torch.argsort(ties, stable=True), torch.argsort(ties, stable=True, descending=True), torch.argmax(ties), torch.argmin(ties))
    case("topk", *torch.topk(block, 2, 1), *torch.topk(block, 2, 0, largest=False))
    case("prod slopes", *slopes(lambda t: t.prod(1), torch.tensor([[1.0, 2, 3], [0, 2, 3], [0, 0, 3]])))


def arranging():
    image = x(6, 1, 4, 3, 4)
    case("pad reflect", F.pad(image, (2, 1, 0, 2), mode="reflect"))
    case("pad replicate", F.pad(image, (5, 1, 0, 2), mode="replicate"))
    case("pad circular", F.pad(image, (3, 4, 1, 3), mode="circular"))
    case("pad constant", F.pad(image, (-1, 2, 1, -2), value=0.5))
    case("pixel_shuffle", F.pixel_shuffle(image, 2), F.pixel_unshuffle(image[:, :, :2], 2))
    case("roll", torch.roll(image, (1, -2), (1, 3)))
    case("repeat", x(6, 2, 3).repeat(2, 1, 2), x(6, 2, 3).repeat_interleave(2, 1))
    case("unfold", F.unfold(image, (2, 3), dilation=(2, 1), padding=(1, 0), stride=(1, 2)))


def products():
    q, k, v = x(7, 1, 2, 3, 4), x(8, 1, 2, 5, 4), x(9, 1, 2, 5, 2)
    allowed = (torch.arange(15).reshape(3, 5) % 4 != 1)
    allowed[1] = False
    case("sdpa", F.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v, scale=0.3))
    case("sdpa bool mask", F.scaled_dot_product_attention(q, k, v, attn_mask=allowed))
    case("sdpa bias", F.scaled_dot_product_attention(q, k, v, attn_mask=x(10, 3, 5)))
    case("sdpa causal", F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(k, q, q, is_causal=True))
    case("einsum", torch.einsum("bhwc,hkc->bhwk", x(1, 1, 2, 3, 4), x(2, 2, 5, 4)), torch.einsum("ab,ab->b", x(1, 3, 4), x(2, 3, 4)),
         torch.einsum("abc,cd->da", x(1, 2, 2, 3), x(2, 3, 4)))
    image = x(11, 1, 4, 6, 5)
    case("conv", F.conv2d(image, x(12, 6, 2, 3, 2), x(13, 6), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2))
    case("conv_transpose", F.conv_transpose2d(image[:, :, :3, :2], x(12, 4, 1, 3, 2), x(13, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2))
    case("conv1d", F.conv1d(x(11, 1, 2, 7), x(12, 3, 2, 3), stride=2, padding=1))
    case("conv3d", F.conv3d(x(11, 1, 2, 3, 3, 3), x(12, 2, 2, 2, 2, 2)))


def norms():
    image, w, b = x(14, 3, 4, 2, 3), x(15, 4), x(16, 4)
    case("batch_norm", F.batch_norm(image, None, None, w, b, True, 0, 1e-3), F.batch_norm(image, b, w.square(), w, b, False, 0, 1e-3))
    case("layer_norm", F.layer_norm(image, (2, 3), x(17, 2, 3), x(18, 2, 3), 1e-3), F.rms_norm(image, (3,), x(17, 3), 1e-3))
    case("group_norm", F.group_norm(image, 2, w, b, 1e-3), F.instance_norm(image, weight=w, bias=b, eps=1e-3))


def losses():
    logits, soft, classes = x(19, 3, 4), torch.softmax(x(20, 3, 4), 1), torch.tensor([1, 3, 0])
    case("cross_entropy", F.cross_entropy(logits, classes), F.cross_entropy(logits, classes, label_smoothing=0.1),
         F.cross_entropy(logits, soft), F.cross_entropy(logits, soft, label_smoothing=0.1), F.cross_entropy(logits, soft, reduction="none"),
         F.cross_entropy(logits, soft, reduction="sum"))
    some = torch.tensor([1, -100, 0])
    case("ignore_index", F.cross_entropy(logits, some), F.cross_entropy(logits, some, label_smoothing=0.1),
         F.cross_entropy(logits, some, reduction="none"), F.cross_entropy(logits, some, reduction="sum", label_smoothing=0.1),
         F.cross_entropy(logits, classes, ignore_index=3), F.nll_loss(torch.log_softmax(logits, 1), some))
    case("losses", F.nll_loss(torch.log_softmax(logits, 1), classes), F.binary_cross_entropy_with_logits(logits, soft),
         F.mse_loss(logits, soft), F.l1_loss(logits, soft), F.kl_div(torch.log_softmax(logits, 1), soft, reduction="mean"))


for group in (resizing, pooling, pointwise, reductions, arranging, products, norms, losses):
    group()
target = pathlib.Path(__file__).resolve().parents[1] / "ops.tsv"
with open(target, "w") as f:
    f.write(f"# name, shape, values; torch {torch.__version__.split('+')[0]}\n")
    for name, r in CASES.items():
        shape = "x".join(map(str, r.shape)) or "-"
        f.write(f"{name}\t{shape}\t{' '.join(f'{float(v):.9g}' for v in r.flatten())}\n")
print(target, len(CASES), "results", target.stat().st_size, "bytes")
