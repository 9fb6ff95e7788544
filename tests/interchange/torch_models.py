"""Small torch modules like those that users have, untrained but with batch-normalisation statistics of their own."""

import torch
from torch import nn
from torch.nn import functional


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """With weights that make every part matter, in `eval()` mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_mean is not None and part.running_var is not None
                if part.affine:
                    part.weight.uniform_(0.5, 1.5, generator=generator)
                    part.bias.normal_(0.2, 0.3, generator=generator)
                part.running_mean.normal_(0, 0.2, generator=generator)
                part.running_var.uniform_(0.3, 2, generator=generator)
            elif isinstance(part, nn.Conv2d | nn.Linear):
                spread = (2 / part.weight[0].numel()) ** 0.5
                part.weight.normal_(0, spread, generator=generator)
                if part.bias is not None:
                    part.bias.normal_(0, 0.1, generator=generator)
    return module.eval()


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def lenet(inputs: int, classes: int) -> nn.Sequential:
    """LeNet-5 for images of 28 × 28, untrained."""
    return nn.Sequential(
        *(nn.Conv2d(inputs, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)),
    )


class Mobile(nn.Module):
    """Depthwise and pointwise convolutions in turn, ReLU6 after each (Howard et al., "MobileNets", 2017)."""

    def __init__(self, channels: int = 1, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6())
        self.blocks = nn.Sequential(
            _separable(width, 2 * width, 1), _separable(2 * width, 4 * width, 2), _separable(4 * width, 4 * width, 1)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem(x))
        return self.fc(self.dropout(torch.flatten(self.pool(x), 1)))


class Residual(nn.Module):
    """One block with nothing around it and one with a convolution (He et al., 2016)."""

    def __init__(self, channels: int = 1, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn0 = nn.BatchNorm2d(width)
        self.conv1a, self.bn1a = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv1b, self.bn1b = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2a, self.bn2a = nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width)
        self.conv2b, self.bn2b = nn.Conv2d(2 * width, 2 * width, 3, 1, 1, bias=False), nn.BatchNorm2d(2 * width)
        self.conv2s, self.bn2s = nn.Conv2d(width, 2 * width, 1, 2, bias=False), nn.BatchNorm2d(2 * width)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(torch.relu(self.bn0(self.conv0(x))), 2)
        y = functional.relu(self.bn1a(self.conv1a(x)))
        x = torch.relu(self.bn1b(self.conv1b(y)) + x)
        y = functional.relu(self.bn2a(self.conv2a(x)))
        x = torch.relu(self.bn2b(self.conv2b(y)) + self.bn2s(self.conv2s(x)))
        x = functional.avg_pool2d(x, x.shape[2])
        return self.fc(x.view(x.shape[0], -1))
