"""Networks as scikit-learn's estimators: `MLPClassifier` and `MLPRegressor`, for pipelines, searches and joblib.

Parameters and fitted attributes are those of scikit-learn's own estimators of the same names, where it has them; the
loss and the meaning of ``alpha`` are the same too. Any depth and any activation, optimizer and learning rate will do,
and the training is `nn.fit`. As there, inputs are taken as they are: put a `StandardScaler` in front.
"""

try:
    import sklearn  # noqa: F401  # (is it there?)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "microgradnp.sklearn needs scikit-learn: pip install 'microgradnp[sklearn]'.", name=error.name
    ) from error

from microgradnp.sklearn.estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
