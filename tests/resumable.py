"""A training with everything in it that has a state, for the tests of resuming, which run it in other processes too."""

import numpy as np

from microgradnp import nn


def train(make, path, *, epochs=4, stop=None, resume=None, compile=True, end=None):
    """A training with everything in it that has a state, killed after so many steps."""
    model = nn.Sequential(
        nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 1), rng=np.random.default_rng(7)
    )
    data = np.random.default_rng(1).normal(size=(22, 3))
    stopping = nn.EarlyStopping(patience=50)

    class Kill(nn.Callback):
        last = True

        def step_end(self, run):
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps == stop:
                if end is not None:
                    end()
                raise KeyboardInterrupt

    keeping = nn.ModelCheckpoint(path, steps=1)
    history = nn.fit(
        model,
        data[:, :2],
        data[:, 2:],
        loss=nn.losses.mean_squared_error,
        optimizer=make(model.parameters(), lr=0.03),
        epochs=epochs,
        batch_size=6,
        validation=0.25,
        callbacks=[keeping, stopping, Kill()],
        resume=resume,
        compile=compile,
    )
    saved = nn.load(path)
    return {**saved.model.state_dict(), **saved.optimizer, **saved.run, **history}
