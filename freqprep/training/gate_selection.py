"""Learning of a selection: which channels a network keeps, a number or a budget of bytes given.

Each image is trained with switches drawn for it, channel c open with probability p_c. At step t the
probabilities maximise value and entropy H, each channel weighted by its cost b_c (1, or its stored
bytes an image), under the constraint that the open channels cost B_t in the mean::

    max  sum_c b_c (k_t z_c p_c + H(p_c))   such that   sum_c b_c p_c = B_t
    p_c = sigmoid(k_t z_c - m_t)

m_t is the constraint's multiplier, the price of a channel. The cost falls strictly with the
price, so that bisection finds the price of each step, to the last bit. Ascent of the dual by
steps, and still more a weight of the penalty that a person guesses, reach B in as many steps as
learning rate, data and network make it, which a short run does not have and a long one
overshoots.

The value of a channel is the fall of the loss L when it is opened: the mean slope ``-dL/ds`` by its
switch s over images where s is 0, plus that over images where s is 1, halved: the trapezoidal rule
for ``L(0) - L(1)``. The open end alone says nothing where a convolution of each channel by itself
and batch norm follow, as MobileNetV2 begins: there the slopes have a mean of 0 (measured: 1e-4 of
their standard error), whatever the channel tells. Slopes are averaged over past steps, with
exponential weights, and the mean counts in units e_c of its standard error, because rare large
coefficients have the largest slopes and the least sure. Of C channels that tell nothing the largest
e_c^2 is about 2 ln C (Donoho and Johnstone 1994), so each e_c is multiplied by ``1 - 2 ln C /
e_c^2``, the garrote, or by next to nothing where that is negative (Gao 1998). Without evidence a
channel is worth its energy w_c, which is what leaving it out loses of the images; an e_c of 2
multiplies that by the standard deviation (geometric) of energy over channels: the network overrules
energy where its evidence is significant. On natural images it was not (MobileNetV2, 1,152 steps on
4,600 images: a mean of e_c^2 of 0.7, and no correlation between seeds); with all of e_c a third of
the choice was drawn by lot. z_c is the logit of the rank of w_c: ranked, so that the scale of
gradients, which differs by network, data and time, has no influence. What a channel costs counts in
the constraint alone: by w_c / b_c nearly empty channels, which cost next to nothing, stood before
the last low frequencies, and networks on that choice were worse (docs/method.md). This is dual
averaging (Nesterov 2009) with an entropy as regulariser. Gradients go straight through the
switches, as those of a relaxed sample of temperature 0 would (Maddison et al. 2017; Louizos et al.
2018).

Phases are shares of all steps, so that they fit runs of any length:

=============  ==========  =========================================================================
up to 1/10     all open    a network that knows nothing cannot tell channels apart
up to 1/2      tightening  B_t = B_all (B / B_all)^x, k_t = 4 x, x from 0 to 1: each step closes the
                           same share of what is open (Zhu and Gupta 2017 close less and less, too)
up to 2/3      held at B   the worth of channels among the few that are left
from 2/3 on    frozen      the chosen are open, all others closed, as in evaluation; along a cosine
                           a quarter of the learning rate is left to adapt with
=============  ==========  =========================================================================

The choice takes channels by falling worth as long as they fit: their number is exact, and their
bytes fall short of the budget by less than any channel that was left out takes, those aside that
are 0 in all images.

Sources: D. Donoho, I. Johnstone, Ideal spatial adaptation by wavelet shrinkage, 1994. H.-Y. Gao,
Wavelet shrinkage denoising using the non-negative garrote, 1998. Y. Nesterov, Primal-dual
subgradient methods for convex problems, 2009. C. Maddison et al., The concrete distribution, ICLR
2017. C. Louizos et al., Learning sparse neural networks through L0 regularization, ICLR 2018. M.
Zhu, S. Gupta, To prune, or not to prune, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from freqprep.models.gate import GatedNetwork, SelectionGate
from freqprep.training.distributed import World
from freqprep.training.gate_goal import GateGoal, GatePhases

_SHARPEST = 4.0
_MEMORY = 1 / 2
"""Share of the steps that learn whose slopes count."""
_SIGNIFICANT = 2.0
"""Standard errors of a slope that one standard deviation of the energy's logarithm is worth."""
_NEXT_TO_NOTHING = 1e-6
"""Weight of evidence that may be noise: it decides between channels of the same energy."""
_HALVINGS = 60
_WIDEST = 64.0
"""Beyond any logit: a price that opens or shuts all."""


class GateSelector:
    """Draws the switches of each step, learns what channels are worth, and chooses them.

    All processes have the same values to the bit; nothing waits for the device but the choice.

    Parameters
    ----------
    network : GatedNetwork
        In training; with a `SelectionGate`, whose choice is set.
    goal : GateGoal
    steps : int
        Of the whole run.
    world : World

    Attributes
    ----------
    frozen : bool
        Whether the choice is made.
    """

    def __init__(self, network: GatedNetwork, goal: GateGoal, steps: int, world: World) -> None:
        assert isinstance(network.gate, SelectionGate)
        self._gate, self._goal, self._world = network.gate, goal, world
        self._gate.chosen.fill_(value=True)  # initial weights may bring a choice
        self._phases = GatePhases.of(steps)
        learned = self._phases.frozen - self._phases.tightening
        self._decay = 1 - 1 / max(learned * _MEMORY, 2.0)
        self._costs, self._bytes, self._log_energy = (
            torch.as_tensor(one, device=world.device)
            for one in (goal.costs, goal.channel_bytes, goal.log_energy)
        )
        self._nats = goal.spread / _SIGNIFICANT  # that a standard error is worth
        # Numbers of images, sums of slopes and of their squares; of switches at 0 and at 1.
        self._sums = torch.zeros(3, 2, len(goal.costs), dtype=torch.float64, device=world.device)
        self._seen = torch.zeros_like(self._sums)
        self._price = torch.zeros((), dtype=torch.float64, device=world.device)
        self._switches: torch.Tensor | None = None
        self._open = self._gate.chosen.double()
        self._learning = self.frozen = False

    def begin(self, step: int) -> None:
        """Prepare a step, from 0 over all epochs: its probabilities, or the choice."""
        if step >= self._phases.frozen and not self.frozen:
            self.choose(step)
            self.frozen = True
        self._learning = self._phases.tightening <= step < self._phases.frozen
        if self.frozen:
            self._open = self._gate.chosen.double()
        elif self._learning:
            self._price, self._open = self._solve(step)
        self._seen.zero_()

    def forward(self, model: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> Any:
        """Call a network in training mode behind the switches; they are drawn for each image.

        Parameters
        ----------
        model : callable
        inputs : Tensor of float, shape (n, channels, rows, columns)

        Returns
        -------
        Any
            Of the network.
        """
        switches = self._open.float().expand(len(inputs), -1)
        if self._learning:
            switches = (torch.rand_like(switches) < switches).float().requires_grad_()
        self._switches = switches
        return model(inputs * switches[:, :, None, None].to(inputs.dtype))

    def observe(self, images: int) -> None:
        """Add the slopes of a part of a batch, after its backward pass.

        Parameters
        ----------
        images : int
            That the loss of the batch is a mean over.
        """
        if not self._learning:
            return
        assert self._switches is not None and self._switches.grad is not None
        is_open = self._switches.detach().double()
        fall = -images * self._switches.grad.double()
        for place, weight in enumerate((1 - is_open, is_open)):
            for power in range(3):
                self._seen[power, place] += (weight * fall**power).sum(0)

    def learn(self) -> None:
        """End a step: all processes take over what all have seen."""
        if self._learning:
            self._sums.mul_(self._decay).add_(self._world.sum(self._seen))

    def numbers(self, step: int) -> dict[str, torch.Tensor]:
        """Return what the last forward pass had open, and what it was to have."""
        assert self._switches is not None
        opened = self._switches.detach().double().mean(0)
        target = "bytes_target" if self._goal.in_bytes else "channels_target"
        return {
            "channels_open": opened.sum(),
            "bytes_open": (opened * self._bytes).sum() + self._goal.index_bytes,
            target: opened.new_tensor(self.target(step)),
            "multiplier": self._price,
        }

    def target(self, step: int) -> float:
        """Return what open channels are to cost in a step: a number, or bytes an image."""
        return self._phases.target(self._goal, step) + self._goal.fixed

    def choose(self, step: int, *others: torch.nn.Module) -> None:
        """Set what evaluation has open after a step: the choice at its target, or the frozen one.

        Parameters
        ----------
        step : int
        *others : torch.nn.Module
            Networks with such a gate, which get the same choice.
        """
        if not self.frozen and step >= self._phases.tightening:
            log_worth = self._log_worth(step).cpu().numpy()
            chosen = self._goal.choose(log_worth, self._phases.target(self._goal, step))
            self._gate.chosen.copy_(torch.from_numpy(chosen))
        for other in others:
            assert isinstance(other.gate, SelectionGate)
            other.gate.chosen.copy_(self._gate.chosen)

    def state(self, step: int) -> dict[str, Any]:
        """Describe the gate after a step as JSON data, for metrics and for the end.

        Returns
        -------
        dict
            ``open`` channels of the choice, their ``bytes`` an image, ``target``, ``multiplier``,
            ``frozen``, ``chosen`` (of each channel, whether it is), and ``probabilities``: those
            that the step, or the last one that learned, draws with.
        """
        chosen = self._gate.chosen.cpu().numpy()
        _, probabilities = self._solve(min(step, self._phases.frozen - 1))
        return {
            "open": float(chosen.sum()),
            "bytes": self._goal.bytes_of(chosen),
            "target": self.target(step),
            "multiplier": float(self._price),
            "frozen": self.frozen,
            "chosen": chosen.tolist(),
            "probabilities": probabilities.tolist(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs besides the choice, which is the network's."""
        return {"sums": self._sums, "price": self._price, "frozen": self.frozen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint; the network's is restored already."""
        self._sums.copy_(state["sums"])
        self._price.copy_(state["price"])
        self.frozen = bool(state["frozen"])

    def _log_worth(self, step: int) -> torch.Tensor:
        """Return the logarithm of what each channel is worth before a step, nats."""
        images, slopes, squares = self._sums
        count = images.clamp(min=1e-300)
        means = slopes / count
        variances = (squares / count - means**2).clamp(min=0) / count
        errors = (variances.sum(0) * self._weights_squared(step)).sqrt()
        evidence = torch.where(errors > 0, means.sum(0) / errors.clamp(min=1e-300), 0.0)
        noise = 2 * math.log(len(evidence)) / evidence.square().clamp(min=1e-300)
        evidence *= (1 - noise).clamp(min=_NEXT_TO_NOTHING)
        return self._log_energy + evidence * self._nats

    def _weights_squared(self, step: int) -> float:
        """Return the sum of squares of the weights of past steps over their sum."""
        steps = min(max(step, self._phases.tightening + 1), self._phases.frozen)
        past = self._decay ** (steps - self._phases.tightening)
        return (1 + past) / (1 + self._decay)

    def _solve(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the price at which open channels cost a step's target, and the probabilities."""
        count, sharpness = len(self._costs), _SHARPEST * self._phases.progress(step)
        order = self._log_worth(step).argsort(stable=True)
        ranks = torch.empty_like(self._costs)
        ranks[order] = (torch.arange(count, device=order.device).double() + 0.5) / count
        logits = sharpness * ranks.logit()
        target = self._phases.target(self._goal, step)
        low, high = torch.full_like(self._price, -_WIDEST), torch.full_like(self._price, _WIDEST)
        for _ in range(_HALVINGS):
            price = (low + high) / 2
            cheap = (torch.sigmoid(logits - price) * self._costs).sum() > target
            low, high = torch.where(cheap, price, low), torch.where(cheap, high, price)
        return price, torch.sigmoid(logits - price)
