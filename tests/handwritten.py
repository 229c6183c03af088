"""The chapter's own functions, gradients derived by hand: the reference for the tests.

They are kept as printed, loops and names included, but for three repairs:

- ``fitAdam`` keeps the moments of b0 as 0.0 instead of ``np.zeros(1)``. With the latter b0 becomes an array of one
  element, and ``calc_der`` then assigns such an array to a single place, which NumPy 2.4 refuses.
- ``calc_der`` and ``fitAdam`` take the number of hidden nodes from their arguments, as ``calc_tloss`` does, instead of
  from a global name.
- ``fitAdam`` copies its parameters first, since it changes them in place.
"""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_der(z):
    return np.exp(-z) / ((1.0 + np.exp(-z)) ** 2)


def relu(z):
    return (z > 0) * z


def relu_der(z):
    return (z > 0) * 1.0


def calc_tloss(x, y, tW, tV, tbs, tb0, acf):
    nhl = len(tW)  # noqa: F841
    s = 0.0
    for i in range(len(x)):
        s += (np.dot(tV, acf(tW * x[i] + tbs)) + tb0 - y[i]) ** 2
    return s


def calc_der(x, y, tW, tV, tbs, tb0, acf, acfder):
    nhl = len(tW)
    tdw = np.zeros(nhl)
    tdv = np.zeros(nhl)
    tdbs = np.zeros(nhl)
    tdb0 = 0.0
    for i in range(len(x)):
        g = np.dot(tV, acf(tW * x[i] + tbs)) + tb0 - y[i]
        tdb0 += 2.0 * g
        for jth in range(nhl):
            tdv[jth] += 2.0 * g * acf(tW[jth] * x[i] + tbs[jth])
            tdw[jth] += 2.0 * g * tV[jth] * acfder(tW[jth] * x[i] + tbs[jth]) * x[i]
            tdbs[jth] += 2.0 * g * tV[jth] * acfder(tW[jth] * x[i] + tbs[jth])
    return tdw, tdv, tdbs, tdb0


def fitGD(x, y, tW, tV, tbs, tb0, acf, acfder, nepoch, eta, verbose=0):
    for i in range(nepoch):
        tdw, tdv, tdbs, tdb0 = calc_der(x, y, tW, tV, tbs, tb0, acf, acfder)
        tW = tW - eta * tdw
        tV = tV - eta * tdv
        tbs = tbs - eta * tdbs
        tb0 = tb0 - eta * tdb0
        if verbose == 1:
            print(i, "tloss =", calc_tloss(x, y, tW, tV, tbs, tb0, acf))
    return tW, tV, tbs, tb0, tdw, tdv, tdbs, tdb0


def updateAdam(A, mt, vt, i, beta1, beta2, eps):
    mhat = mt / (1.0 - beta1 ** (i + 1))
    vhat = vt / (1.0 - beta2 ** (i + 1))
    return mhat / (np.sqrt(vhat) + eps)


def fitAdam(x, y, tW, tV, tbs, tb0, acf, acfder, nepoch, eta, verbose=0):
    tW, tV, tbs = tW.copy(), tV.copy(), tbs.copy()
    nhl = len(tW)
    mts = [np.zeros(nhl), np.zeros(nhl), np.zeros(nhl), 0.0]
    vts = [np.zeros(nhl), np.zeros(nhl), np.zeros(nhl), 0.0]
    beta1 = 0.9
    beta2 = 0.999
    eps = 1.0e-6
    omb1 = 1.0 - beta1
    omb2 = 1.0 - beta2
    for i in range(nepoch):
        tmp = calc_der(x, y, tW, tV, tbs, tb0, acf, acfder)
        for n, mt in enumerate(mts):
            mts[n] = beta1 * mt + omb1 * tmp[n]
            vts[n] = beta2 * vts[n] + omb2 * (tmp[n] ** 2)
        tW += -eta * updateAdam(tW, mts[0], vts[0], i, beta1, beta2, eps)
        tV += -eta * updateAdam(tV, mts[1], vts[1], i, beta1, beta2, eps)
        tbs += -eta * updateAdam(tbs, mts[2], vts[2], i, beta1, beta2, eps)
        tb0 += -eta * (mts[3] / (1.0 - beta1 ** (i + 1))) / (np.sqrt(vts[3] / (1.0 - beta2 ** (i + 1))) + eps)
        if verbose and i % 500 == 0:
            print(i, "tloss =", calc_tloss(x, y, tW, tV, tbs, tb0, acf))
    return tW, tV, tbs, tb0
