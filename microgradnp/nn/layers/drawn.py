"""The first values of parameters: drawn when a layer is made, and drawn again where the model knows better.

In ``Sequential(Linear(1, 8), ReLU(), rng=0)`` the Linear cannot know of the seed, nor of the ReLU, for which He's way
of drawing is right. So a layer remembers where its generator stood before it drew. A parameter that is not what was
drawn from there has been set, loaded or trained since, and is left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from microgradnp.engine.tensor import Tensor
from microgradnp.nn import initializers
from microgradnp.nn.initializers import Initializer, Shape
from microgradnp.nn.layers.base import Layer


class DrawnLayer(Layer):
    """A layer whose parameters are drawn at random: a subclass calls `draw_parameters` in its constructor.

    Attributes
    ----------
    weight_init, bias_init
        How they were drawn, as it was given: by name where there is one; None is the default.
    """

    weight: Tensor
    bias: Tensor | None

    def draw_parameters(
        self,
        weight: Shape,
        bias: Shape | None,
        weight_init: Initializer | str | None,
        bias_init: Initializer | str | None,
        rng: np.random.Generator | int | None,
        dtype: DTypeLike,
    ) -> None:
        """Draw ``weight`` and ``bias`` of these shapes; the weight by default as suits the activation that follows.

        Raises
        ------
        ValueError
            If there is no initializer of that name, or one returns another shape.
        """
        self.weight_init, self.bias_init = initializers.name_of(weight_init), initializers.name_of(bias_init)
        recipes = {"weight": (initializers.named("glorot_uniform" if weight_init is None else weight_init), weight)}
        if bias is not None:
            recipes["bias"] = initializers.named("zeros" if bias_init is None else bias_init), bias
        generator = np.random.default_rng(rng)
        self._draws = _Draws(recipes, generator, given=rng is not None, free=weight_init is None)
        for name, array in self._draws.arrays(generator).items():
            setattr(self, name, Tensor(array, requires_grad=True, dtype=dtype, name=name))
        if bias is None:
            self.bias = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the weight."""
        return self.weight.dtype

    def draw_from(self, rng: np.random.Generator) -> None:
        """Draw what is as it was drawn again, from the model's generator, unless the layer was given one itself."""
        if not self._draws.given:
            self._draw_again(_Draws(self._draws.recipes, rng, given=True, free=self._draws.free), rng)

    def placed(self) -> None:
        """The layer has got its place in a `Sequential`: only what follows there may decide on its weight."""
        self._draws.free = self._draws.free and not self._draws.placed
        self._draws.placed = True

    def suit(self, initializer: Initializer) -> None:
        """Draw the weight as suits what follows, from the same numbers, if it still is as it was drawn."""
        if self._draws.free:
            recipes = self._draws.recipes | {"weight": (initializer, self.weight.shape)}
            start = self._draws.generator()
            self._draw_again(_Draws(recipes, start, given=self._draws.given, free=False), start)

    def _draw_again(self, draws: _Draws, rng: np.random.Generator) -> None:
        was, self._draws = self._draws.arrays(self._draws.generator()), draws
        for name, array in draws.arrays(rng).items():
            tensor = getattr(self, name, None)
            if type(tensor) is Tensor and np.array_equal(tensor.data, was[name].astype(tensor.dtype)):
                tensor.data[...] = array


class _Draws:
    """How parameters were drawn, and where the generator stood before."""

    def __init__(
        self, recipes: dict[str, tuple[Initializer, Shape]], rng: np.random.Generator, *, given: bool, free: bool
    ) -> None:
        self.recipes, self.given, self.free, self.placed = recipes, given, free, False
        self.kind, self.state = type(rng.bit_generator), rng.bit_generator.state

    def generator(self) -> np.random.Generator:
        """A generator that stands where the layer's own stood."""
        bit_generator: Any = self.kind(0)
        bit_generator.state = self.state
        return np.random.Generator(bit_generator)

    def arrays(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """The values that it gives."""
        made = {}
        for name, (initializer, shape) in self.recipes.items():
            made[name] = values = np.asarray(initializer(rng, shape))
            if values.shape != shape:
                raise ValueError(
                    f"the initializer {getattr(initializer, '__name__', initializer)!r} returned shape "
                    f"{values.shape} for a {name} of shape {shape}."
                )
        return made
