# SPDX-License-Identifier: Apache-2.0
"""levels.py — records what timm gives of a model's feature levels: intermediate values, and what pruning leaves.

Writes test/golden/levels/<module>.json: a small member of the family, first, and more where some treat their levels differently. A case
is a name, arguments, the size of the batch (images, height, width) and the pooling of the classifier that comes back; without one nothing
is pruned. The first case is the member that the tests of passes, allocations and the plan cache take, too. Weights and image come
from the formula of test/support/fill.h, figures from f64. Each entry of "intermediates" has timm's arguments and what came out: maps,
leading tokens, final value. An attention mask is a word: "near" lets tokens see those that are at most seven away, "added" are values to add
from the formula, named "mask". Each entry of "prune" has the arguments, the levels that were taken, the modules whose entries the state dict
lost, the widths that follow, what the pruned model makes of the image, and the entries that come back with a classifier of five classes.
Needs torch and timm.
"""
import inspect
import itertools
import json

import timm
import torch

from formula import fill, image, uniform
from recorder import create, record
from variations import figure, in_one, tolerance

torch.set_num_threads(1)


def asked(model):
    """Arguments of forward_intermediates that differ in what they give."""
    takes = inspect.signature(model.forward_intermediates).parameters
    # Hiera and SAM 2's encoder have no norm for their levels, and stop early unless they are told not to
    hiera = isinstance(model, (timm.models.hiera.Hiera, timm.models.hieradet_sam2.HieraDet))
    yield dict(stop_early=False) if hiera else dict(norm=True)
    yield dict(indices=[0, -2], **(dict(stop_early=False) if hiera else dict(norm=True)))
    yield dict(indices=2, stop_early=True, intermediates_only=True)
    # MobileNetV3 and V5 do not give the final value of a part, HRNet gives several, and CrossViT's branches here end as a whole
    if not isinstance(model, (timm.models.mobilenetv3.MobileNetV3, timm.models.mobilenetv5.MobileNetV5, timm.models.hrnet.HighResolutionNet,
                              timm.models.crossvit.CrossVit)):
        yield dict(indices=[1], stop_early=True)
        yield dict(indices=1, stop_early=True)
    if "return_prefix_tokens" in takes and model.num_prefix_tokens:
        yield dict(indices=[0, -1], output_fmt="NLC", return_prefix_tokens=True)
        yield dict(indices=[1, 2], norm=True, return_prefix_tokens=True, stop_early=True)
    if "is_causal" in takes:
        yield dict(indices=[-1], attn_mask="near")
        yield dict(indices=[1], attn_mask="added", stop_early=True)
        yield dict(indices=[1, -1], is_causal=True, intermediates_only=True)


def mask(word, model, dtype):
    n = model.patch_embed.num_patches + model.num_prefix_tokens
    if word == "added":
        return torch.from_numpy(2 * uniform("mask", n * n)).reshape(n, n).to(dtype)
    at = torch.arange(n)
    return (at[:, None] - at[None]).abs() <= 7


def figures(model, x, arguments):
    if "attn_mask" in arguments:
        arguments = {**arguments, "attn_mask": mask(arguments["attn_mask"], model, x.dtype)}
    answer = model.forward_intermediates(x, **arguments)
    final, maps = (None, answer) if arguments.get("intermediates_only") else answer
    prefix = []
    if arguments.get("return_prefix_tokens") and model.num_prefix_tokens:
        maps, prefix = zip(*maps)
    lists = {"features": maps, "prefix": prefix, "final": [] if final is None else [in_one(final)]}
    return {key: [figure(t, 4) for t in values] for key, values in lists.items()}


def lost_modules(before, after):
    """The fewest modules that hold what is gone, and nothing else."""
    lost = []
    for name in before:
        if name in after or any(name.startswith(module + ".") for module in lost):
            continue
        parts = name.split(".")
        heads = (".".join(parts[:i]) for i in range(1, len(parts)))
        lost.append(next((head for head in heads if not any(n.startswith(head + ".") for n in after)), name))
    return lost


def pruned(make, x, pool, arguments):
    model = make()
    before = list(model.state_dict())
    take = model.prune_intermediate_layers(**arguments)
    after = model.state_dict()
    if not torch.is_tensor(model(x)):
        return None  # HRNet that ends at branches is no net with one result
    single = {"output": figure(model(x), 4)}
    exact = {"output": figure(model.double()(x.double()), 4)}
    widths = dict(num_features=model.num_features, head_hidden_size=model.head_hidden_size)
    model.reset_classifier(5, pool)
    back = {n: list(t.shape) for n, t in model.state_dict().items() if n not in after or list(t.shape) != list(after[n].shape)}
    return dict(arguments=arguments, take=list(take), lost=lost_modules(before, after), **widths, **exact, back=back,
                tol=tolerance(exact, single))


def entry(name, kwargs, size, pool):
    b, h, w = size
    x = image(b, 3, h, w)

    def make():
        model = create(name, **kwargs).eval()
        fill(model)
        return model

    intermediates = []
    for arguments in asked(make()):
        single, exact = figures(make(), x, arguments), figures(make().double(), x.double(), arguments)
        intermediates.append(dict(arguments=arguments, **exact, tol=tolerance(exact, single)))
    cuts = [dict(indices=i, prune_norm=norm, prune_head=head)
            for i, norm, head in itertools.product(([2, 0], 1), (False, True), (False, True))]
    prunes = [row for c in cuts + [dict(indices=[0])] if pool and (row := pruned(make, x, pool, c))]
    lines = [json.dumps(row, separators=(",", ":")) for row in intermediates]
    more = [json.dumps(row, separators=(",", ":")) for row in prunes]
    head = json.dumps(dict(name=name, kwargs=kwargs, input=[b, 3, h, w], pool=pool))
    return f'{head[:-1]},\n "intermediates": [\n  ' + ",\n  ".join(lines) + '],\n "prune": [\n  ' + ",\n  ".join(more) + "]}"


if __name__ == "__main__":
    with torch.no_grad():
        record("levels", entry)
