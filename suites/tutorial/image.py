"""An image: from a picture to a tensor, and through a network. The picture is made here."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import ToTensor

from pytest_torchbasics import layer, op

from .layers import conv_relu_pool

HEIGHT, WIDTH = 8, 6
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
#: Values that the tutorial prints, before and after.
DOCUMENTED = {40: 0.1569, 16: 0.0627, 22: 0.0863}


def picture(mode, seed=0):
    """A small picture of random pixels; its first ones have the documented values."""
    channels = CHANNELS[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels))
    pixels[0, : len(DOCUMENTED), 0] = list(DOCUMENTED)
    return Image.fromarray(pixels.astype(np.uint8).squeeze(), mode if mode == "RGBA" else None)


def to_tensor(image, device):
    return ToTensor()(image).to(device)


def pixel_by_pixel(image, device):
    """Each channel of each pixel over 255, moved to (channel, row, column)."""
    pixels = np.asarray(image, dtype=np.float64).reshape(HEIGHT, WIDTH, -1)
    return torch.tensor([(pixels[:, :, channel] / 255).tolist() for channel in range(pixels.shape[2])]).double()


def documented_values(transform, image, device):
    values = transform(image, device)[0, 0, : len(DOCUMENTED)].tolist()
    assert [round(value, 4) for value in values] == list(DOCUMENTED.values())


class Classifier(nn.Module):
    """The corrected network's kind, for pictures: two blocks and a linear head."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(*conv_relu_pool(3, 6), *conv_relu_pool(6, 4))
        self.classifier = nn.Linear(4 * HEIGHT * WIDTH, 10)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def pictures_as_tensors(device, dtype, generator):
    batch = torch.stack([to_tensor(picture("RGB", seed), device) for seed in range(3)])
    return [(batch.to(dtype),)]


def _to_tensor_case(mode):
    return op(
        f"image/to-tensor-{mode.lower()}",
        to_tensor,
        samples=lambda device, dtype, generator: [(picture(mode), device)],
        output=(CHANNELS[mode], HEIGHT, WIDTH),
        output_dtype="float32",
        reference=pixel_by_pixel,
        properties=(documented_values,),
        differentiable=False,
    )


CASES = [
    *(_to_tensor_case(mode) for mode in CHANNELS),
    layer("image/classifier", Classifier, samples=pictures_as_tensors, output=(3, 10), batch=(0,)),
]
