"""torchvision's ResNet-18 and ResNet-50 for one input channel and ten classes, as plain PyTorch."""

STAGES = {"resnet18": (False, (2, 2, 2, 2)), "resnet50": (True, (3, 4, 6, 3))}


def resnet(torch, name):
    nn = torch.nn
    bottleneck, depths = STAGES[name]

    def conv(inputs, outputs, kernel, stride=1):
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)

    class Block(nn.Module):
        def __init__(self, inputs, width, outputs, stride):
            super().__init__()
            plan = ([(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
                    if bottleneck else [(inputs, width, 3, stride), (width, outputs, 3, 1)])
            body = []
            for at, (i, o, kernel, step) in enumerate(plan):
                body += [conv(i, o, kernel, step), nn.BatchNorm2d(o)]
                body += [nn.ReLU(inplace=True)] if at + 1 < len(plan) else []
            self.body = nn.Sequential(*body)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride),
                                                nn.BatchNorm2d(outputs))
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            shortcut = x if self.downsample is None else self.downsample(x)
            return self.relu(self.body(x) + shortcut)

    layers = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
              nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        outputs = width * 4 if bottleneck else width
        for block in range(depth):
            layers.append(Block(inputs, width, outputs, 2 if stage > 0 and block == 0 else 1))
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)]
    return nn.Sequential(*layers)
