"""What has no name in NumPy, as the text of a function that a deployed file gets when it needs it.

Here all windows are looked at at once; what `microgradnp.nn.functional` calls does it a few images at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microgradnp.nn.convolution import convolution
from microgradnp.nn.pooling import first_maxima, sums_of_windows

WINDOWS = '''
def _windows(x, kernel, stride, padding, dilation=(1, 1), frame=0):
    """A view of all windows of images: of shape (n, channels, rows, columns, *kernel)."""
    (h, w), (s, t), (p, q), (d, e) = kernel, stride, padding, dilation
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=frame)
    reach = (d * (h - 1) + 1, e * (w - 1) + 1)
    return np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))[:, :, ::s, ::t, ::d, ::e]

'''

HELPERS: dict[Callable[..., Any], str] = {
    convolution: '''
def helper(x, weight, bias=None, **windows):
    """The products of a weight of shape (height, width, in, out) with all windows of images."""
    y = np.moveaxis(np.tensordot(_windows(x, **windows), weight, ((1, 4, 5), (2, 0, 1))), -1, 1)
    return y if bias is None else y + bias[:, None, None]

''',
    first_maxima: '''
def helper(x, **windows):
    """Where the maximum of each window lies among all elements of x."""
    view = _windows(x, **windows, frame=-np.inf)
    places = _windows(np.arange(x.size).reshape(x.shape), **windows)
    first = view.reshape(*view.shape[:4], -1).argmax(axis=-1)[..., None]
    return np.take_along_axis(places.reshape(*view.shape[:4], -1), first, -1)[..., 0]

''',
    sums_of_windows: '''
def helper(x, **windows):
    """The sum of each window."""
    return _windows(x, **windows).sum(axis=(4, 5))

''',
}
"""By our function: a function of plain NumPy, called ``helper``, with the same arguments."""
