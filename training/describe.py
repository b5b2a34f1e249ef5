"""Print a network's layers, shapes, parameters, multiply-adds and size.

  python -m training describe teacher --front-end stacked_frames
  python -m training describe student --rate 0.9295
  python -m training describe distill_vo/models/flow-s.safetensors
"""

import argparse
from pathlib import Path

import torch
from torchinfo import summary

from distill_vo.frontend import FRONT_ENDS
from distill_vo.networks import NetworkSettings, PoseRegressor, count_parameters
from distill_vo.student import load_network
from training import shapes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="teacher, student, or a .safetensors file")
    parser.add_argument("--front-end", choices=shapes.TEACHERS, default="dense_flow",
                        help="of teacher or student (default: dense_flow)")
    parser.add_argument("--rate", type=float, default=0.9295, metavar="D",
                        help="share of the teacher's parameters a student does without (default: 0.9295)")


def run(args: argparse.Namespace) -> None:
    network = PoseRegressor(_settings(args))
    x = torch.zeros(1, 1, *FRONT_ENDS[network.settings.front_end].shape)
    result = summary(network, input_data=[x], depth=3, verbose=0,
                     col_names=("output_size", "kernel_size", "num_params", "mult_adds"))
    print(result)
    print(f"{count_parameters(network):,} parameters, {result.total_mult_adds / 1e6:.1f} M multiply-adds a "
          f"frame, {4 * count_parameters(network) / 1e6:.2f} MB")


def _settings(args: argparse.Namespace) -> NetworkSettings:
    if args.network == "teacher":
        return shapes.TEACHERS[args.front_end]
    if args.network == "student":
        return shapes.student(shapes.TEACHERS[args.front_end], args.rate)
    return load_network(Path(args.network))[1].network
