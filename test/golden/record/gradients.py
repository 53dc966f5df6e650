# SPDX-License-Identifier: Apache-2.0
"""gradients.py — records the gradients that PyTorch gives for the parameters of one small member of each family.

Writes test/golden/gradients/<module>.json. Weights and two images come from the formula of test/support/fill.h; all is computed in f64. The loss is
the mean cross entropy of ten classes, the target of image i being (3 i + 1) mod 10. A case is a name, arguments beside the number of
classes, pixels, and whether in train mode. Each is taken in eval mode on the smallest image
that the model takes (and on which no gradient vanishes, as that of a window's relative positions does where the last map is one pixel);
networks with batch norm also in train mode, on an image whose last maps still have more than one pixel. Of each
parameter's gradient the file holds the norm and up to 16 elements at (i (n - 1)) / (k - 1); only a norm of 0 where the gradient vanishes
but for rounding, as that of an offset in front of batch statistics does. "steady" says that PyTorch's own f32 gradients differ by less than
1e-4 (of a gradient's root mean square): batch statistics of few values, and values that rounding carries over a kink of ReLU, make others
useless for a comparison in f32. A case may end with the last parts of names whose gradients vanish for any image, as that of an offset
of all scores that a softmax reads. Needs torch and timm.
"""
import functools
import json

import timm
import torch

from formula import fill, image, spread
from recorder import create, record

torch.set_num_threads(1)
CLASSES = 10
STEADY = 1e-4


def is_random(module):
    """Draws numbers in train mode, so that nothing could be compared."""
    return isinstance(module, (torch.nn.Dropout, timm.layers.DropPath)) and getattr(module, "p", getattr(module, "drop_prob", 0)) > 0


def round_epsilons(model):
    """To f32, in which the engine's attributes are: where few values vary little, the difference shows in f64."""
    for module in model.modules():
        if isinstance(getattr(module, "eps", None), float):
            module.eps = torch.tensor(module.eps, dtype=torch.float32).item()


def linear_attention(eps, q, k, v):
    """Of efficientvit_mit, without a conversion to f32; the last value is 1."""
    y = q @ (k.transpose(-1, -2) @ v)
    return y[..., :-1] / (y[..., -1:] + eps)


def in_its_own_type(forward, dtype):
    """A forward function that computes in f32 whatever it is given, without that."""
    def run(*operands, **named):
        to_f32 = torch.Tensor.float
        torch.Tensor.float = lambda t: t.to(dtype)
        try:
            return forward(*operands, **named)
        finally:
            torch.Tensor.float = to_f32
    return run


def short(x):
    return float(f"{float(x):.9g}")


def gradients(name, kwargs, pixels, train, dtype):
    """The loss and the gradients by parameter."""
    model = create(name, num_classes=CLASSES, **kwargs)
    fill(model)
    round_epsilons(model)
    model = model.to(dtype).train(train)
    for m in model.modules():  # norms that compute in f32 whatever they are given
        if isinstance(m, timm.layers.RmsNormFp32):
            m.forward = functools.partial(torch.nn.functional.rms_norm, normalized_shape=m.normalized_shape, weight=m.weight, eps=m.eps)
        if isinstance(m, timm.models.efficientvit_mit.LiteMLA):  # so does its attention
            m._attn = functools.partial(linear_attention, m.eps)
        if isinstance(m, timm.models.gemma4_vit.Gemma4VisionPooler):
            m.forward = in_its_own_type(m.forward, dtype)
    assert not train or not any(is_random(m) for m in model.modules()), f"{name} draws random numbers"
    logits = model(image(2, 3, pixels, pixels).to(dtype))
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([(3 * i + 1) % CLASSES for i in range(2)]))
    loss.backward()
    return loss.item(), {parameter: p.grad.flatten().double() for parameter, p in model.named_parameters()}


def case(name, kwargs, pixels, train, offsets=()):
    loss, slopes = gradients(name, kwargs, pixels, train, torch.float64)
    rounded = gradients(name, kwargs, pixels, train, torch.float32)[1]
    vanishing = 1e-10 * max(g.norm().item() for g in slopes.values())
    rows, worst = [], 0
    for parameter, g in slopes.items():
        vanishes = g.norm().item() < vanishing
        assert train or vanishes == parameter.endswith(tuple(offsets)), f"{name}: the gradient of {parameter} vanishes, so nothing would be compared, or does not and should"
        if not vanishes:
            worst = max(worst, ((rounded[parameter] - g).abs().max() / g.norm() * g.numel() ** 0.5).item())
        figures = [0] if vanishes else [short(g.norm())] + [short(g[i]) for i in spread(g.numel(), 16)]
        rows.append(f"  {json.dumps(parameter)}: {json.dumps(figures)}")
    assert train or worst < STEADY, f"{name} at {pixels} pixels cannot be compared in f32"
    head = dict(name=name, kwargs=dict(num_classes=CLASSES, **kwargs), input=[2, 3, pixels, pixels], train=train, steady=worst < STEADY,
                loss=short(loss))
    return json.dumps(head)[:-1] + ', "gradients": {\n' + ",\n".join(rows) + "\n }}"


if __name__ == "__main__":
    record("gradients", case)
