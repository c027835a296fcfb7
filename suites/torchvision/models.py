"""torchvision.models: one small model of each family that classifies images."""

from __future__ import annotations

from unittest import mock

from torch import nn
from torchvision import models
from torchvision.models import (
    convnext,
    efficientnet,
    mobilenetv3,
    regnet,
    resnet,
    swin_transformer,
    vgg,
)

from pytest_torchbasics import Tensor, layer

CLASSES = 5
#: Three images: the variance of two values is a constant, which has no gradient.
SIZES = {"N": {"check": (3,), "timing": 8}}
#: What takes seconds to minutes for each model; its layers and operators have it in their own suites.
COSTLY = {
    "gradient": "it would take a difference of outputs for each of thousands of parameters",
    "forward_gradient": "it would take a derivative for each of up to 300 parameters",
}
#: Of those with many layers.
SLOW = "it takes up to a minute for a model of so many layers"
DEEP = {"skip": {**COSTLY, "compile": SLOW}}
DEEPEST = {"skip": {**COSTLY, "compile": SLOW, "second_gradient": SLOW, "autocast": SLOW}}
#: The bounds follow the rounding of inputs and weights, not that of so many results on the way.
DEEPEST_IN_BACKWARD = {
    "skip": {**DEEPEST["skip"], "gradient_reference": "rounding adds up over its layers to more than is allowed"}
}
#: Behind dead units, and behind norms of them, biases of zero leave ReLUs exactly at their kink.
AT_KINKS = {"known_failure": {"second_gradient": "ReLUs at their kink, whose sides have different second derivatives"}}


def narrow(make, factor=16):
    """The model with a part of its channels, where their numbers stand in its code."""

    def less(size):
        return size // factor if size % factor == 0 else size

    def narrowed(cls, sizes):
        init = cls.__init__

        def made(self, *arguments, groups=1, **options):
            if groups != 1:
                options["groups"] = less(groups)
            init(self, *map(less, arguments[:sizes]), *arguments[sizes:], **options)

        return mock.patch.object(cls, "__init__", made)

    def call():
        with narrowed(nn.Conv2d, 2), narrowed(nn.Linear, 2), narrowed(nn.BatchNorm2d, 1):
            return make()

    return call


def model(name, make, size, **facts):
    """A case of a model of square images of that size."""
    return layer(
        name, make, Tensor("N", 3, size, size), output=("N", CLASSES), sizes=SIZES, **{"skip": COSTLY, **facts}
    )


#: Settings of stages: of MobileNetV2, of MobileNetV3, of swin transformers.
STAGES = [[1, 16, 1, 1], [3, 32, 2, 2]]
RESIDUALS = [
    mobilenetv3.InvertedResidualConfig(8, 3, 12, 8, True, "RE", 1, 1, 1.0),
    mobilenetv3.InvertedResidualConfig(8, 5, 16, 16, True, "HS", 2, 1, 1.0),
]
SWIN = ([2, 2], 8, [2, 1], [1, 2], [2, 2])
NO_DEPTH = {"stochastic_depth_prob": 0.0, "num_classes": CLASSES}


def with_head(m):
    """Random values in the head, which starts as zero."""
    nn.init.normal_(m.heads.head.weight)


def with_biases(m):
    """Random biases and weights of norms: from zeros and ones the signal fades to nothing, or stands at a kink."""
    for parameter in m.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)


CASES = [
    model("alexnet", narrow(lambda: models.AlexNet(CLASSES, dropout=0.0)), 63),
    model("vgg", narrow(lambda: models.VGG(vgg.make_layers([64, "M", 128, 512, "M"]), CLASSES, dropout=0.0)), 28),
    model(
        "vgg/batch-norm",
        narrow(lambda: models.VGG(vgg.make_layers([64, "M", 512], batch_norm=True), CLASSES)),
        14,
        random_in_training=True,
        **DEEP,
    ),
    model("resnet", narrow(lambda: models.ResNet(resnet.BasicBlock, [1, 1, 1, 1], CLASSES)), 33),
    model(
        "resnet/bottleneck",
        narrow(lambda: models.ResNet(resnet.Bottleneck, [1, 1, 1, 1], CLASSES, groups=32, width_per_group=4)),
        33,
        **DEEP,
        **AT_KINKS,
    ),
    model(
        "squeezenet",
        narrow(lambda: models.SqueezeNet("1_1", CLASSES, dropout=0.0)),
        33,
        prepare=with_biases,
        **DEEP,
    ),
    model("densenet", lambda: models.DenseNet(4, (2, 1), 8, 2, num_classes=CLASSES), 32, **DEEP, **AT_KINKS),
    model(
        "googlenet",
        narrow(lambda: models.GoogLeNet(CLASSES, init_weights=True, dropout=0.0)),
        32,
        prepare=with_biases,
        **DEEPEST,
    ),
    model(
        "inception-v3",
        narrow(lambda: models.Inception3(CLASSES, aux_logits=False, init_weights=True, dropout=0.0)),
        75,
        prepare=with_biases,
        **DEEPEST_IN_BACKWARD,
    ),
    model(
        "mobilenet-v2", narrow(lambda: models.MobileNetV2(CLASSES, 0.25, STAGES, dropout=0.0)), 16, **DEEP, **AT_KINKS
    ),
    model("mobilenet-v3", lambda: models.MobileNetV3(RESIDUALS, 12, CLASSES, dropout=0.0), 16, **DEEP),
    model("mnasnet", narrow(lambda: models.MNASNet(0.5, CLASSES, 0.0)), 33, prepare=with_biases, **DEEPEST_IN_BACKWARD),
    model(
        "efficientnet",
        lambda: models.EfficientNet(
            [
                efficientnet.MBConvConfig(1, 3, 1, 8, 8, 1),
                efficientnet.MBConvConfig(2, 5, 2, 8, 16, 2),
                efficientnet.FusedMBConvConfig(2, 3, 1, 16, 16, 1),
            ],
            0.0,
            0.0,
            CLASSES,
            last_channel=24,
        ),
        16,
        **DEEP,
    ),
    model(
        "regnet",
        lambda: models.RegNet(
            regnet.BlockParams([1, 2], [8, 16], [4, 8], [1.0, 1.0], [2, 2], 0.25), CLASSES, stem_width=8
        ),
        16,
        **DEEP,
        **AT_KINKS,
    ),
    model("shufflenet-v2", lambda: models.ShuffleNetV2([2, 1, 1], [8, 8, 16, 16, 24], CLASSES), 64, **DEEP, **AT_KINKS),
    model(
        "convnext",
        lambda: models.ConvNeXt(
            [convnext.CNBlockConfig(6, 12, 1), convnext.CNBlockConfig(12, None, 1)], 0.0, 0.5, CLASSES
        ),
        16,
    ),
    model(
        "vision-transformer",
        lambda: models.VisionTransformer(16, 8, 2, 2, 8, 12, num_classes=CLASSES),
        16,
        prepare=with_head,
    ),
    model("swin-transformer", lambda: models.SwinTransformer(*SWIN, **NO_DEPTH), 8, **DEEP),
    model(
        "swin-transformer-v2",
        lambda: models.SwinTransformer(
            *SWIN,
            **NO_DEPTH,
            block=swin_transformer.SwinTransformerBlockV2,
            downsample_layer=swin_transformer.PatchMergingV2,
        ),
        8,
        **DEEP,
        **AT_KINKS,
    ),
    model("maxvit", lambda: models.MaxVit((8, 8), 4, 2, [8], [1], 4, 0.0, num_classes=CLASSES), 8, **DEEP),
]
